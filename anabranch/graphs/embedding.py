"""The planner inside another graph: what it writes there, and who keeps its threads."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any, Self, TypeVar

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_config
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateUpdate
from pydantic_core import to_jsonable_python

from anabranch.agents.reply import whole
from anabranch.characters import whole_data, written_name
from anabranch.graphs.storage import astorage_error, atry_to_write, run_error, storage_error, try_to_write

Config = TypeVar("Config", RunnableConfig, RunnableConfig | None)

KEY = "anabranch"
"""The one key, besides `messages`, that a planner writes to the state of a graph around it."""
NEEDS_CHECKPOINTER = (
    "review=True needs a checkpointer, which keeps the plan while a person looks at it: pass "
    "checkpointer=InMemorySaver() (of langgraph.checkpoint.memory) or another one; or checkpointer=True where the "
    "graph that the planner becomes a node of, or a LangGraph server, has one"
)
_CHECKPOINTER = "__pregel_checkpointer"
"""Where LangGraph tells the nodes of a graph its checkpointer (langgraph, CONFIG_KEY_CHECKPOINTER)."""


class Embedded(dict[str, Any]):
    """A planner's outcome inside another graph: `messages`, and all else as plain data under `anabranch`.

    LangGraph copies what a subgraph returns into the keys that both states have, and `plan` or `answer` are names that
    agents use themselves. Whether the planner is a node, or is called by the function of one, which may well want
    these, cannot be told: so they can be read by name, but are not listed.
    """

    def __init__(self, outcome: Mapping[str, Any]) -> None:
        self._outcome = dict(outcome)
        rest = {key: value for key, value in outcome.items() if key != "messages"}
        super().__init__({"messages": outcome["messages"], KEY: to_jsonable_python(rest)})

    def __missing__(self, key: str) -> Any:
        return self._outcome[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._outcome

    def get(self, key: str, default: Any = None) -> Any:
        """The value of this name, listed or not."""
        try:
            return self[key]
        except KeyError:
            return default


class Told(dict[str, Any]):
    """A planner's outcome whose text is the answer: so a tool's result reads in an agent's conversation."""

    def __str__(self) -> str:
        return str(self.get("answer", ""))


class PlannerGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled planner, whose outcome inside another graph is `Embedded`."""

    @classmethod
    def of(cls, compiled: CompiledStateGraph[Any, Any, Any, Any]) -> Self:
        """The same graph as a planner."""
        return cls(**{name: value for name, value in vars(compiled).items() if name != "__orig_class__"})

    def as_tool(self, *args: Any, **options: Any) -> BaseTool:
        """The planner as a tool of an agent, who sees the answer; see `Runnable.as_tool`."""
        made = super().as_tool(*args, **options)
        if isinstance(made, StructuredTool) and made.func and made.coroutine:
            made.func, made.coroutine = _told(made.func), _told_later(made.coroutine)
        return made

    def invoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:
        """Runs the planner; see `CompiledStateGraph.invoke`."""
        return _outcome(super().invoke(whole_state(input), named(config), **options), config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:
        """Runs the planner; see `CompiledStateGraph.ainvoke`."""
        return _outcome(await super().ainvoke(whole_state(input), named(config), **options), config)

    def stream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Iterator[Any]:
        """Runs the planner; see `CompiledStateGraph.stream`."""
        # A graph around it asks for no mode and takes the last part as the outcome.
        change = _as_it_is if options.get("stream_mode") else _outcome
        try_to_write(self.checkpointer)
        parts = super().stream(whole_state(input), named(config), **options)
        try:
            yield from (change(part, config) for part in parts)
        except Exception as error:
            if told := run_error(error, self.checkpointer, named(config)):
                raise told from error
            raise

    async def astream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> AsyncIterator[Any]:
        """Runs the planner; see `CompiledStateGraph.astream`."""
        change = _as_it_is if options.get("stream_mode") else _outcome
        await atry_to_write(self.checkpointer)
        parts: Any = super().astream(whole_state(input), named(config), **options)
        try:
            async with aclosing(parts):
                async for part in parts:
                    yield change(part, config)
        except Exception as error:
            if told := await astorage_error(error, self.checkpointer, named(config)):
                raise told from error
            raise

    def get_state(self, config: RunnableConfig, **options: Any) -> Any:
        """The state of a thread; see `CompiledStateGraph.get_state`."""
        with storage_told():
            return super().get_state(named(config), **options)

    async def aget_state(self, config: RunnableConfig, **options: Any) -> Any:
        """The state of a thread; see `CompiledStateGraph.aget_state`."""
        with storage_told():
            return await super().aget_state(named(config), **options)

    def get_state_history(self, config: RunnableConfig, **options: Any) -> Iterator[Any]:
        """The states of a thread; see `CompiledStateGraph.get_state_history`."""
        return super().get_state_history(named(config), **options)

    def aget_state_history(self, config: RunnableConfig, **options: Any) -> AsyncIterator[Any]:
        """The states of a thread; see `CompiledStateGraph.aget_state_history`."""
        return super().aget_state_history(named(config), **options)

    def bulk_update_state(self, config: RunnableConfig, supersteps: Any) -> Any:
        """Changes the state of a thread; see `CompiledStateGraph.bulk_update_state`."""
        with storage_told():
            return super().bulk_update_state(named(config), whole_state(supersteps))

    async def abulk_update_state(self, config: RunnableConfig, supersteps: Any) -> Any:
        """Changes the state of a thread; see `CompiledStateGraph.abulk_update_state`."""
        with storage_told():
            return await super().abulk_update_state(named(config), whole_state(supersteps))


@contextmanager
def storage_told() -> Iterator[None]:
    """Gives the failures of a checkpointer inside their advice."""
    try:
        yield
    except Exception as error:
        if told := storage_error(error):
            raise told from error
        raise


def _as_it_is(part: Any, _: RunnableConfig | None) -> Any:
    return part


def whole_state(value: Any) -> Any:
    """What goes into a graph, its messages and texts without half characters, which no checkpointer can keep."""
    return whole_data(value, _whole_part)


def _whole_part(value: Any) -> Any:
    if isinstance(value, BaseMessage):
        return whole(value)
    if isinstance(value, Command):
        return replace(value, resume=whole_state(value.resume), update=whole_state(value.update))
    if isinstance(value, StateUpdate):
        return value._replace(values=whole_state(value.values))
    return value


def named(config: Config) -> Config:
    """A run's configuration with a name for its thread that a database can hold."""
    thread = config.get("configurable", {}).get("thread_id") if config else None
    if config is None or not isinstance(thread, str) or (name := written_name(thread)) == thread:
        return config
    return {**config, "configurable": {**config["configurable"], "thread_id": name}}


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def tell(*args: Any, **arguments: Any) -> Told:
        return Told(function(*args, **arguments))

    return tell


def _told_later(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(function)
    async def tell(*args: Any, **arguments: Any) -> Told:
        return Told(await function(*args, **arguments))

    return tell


def _outcome(result: Any, config: RunnableConfig | None) -> Any:
    # Only the tasks of a graph have a namespace, and a graph always hands its config on. A function that calls the
    # planner without one gets the plain outcome, which keeps its form in the record of a `@task` too.
    inside = bool(config and config.get("configurable", {}).get("checkpoint_ns"))
    return Embedded(result) if inside and isinstance(result, dict) and "messages" in result else result


def running_checkpointer() -> BaseCheckpointSaver[Any] | None:
    """The checkpointer of the running graph, or of one around it; None if there is none."""
    found = get_config().get("configurable", {}).get(_CHECKPOINTER)
    return found if isinstance(found, BaseCheckpointSaver) else None


def lacks_checkpointer() -> bool:
    """Whether neither the running graph nor one around it keeps threads; False where LangGraph does not say."""
    return get_config().get("configurable", {}).get(_CHECKPOINTER, ...) is None
