"""Bamboogle: two-hop questions that a search engine does not answer at once (Press et al. 2023, arXiv 2210.03350)."""

from collections.abc import Mapping
from typing import Any

from anabranch.batch.examples import Example
from anabranch.batch.hub import Hub
from anabranch.evals.tasks.task import Scores, Task
from anabranch.grading import exact_match, normalize, token_f1


def grade(answer: str, reply: str, example: Example) -> Scores:
    """Strict: exact match after normalization. `lenient`: the final answer contains the reference."""
    contained = any(f" {normalize(gold)} " in f" {normalize(answer)} " for gold in example.answers)
    return {
        "em": exact_match(answer, example.answers),
        "f1": token_f1(answer, example.answers),
        "lenient": contained,
    }


def paper_grade(reply: str, example: Example) -> bool:
    """The grade of the paper's released evaluation/evaluation_bamb.py: the reference is a substring.

    It looks behind the last "The answer is: ", which our prompts write as "Answer:".
    """
    marked = reply.replace("The answer is: ", "Answer:")
    said, gold = (text.replace(",", "").replace('"', "").lower() for text in (marked, example.answers[0]))
    return gold.strip() in said.split("answer:")[-1]


def from_hub(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of chiayewken/bamboogle."""
    return {"question": row["Question"], "answer": row["Answer"]}


TASK = Task(
    name="bamboogle",
    title="Bamboogle",
    metric="em",
    metrics=("em", "f1", "lenient"),
    grade=grade,
    paper_grade=paper_grade,
    hint="Answer with a name, a number or a few words.",
    hub=Hub("chiayewken/bamboogle", None, "test", from_hub),
)
