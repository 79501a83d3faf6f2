"""Where threads are kept: memory, an SQLite file, or a PostgreSQL database."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from anabranch.characters import written_path
from anabranch.errors import ConfigurationError, StorageError
from anabranch.graphs.storage import atry_to_write, is_passing, sqlite_advice
from anabranch.private import private_file, private_folder

if TYPE_CHECKING:
    from psycopg import AsyncConnection

MEMORY = ":memory:"
"""SQLite's name for no file at all."""
POSTGRES = ("postgresql://", "postgres://")
_NAME_ANOTHER = "name another file with --checkpoints"
CONNECT_SECONDS = 10
_MOST_CONNECTIONS = 8
_SETUP_LOCK = 7_305_812_246
"""Held while the tables are made, so that two processes that begin together do not disturb each other."""


async def open_checkpointer(stack: AsyncExitStack, where: str | Path | None) -> BaseCheckpointSaver[Any]:
    """Opens what keeps threads, and makes its tables where they are missing.

    Args:
        stack: closes it again.
        where: an SQLite file, an address that begins with `postgresql://`, or None for threads that end with the
            process.

    Raises:
        ConfigurationError: it cannot be used, or a package is missing.
        StorageError: it is locked, or the disk is full.
    """
    if where is None:
        return InMemorySaver()
    if is_postgres(where):
        return await _open_postgres(stack, str(where))
    path = Path(where)
    try:
        path = _made(path)
        saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(path)))
        await saver.setup()
        await atry_to_write(saver)
    except StorageError as error:
        raise StorageError(f"{written_path(path)}: {error}") from error
    except (OSError, sqlite3.Error) as error:
        kind = StorageError if is_passing(error) else ConfigurationError
        raise kind(f"{written_path(path)} cannot keep threads ({error}): {sqlite_advice(error)}") from error
    return saver


def _made(path: Path) -> Path:
    path = path.expanduser()
    if path.is_dir():
        raise ConfigurationError(f"{written_path(path)} cannot keep threads: it is a folder; {_NAME_ANOTHER}")
    private_folder(path.parent)
    return path if str(path) == MEMORY else private_file(path)


def is_postgres(where: str | Path) -> bool:
    """Whether a place is the address of a PostgreSQL database."""
    return str(where).startswith(POSTGRES)


def shown(where: str | Path) -> str:
    """A place as it may be shown and written down: of an address no user, no password and no parameters."""
    if not is_postgres(where):
        return str(where)
    scheme, separator, rest = str(where).partition("?")[0].partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


async def _open_postgres(stack: AsyncExitStack, address: str) -> BaseCheckpointSaver[Any]:
    async def set_up(connection: "AsyncConnection[Any]") -> None:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

        await AsyncPostgresSaver(connection).setup()

    pool = await open_pool(stack, address, set_up)
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    return AsyncPostgresSaver(pool)


async def open_pool(
    stack: AsyncExitStack, address: str, set_up: "Callable[[AsyncConnection[Any]], Awaitable[None]]"
) -> Any:
    """Opens connections to a PostgreSQL database.

    Args:
        stack: closes them again.
        address: of the database.
        set_up: makes the tables where they are missing; one process at a time.

    Raises:
        ConfigurationError: the database cannot be used, or a package is missing.
    """
    try:
        from psycopg import AsyncConnection, Error
        from psycopg.rows import dict_row
        from psycopg_pool import AsyncConnectionPool
    except ImportError as error:
        raise ConfigurationError(
            f'threads in PostgreSQL need more packages ({error}); run: pip install "anabranch[postgres]"'
        ) from error
    # As LangGraph's own savers connect; pgbouncer has no prepared statements.
    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    try:
        # The pool tries again without end and keeps the reason to itself: the first connection says it.
        first = await asyncio.wait_for(AsyncConnection.connect(address, **settings), CONNECT_SECONDS)  # type: ignore[arg-type]
        async with first:
            await _set_up(first, set_up)
        pool = AsyncConnectionPool(
            address,
            min_size=1,
            max_size=_MOST_CONNECTIONS,
            open=False,
            kwargs=settings,
            # A server that was started again has closed the connections that the pool still holds.
            check=AsyncConnectionPool.check_connection,
            timeout=CONNECT_SECONDS,
        )
        await stack.enter_async_context(pool)
    except (OSError, TimeoutError, Error, ValueError) as error:
        # What libpq cannot read, it repeats.
        reason = str(error).replace(address, shown(address)).strip() or f"no reply within {CONNECT_SECONDS} seconds"
        raise ConfigurationError(
            f"{shown(address)} cannot keep threads ({' '.join(reason.split())}); "
            "check the address, the user and the password (PGPASSWORD), and that the server runs"
        ) from error
    return pool


async def _set_up(
    connection: "AsyncConnection[Any]", set_up: "Callable[[AsyncConnection[Any]], Awaitable[None]]"
) -> None:
    # Nobody waits inside the database: an index that is made concurrently waits for all statements that run.
    while True:
        row = await (await connection.execute("SELECT pg_try_advisory_lock(%s) AS held", (_SETUP_LOCK,))).fetchone()
        if row and row["held"]:
            break
        await asyncio.sleep(0.1)
    try:
        await set_up(connection)
    finally:
        await connection.execute("SELECT pg_advisory_unlock(%s)", (_SETUP_LOCK,))
