"""The state from outside: its JSON schemas, `as_tool`, and threads that `update_state` began or changed."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from anabranch.graphs.planner import Planner
from anabranch.graphs.step import StepState
from tests.graphs.scripts import CRAIGSLIST, ask, plan_json, planner, thread

EDITED = {"sub_questions": [{"id": 1, "text": "When was Craig Newmark born?", "route": "search"}]}


@pytest.fixture
def graph() -> Planner:
    return planner([CRAIGSLIST, plan_json()], checkpointer=InMemorySaver())


# Schemas


def test_the_schemas_of_input_and_output() -> None:
    graph = planner([])
    assert graph.get_input_jsonschema()["properties"]["messages"]["type"] == "array"
    assert {"messages", "answer", "plan", "answers", "usage"} <= set(graph.get_output_jsonschema()["properties"])


def test_the_schema_of_a_step_graph() -> None:
    builder = StateGraph(StepState)
    builder.add_node("step", lambda state: {"answer": state["text"]})
    builder.add_edge(START, "step")
    assert "sub_question" in builder.compile().get_input_jsonschema()["properties"]


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "hello"},
        {"type": "human", "content": "hello"},
        ("user", "hello"),
        HumanMessage("hello"),
    ],
    ids=repr,
)
def test_as_a_tool(message: Any) -> None:
    made = planner([], ["Answer: Hello!"]).as_tool(name="planner", description="Answers questions.")
    assert made.args["messages"]["type"] == "array"
    assert made.invoke({"messages": [message]})["answer"] == "Hello!"


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_an_agent_that_has_it_as_a_tool_sees_the_answer() -> None:
    made = planner([], ["Answer: Hello!", "Answer: Hello!"]).as_tool(name="planner", description="Answers questions.")
    arguments = {"messages": [{"role": "user", "content": "hello"}]}
    call: Any = {"name": "planner", "args": arguments, "id": "1", "type": "tool_call"}
    assert made.invoke(call).content == "Hello!"
    assert (await made.ainvoke(call)).content == "Hello!"


# Threads that were begun or changed from outside


@pytest.mark.parametrize("node", [None, "__start__", "gate", "execute"])
def test_a_thread_that_update_state_began_is_answered(graph: Planner, node: str | None) -> None:
    graph.update_state(thread(), ask(), as_node=node)
    assert graph.invoke(None, thread())["answer"] == "In 1952"


@pytest.mark.parametrize("node", ["plan", "execute"])
def test_a_plan_that_update_state_brought_is_run(graph: Planner, node: str) -> None:
    found = {1: {"id": 1, "text": "1952"}} if node == "execute" else {}
    graph.update_state(thread(), {**ask(), "plan": EDITED, "answers": found}, as_node=node)
    result = graph.invoke(None, thread())
    assert result["answer"] == "In 1952"
    assert result["plan"].model_dump()["sub_questions"][0]["text"] == "When was Craig Newmark born?"


@pytest.mark.parametrize("node", [None, "plan"])
def test_a_plan_edited_before_it_runs_is_run(graph: Planner, node: str | None) -> None:
    graph.invoke(ask(), thread(), interrupt_before=["execute"])
    graph.update_state(thread(), {"plan": EDITED}, as_node=node)
    assert graph.get_state(thread()).next == ("execute",)
    result = graph.invoke(None, thread())
    assert result["answer"] == "In 1952"
    assert list(result["answers"]) == [1]


def test_an_answer_given_before_the_plan_runs_is_kept(graph: Planner) -> None:
    graph.invoke(ask(), thread(), interrupt_before=["execute"])
    graph.update_state(thread(), {"answers": {1: {"id": 1, "text": "Craig Newmark", "evidence": "a person"}}})
    result = graph.invoke(None, thread())
    assert result["answer"] == "In 1952"
    assert result["answers"][1].evidence == "a person"


def test_a_plan_edited_before_its_review_is_reviewed() -> None:
    graph = planner([CRAIGSLIST], checkpointer=InMemorySaver(), review=True)
    graph.invoke(ask(), thread())
    graph.update_state(thread(), {"plan": EDITED})
    paused = graph.invoke(None, thread())
    assert paused["__interrupt__"][0].value["plan"]["sub_questions"][0]["text"] == "When was Craig Newmark born?"
    assert graph.invoke(Command(resume={"type": "approve"}), thread())["answer"] == "In 1952"


def test_keys_that_are_not_the_planners_input_are_left_aside() -> None:
    result = planner([CRAIGSLIST]).invoke({**ask(), "plan": "the caller's", "answers": ["too"], "mood": "good"})
    assert result["answer"] == "In 1952"
    assert "mood" not in result
