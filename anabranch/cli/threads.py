"""Threads: runs kept in SQLite, so that one that was killed goes on where it was."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from pydantic import ValidationError

from anabranch.errors import ConfigurationError
from anabranch.plan import Answer

FILE = "threads.sqlite"
_OPTIONS_KEY = "anabranch_options"
_TASK_RESULT = "__return__"
"""Channel of the results of `@task`s among a checkpoint's pending writes (langgraph.constants, RETURN)."""


@dataclass(frozen=True)
class Unfinished:
    """A run that stopped half-way.

    Attributes:
        question: its question.
        options: the options it was started with, if known.
        answers: the sub-questions answered since the last checkpoint.
        forget: updates that take the question back out of the conversation.
    """

    question: str
    options: Mapping[str, Any]
    answers: list[Answer]
    forget: list[BaseMessage]


async def open_saver(stack: AsyncExitStack, path: Path | None) -> BaseCheckpointSaver[Any]:
    """Opens the file that keeps threads; without a path, they are kept until the process ends.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    if path is None:
        return InMemorySaver()
    try:
        path = _made(path)
        saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(path)))
        await saver.setup()
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(
            f"{path} cannot keep threads ({error}); name another file with --checkpoints"
        ) from error
    return saver


def _made(path: Path) -> Path:
    path = path.expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


async def find_unfinished(saver: BaseCheckpointSaver[Any], thread: str) -> Unfinished | None:
    """The run of a thread that stopped half-way, if there is one. Works before there is a planner."""
    found = await saver.aget_tuple({"configurable": {"thread_id": thread, "checkpoint_ns": ""}})
    if found is None:
        return None
    values = found.checkpoint["channel_values"]
    # A question that was not even taken in is not in the conversation, and the next input takes its place.
    untaken = values.get("__start__")
    messages = (untaken or values).get("messages", [])
    last = messages[-1] if messages else None
    # A run ends with the answer as the last message.
    if not isinstance(last, HumanMessage):
        return None
    forget: list[BaseMessage] = [RemoveMessage(id=last.id)] if last.id and not untaken else []
    options = _options(found)
    return Unfinished(str(last.text), options, _recorded(found), forget)


def remember(options: Mapping[str, Any]) -> dict[str, str]:
    """Metadata that keeps the options of a run with its thread."""
    # As text: of a run's metadata, checkpoints keep only what is not nested.
    return {_OPTIONS_KEY: json.dumps(options)}


def _options(found: CheckpointTuple) -> dict[str, Any]:
    text = (found.metadata or {}).get(_OPTIONS_KEY)
    try:
        options = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return options if isinstance(options, dict) else {}


def _recorded(found: CheckpointTuple) -> list[Answer]:
    answers = []
    for _, channel, value in found.pending_writes or []:
        if channel == _TASK_RESULT:
            try:
                answers.append(Answer.model_validate(value))
            except ValidationError:
                continue
    return answers
