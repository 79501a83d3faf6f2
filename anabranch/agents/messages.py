"""Conversations in the form that every chat model takes, whatever an agent's messages look like."""

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage

_SYSTEM_ROLES = ("system", "developer")


def orderly(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """A prompt with one system message, at its beginning, and no two messages of one speaker in a row.

    Chat templates of open models refuse anything else. System messages are joined in their order.
    """
    system = [message for message in messages if is_system(message)]
    ordered: list[BaseMessage] = [SystemMessage(_joined(system))] if len(system) > 1 else [*system]
    for message in messages:
        if is_system(message):
            continue
        if ordered and _same_speaker(ordered[-1], message):
            ordered[-1] = type(message)(_joined([ordered[-1], message]))
        else:
            ordered.append(message)
    return ordered


def without_system(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """An orderly prompt for chat templates without system messages: what it says begins the user's first message."""
    if not messages or not is_system(messages[0]):
        return list(messages)
    return orderly([HumanMessage(messages[0].content), *messages[1:]])


def is_system(message: BaseMessage) -> bool:
    """Whether a message is an instruction and not a part of what was said."""
    if isinstance(message, ChatMessage):
        return message.role in _SYSTEM_ROLES
    return isinstance(message, SystemMessage)


def _same_speaker(one: BaseMessage, other: BaseMessage) -> bool:
    if isinstance(one, AIMessage) and isinstance(other, AIMessage):
        return not (one.tool_calls or one.invalid_tool_calls or other.tool_calls or other.invalid_tool_calls)
    return isinstance(one, HumanMessage) and isinstance(other, HumanMessage)


def _joined(messages: Iterable[BaseMessage]) -> Any:
    """The content of all: a text, or content blocks where one has a block that is more than its text."""
    parts = [part for m in messages for part in (m.content if isinstance(m.content, list) else [m.content])]
    blocks = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    said = [block for block in blocks if block.get("type") != "text" or str(block.get("text", "")).strip()]
    if all(set(block) <= {"type", "text", "id"} and block.get("type") == "text" for block in said):
        return "\n\n".join(str(block["text"]).strip() for block in said)
    return said
