"""Plans of a small decomposer, kept to the question."""

import pytest

from anabranch.graphs.grounded import grounded_plan
from anabranch.graphs.weak_plans import kept_to_the_question
from anabranch.plan import Plan, SubQuestion

QUESTION = "What does a kayak cost in Tarn, and what does a tent for 4 cost?"


def plan(*steps: tuple[str, str]) -> Plan:
    return Plan(sub_questions=tuple(SubQuestion(id=n, text=t, route=r) for n, (r, t) in enumerate(steps, 1)))


def test_a_single_look_up_asks_the_question_itself() -> None:
    kept = kept_to_the_question(plan(("search", "How dear are kayaks?")), QUESTION)
    assert kept == plan(("search", QUESTION))


@pytest.mark.parametrize("text", ["How much is it, if it costs {1}?", "How much is {1}?"])
def test_calculating_with_one_value_is_left_out(text: str) -> None:
    kept = kept_to_the_question(plan(("search", "What does a kayak cost?"), ("calculator", text)), QUESTION)
    assert kept == plan(("search", QUESTION))


@pytest.mark.parametrize("text", ["How much is {1} times 4?", "How much is twice {1}?", "{1} / {1}", "50% of {1}"])
def test_calculating_with_two_is_kept(text: str) -> None:
    whole = plan(("search", "What does a kayak in Tarn cost?"), ("calculator", text.replace("50", "4")))
    assert kept_to_the_question(whole, QUESTION) == whole


@pytest.mark.parametrize(
    "text",
    [
        "How much is a kayak for 100000 people?",
        "What does a kayak cost in the shops of Quebec?",
    ],
    ids=["a number", "a name"],
)
def test_a_plan_with_what_the_question_does_not_say_is_not_taken(text: str) -> None:
    assert kept_to_the_question(plan(("search", "What does a tent cost?"), ("search", text)), QUESTION) is None


def test_a_plan_that_looks_nothing_up_is_not_taken() -> None:
    assert kept_to_the_question(plan(("calculator", "4 times 4")), QUESTION) is None
    asked = grounded_plan(plan(("calculator", "4 times 4")), Plan(), QUESTION, ["search"], 8, weak=True)
    assert asked == plan(("search", QUESTION))


def test_other_plans_stay_as_they_are() -> None:
    whole = plan(("search", "What does a kayak cost in Tarn?"), ("search", "What does a tent for 4 cost?"))
    assert kept_to_the_question(whole, QUESTION) == whole
    assert grounded_plan(plan(("search", "How dear?")), Plan(), QUESTION, ["search"], 8) == plan(
        ("search", "How dear?")
    )
