"""Work in a task of its own, read item by item: it holds a slot, has a deadline, and ends when its reader leaves."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from anabranch.errors import DeadlineError, OverloadError

T = TypeVar("T")
BUFFER = 64
"""Items that may wait for a slow reader; then the work waits, too."""


class Stopped(Exception):  # noqa: N818 - no error: the reader has left
    """The work was cancelled before it was done."""


class Slots:
    """How many pieces of work run at a time, and how many may wait; more are refused.

    Args:
        running: most at a time.
        waiting: most that wait.

    Attributes:
        changed: called when somebody comes, gets a slot, or leaves.
    """

    def __init__(self, running: int, waiting: int) -> None:
        self._limiter = anyio.CapacityLimiter(running)
        self._waiting = waiting
        self._inside = 0
        self._seconds = 1.0
        self.changed: Callable[[], None] = lambda: None

    @property
    def running(self) -> int:
        """Pieces of work that run."""
        return self._limiter.borrowed_tokens

    @property
    def waiting(self) -> int:
        """Pieces of work that wait."""
        return self._inside - self.running

    def overload(self) -> OverloadError | None:
        """Why there is no room for another piece of work; None if there is."""
        if self._limiter.available_tokens > 0 or self.waiting < self._waiting:
            return None
        after = math.ceil(self._seconds * (self.waiting + 1) / self._limiter.total_tokens)
        return OverloadError("too many questions are waiting; try again later", retry_after=min(max(after, 1), 60))

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Waits for a slot and holds it.

        Raises:
            OverloadError: as many wait as may.
        """
        if error := self.overload():
            raise error
        self._inside += 1
        self.changed()
        try:
            async with self._limiter:
                started = time.monotonic()
                self.changed()
                try:
                    yield
                finally:
                    self._seconds += 0.2 * (time.monotonic() - started - self._seconds)
        finally:
            self._inside -= 1
            self.changed()


class Run(Generic[T]):
    """A piece of work and its items, in the order in which it emits them.

    Args:
        work: takes the function that emits an item.
        slots: where it waits for its turn.
        seconds: most that it may take, the wait for a slot included.
    """

    def __init__(
        self, work: Callable[[Callable[[T], Awaitable[None]]], Coroutine[Any, Any, None]], slots: Slots, seconds: float
    ) -> None:
        self._work = work
        self._slots = slots
        self._seconds = seconds
        self._items: MemoryObjectReceiveStream[T]
        self._send, self._items = anyio.create_memory_object_stream[T](BUFFER)
        self._task = asyncio.create_task(self._run())
        # That is how the reader learns of the end; in a callback, since a task may be cancelled before it begins.
        self._task.add_done_callback(lambda _: self._send.close())

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._seconds) as deadline, self._slots.slot():
                await self._work(self._emit)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise DeadlineError(f"no answer within {self._seconds:g} s; ask less at once or try again") from error

    async def _emit(self, item: T) -> None:
        try:
            self._send.send_nowait(item)
        except anyio.WouldBlock:
            await self._send.send(item)

    async def next(self, seconds: float | None = None) -> T | None:
        """The next item, or None if there is none within this time.

        Raises:
            StopAsyncIteration: the work is done.
            Stopped: the work was cancelled.
            OverloadError, DeadlineError: it could not begin, or took too long.
            Exception: whatever the work raised.
        """
        try:
            with suppress(anyio.WouldBlock):
                return self._items.receive_nowait()
            with anyio.move_on_after(seconds):
                return await self._items.receive()
        except anyio.EndOfStream:
            await asyncio.wait([self._task])
            if self._task.cancelled():
                raise Stopped from None
            self._task.result()
            raise StopAsyncIteration from None
        return None

    async def all(self) -> list[T]:
        """All items that are left; raises as `next`."""
        items: list[T] = []
        with suppress(StopAsyncIteration):
            while (item := await self.next()) is not None:
                items.append(item)
        return items

    def cancel(self) -> None:
        """Stops the work; whatever it awaits is cancelled."""
        self._task.cancel()

    async def aclose(self) -> None:
        """Stops the work if it is not done, and waits until it has stopped."""
        self.cancel()
        self._items.close()
        await asyncio.gather(self._task, return_exceptions=True)
