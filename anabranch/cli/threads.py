"""Threads: runs that are kept, so that one that was killed goes on where it was."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from pydantic import ValidationError

from anabranch.graphs.embedding import storage_told
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


async def find_unfinished(saver: BaseCheckpointSaver[Any], thread: str) -> Unfinished | None:
    """The run of a thread that stopped half-way, if there is one. Works before there is a planner."""
    with storage_told():
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
