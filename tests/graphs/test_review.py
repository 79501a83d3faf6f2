from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import ValidationError

from anabranch.graphs.planner import Planner
from anabranch.graphs.state import PlanDecision
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, ask, plan_json, planner, thread


@pytest.fixture
def decomposer() -> ScriptedChatModel:
    return ScriptedChatModel(script=[CRAIGSLIST])


@pytest.fixture
def graph(decomposer: ScriptedChatModel) -> Planner:
    return planner(decomposer, review=True, checkpointer=InMemorySaver())


def answer(graph: Planner, **decision: Any) -> dict[str, Any]:
    result: dict[str, Any] = graph.invoke(Command(resume=decision), thread())
    return result


def pending(graph: Planner) -> dict[str, Any]:
    (interrupt,) = graph.get_state(thread()).interrupts
    value: dict[str, Any] = interrupt.value
    return value


def test_the_run_waits_with_the_plan_and_nothing_is_executed(graph: Planner) -> None:
    result = graph.invoke(ask(), thread())
    assert result["__interrupt__"][0].value["plan"]["sub_questions"][1]["text"] == "When was {1} born?"
    assert "anyOf" in str(result["__interrupt__"][0].response_schema)
    assert result["answers"] == {}


def test_approve_runs_the_plan_and_never_calls_the_decomposer_again(
    graph: Planner, decomposer: ScriptedChatModel
) -> None:
    graph.invoke(ask(), thread())
    assert answer(graph, type="approve")["answer"] == "In 1952"
    assert len(decomposer.prompts) == 1


def test_edit_runs_the_edited_plan(graph: Planner) -> None:
    graph.invoke(ask(), thread())
    edited = {"sub_questions": [{"id": 7, "text": "When was Craig Newmark born?", "route": "search"}]}
    result = answer(graph, type="edit", plan=edited)
    assert result["answer"] == "In 1952"
    assert list(result["answers"]) == [7]


def test_an_edit_to_an_empty_plan_answers_directly(decomposer: ScriptedChatModel) -> None:
    graph = planner(decomposer, ["Answer: 1952"], review=True, checkpointer=InMemorySaver())
    graph.invoke(ask(), thread())
    assert answer(graph, type="edit", plan={"sub_questions": []})["answer"] == "1952"


@pytest.mark.parametrize(
    ("sub_question", "reason"),
    [
        ({"id": 1, "text": "x", "route": "teleport"}, "unknown route"),
        ({"id": 1, "text": "x {2}"}, "not in the plan"),
        ({"id": 1, "text": "x", "depends_on": [1]}, "wait for each other"),
    ],
)
def test_an_edit_that_cannot_run_is_asked_again_and_loses_nothing(
    graph: Planner, sub_question: dict[str, Any], reason: str
) -> None:
    graph.invoke(ask(), thread())
    edited = {"sub_questions": [sub_question]}
    if reason == "unknown route":
        answer(graph, type="edit", plan=edited)
        assert reason in pending(graph)["error"]
    else:
        with pytest.raises(ValidationError, match=reason):
            answer(graph, type="edit", plan=edited)
        assert pending(graph)["error"] is None
    assert answer(graph, type="approve")["answer"] == "In 1952"


def test_a_nonsense_decision_can_be_made_again(graph: Planner) -> None:
    graph.invoke(ask(), thread())
    with pytest.raises(ValidationError):
        answer(graph, type="maybe")
    assert answer(graph, type="approve")["answer"] == "In 1952"


def test_reject_ends_without_running_anything(graph: Planner) -> None:
    graph.invoke(ask(), thread())
    result = answer(graph, type="reject", message="Too expensive.")
    assert result["answer"] == "Too expensive."
    assert result["messages"][-1].usage_metadata["output_tokens"] > 0
    assert result["answers"] == {}


def test_respond_asks_for_another_plan(decomposer: ScriptedChatModel) -> None:
    better = plan_json(("search", "When was Craig Newmark born?", []))
    decomposer.script = [CRAIGSLIST, better]
    graph = planner(decomposer, review=True, checkpointer=InMemorySaver())
    graph.invoke(ask(), thread())
    result = answer(graph, type="respond", message="the founder is Craig Newmark")
    assert "the founder is Craig Newmark" in decomposer.prompts[1]
    assert result["__interrupt__"][0].value["plan"]["sub_questions"][0]["text"] == "When was Craig Newmark born?"
    assert answer(graph, type="approve")["answer"] == "In 1952"


async def test_review_works_asynchronously(graph: Planner) -> None:
    await graph.ainvoke(ask(), thread())
    result = await graph.ainvoke(Command(resume={"type": "approve"}), thread())
    assert result["answer"] == "In 1952"


@pytest.mark.parametrize("decision", [{"type": "edit"}, {"type": "respond"}, {"type": "approve", "extra": 1}], ids=str)
def test_incomplete_decisions_are_refused(decision: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PlanDecision.model_validate(decision)


EDITED = {"sub_questions": [{"id": 1, "text": "Who?"}]}
PLAN = PlanDecision.model_validate({"type": "edit", "plan": EDITED}).plan


@pytest.mark.parametrize(
    ("resume", "expected"),
    [
        ("approve", {"type": "approve"}),
        (" Approve. ", {"type": "approve"}),
        ("yes", {"type": "approve"}),
        (True, {"type": "approve"}),
        ("reject", {"type": "reject"}),
        (False, {"type": "reject"}),
        ("ask the archive first", {"type": "respond", "message": "ask the archive first"}),
        ("no, ask the archive first", {"type": "respond", "message": "no, ask the archive first"}),
        ({"decisions": [{"type": "approve"}]}, {"type": "approve"}),
        ([{"type": "reject", "message": "too long"}], {"type": "reject", "message": "too long"}),
        ({"decisions": [{"type": "respond", "message": "shorter"}]}, {"type": "respond", "message": "shorter"}),
        ({"type": "edit", "edited_action": {"name": "plan", "args": EDITED}}, {"type": "edit", "plan": PLAN}),
        ({"type": "edit", "edited_action": {"name": "plan", "args": {"plan": EDITED}}}, {"type": "edit", "plan": PLAN}),
    ],
    ids=str,
)
def test_decisions_in_other_forms(resume: Any, expected: dict[str, Any]) -> None:
    decision = PlanDecision.model_validate(resume)
    assert {key: value for key, value in dict(decision).items() if value is not None} == expected


@pytest.mark.parametrize("resume", ["", "edit", "respond", [], {"decisions": []}, 7, None], ids=repr)
def test_no_decisions(resume: Any) -> None:
    with pytest.raises(ValidationError):
        PlanDecision.model_validate(resume)


@pytest.mark.parametrize("resume", ["approve", {"decisions": [{"type": "approve"}]}], ids=str)
def test_a_plan_is_approved_in_other_forms(graph: Planner, resume: Any) -> None:
    graph.invoke(ask(), thread())
    assert graph.invoke(Command(resume=resume), thread())["answer"] == "In 1952"


def test_words_ask_for_another_plan(graph: Planner, decomposer: ScriptedChatModel) -> None:
    decomposer.script = [CRAIGSLIST, CRAIGSLIST]
    graph.invoke(ask(), thread())
    assert "__interrupt__" in graph.invoke(Command(resume="start with the founder"), thread())
    assert "start with the founder" in decomposer.prompts[1]
