"""Look-ups that a plan asks twice are asked once."""

from langchain_core.tools import tool

from anabranch import create_planner
from anabranch.agents.decomposer import GivenPlan
from anabranch.agents.models import RoleModel
from anabranch.graphs.repeats import without_repeats
from anabranch.plan import Answer, Plan, SubQuestion
from tests.fakes import ScriptedChatModel


def step(id_: int, text: str, route: str = "search", depends_on: tuple[int, ...] = ()) -> SubQuestion:
    return SubQuestion(id=id_, text=text, route=route, depends_on=depends_on)


def plan(*steps: SubQuestion) -> Plan:
    return Plan(sub_questions=steps)


def test_what_needs_the_second_gets_the_answer_of_the_first() -> None:
    twice = plan(
        step(1, "What does a lesson cost?"),
        step(2, "what does  a lesson cost"),
        step(3, "Who teaches it?", depends_on=(1, 2)),
        step(4, "{1} + {2}, not {{2}}", "calculator"),
    )
    once = without_repeats(twice, {}, ["search"])
    assert once == plan(
        step(1, "What does a lesson cost?"),
        step(3, "Who teaches it?", depends_on=(1,)),
        step(4, "{1} + {1}, not {{2}}", "calculator"),
    )


def test_a_sum_is_done_once() -> None:
    text = "How many rolls are left after baking 200 trays?"
    twice = plan(*(step(id_, text, "calculator") for id_ in (1, 2, 3)), step(4, "{3} - 1", "calculator"))
    assert without_repeats(twice, {}, ["search"]) == plan(
        step(1, text, "calculator"), step(4, "{1} - 1", "calculator", (1,))
    )


def test_chains_of_repeats_fall_together() -> None:
    twice = plan(
        step(1, "Who owns it?"), step(2, "When was {1} born?"), step(3, "Who owns it?"), step(4, "When was {3} born?")
    )
    assert without_repeats(twice, {}, ["search"]) == plan(step(1, "Who owns it?"), step(2, "When was {1} born?"))


def test_the_same_words_about_another_answer_are_another_question() -> None:
    other = plan(
        step(1, "Who owns A?"), step(2, "Who owns B?"), *(step(2 + n, "How old?", depends_on=(n,)) for n in (1, 2))
    )
    assert without_repeats(other, {}, ["search"]) is other


def test_calls_of_other_tools_are_made_as_often_as_they_are_planned() -> None:
    twice = plan(step(1, "Order a pizza.", "order"), step(2, "Order a pizza.", "order"))
    assert without_repeats(twice, {}, ["search"]) is twice


def test_what_was_answered_is_not_asked_again_but_what_failed_may_be() -> None:
    asked = (step(1, "Who owns it?"), step(2, "What does it cost?"))
    answers = {1: Answer(id=1, text="Kari"), 2: Answer(id=2, status="failed", error="no time")}
    again = plan(*asked, step(3, "Who owns it?"), step(4, "What does it cost?"), step(5, "How old is {3}?"))
    kept = without_repeats(again, answers, ["search"])
    assert kept == plan(*asked, step(4, "What does it cost?"), step(5, "How old is {1}?"))


async def test_a_planner_asks_once() -> None:
    queries: list[str] = []

    @tool
    def search(query: str) -> str:
        """Looks things up."""
        queries.append(query)
        return "It costs 950 NOK."

    chat = ScriptedChatModel(script=lambda prompt: "950 NOK")
    given = GivenPlan(plan(step(1, "What does it cost?"), step(2, "What does it cost?")))
    planner = create_planner(solver=RoleModel(chat), decomposer=given, tools=[search], gate="always")
    result = await planner.ainvoke({"messages": [("user", "What does it cost, and what does it cost?")]})
    assert len(queries) == 1
    assert result["plan"].ids == (1,)
