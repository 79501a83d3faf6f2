"""What a server keeps for its clients between requests: in memory, SQLite or Postgres, for a while, and not much."""

import asyncio
import secrets
import sqlite3
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langgraph.store.base import NOT_PROVIDED, BaseStore
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel, ValidationError

from anabranch.errors import BackendError, ConfigurationError
from anabranch.graphs.checkpointers import MEMORY, is_postgres, open_pool
from anabranch.private import private_file, private_folder

if TYPE_CHECKING:
    from langgraph.store.sqlite.aio import AsyncSqliteStore

M = TypeVar("M", bound=BaseModel)
MAX_KEPT = 10_000
MAX_KEPT_CHARS = 50_000_000
"""Most things of a kind that one process keeps, and most characters of them in all; the oldest go first."""
DEFAULT_SECONDS = 3_600.0


class Kept(Generic[M]):
    """Things of one kind, under keys of 128 random bits: whoever knows a key was sent it.

    Args:
        kind: what they are called in the store.
        model: what they are.
        store: where they are kept; the memory of this process where nothing is said.
        seconds: for how long.
        most: most of them that this process keeps.
        most_chars: most characters of these.
    """

    def __init__(
        self,
        kind: str,
        model: type[M],
        store: BaseStore | None = None,
        *,
        seconds: float,
        most: int = MAX_KEPT,
        most_chars: int = MAX_KEPT_CHARS,
    ) -> None:
        self.seconds = seconds
        self._namespace = ("anabranch", kind)
        self._model = model
        self._store = store or InMemoryStore()
        self._most = most
        self._most_chars = most_chars
        self._kept: dict[str, tuple[float, int]] = {}
        """When each was kept, and its characters; the oldest first."""
        self._chars = 0

    async def keep(self, thing: M, key: str = "") -> str:
        """Keeps a thing; gives the key under which it is found again, a new one if none is given.

        Raises:
            BackendError: the store cannot be written to.
        """
        key, now, text = key or new_key(), time.time(), thing.model_dump_json(exclude_defaults=True)
        ttl = self.seconds / 60 if self._store.supports_ttl else NOT_PROVIDED
        try:
            await self._store.aput(self._namespace, key, {"kept_at": now, "thing": text}, index=False, ttl=ttl)
            self._drop(key)
            self._kept[key] = (now, len(text))
            self._chars += len(text)
            while self._is_too_much(now):
                oldest = next(iter(self._kept))
                self._drop(oldest)
                await self._store.adelete(self._namespace, oldest)
        except Exception as error:
            raise _broken(error) from error
        return key

    def _is_too_much(self, now: float) -> bool:
        if len(self._kept) < 2:
            return False
        oldest, _ = next(iter(self._kept.values()))
        return len(self._kept) > self._most or self._chars > self._most_chars or now - oldest > self.seconds

    def _drop(self, key: str) -> None:
        _, chars = self._kept.pop(key, (0.0, 0))
        self._chars -= chars

    async def find(self, key: str) -> M | None:
        """What is kept under a key; None if it is nothing, not any more, or of another version of the server.

        Raises:
            BackendError: the store cannot be read.
        """
        try:
            item = await self._store.aget(self._namespace, key, refresh_ttl=False)
        except Exception as error:
            raise _broken(error) from error
        if item is None or time.time() - item.value["kept_at"] > self.seconds:
            return None
        try:
            return self._model.model_validate_json(item.value.get("thing", ""))
        except ValidationError:
            return None

    async def forget(self, key: str) -> None:
        """Forgets what is kept under a key.

        Raises:
            BackendError: the store cannot be written to.
        """
        self._drop(key)
        try:
            await self._store.adelete(self._namespace, key)
        except Exception as error:
            raise _broken(error) from error


def new_key() -> str:
    """A key that nobody guesses: 22 characters."""
    return secrets.token_urlsafe(16)


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


_TTL: Any = {"refresh_on_read": False, "default_ttl": DEFAULT_SECONDS / 60, "sweep_interval_minutes": 5}


def _broken(error: Exception) -> BackendError:
    return BackendError(f"what clients come back for cannot be kept ({type(error).__name__}); check --threads")
