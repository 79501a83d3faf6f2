"""Plans of a small decomposer, kept to the question."""

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool

from anabranch import calculator, create_planner
from anabranch.agents.decomposer import LineDecomposer
from anabranch.agents.models import RoleModel
from anabranch.errors import NotFoundError
from anabranch.graphs.grounded import grounded_plan
from anabranch.graphs.weak_plans import kept_to_the_question, looked_up_first, without_inventions
from anabranch.plan import Answer, Plan, SubQuestion
from tests.fakes import ScriptedChatModel

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


CANCELLED = "If I cancel a 1750 NOK private lesson the day before, how much do I get back?"


def test_calculating_with_what_only_the_documents_know_becomes_a_look_up() -> None:
    sums = plan(("calculator", "How much does a 1750 NOK lesson cost?"), ("calculator", "How much is {1} cancelled?"))
    assert looked_up_first(sums, CANCELLED, ["search", "wiki"]) == plan(("search", CANCELLED))


@pytest.mark.parametrize(
    ("question", "steps"),
    [
        ("What is 17 times 23?", [("calculator", "What is 17 times 23?")]),
        ("Why is the sky blue?", [("solve", "What scatters light?")]),
        ("Write a haiku", []),
        ("Cancel my lesson", [("search", "Which lesson is mine?"), ("cancel_lesson", "Cancel {1}")]),
    ],
    ids=["two values", "the solver's own", "no plan", "another tool"],
)
def test_plans_that_need_no_document_stay(question: str, steps: list[tuple[str, str]]) -> None:
    whole = plan(*steps)
    assert looked_up_first(whole, question, ["search"]) == whole


def test_a_single_look_up_of_an_ungrounded_plan_asks_the_question_itself_too() -> None:
    said = plan(("search", "What is the deputy's native language?"))
    question = "What languages does the deputy speak?"
    assert looked_up_first(said, question, ["search"]) == plan(("search", question))


def test_a_new_plan_that_names_what_nobody_said_is_not_taken() -> None:
    asked = plan(("search", "What is the wifi password?"))
    lost = {1: Answer(id=1, status="failed", error="nothing found", not_found=True)}
    more = asked.extended([SubQuestion(id=2, text="What is the least number of words, if it is 45?", route="search")])
    assert without_inventions(more, asked, "What is the wifi password?", lost) == asked
    other = asked.extended([SubQuestion(id=2, text="Which password has the network?", route="search")])
    assert without_inventions(other, asked, "What is the wifi password?", lost) == other


class Library:
    """A search that finds nothing but what it holds."""

    def __init__(self, *passages: str) -> None:
        self.passages, self.asked = passages, list[str]()

    def tool(self) -> BaseTool:
        def search(query: str) -> str:
            """Looks up facts."""
            self.asked.append(query)
            if not self.passages:
                raise NotFoundError("no passage found")
            return "\n".join(self.passages)

        return StructuredTool.from_function(search)


def asked_of(library: Library, replies: Sequence[str], answer: str, question: str) -> dict[str, Any]:
    weak = LineDecomposer(RoleModel(ScriptedChatModel(script=list(replies)), small=True))
    tools = [library.tool(), calculator()]
    graph = create_planner(decomposer=weak, solver=ScriptedChatModel(script=lambda _prompt: answer), tools=tools)
    return graph.invoke({"messages": [("user", question)]})


SUMS = "1 [calculator] How much is a 1750 NOK lesson?"


def test_what_is_in_the_documents_is_not_answered_without_them() -> None:
    library = Library("Later than 48 hours before the lesson we refund half.")
    result = asked_of(library, [SUMS], "875 NOK", CANCELLED)
    assert library.asked == [CANCELLED]
    assert (result["answer"], result["status"]) == ("875 NOK", "answered")


def test_what_is_not_there_either_is_the_solvers_to_answer() -> None:
    library = Library()
    result = asked_of(library, [f"{n} [calculator] sqrt(144)" for n in (1, 2)], "12", "What is the square root of 144?")
    assert library.asked == ["What is the square root of 144?"]
    assert (result["answer"], result["status"]) == ("12", "answered")


def test_a_look_up_that_found_nothing_is_not_made_up_for_by_a_question_that_nobody_asked() -> None:
    library = Library()
    replies = ["1 [search] What is the wifi password?", "2 [solve] What is the least number of words, if it is 45?"]
    result = asked_of(library, replies, "A secret code", "What is the wifi password?")
    assert result["status"] == "not_found"
    assert "secret" not in result["answer"]
