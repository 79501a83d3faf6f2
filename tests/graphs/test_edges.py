from typing import Any, TypedDict

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from anabranch.graphs.bridge import Choice, Node
from anabranch.graphs.edges import deciding, in_one_step, spare_reading
from anabranch.graphs.events import hearing_events
from tests.fakes import Reply
from tests.graphs.scripts import CRAIGSLIST, ask, plan_json, planner, reader, thread

THREAD: Any = {"configurable": {"thread_id": "t"}}


class State(TypedDict):
    to: str
    been: list[str]


def graph_of(asked: list[Any], *, quick: bool) -> Any:
    """`first` leads to `left` or `right`, as the state says; `asked` has what its edge was shown."""

    async def first(state: Any) -> dict[str, Any]:
        return {"to": state["to"].strip(), "been": ["first"]}

    def look(state: Any) -> str:
        asked.append(dict(state))
        return str(state["to"])

    builder: Any = StateGraph(State)
    builder.add_node("first", Node(deciding(first, lambda state: str(state["to"])) if quick else first, "first"))  # type: ignore[typeddict-item]
    for side in ("left", "right"):
        builder.add_node(side, lambda state, side=side: {"been": [*state["been"], side]})
        builder.add_edge(side, END)
    builder.add_edge(START, "first")
    builder.add_conditional_edges("first", Choice(look), ["left", "right"])
    spare_reading(builder)
    return builder.compile(checkpointer=InMemorySaver())


async def test_a_node_says_what_follows_and_no_edge_reads_the_state() -> None:
    asked: list[Any] = []
    graph = graph_of(asked, quick=True)
    assert (await graph.ainvoke({"to": " right"}, THREAD))["been"] == ["first", "right"]
    assert graph.invoke({"to": "left "}, THREAD)["been"] == ["first", "left"]
    assert asked == []


async def test_edges_read_the_state_of_nodes_that_say_nothing() -> None:
    asked: list[Any] = []
    assert (await graph_of(asked, quick=False).ainvoke({"to": " right"}, THREAD))["been"] == ["first", "right"]
    assert [state["to"] for state in asked] == ["right"]


def test_edges_read_a_state_that_was_changed_from_outside() -> None:
    asked: list[Any] = []
    graph = graph_of(asked, quick=True)
    graph.update_state(THREAD, {"to": "left", "been": []}, as_node="first")
    assert graph.invoke(None, THREAD)["been"] == ["left"]
    assert [state["to"] for state in asked] == ["left"]


# Several nodes in one step

GUIDE = plan_json(("solve", "When was the founder of Craigslist born?", []))
IN_ONE_STEP: dict[str, tuple[str, int]] = {
    # a plan, and how many values of the state there are: the input's, and one for each step
    "no plan is needed": (plan_json(), 2),
    "a plan that guides the solver": (GUIDE, 2),
    "a plan that is executed": (CRAIGSLIST, 4),
}


def same(state: Any) -> dict[str, Any]:
    """What of an outcome is the same in each run."""
    plan, usage = state["plan"], state["usage"]
    return {
        **{key: state[key] for key in ("question", "answer", "status", "plan", "sources")},
        "answers": {id_: answer.model_copy(update={"seconds": 0}) for id_, answer in state["answers"].items()},
        "messages": [(message.type, message.text) for message in state["messages"]],
        "types": (type(plan).__name__, {role: type(used).__name__ for role, used in usage.items()}),
        "calls": {role: used.calls for role, used in usage.items()},
    }


@pytest.mark.parametrize("case", IN_ONE_STEP)
async def test_nodes_in_one_step_come_to_the_same(case: str) -> None:
    plan, steps = IN_ONE_STEP[case]
    asked, told = ask(), list[Any]()

    def solver(prompt: str) -> Reply:
        return "1952" if (said := reader(prompt)) == "NOT FOUND" else said

    def made() -> Any:
        return planner([plan], solver)

    expected = [values async for values in made().astream(asked, stream_mode="values")]
    with in_one_step("plan", "solve"), hearing_events(told.append):
        found = [values async for values in made().astream(asked, stream_mode="values")]
        assert same(made().invoke(asked)) == same(expected[-1])
    assert same(found[-1]) == same(expected[-1])
    assert len(found) == steps < len(expected)
    assert [event["type"] for event in told][:1] == ["plan"]


@pytest.mark.parametrize("options", [{"checkpointer": InMemorySaver()}, {}])
async def test_steps_that_are_kept_or_traced_stay_as_they_are(options: dict[str, Any]) -> None:
    begun: list[str] = []

    class Trace(BaseCallbackHandler):
        def on_chain_start(self, *args: Any, name: str = "", **_: Any) -> None:
            begun.append(name)

    config: Any = thread() if options else {"callbacks": [Trace()]}
    with in_one_step("plan", "solve"):
        graph = planner([plan_json()], ["1952"], **options)
        values = [each async for each in graph.astream(ask(), config, stream_mode="values")]
    assert len(values) == 4
    assert options or {"gate", "plan", "solve"} <= set(begun)
