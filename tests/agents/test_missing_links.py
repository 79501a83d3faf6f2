"""Dependencies that plans say in words only."""

from typing import Any

import pytest

from anabranch import create_planner
from anabranch.agents.decomposer import GivenPlan
from anabranch.agents.missing_links import linked
from anabranch.plan import SOLVE, Plan, SubQuestion
from tests.fakes import ScriptedChatModel


def plan(*texts: str, route: str = "search") -> Plan:
    return Plan(sub_questions=tuple(SubQuestion(id=n, text=text, route=route) for n, text in enumerate(texts, 1)))


def needs(found: Plan) -> list[tuple[int, ...]]:
    return [step.depends_on for step in found.sub_questions]


@pytest.mark.parametrize(
    "second",
    [
        "What is their phone number?",
        "When does she work?",
        "How much is its cheapest room?",
        "Where was he born?",
        "Send him an invitation",
        "Cancel it",
        "Quel est son numéro de téléphone ?",
        "Wie hoch ist ihr Preis?",
        "¿Cuál es su número de teléfono?",
    ],
)
def test_a_pronoun_without_anything_to_stand_for_makes_a_step_wait(second: str) -> None:
    assert needs(linked(plan("Who runs the shop?", second))) == [(), (1,)]


@pytest.mark.parametrize(
    "second",
    [
        "When did Marie Curie get her first prize?",
        "What is the capital of France and its population?",
        "Is it legal to fly a drone in Norway?",
        "What does the Pro plan cost?",
        "Which hotel allows guests to bring their own dogs and cats into the breakfast room?",
        "In which year was She-Devils On Wheels released?",
        "Wann hat Marie Curie ihren Preis bekommen?",
    ],
)
def test_a_step_that_stands_by_itself_waits_for_nothing(second: str) -> None:
    before = plan("Who runs the shop?", second)
    assert linked(before) is before


def test_several_in_a_row_are_about_the_last_that_stands_by_itself() -> None:
    found = linked(plan("Who runs the shop?", "What is their number?", "What is their address?", "What is tax?"))
    assert needs(found) == [(), (1,), (1,), ()]


def test_the_first_step_the_solvers_and_those_asked_before_stay() -> None:
    first = plan("Who built it?", "When was it finished?")
    assert linked(first) is first
    solved = plan("How many apples has Ann?", "How many does she eat?", route=SOLVE)
    assert linked(solved) is solved
    asked = plan("Who runs the shop?", "What is their number?", "What is their address?")
    assert needs(linked(asked, 2)) == [(), (), (1,)]


def test_the_look_up_is_told_whose_number_it_is() -> None:
    asked: list[str] = []

    def search(query: str) -> str:
        """Looks up facts."""
        asked.append(query)
        return "Jonas runs the shop. Jonas: 223. Marit: 222."

    def answer(prompt: str) -> Any:
        return "223" if "number" in prompt else "Jonas"

    decomposer = GivenPlan(plan("Who runs the shop?", "What is their number?"))
    solver = ScriptedChatModel(script=answer)
    planner = create_planner(decomposer=decomposer, solver=solver, tools=[search], gate="always")
    planner.invoke({"messages": [("user", "Who runs the shop, and what is their number?")]})
    assert asked == ["Who runs the shop?", "What is their number? (known: Who runs the shop? Jonas)"]
