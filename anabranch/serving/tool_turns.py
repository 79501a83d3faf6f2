"""Plans that wait for a client's tools, kept under the ids of the tool calls.

A reply with tool calls shows nothing of its plan: the client sends back the calls' ids with the results, and what
stands under them is the server's own. An id holds 128 random bits, so whoever knows one was sent it.
"""

import asyncio
import re
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph.store.base import NOT_PROVIDED, BaseStore
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel, ConfigDict, ValidationError

from anabranch.errors import BackendError, ConfigurationError, UnknownToolCallError
from anabranch.graphs.checkpointers import MEMORY, is_postgres, open_pool
from anabranch.plan import Answer, Plan
from anabranch.private import private_file, private_folder

if TYPE_CHECKING:
    from langgraph.store.sqlite.aio import AsyncSqliteStore

KEEP_SECONDS = 3_600.0
"""Seconds for which a plan waits for the results of its tool calls."""
MAX_KEPT = 10_000
MAX_KEPT_CHARS = 50_000_000
"""Most plans that one process keeps, and most characters of them in all; the oldest go first."""
_NAMESPACE = ("anabranch", "tool_turns")
# At most 34 characters: OpenAI takes ids of up to 40, should the conversation move there.
_CALL_ID = re.compile(r"call_([1-9][0-9]{0,5})_([A-Za-z0-9_-]{22})")
_ADVICE = "send the messages up to the user's last one again, without the tool calls after it"


class Carried(BaseModel):
    """A plan on its way.

    Attributes:
        plan: all sub-questions so far.
        answers: answers by sub-question id, failed ones included.
        arguments: of calls that the client was asked to make, by sub-question id.
        replans: plans drawn up after the first.
        question: the question as one that stands by itself, where the user's own words leaned on earlier turns.
    """

    model_config = ConfigDict(frozen=True)

    plan: Plan = Plan()
    answers: Mapping[int, Answer] = {}
    arguments: Mapping[int, Mapping[str, Any]] = {}
    replans: int = 0
    question: str = ""


class ToolTurns:
    """Keeps the plans of a server that wait for clients.

    A plan is still there after it was gone on with, so a request that is sent twice is answered twice.

    Args:
        store: where they are kept; the memory of this process where nothing is said.
        seconds: for how long.
        most: most of them that this process keeps.
        most_chars: most characters of these.
    """

    def __init__(
        self,
        store: BaseStore | None = None,
        *,
        seconds: float = KEEP_SECONDS,
        most: int = MAX_KEPT,
        most_chars: int = MAX_KEPT_CHARS,
    ) -> None:
        self._store = store or InMemoryStore()
        self._seconds = seconds
        self._most = most
        self._most_chars = most_chars
        self._kept: deque[tuple[float, str, int]] = deque()
        self._chars = 0

    async def keep(self, carried: Carried) -> str:
        """Keeps a plan; gives the key under which it is found again.

        Raises:
            BackendError: the store cannot be written to.
        """
        key, now, text = secrets.token_urlsafe(16), time.time(), carried.model_dump_json(exclude_defaults=True)
        ttl = self._seconds / 60 if self._store.supports_ttl else NOT_PROVIDED
        try:
            await self._store.aput(_NAMESPACE, key, {"kept_at": now, "plan": text}, index=False, ttl=ttl)
            self._kept.append((now, key, len(text)))
            self._chars += len(text)
            while self._is_too_much(now):
                _, oldest, chars = self._kept.popleft()
                self._chars -= chars
                await self._store.adelete(_NAMESPACE, oldest)
        except Exception as error:
            raise _broken(error) from error
        return key

    def _is_too_much(self, now: float) -> bool:
        if len(self._kept) < 2:
            return False
        return len(self._kept) > self._most or self._chars > self._most_chars or now - self._kept[0][0] > self._seconds

    async def find(self, key: str) -> Carried:
        """The plan that is kept under a key.

        Raises:
            UnknownToolCallError: there is none, or it is too old.
            BackendError: the store cannot be read.
        """
        try:
            item = await self._store.aget(_NAMESPACE, key, refresh_ttl=False)
        except Exception as error:
            raise _broken(error) from error
        minutes = f"{self._seconds / 60:g} minutes"
        if item is None or time.time() - item.value["kept_at"] > self._seconds:
            raise UnknownToolCallError(
                f"the plan behind these tool calls is not known here: it is kept for {minutes}, by the server that "
                f"made the calls; {_ADVICE}"
            )
        try:
            return Carried.model_validate_json(item.value["plan"])
        except ValidationError as error:
            raise UnknownToolCallError(
                f"the plan behind these tool calls is of another version of the server; {_ADVICE}"
            ) from error


def call_id(sub_question: int, key: str) -> str:
    """The id of the tool call that answers a sub-question of the plan under a key."""
    return f"call_{sub_question}_{key}"


def read_call_id(id_: str) -> tuple[int, str] | None:
    """The sub-question and the key in the id of a tool call; None if it is not one of ours."""
    match = _CALL_ID.fullmatch(id_)
    return (int(match[1]), match[2]) if match else None


async def open_store(stack: AsyncExitStack, where: str) -> BaseStore:
    """Opens a store that outlives the process, closed with the stack.

    Args:
        stack: closes it.
        where: an SQLite file, or the address of a PostgreSQL database (`postgresql://...`).

    Raises:
        ConfigurationError: it cannot be used, or a package is missing.
    """
    store: Any = await (_postgres_store(stack, where) if is_postgres(where) else _sqlite_store(stack, where))
    await store.start_ttl_sweeper()
    stack.push_async_callback(store.stop_ttl_sweeper)
    opened: BaseStore = store
    return opened


async def _postgres_store(stack: AsyncExitStack, address: str) -> BaseStore:
    async def set_up(connection: Any) -> None:
        from langgraph.store.postgres.aio import AsyncPostgresStore

        await AsyncPostgresStore(connection).setup()

    pool = await open_pool(stack, address, set_up)
    from langgraph.store.postgres.aio import AsyncPostgresStore

    return AsyncPostgresStore(pool, ttl=_TTL)


async def _sqlite_store(stack: AsyncExitStack, where: str) -> BaseStore:
    from langgraph.store.sqlite.aio import AsyncSqliteStore

    try:
        store = await stack.enter_async_context(AsyncSqliteStore.from_conn_string(_made(where), ttl=_TTL))
        await _set_up(store)
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"{where} cannot keep threads ({error}); name another file with --threads") from error
    return store


def _made(where: str) -> str:
    """The path of a file that is there, and that nobody else may read."""
    path = Path(where).expanduser()
    private_folder(path.parent)
    return where if where == MEMORY else str(private_file(path))


async def _set_up(store: "AsyncSqliteStore") -> None:
    """Makes the tables. Of several processes that begin at the same time, all but one may fail at that once."""
    for seconds in (0.1, 0.3, 0.9):
        try:
            await store.setup()
        except sqlite3.Error:
            await asyncio.sleep(seconds)
        else:
            return
    await store.setup()


_TTL: Any = {"refresh_on_read": False, "default_ttl": KEEP_SECONDS / 60, "sweep_interval_minutes": 5}


def _broken(error: Exception) -> BackendError:
    return BackendError(f"the plans that wait for tools cannot be kept ({type(error).__name__}); check --threads")
