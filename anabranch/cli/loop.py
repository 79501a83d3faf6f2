"""An event loop for the command line: Ctrl-C cancels cleanly, and a thread that hangs does not hold up the end."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class _Selector(asyncio.SelectorEventLoop):
    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Does not wait: a tool may hang in one of its threads."""


class Loop:
    """Runs coroutines one after the other on one event loop, with time between them for terminal input.

    Ctrl-C cancels the coroutine and raises KeyboardInterrupt when it has ended; a second one does so at once.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=_Selector)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end."""
        return self._runner.run(coroutine)
