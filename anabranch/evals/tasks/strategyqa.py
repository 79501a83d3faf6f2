"""StrategyQA: yes-or-no questions with an implicit strategy (Geva et al. 2021, arXiv 2101.02235)."""

from collections.abc import Mapping
from typing import Any

from anabranch.batch.examples import Example
from anabranch.batch.hub import Hub
from anabranch.evals.tasks.task import Scores, Task
from anabranch.grading import yes_or_no


def grade(answer: str, reply: str, example: Example) -> Scores:
    """Strict: the final answer begins with yes or no (true or false), has not the other too, and is right."""
    said = yes_or_no(answer)
    return {"accuracy": said is not None and said == yes_or_no(example.answers[0])}


def from_hub(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of ChilleD/StrategyQA."""
    return {"id": row["qid"], "question": row["question"], "answer": "yes" if row["answer"] else "no"}


TASK = Task(
    name="strategyqa",
    title="StrategyQA",
    metric="accuracy",
    metrics=("accuracy",),
    grade=grade,
    hint="Answer yes or no.",
    hub=Hub("ChilleD/StrategyQA", None, "test", from_hub),
)
