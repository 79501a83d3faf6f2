"""Calling a tool: by LangGraph's means, contained, and with a result that keeps its form.

Contained means: whatever a tool raises or does stays a failure of its call. It cannot end the program (`sys.exit()`),
stop the event loop, or pass for a cancellation; and no thread is left behind that could hold up the process. What ends
the process itself (`os._exit()`, a crash of native code, all of its memory) cannot be contained inside it, nor can an
asynchronous tool that stops the loop of a caller's own `asyncio.run`, or cancels the tasks of others: such a tool
belongs in a process of its own, such as an MCP server.
"""

import asyncio
import functools
import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForToolRun
from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import Command

from anabranch.bounds import MAX_RESULT_CHARS, fits, one_line, shorten
from anabranch.characters import whole_characters
from anabranch.errors import ModelError, NotFoundError
from anabranch.scope import holding
from anabranch.tools.kept import PerTool

T = TypeVar("T")
_LEFT_OUT = frozenset({"self", "config", "callbacks", "run_manager"})


@dataclass(frozen=True)
class ToolResult:
    """What a call gave.

    Attributes:
        text: the output as text: text blocks one a line, everything else as JSON.
        artifact: what the tool gave beside it, not meant for models; passages, for a search.
        commands: the state updates that it asks of the graph.
    """

    text: str
    artifact: Any = None
    commands: tuple[Command[Any], ...] = ()


@dataclass
class ToolRun:
    """What the calls of one run share.

    Attributes:
        state: the graph's state, for tools that have it injected.
        commands: what tools asked of the graph.
        sync: whether the graph runs synchronously.
        may_ask: whether a tool may interrupt it to ask a person.
    """

    state: Mapping[str, Any] = field(default_factory=dict)
    commands: list[Command[Any]] = field(default_factory=list)
    sync: bool = False
    may_ask: bool = False


_running: ContextVar[ToolRun | None] = ContextVar("anabranch_tool_run", default=None)


def running(run: ToolRun) -> AbstractContextManager[ToolRun]:
    """Tools that are called inside belong to `run`."""
    return holding(_running, run)


def current_run() -> ToolRun:
    """The run that calls belong to; an empty one outside of any."""
    return _running.get() or ToolRun()


async def call_tool(tool: BaseTool, arguments: dict[str, Any], *, id_: str = "call") -> ToolResult:
    """Calls a tool.

    What it has injected (`InjectedState`, `InjectedStore`, `ToolRuntime`) comes from LangGraph's `ToolNode`.

    Args:
        tool: the tool.
        arguments: what a model wrote for it.
        id_: id of the call, for tools that want it.

    Raises:
        NotFoundError: the output is empty.
        ModelError: the output is an error that the tool handled itself.
        ToolException: the tool ended in a way that is no error, such as `sys.exit()`.
        Exception: whatever the tool raises.
    """
    run = current_run()
    call: ToolCall = {"name": tool.name, "args": arguments, "id": id_, "type": "tool_call"}
    prepared = _prepared(tool)
    try:
        given = await _given(prepared, call, run)
    except asyncio.CancelledError as error:
        # That of its own task, which is not this one, is the end of the tool only.
        task = _task()
        if task is None or task.cancelling():
            raise
        raise _ended(error) from error
    result = _result(tool.name, given, id_)
    run.commands.extend(result.commands)
    return result


async def _given(prepared: BaseTool | ToolNode, call: ToolCall, run: ToolRun) -> Any:
    if isinstance(prepared, ToolNode):
        request = {"__type": "tool_call_with_context", "tool_call": call, "state": dict(run.state)}
        config = ensure_config()
        known = {} if "__pregel_runtime" in config.get("configurable", {}) else {"runtime": Runtime()}
        return await prepared.ainvoke(request, config, **known)
    return await prepared.ainvoke(call, ensure_config())


def _result(name: str, given: Any, id_: str) -> ToolResult:
    messages: list[ToolMessage] = []
    commands: list[Command[Any]] = []
    for item in _items(given):
        if isinstance(item, Command):
            update = dict(item.update) if isinstance(item.update, Mapping) else {}
            told = [m for m in update.get("messages", []) if isinstance(m, ToolMessage)]
            messages += told
            kept = [m for m in update.pop("messages", []) if m not in told]
            commands.append(
                Command(graph=item.graph, goto=item.goto, update=update | ({"messages": kept} if kept else {}))
            )
        elif isinstance(item, ToolMessage):
            messages.append(item)
    message = next((m for m in messages if m.tool_call_id == id_), messages[0] if messages else None)
    text = content_text(message.content) if message else "" if commands or isinstance(given, list) else str(given)
    text = whole_characters(shorten(text, MAX_RESULT_CHARS))
    if message and message.status == "error":
        raise ModelError(f"{name} failed: {text}")
    if text.strip() in ("", "null"):  # a tool's None arrives as JSON
        if not commands:
            raise NotFoundError(f"{name} returned nothing")
        text = "done"
    return ToolResult(text, message.artifact if message else None, tuple(commands))


def _items(given: Any) -> list[Any]:
    if isinstance(given, Mapping):
        return list(given.get("messages", []))
    if isinstance(given, list):
        return [item for each in given for item in _items(each)]
    return [given]


def content_text(content: Any) -> str:
    """The content of a message as text: text blocks one a line, other blocks as JSON."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else [content]
    return "\n".join(map(_block_text, blocks))


def _block_text(block: Any) -> str:
    if isinstance(block, str):
        return block
    if isinstance(block, dict) and block.get("type") == "text":
        return str(block.get("text", ""))
    if isinstance(block, dict) and block.get("type") in ("image", "image_url", "audio", "video", "file"):
        return f"[{block['type']}]"
    return json.dumps(block, ensure_ascii=False, default=str)


def _prepare(tool: BaseTool) -> BaseTool | ToolNode:
    """A contained copy of a tool, inside a `ToolNode` if something is injected."""
    contained = _contained(tool)
    return ToolNode([contained], handle_tool_errors=False) if _has_injected(tool) else contained


_prepared = PerTool(_prepare)


def _has_injected(tool: BaseTool) -> bool:
    """Whether a tool has arguments that no model writes."""
    if not isinstance(tool.args_schema, type | None):
        return False
    schema: Any = tool.tool_call_schema
    written = set(schema.model_fields)
    function = getattr(tool, "coroutine", None) or getattr(tool, "func", None) or tool._run
    taken = {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    whole: Any = tool.get_input_schema()
    return bool((taken | set(whole.model_fields)) - written - _LEFT_OUT)


def _contained(tool: BaseTool) -> BaseTool:
    """A copy of a tool whose body cannot do harm outside its call."""
    if "coroutine" in type(tool).model_fields:
        body = getattr(tool, "coroutine", None) or getattr(tool, "func", None)
        if body is not None:
            guarded = tool.model_copy(update={"coroutine": _guarded(body, tool)})
            if type(tool)._arun is StructuredTool._arun:
                guarded.__class__ = type(type(tool).__name__, (type(tool),), {"_arun": _arun})
            return guarded
    blocks = type(tool)._arun is BaseTool._arun
    copy = tool.model_copy()
    body = staticmethod(_guarded(tool._run if blocks else tool._arun, tool))
    copy.__class__ = type(type(tool).__name__, (type(tool),), {"_arun": body})
    return copy


async def _arun(
    self: StructuredTool,
    *args: Any,
    config: RunnableConfig,
    run_manager: AsyncCallbackManagerForToolRun | None = None,
    **kwargs: Any,
) -> Any:
    # LangChain evaluates the annotations with every call, which takes as long as all else where they are texts.
    return await StructuredTool._arun(self, *args, config=config, run_manager=run_manager, **kwargs)


def _guarded(body: Callable[..., Any], tool: BaseTool) -> Callable[..., Awaitable[Any]]:
    """A coroutine function that runs a body, in a thread of its own if it blocks, and contains what it raises."""
    with_artifact = tool.response_format == "content_and_artifact"
    inner = inspect.unwrap(body)
    awaits = inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(body)

    @functools.wraps(body)
    async def run(*args: Any, **kwargs: Any) -> Any:
        try:
            given = await (body(*args, **kwargs) if awaits else in_daemon_thread(lambda: body(*args, **kwargs)))
            return _held(given, with_artifact)
        except (Exception, GraphBubbleUp):
            raise
        except BaseException as error:
            task = _task()
            if task is None or (isinstance(error, asyncio.CancelledError) and task.cancelling()):
                raise
            raise _ended(error) from error

    return run


def _held(given: Any, with_artifact: bool) -> Any:
    """What a tool gave, if it is not too large to be made a text of; a text itself is cut.

    Raises:
        ToolException: it is too large: nested values are written out as often as they occur.
    """
    if isinstance(given, str):
        return shorten(given, MAX_RESULT_CHARS)
    content = given[0] if with_artifact and isinstance(given, tuple) and given else given
    if not fits(content, MAX_RESULT_CHARS):
        raise ToolException(f"the tool's result has more than {MAX_RESULT_CHARS:,} characters; ask it for less")
    return given


def _task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # the loop is gone, and with it the call
        return None


def _ended(error: BaseException) -> ToolException:
    return ToolException(f"the tool ended with {one_line(error)}")


def in_daemon_thread(function: Callable[[], T]) -> Awaitable[T]:
    """Runs a blocking function in a thread that cannot keep the process alive; context variables go along.

    A tool that hangs holds its thread for ever; the threads of asyncio's own pool would be waited for at exit. What
    is raised there and is no ordinary exception (`SystemExit`, `StopIteration`, `CancelledError`) arrives as a
    `ToolException`: in a future, it would end the loop, or never arrive.
    """
    loop, context = asyncio.get_running_loop(), copy_context()
    future: asyncio.Future[T] = loop.create_future()

    def finish(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            setter(value)

    def work() -> None:
        try:
            result = context.run(function)
        except (StopIteration, StopAsyncIteration) as error:
            outcome: tuple[Callable[[Any], None], Any] = (future.set_exception, _ended(error))
        except (Exception, GraphBubbleUp) as error:
            outcome = (future.set_exception, error)
        except BaseException as error:
            outcome = (future.set_exception, _ended(error))
        else:
            outcome = (future.set_result, result)
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, *outcome)

    threading.Thread(target=work, name="anabranch-tool", daemon=True).start()
    return future
