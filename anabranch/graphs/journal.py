"""What tool calls of one question have been made, so that none is made twice: by a new plan, a retry, or on resume.

Look-ups are kept in memory and in the answers of the state: at least once, if the process is killed. Actions are
written to the thread's checkpointer before they begin and after they end: at most once. Where only the beginning is
written, nobody knows whether the action happened, and a person is asked.

The records stand in a namespace of their own beside the thread's checkpoints, one write each, as LangGraph's savers
keep pending writes. So every checkpointer can hold them, and deleting the thread deletes them.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from pydantic import BaseModel, ValidationError

from anabranch.errors import VersionError
from anabranch.graphs.storage import storage_error
from anabranch.plan import Answer, Source
from anabranch.scope import holding
from anabranch.tools.calling import in_daemon_thread

NAMESPACE = "anabranch-calls"
"""Where a thread's records stand, as a checkpoint namespace."""
_CHANNEL = "call"


class Call(BaseModel):
    """A record of one tool call.

    Attributes:
        tool: the tool's name.
        arguments: what it is called with.
        text: the sub-question that it is made for.
        state: `begun`, then `done`, `failed`, or `paused` (the tool itself waits for a person).
        output: what the tool returned, or why it failed.
        sources: what it found.
        number: place among the thread's records of a question.
    """

    tool: str
    arguments: dict[str, Any]
    text: str = ""
    state: Literal["begun", "done", "failed", "paused"] = "begun"
    output: str = ""
    sources: tuple[Source, ...] = ()
    number: int = 0

    @cached_property
    def key(self) -> str:
        """The same for calls of the same tool with the same arguments."""
        return f"{self.tool} {json.dumps(self.arguments, sort_keys=True, default=str)}"


class Records:
    """The records of one question in a checkpointer.

    Args:
        saver: the checkpointer of the running graph.
        thread: the thread's id.
        turn: what tells this question from others of the thread.
        sync: whether the graph runs synchronously; then only the saver's synchronous methods may be called.
    """

    def __init__(self, saver: BaseCheckpointSaver[Any], thread: str, turn: str, *, sync: bool) -> None:
        self._saver = saver
        self._sync = sync
        self._id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{thread}/{turn}"))
        self._begun = False
        here = {"thread_id": thread, "checkpoint_ns": NAMESPACE}
        self._folder: RunnableConfig = {"configurable": here}
        self._config: RunnableConfig = {"configurable": here | {"checkpoint_id": self._id}}

    async def read(self) -> list[Call]:
        """The records, in the order in which they were written."""
        found = await self._do(self._saver.get_tuple, self._saver.aget_tuple, self._config)
        self._begun = found is not None
        written = (found.pending_writes or []) if found else []
        try:
            calls = [Call.model_validate(value) for _, channel, value in written if channel == _CHANNEL]
        except ValidationError as error:
            raise VersionError(
                "the records of this question's actions are none of this version's; another version of anabranch has "
                "written them, or they are damaged: finish with that version, or ask anew"
            ) from error
        return sorted(calls, key=lambda call: call.number)

    async def write(self, call: Call) -> None:
        """Adds a record; it is kept when this returns."""
        if not self._begun:
            page = empty_checkpoint() | {"id": self._id}
            await self._do(self._saver.put, self._saver.aput, self._folder, page, {"source": "update", "step": -1}, {})
            self._begun = True
        value = [(_CHANNEL, call.model_dump(mode="json"))]
        await self._do(self._saver.put_writes, self._saver.aput_writes, self._config, value, str(uuid.uuid4()))

    async def _do(self, plain: Callable[..., Any], awaited: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        try:
            if self._sync:
                return await in_daemon_thread(lambda: plain(*arguments))
            return await awaited(*arguments)
        except Exception as error:
            if told := storage_error(error):
                raise told from error
            raise


@dataclass
class Journal:
    """The calls of one question.

    Attributes:
        records: where they are kept beyond the process; None without a checkpointer.
        calls: the last record of each call, by key.
    """

    records: Records | None = None
    calls: dict[str, Call] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _read: bool = False
    _count: int = 0

    def know(self, answers: Mapping[int, Answer]) -> None:
        """Takes in the calls that answers of this question say were made."""
        for answer in answers.values():
            if answer.arguments is None:
                continue
            gave = answer.evidence or answer.text
            call = Call(
                tool=answer.route,
                arguments=answer.arguments,
                text=answer.question,
                state="done" if gave else "failed",
                output=gave or answer.error or "",
                sources=answer.sources,
            )
            self.calls.setdefault(call.key, call)

    async def find(self, call: Call, *, by_text: bool = False) -> Call | None:
        """The last record of the same call; with `by_text`, also of one for the same sub-question."""
        await self._recall()
        if known := self.calls.get(call.key):
            return known
        same = (c for c in self.calls.values() if c.tool == call.tool and c.text == call.text and by_text)
        return next(same, None)

    async def paused(self, tool: str, text: str) -> Call | None:
        """The call of a tool for a sub-question, if it waits for a person."""
        await self._recall()
        same = (c for c in self.calls.values() if c.tool == tool and c.text == text and c.state == "paused")
        return next(same, None)

    async def note(self, call: Call, **changes: Any) -> Call:
        """Writes a record of a call down, and keeps it beyond the process where that is possible."""
        await self._recall()
        self._count += 1
        noted = call.model_copy(update={**changes, "number": self._count})
        if self.records:
            await self.records.write(noted)
        self.calls[noted.key] = noted
        return noted

    def remember(self, call: Call, **changes: Any) -> Call:
        """Remembers a call for as long as the process runs."""
        remembered = self.calls[call.key] = call.model_copy(update=changes)
        return remembered

    def lock(self, name: str) -> asyncio.Lock:
        """Held while a call is made, so that the same call waits for its outcome: by its key, or its tool's name."""
        return self._locks.setdefault(name, asyncio.Lock())

    async def _recall(self) -> None:
        if self._read or not self.records:
            return
        async with self._reading:
            if not self._read:
                for call in await self.records.read():
                    self._count = max(self._count, call.number)
                    self.calls[call.key] = call
                self._read = True


_journal: ContextVar[Journal | None] = ContextVar("anabranch_journal", default=None)


def keeping(journal: Journal) -> AbstractContextManager[Journal]:
    """Tool calls that are made inside are noted in `journal`."""
    return holding(_journal, journal)


def current_journal() -> Journal:
    """The journal of the running question; an empty one outside of any."""
    return _journal.get() or Journal()


@dataclass
class Notes:
    """What is to be said of a sub-question besides its answer, also if it fails.

    Attributes:
        call: the call that was made for it.
        evidence: what of its result was read.
    """

    call: Call | None = None
    evidence: str | None = None


_notes: ContextVar[Notes | None] = ContextVar("anabranch_notes", default=None)


def noting() -> AbstractContextManager[Notes]:
    """Calls inside are noted for one sub-question."""
    return holding(_notes, Notes())


def note(call: Call, evidence: str | None = None) -> None:
    """Notes the call that is made for the running sub-question, and what of its result is read."""
    if notes := _notes.get():
        notes.call, notes.evidence = call, evidence
