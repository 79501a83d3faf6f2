"""ParallelQA: questions whose look-ups are independent (Kim et al. 2024, LLMCompiler, arXiv 2312.04511)."""

from anabranch.batch.examples import Example
from anabranch.evals.tasks.task import Scores, Task
from anabranch.grading import exact_match, numbers

NEAR = 0.05
"""How far off a number may be for `near`: its authors' sources and ours round differently."""


def grade(answer: str, reply: str, example: Example) -> Scores:
    """Exact match; `near` takes numbers within 5 % too, as sources differ."""
    right = exact_match(answer, example.answers)
    gold, said = numbers(example.answers[0]), numbers(answer)
    near = len(gold) == 1 and len(said) == 1 and abs(said[0] - gold[0]) <= NEAR * abs(gold[0])
    return {"em": right, "near": right or near}


TASK = Task(
    name="parallelqa",
    title="ParallelQA",
    metric="em",
    metrics=("em", "near"),
    grade=grade,
    hint="Answer with a name, or with a number alone.",
)
