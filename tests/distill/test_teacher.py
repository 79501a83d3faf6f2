import pytest

from anabranch.distill import datasets, teacher
from tests.distill.rows import GSM8K

ROW = GSM8K[0]
STEPS = datasets.calculations(ROW) or []
GOOD = "1. How many rolls are in 3 trays of 12 rolls?\n2. How many of {1} rolls are left after 7 are sold?"


def test_a_good_reply_becomes_a_plan_with_expressions() -> None:
    plan, wrong = teacher.demonstration(ROW, STEPS, ["nothing", GOOD])
    assert plan is not None
    assert wrong == []
    assert [(step.expression, step.answer) for step in plan.steps] == [("3 * 12", "36"), ("{1} - 7", "29")]


def test_faults_are_named() -> None:
    first = STEPS[0]
    assert teacher.faults("How many are in 3 trays of 12, which is 36?", first, ROW["question"]) == ["leak"]
    assert teacher.faults("How many rolls are made?", first, ROW["question"]) == ["numbers"]
    assert teacher.faults("How many of {1} in 3 trays of 12?", first, ROW["question"]) == ["slots"]
    assert teacher.demonstration(ROW, STEPS, ["1. Only one?"]) == (None, ["alignment"])


def test_missing_numbers_are_added() -> None:
    assert teacher.repaired("How many are left?", STEPS[1]) == "How many are left, given {1} and 7?"
    complete = "How many rolls are in 3 trays of 12?"
    assert teacher.repaired(complete, STEPS[0]) == complete


def test_the_prompt_does_not_show_results() -> None:
    prompt = teacher.step_prompt(ROW["question"], STEPS)[-1]["content"]
    assert "36" not in prompt
    assert "29" not in prompt


def test_quiz_pairs_are_checked() -> None:
    reply = "Q: Who built the quay?\nA: Ada Quist\nQ: What does he say?\nA: Ada Quist\nQ: Who?\nA: Nobody here\n"
    assert teacher.quiz(reply, "The quay", "Ada Quist built it.") == [("Who built the quay?", "Ada Quist")]


@pytest.mark.parametrize(
    ("texts", "again"),
    [
        (["How many sheets a week, if he uses 2 pads?", "How many sheets a month, given {1}?"], []),
        (["How many sheets a month, if he uses 60?", "How many sheets a  MONTH, given {1}?", "How many pads?"], [2]),
        (["Who?", "Who?", "Who, if not {1}?"], [2, 3]),
        (["When was {1} born?", "When was {2} born?"], []),
        (["How many are left after 2 are sold?", "How many are left after 3 are eaten?"], []),
        ([], []),
    ],
)
def test_what_is_asked_again(texts: list[str], again: list[int]) -> None:
    assert teacher.repeats(texts) == again
