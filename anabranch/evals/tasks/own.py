"""A user's own questions: any JSON lines with question and answer."""

from anabranch.batch.examples import Example
from anabranch.evals.tasks.task import Scores, Task
from anabranch.grading import exact_match, is_number, numbers, token_f1


def grade(answer: str, reply: str, example: Example) -> Scores:
    """Exact match and F1; a reference that is one number and nothing else is compared as a number."""
    golds = example.answers
    same = any(
        len(numbers(gold)) == 1 and not gold.strip("$% .,-+0123456789") and is_number(answer, gold) for gold in golds
    )
    right = same or exact_match(answer, golds)
    return {"em": right, "f1": 1.0 if right else token_f1(answer, golds)}


TASK = Task(name="own", title="Own questions", metric="em", metrics=("em", "f1"), grade=grade)
