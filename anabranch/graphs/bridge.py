"""One asynchronous body for each node, usable from synchronous graphs too.

A synchronous `invoke` runs a node's coroutine on one background event loop of the process. It outlives the call, so
HTTP clients that belong to a loop keep their connections.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any, TypeVar

from langchain_core.runnables import RunnableLambda

T = TypeVar("T")


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="anabranch-loop", daemon=True).start()
    return loop


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on the background loop and waits for it; context variables go along.

    Ctrl-C in the waiting thread cancels the coroutine.
    """
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def node(body: Callable[..., Coroutine[Any, Any, T]], name: str) -> RunnableLambda[Any, T]:
    """A LangGraph node out of one coroutine function."""

    def sync(state: Any) -> T:
        return run_sync(body(state))

    async def async_(state: Any) -> T:
        return await body(state)

    return RunnableLambda(sync, async_, name=name)


def in_daemon_thread(function: Callable[[], T]) -> Awaitable[T]:
    """Runs a blocking function in a thread that cannot keep the process alive.

    A tool that hangs holds its thread for ever; the threads of asyncio's own pool would be waited for at exit.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            setter(value)

    def work() -> None:
        try:
            result = function()
        except BaseException as error:
            outcome: tuple[Callable[[Any], None], Any] = (future.set_exception, error)
        else:
            outcome = (future.set_result, result)
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, *outcome)

    threading.Thread(target=work, name="anabranch-tool", daemon=True).start()
    return future
