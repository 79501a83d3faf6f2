"""The planner inside another graph."""

from collections.abc import Callable
from typing import Any, NotRequired

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from anabranch.errors import ConfigurationError
from anabranch.graphs.planner import Planner
from anabranch.plan import Plan
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, ask, planner, thread


class Parents(MessagesState):
    """A parent that uses the planner's names for things of its own."""

    plan: NotRequired[str]
    answers: NotRequired[list[int]]
    question: NotRequired[str]
    answer: NotRequired[str]
    usage: NotRequired[int]
    status: NotRequired[str]


class Asking(Parents):
    anabranch: NotRequired[dict[str, Any]]


OWN = {"plan": "mine", "answers": [7], "question": "mine?", "answer": "mine", "usage": 1, "status": "open"}


def parent(node: Any, schema: type[Any] = Parents, **options: Any) -> Any:
    builder = StateGraph(schema)
    builder.add_node("planner", node)
    builder.add_edge(START, "planner")
    return builder.compile(**options)


@pytest.fixture
def graph() -> Planner:
    return planner([CRAIGSLIST] * 3)


async def invoke(graph: Any, value: Any) -> Any:
    return graph.invoke(value)


async def ainvoke(graph: Any, value: Any) -> Any:
    return await graph.ainvoke(value)


async def events(graph: Any, value: Any) -> Any:
    return [event async for event in graph.astream_events(value, version="v2")][-1]["data"]["output"]


@pytest.mark.parametrize("run", [invoke, ainvoke, events])
@pytest.mark.parametrize("own", [{}, OWN], ids=["unset", "set"])
async def test_a_node_leaves_the_parents_keys_alone(graph: Planner, run: Callable[..., Any], own: Any) -> None:
    result = await run(parent(graph), ask() | own)
    assert result["messages"][-1].text == "In 1952"
    assert {key: value for key, value in result.items() if key != "messages"} == own


async def test_a_parent_that_asks_gets_all_as_plain_data(graph: Planner) -> None:
    saver = InMemorySaver()
    result = parent(graph, Asking, checkpointer=saver).invoke(ask() | OWN, thread())
    assert result["plan"] == "mine"
    assert result["anabranch"]["answer"] == "In 1952"
    assert Plan.model_validate(result["anabranch"]["plan"]).ids == (1, 2)
    assert parent(graph, Asking, checkpointer=saver).get_state(thread()).values == result


def test_by_itself_it_gives_everything(graph: Planner) -> None:
    assert {"messages", "answer", "plan", "answers", "usage"} <= set(graph.invoke(ask()))
    assert "answer" in list(graph.stream(ask(), stream_mode="values"))[-1]


@pytest.mark.parametrize("with_config", [False, True])
def test_a_function_of_another_graph_can_read_everything(graph: Planner, with_config: bool) -> None:
    def node(state: Parents, config: RunnableConfig) -> dict[str, Any]:
        value: Any = {"messages": state["messages"]}
        result = graph.invoke(value, config) if with_config else graph.invoke(value)
        assert "plan" in result
        assert result.get("plan") == result["plan"]
        assert result["plan"].ids == (1, 2)
        assert result.get("nothing", "none") == "none"
        with pytest.raises(KeyError):
            result["nothing"]
        return {"answer": result["answer"]}

    assert parent(node).invoke(ask())["answer"] == "In 1952"


def test_what_a_task_records_has_everything(graph: Planner) -> None:
    @task
    def work(question: str) -> Any:
        return graph.invoke(ask(question))

    @entrypoint(checkpointer=InMemorySaver())
    def main(question: str) -> str:
        return str(work(question).result()["answer"])

    assert main.invoke("When was the founder of Craigslist born?", thread()) == "In 1952"


def test_its_events_reach_the_parents_stream(graph: Planner) -> None:
    parts = list(parent(graph).stream(ask(), stream_mode="custom", subgraphs=True))
    assert [data["type"] for _, data in parts].count("plan") == 1


# Who keeps the threads of a review


@pytest.mark.parametrize("checkpointer", [None, False])
def test_a_review_without_a_checkpointer_is_refused_at_once(checkpointer: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"pass checkpointer=InMemorySaver\(\).*checkpointer=True"):
        planner([], review=True, checkpointer=checkpointer)


def test_a_review_inside_a_graph_that_has_one() -> None:
    decomposer = ScriptedChatModel(script=[CRAIGSLIST])
    graph = parent(planner(decomposer, review=True, checkpointer=True), checkpointer=InMemorySaver())
    paused = graph.invoke(ask(), thread())
    assert paused["__interrupt__"][0].value["plan"]["sub_questions"][0]["text"] == "Who founded Craigslist?"
    assert graph.invoke(Command(resume="approve"), thread())["messages"][-1].text == "In 1952"
    assert len(decomposer.prompts) == 1


@pytest.mark.parametrize("inside", [False, True], ids=["by itself", "as a node"])
async def test_a_review_that_nothing_keeps_is_refused_before_any_model_is_called(inside: bool) -> None:
    decomposer = ScriptedChatModel(script=[])
    made = planner(decomposer, review=True, checkpointer=True)
    graph = parent(made) if inside else made
    for run in (invoke, ainvoke):
        with pytest.raises(ConfigurationError, match="nothing around this planner keeps its threads"):
            await run(graph, ask())


def test_a_server_that_brings_one() -> None:
    graph = planner([CRAIGSLIST], review=True, checkpointer=True).copy(update={"checkpointer": InMemorySaver()})
    assert "__interrupt__" in graph.invoke(ask(), thread())
    assert graph.invoke(Command(resume="approve"), thread())["answer"] == "In 1952"
