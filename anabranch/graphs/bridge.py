"""One asynchronous body for each node, usable from synchronous graphs too.

A synchronous `invoke` runs a node's coroutine on one background event loop of the process. It outlives the call, so
HTTP clients that belong to a loop keep their connections.
"""

from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig

from anabranch.background import BackgroundLoop
from anabranch.errors import UserError

T = TypeVar("T")


@lru_cache(maxsize=1)
def _loop() -> BackgroundLoop:
    return BackgroundLoop("anabranch-loop")


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on the background loop and waits for it; context variables go along.

    Ctrl-C in the waiting thread cancels the coroutine.

    Raises:
        UserError: it is called on the background loop itself, which could only wait for ever.
    """
    if _loop().is_here:
        coroutine.close()
        raise UserError("a synchronous call inside asynchronous code would never end; use `await ...ainvoke(...)`")
    future = _loop().begin(coroutine)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


class Node(Runnable[Any, T]):
    """A LangGraph node, or the choice of the next one, out of one coroutine function of the state.

    Args:
        body: the coroutine function.
        name: name in traces.
        body_sync: makes the coroutine where the graph runs synchronously, if that differs.
    """

    def __init__(
        self,
        body: Callable[[Any], Coroutine[Any, Any, T]],
        name: str,
        *,
        body_sync: Callable[[Any], Coroutine[Any, Any, T]] | None = None,
    ) -> None:
        self.name = name
        self._body = body
        self._body_sync = body_sync or body

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> T:
        """Runs the coroutine to its end."""
        return run_sync(self._body_sync(input))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> T:
        """Awaits the coroutine."""
        return await self._body(input)


class Choice(Runnable[Any, str]):
    """What follows a node, told from the state at once.

    LangGraph would run a plain function in a thread, in asynchronous graphs.

    Args:
        choose: names the next node.
    """

    def __init__(self, choose: Callable[[Any], str]) -> None:
        self.name = "condition"
        self._choose = choose

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """Names the next node."""
        return self._choose(input)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """Names the next node."""
        return self._choose(input)
