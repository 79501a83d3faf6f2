"""What follows a node: told by the node itself where it knows it, and by an edge that reads the state otherwise.

An edge has LangGraph copy all channels, with what the node has written in them, to read the state. Nodes know their
update, so in a run they spare it that. Where there was no node, in `update_state` and in Studio, the edges read.

A step of LangGraph takes a millisecond. Where nobody looks at the steps (no checkpointer, no trace, no stream of
updates), a node can go on with what follows it in the same step.
"""

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import cache
from typing import Any, get_args

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.graph import END, StateGraph
from pydantic import BaseModel
from typing_extensions import get_type_hints

from anabranch.graphs.channels import Stored, plain, typed
from anabranch.graphs.embedding import running_checkpointer
from anabranch.graphs.state import PlannerState
from anabranch.scope import holding


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


_in_one_step: ContextVar[frozenset[str]] = ContextVar("anabranch_in_one_step", default=frozenset())


def in_one_step(*nodes: str) -> AbstractContextManager[frozenset[str]]:
    """Inside, planners run these nodes in the step of the node before them, where nobody would see the difference.

    Callers promise that they look at neither updates nor the names of nodes, such as those of streamed messages.

    Args:
        nodes: `plan` and `solve`, or one of them; none where a planner of its own may run.
    """
    return holding(_in_one_step, frozenset(nodes))


def going_on(body: Body, following: Mapping[str, Body]) -> Body:
    """A node's body that goes on with the nodes that follow, as far as `in_one_step` has it.

    Args:
        body: the node's own body.
        following: the bodies of those that may follow; one whose update does not say what follows it is the last.
    """

    async def run(state: PlannerState) -> dict[str, Any]:
        update, wanted = await body(state), _in_one_step.get()
        while isinstance(update, Decided) and update.then in wanted and update.then in following and _unseen():
            merged: Any = {**state, **_typed(update)}
            state = merged
            more = await following[update.then](state)
            update = Decided({**update, **more}, more.then if isinstance(more, Decided) else END)
        return update

    return run


def _unseen() -> bool:
    """Whether neither a checkpointer nor a trace has the steps of the running graph."""
    handlers = getattr(get_config().get("callbacks"), "handlers", ())
    return running_checkpointer() is None and all(handler.ignore_chain for handler in handlers)


def _typed(update: Mapping[str, Any]) -> dict[str, Any]:
    """An update as those read it who read the state."""
    return {key: typed(_stored()[key], value) if key in _stored() else value for key, value in update.items()}


@cache
def _stored() -> dict[str, Any]:
    """The types of the channels that store plain data."""
    hints = {key: get_args(hint) for key, hint in get_type_hints(PlannerState, include_extras=True).items()}
    return {key: parts[0] for key, parts in hints.items() if Stored in parts}


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

    def finish(self: Any, input: Decided, config: RunnableConfig, writer: Any) -> Any:
        # Several nodes may have run: what follows the last need not be what the edges of the first lead to.
        return input if input.then == END else self._replace(ends=None)._finish(writer, input, input.then, config)

    def route(self: Any, input: Any, config: RunnableConfig, *, reader: Any, writer: Any) -> Any:
        if isinstance(input, Decided):
            return finish(self, input, config, writer)
        return kind._route(self, input, config, reader=reader, writer=writer)

    async def aroute(self: Any, input: Any, config: RunnableConfig, *, reader: Any, writer: Any) -> Any:
        if isinstance(input, Decided):
            return finish(self, input, config, writer)
        return await kind._aroute(self, input, config, reader=reader, writer=writer)

    return type(kind.__name__, (kind,), {"__slots__": (), "_route": route, "_aroute": aroute})
