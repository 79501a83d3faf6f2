"""GSM8K: grade school arithmetic (Cobbe et al. 2021, arXiv 2110.14168)."""

from collections.abc import Mapping
from typing import Any

from anabranch.batch.examples import Example
from anabranch.batch.hub import Hub
from anabranch.evals.tasks.task import Scores, Task
from anabranch.grading import is_number, last_is_number


def grade(answer: str, reply: str, example: Example) -> Scores:
    """Strict: the final answer has one number (thousands separators, `$`, `%`, units and `.00` apart), the gold one.

    `lenient` is the usual last-number grade of the whole reply.
    """
    gold = example.answers[0]
    return {"em": is_number(answer, gold), "lenient": last_is_number(reply, gold)}


def paper_grade(reply: str, example: Example) -> bool:
    """The grade of the paper's released evaluation/evaluation_gsm8k.py: any word of the reply is the gold number.

    What follows a point does not count there: `18.75` is taken for 18.
    """
    gold = example.answers[0].replace(",", "")
    accepted = {gold, f"{int(gold):,}" if gold.removeprefix("-").isdigit() else gold}
    words = (word.removesuffix(".") for word in reply.replace("$", "").split())
    return any(word in accepted or word.split(".")[0] in accepted for word in words)


def from_hub(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of openai/gsm8k: the answer follows `####`."""
    _, _, answer = row["answer"].rpartition("####")
    return {"question": row["question"], "answer": answer.strip()}


TASK = Task(
    name="gsm8k",
    title="GSM8K",
    metric="em",
    metrics=("em", "lenient"),
    grade=grade,
    paper_grade=paper_grade,
    hub=Hub("openai/gsm8k", "main", "test", from_hub),
)
