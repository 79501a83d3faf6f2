"""Event loops on threads of their own, for coroutines that outlive whoever begins them; what ends with the program."""

import asyncio
import atexit
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
logger = logging.getLogger(__name__)


_at_end: list[Callable[[], None]] = []


def at_end(function: Callable[[], None]) -> None:
    """Has a function called when the program ends: by itself, or by `end`."""
    _at_end.append(function)


def not_at_end(function: Callable[[], None]) -> None:
    """Takes back what `at_end` was given."""
    if function in _at_end:
        _at_end.remove(function)


@atexit.register
def end() -> None:
    """Calls what `at_end` was given; for those who end the process without Python's own way."""
    while _at_end:
        _at_end.pop()()


class BackgroundLoop:
    """An event loop on a daemon thread, which runs until the process ends.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_here(self) -> bool:
        """Whether the running code runs on it."""
        return threading.current_thread() is self._thread

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Runs a coroutine; context variables go along. Cancelling the future cancels it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _run(self) -> None:
        """Keeps the loop running, whatever code on it does: stop it, or raise what ends loops."""
        while not self._loop.is_closed():
            try:
                self._loop.run_forever()
            except BaseException:
                logger.exception("the background event loop was ended by what runs on it, and goes on")
