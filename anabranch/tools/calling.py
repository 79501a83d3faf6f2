"""Calling a tool: its output as text, and no thread left behind that could hold up the process."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any, TypeVar

from langchain_core.messages import ToolMessage
from langchain_core.runnables import ensure_config
from langchain_core.tools import BaseTool, StructuredTool

from anabranch.errors import ModelError

T = TypeVar("T")


async def call_tool(tool: BaseTool, arguments: dict[str, Any]) -> str:
    """Calls a tool and returns its output as text.

    Raises:
        ModelError: the output is empty, or an error that the tool handled itself.
        Exception: whatever the tool raises.
    """
    call = {"name": tool.name, "args": arguments, "id": "call", "type": "tool_call"}
    config = ensure_config()
    if _blocks(tool):
        result = await in_daemon_thread(lambda: tool.invoke(call, config))
    else:
        result = await tool.ainvoke(call, config)
    text = str(result.text) if isinstance(result, ToolMessage) else str(result)
    if isinstance(result, ToolMessage) and result.status == "error":
        raise ModelError(f"{tool.name} failed: {text}")
    if text.strip() in ("", "null"):  # a tool's None arrives as JSON
        raise ModelError(f"{tool.name} returned nothing")
    return text


def _blocks(tool: BaseTool) -> bool:
    if isinstance(tool, StructuredTool):
        return tool.coroutine is None
    return type(tool)._arun is BaseTool._arun


def in_daemon_thread(function: Callable[[], T]) -> Awaitable[T]:
    """Runs a blocking function in a thread that cannot keep the process alive; context variables go along.

    A tool that hangs holds its thread for ever; the threads of asyncio's own pool would be waited for at exit.
    """
    loop, context = asyncio.get_running_loop(), copy_context()
    future: asyncio.Future[T] = loop.create_future()

    def finish(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            setter(value)

    def work() -> None:
        try:
            result = context.run(function)
        except BaseException as error:
            outcome: tuple[Callable[[Any], None], Any] = (future.set_exception, error)
        else:
            outcome = (future.set_result, result)
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, *outcome)

    threading.Thread(target=work, name="anabranch-tool", daemon=True).start()
    return future
