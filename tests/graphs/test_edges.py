from typing import Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from anabranch.graphs.bridge import Choice, Node
from anabranch.graphs.edges import deciding, spare_reading

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
