"""What keeps threads: whether it can be written is found out before anything is paid for, and its failures have advice.

A checkpointer writes in the background, so that a run would be paid for to its end before anybody heard that nothing
of it can be kept.
"""

import binascii
import sqlite3
import uuid
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.errors import GraphBubbleUp

from anabranch.errors import AnabranchError, StorageError

_READERS = ("langgraph.pregel", "langgraph.checkpoint", "langgraph.channels", "langgraph.graph")
_ODD = (LookupError, TypeError, AttributeError, binascii.Error)
"""What LangGraph raises over a checkpoint that is none; callers' mistakes are ValueErrors and errors of its own."""
_PROBE = (
    "INSERT OR REPLACE INTO writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel) "
    "VALUES ('', 'anabranch-probe', '', '', 0, '')",
    "DELETE FROM writes WHERE thread_id = '' AND checkpoint_ns = 'anabranch-probe'",
)
"""Written to the file, and nothing of it is left."""
_SQLITE_ADVICE = (
    ("locked", "another program is writing to it; wait until that has ended, or name another file"),
    ("busy", "another program is writing to it; wait until that has ended, or name another file"),
    ("readonly", "it cannot be written; give this user the right to write it and its folder, or name another file"),
    ("unable to open", "check that its folder is there and can be written, or name another file"),
    ("full", "the disk is full; make room and try again"),
    ("disk i/o", "the disk is full or broken; make room, check it, and try again"),
    ("not a database", "it is no SQLite database; name another file"),
    ("malformed", "it is damaged; restore it from a backup, or name another file"),
)


def try_to_write(saver: Any) -> None:
    """Writes to the file of a synchronous SQLite checkpointer; does nothing with any other.

    Raises:
        StorageError: it cannot be written.
    """
    if not isinstance(saver, SqliteSaver):
        return
    try:
        with saver.cursor() as cursor:
            for statement in _PROBE:
                cursor.execute(statement)
    except sqlite3.Error as error:
        if saver.conn.in_transaction:
            saver.conn.rollback()
        raise StorageError(f"threads cannot be kept ({error}): {sqlite_advice(error)}") from error


async def atry_to_write(saver: Any) -> None:
    """Writes to the file of an asynchronous SQLite checkpointer; does nothing with any other.

    Raises:
        StorageError: it cannot be written.
    """
    if not isinstance(saver, AsyncSqliteSaver):
        return
    try:
        await saver.setup()
        async with saver.lock:
            try:
                for statement in _PROBE:
                    await saver.conn.execute(statement)
                await saver.conn.commit()
            except sqlite3.Error:
                await saver.conn.rollback()
                raise
    except sqlite3.Error as error:
        raise StorageError(f"threads cannot be kept ({error}): {sqlite_advice(error)}") from error


def sqlite_advice(error: BaseException) -> str:
    """What to do about an error of SQLite."""
    text = str(error).lower()
    return next((advice for sign, advice in _SQLITE_ADVICE if sign in text), "check the file, or name another")


def is_passing(error: BaseException) -> bool:
    """Whether an error of SQLite says nothing against the file: it is locked, or the disk is full."""
    return any(sign in str(error).lower() for sign in ("locked", "busy", "full", "disk i/o"))


def storage_error(error: Exception) -> StorageError | None:
    """The error to raise in place of one that a checkpointer has raised; None if it comes from somewhere else."""
    if isinstance(error, AnabranchError) or not _from_checkpointer(error):
        return None
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if isinstance(error, sqlite3.Error):
        return StorageError(f"the thread cannot be kept or read ({reason}): {sqlite_advice(error)}")
    if isinstance(error, OSError) or type(error).__module__.startswith("psycopg"):
        return StorageError(f"the thread cannot be kept or read ({reason}): check what keeps threads, and try again")
    return StorageError(
        f"the thread cannot be kept or read ({reason}): what is kept of it is damaged, or is of another kind than this "
        "program knows; restore it from a backup, or go on with another thread"
    )


async def astorage_error(error: Exception, saver: Any, config: Any) -> StorageError | None:
    """The error to raise in place of one of a run; None if nothing is wrong with what is kept of its thread."""
    if (told := storage_error(error)) or not _may_be_damaged(error, saver, config):
        return told
    try:
        return StorageError(_DAMAGED) if _is_damaged(await saver.aget_tuple(config)) else None
    except Exception as failure:
        return storage_error(failure)


def run_error(error: Exception, saver: Any, config: Any) -> StorageError | None:
    """The same for a synchronous run."""
    if (told := storage_error(error)) or not _may_be_damaged(error, saver, config):
        return told
    try:
        return StorageError(_DAMAGED) if _is_damaged(saver.get_tuple(config)) else None
    except Exception as failure:
        return storage_error(failure)


_DAMAGED = (
    "what is kept of the thread is damaged; restore what keeps threads from a backup, or go on with another thread"
)
_KINDS = {"asked": str, "question": str, "answer": str, "rounds": int, "begun": int, "started_at": float | int}


def _may_be_damaged(error: Exception, saver: Any, config: Any) -> bool:
    named = bool(config and config.get("configurable", {}).get("thread_id"))
    return named and isinstance(saver, BaseCheckpointSaver) and not isinstance(error, AnabranchError | GraphBubbleUp)


def _is_damaged(found: CheckpointTuple | None) -> bool:
    """Whether a checkpoint that could be read has not the form that a program has written."""
    if found is None:
        return False
    checkpoint: Any = found.checkpoint
    try:
        uuid.UUID(checkpoint["id"])
        values = {**checkpoint["channel_values"]}
        messages = [*values.get("messages", [])]
        _ = dict(checkpoint["channel_versions"]), dict(checkpoint["versions_seen"])
    except (LookupError, TypeError, ValueError, AttributeError):
        return True
    if any(name in values and not isinstance(values[name], kind) for name, kind in _KINDS.items()):
        return True
    texts = (getattr(message, "content", None) for message in messages)
    return not all(isinstance(text, str | list) for text in texts)


def _from_checkpointer(error: Exception) -> bool:
    """Whether a checkpointer has raised an error, or LangGraph over what it found in a checkpoint."""
    trace, module = error.__traceback__, ""
    while trace is not None:
        if isinstance(trace.tb_frame.f_locals.get("self"), BaseCheckpointSaver):
            return True
        module = trace.tb_frame.f_globals.get("__name__", "")
        trace = trace.tb_next
    return isinstance(error, _ODD) and module.startswith(_READERS)
