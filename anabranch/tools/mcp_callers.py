"""Whose call it is for which an MCP server asks a person: the protocol does not tell."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from anabranch.bounds import shorten
from anabranch.tools.elicitation import Ask, Elicitation, answered

logger = logging.getLogger(__name__)
WHOSE_SECONDS = 30.0
"""Seconds for which a question waits until it is plain whose it is."""
_MAX_LOGGED = 200


@dataclass(frozen=True, eq=False)
class Caller:
    """Who calls a tool.

    Attributes:
        conversation: in which conversation; empty where no person can be asked.
        ask: asks its person; None if there is none.
    """

    conversation: str = ""
    ask: Ask | None = None


class Callers:
    """The calls under way in one session. All of its coroutines belong to one event loop.

    A question belongs to one of the calls that do not wait for a person yet. It is asked as soon as all of these have
    asked, or there is only one. If they are of several conversations, it is cancelled: nobody is asked what another
    person's call is about. Once a server has asked, the calls of one conversation wait for those of another.
    """

    def __init__(self) -> None:
        self._under_way = set[Caller]()
        self._running: list[Caller] = []
        """Those that do not wait for a person."""
        self._questions = 0
        self._asks = False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def calling(self, caller: Caller) -> AsyncIterator[None]:
        """Inside, a call of this caller is under way."""
        self._under_way.add(caller)
        try:
            await self._run(caller)
            yield
        finally:
            self._under_way.discard(caller)
            async with self._changed:
                if caller in self._running:
                    self._running.remove(caller)
                self._changed.notify_all()

    async def answered(self, question: Elicitation) -> tuple[str, dict[str, Any] | None]:
        """What the person whose call it is answers, as MCP's action and content."""
        self._asks = True
        caller = await self._whose()
        if caller is None:
            logger.warning("the MCP server %r asks, and nobody knows for which call; cancelled", question.server)
            return "cancel", None
        if caller.ask is None:
            asked = shorten(question.message, _MAX_LOGGED)
            logger.warning("the MCP server %r asks %r; declined, nobody can be asked here", question.server, asked)
            return "decline", None
        told = await answered(caller.ask, question)
        await self._run(caller)
        return told

    async def _whose(self) -> Caller | None:
        """Who is to be asked, and waits for a person from now on; None where that cannot be told."""
        async with self._changed:
            self._questions += 1
            self._changed.notify_all()
            try:
                async with asyncio.timeout(WHOSE_SECONDS):
                    await self._changed.wait_for(self._is_plain)
            except TimeoutError:
                return None
            finally:
                self._questions -= 1
            caller = self._running[0] if self._running and self._alone(self._running[0]) else None
            if caller and caller.ask:
                self._running.remove(caller)
                self._changed.notify_all()
            return caller

    def _is_plain(self) -> bool:
        nobody = all(caller.ask is None for caller in self._running)
        return nobody or len(self._running) <= self._questions

    def _alone(self, caller: Caller) -> bool:
        return all(each.conversation == caller.conversation for each in self._running)

    async def _run(self, caller: Caller) -> None:
        """Has a call go on, as soon as no other conversation's could ask meanwhile."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._asks or self._alone(caller))
            if caller in self._under_way:
                self._running.append(caller)
