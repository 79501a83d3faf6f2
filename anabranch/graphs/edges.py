"""What follows a node: told by the node itself where it knows it, and by an edge that reads the state otherwise.

An edge has LangGraph copy all channels, with what the node has written in them, to read the state. Nodes know their
update, so in a run they spare it that. Where there was no node, in `update_state` and in Studio, the edges read.
"""

from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from pydantic import BaseModel

from anabranch.graphs.channels import plain
from anabranch.graphs.state import PlannerState


class Decided(dict[str, Any]):
    """A node's update that knows what follows the node."""

    def __init__(self, update: Mapping[str, Any], then: str) -> None:
        super().__init__(update)
        self.then = then


Body = Callable[[PlannerState], Coroutine[Any, Any, dict[str, Any]]]


def deciding(body: Body, choose: Callable[[PlannerState], str]) -> Body:
    """A node's body whose update knows what follows, as `choose` tells it from the state."""

    async def decide(state: PlannerState) -> dict[str, Any]:
        update = await body(state)
        merged: Any = {**state, **update}
        # Plain, as pending writes are stored too.
        stored = {key: plain(value) if isinstance(value, BaseModel) else value for key, value in update.items()}
        return Decided(stored, choose(merged))

    return decide


def spare_reading(builder: "StateGraph[Any, Any, Any, Any]") -> None:
    """Has the edges of a graph go where nodes say, if they say it."""
    for edges in builder.branches.values():
        for name, edge in edges.items():
            kind: Any = type(edge)
            if all(hasattr(kind, method) for method in ("_route", "_aroute", "_finish")):
                edges[name] = _sparing(kind)(*edge)


@cache
def _sparing(kind: Any) -> Any:
    """LangGraph's kind of edges (`langgraph.graph._branch.BranchSpec`), which take a node's word."""

    def route(self: Any, input: Any, config: RunnableConfig, *, reader: Any, writer: Any) -> Any:
        if isinstance(input, Decided):
            return self._finish(writer, input, input.then, config)
        return kind._route(self, input, config, reader=reader, writer=writer)

    async def aroute(self: Any, input: Any, config: RunnableConfig, *, reader: Any, writer: Any) -> Any:
        if isinstance(input, Decided):
            return self._finish(writer, input, input.then, config)
        return await kind._aroute(self, input, config, reader=reader, writer=writer)

    return type(kind.__name__, (kind,), {"__slots__": (), "_route": route, "_aroute": aroute})
