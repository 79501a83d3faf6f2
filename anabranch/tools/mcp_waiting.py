"""Calls of MCP servers' tools that wait for a person: the run is interrupted, and the call stays where it is.

LangGraph runs a sub-question again when it goes on. A call that would be made again could act twice, and its server
would ask again; so it is kept in the process, and goes on with the person's reply. Where it is kept no more (another
process, a restart), it is made again, and gets the replies that the thread has.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from langgraph.config import get_config
from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

from anabranch.tools.calling import current_run
from anabranch.tools.elicitation import Elicitation, Reply, read_reply
from anabranch.tools.mcp_callers import Caller

T = TypeVar("T")
Begin = Callable[[Coroutine[Any, Any, Any]], "Future[Any]"]
"""Runs a coroutine on the event loop of the sessions."""
WAIT_SECONDS = 1_800.0
"""Seconds for which a call waits for a person; then the question is cancelled."""
_Place = tuple[str, str]
_waiting: dict[_Place, "_AskingCall"] = {}


def is_lost() -> bool:
    """Whether the running sub-question's call, which waited for a person, is not kept here any more."""
    return _here() not in _waiting


async def asking(begin: Begin, call: Callable[[Caller], Coroutine[Any, Any, str]]) -> str:
    """Makes a call, and interrupts the run where its server asks a person; to be called where the run is.

    Args:
        begin: runs a coroutine where the sessions are.
        call: makes the call.

    Raises:
        GraphInterrupt: a person is asked.
        Exception: whatever the call raises.
    """
    place = _here()
    if not current_run().may_ask or place is None:
        return str(await _on(begin, call(Caller())))
    made = _waiting.pop(place, None)
    if made is None:
        made = await _on(begin, _made(call, place))
    number = 0
    try:
        while (question := await _on(begin, made.question(number))) is not None:
            await _on(begin, made.reply(number, read_reply(interrupt(question.shown()))))
            number += 1
        return str(await _on(begin, made.result()))
    except GraphInterrupt:
        _waiting[place] = made
        raise
    except BaseException:
        begin(made.end())
        raise


class _AskingCall:
    """A call under way whose server may ask a person. All of its coroutines belong to the sessions' event loop."""

    def __init__(self, call: Callable[[Caller], Coroutine[Any, Any, str]], place: _Place) -> None:
        self._questions: list[tuple[Elicitation, asyncio.Future[Reply | None]]] = []
        self._news = asyncio.Event()
        self._place = place
        self._task = asyncio.ensure_future(call(Caller(place[0], self._ask)))
        self._task.add_done_callback(self._ended)

    async def question(self, number: int) -> Elicitation | None:
        """A question by its number, as soon as it is asked; None if the call ends without."""
        while len(self._questions) <= number and not self._task.done():
            self._news.clear()
            await self._news.wait()
        return self._questions[number][0] if number < len(self._questions) else None

    async def reply(self, number: int, reply: Reply | None) -> None:
        """Answers a question, unless it is answered already."""
        future = self._questions[number][1]
        if not future.done():
            future.set_result(reply)

    async def result(self) -> str:
        """What the call gives."""
        return await self._task

    async def end(self) -> None:
        """Ends the call, which nobody waits for any more."""
        self._task.cancel()

    async def _ask(self, question: Elicitation) -> Reply | None:
        reply: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._questions.append((question, reply))
        self._news.set()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await reply
        except TimeoutError:
            return "cancel"

    def _ended(self, task: "asyncio.Task[str]") -> None:
        self._news.set()
        if _waiting.get(self._place) is self:
            del _waiting[self._place]
        if not task.cancelled():
            task.exception()  # maybe nobody else asks how it ended


async def _made(call: Callable[[Caller], Coroutine[Any, Any, str]], place: _Place) -> _AskingCall:
    return _AskingCall(call, place)


def _here() -> _Place | None:
    """The running task of the running thread; None outside of a thread."""
    try:
        configurable = get_config().get("configurable", {})
    except RuntimeError:
        return None
    thread, task = configurable.get("thread_id"), configurable.get("checkpoint_ns")
    return None if thread is None else (str(thread), str(task))


def _on(begin: Begin, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
    return asyncio.wrap_future(begin(coroutine))
