"""Runs of a thread that stopped half-way, found in its checkpointer before there is a planner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from pydantic import ValidationError

from anabranch.graphs.embedding import storage_told
from anabranch.plan import Answer

_TASK_RESULT = "__return__"
"""Channel of the results of `@task`s among a checkpoint's pending writes (langgraph.constants, RETURN)."""


@dataclass(frozen=True)
class Unfinished:
    """A run that stopped half-way.

    Attributes:
        question: its question.
        metadata: what it was started with: the metadata of its configuration.
        answers: the sub-questions answered since the last checkpoint.
        forget: updates that take the question back out of the conversation.
    """

    question: str
    metadata: Mapping[str, Any]
    answers: list[Answer]
    forget: list[BaseMessage]


async def find_unfinished(saver: BaseCheckpointSaver[Any], thread: str) -> Unfinished | None:
    """The run of a thread that stopped half-way, if there is one."""
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
    return Unfinished(str(last.text), found.metadata or {}, _recorded(found), forget)


def _recorded(found: CheckpointTuple) -> list[Answer]:
    answers = []
    for _, channel, value in found.pending_writes or []:
        if channel == _TASK_RESULT:
            try:
                answers.append(Answer.model_validate(value))
            except ValidationError:
                continue
    return answers
