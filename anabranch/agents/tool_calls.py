"""The tool calls of a model's message, read where they were written loosely."""

import json
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from langchain_core.messages import AIMessage, ToolCall

from anabranch.agents.wire import object_text


def read_calls(message: AIMessage, names: Collection[str]) -> tuple[AIMessage, Mapping[str, str]]:
    """Reads the tool calls of a message.

    Servers take a conversation only if each call has an id, the same in the call and its result, and arguments that
    are a JSON object.

    Args:
        message: the model's message.
        names: names of the tools.

    Returns:
        The message with all its calls in order: each with an id of its own, and arguments that were encoded twice
        decoded. And, by id, what was wrong with calls whose arguments cannot be read; these have none.
    """
    wrong: dict[str, str] = {}
    calls: list[ToolCall] = []
    written: list[Mapping[str, Any]] = [*message.tool_calls, *message.invalid_tool_calls]
    for call in written:
        given = call.get("id")
        id_ = given if given and all(given != other["id"] for other in calls) else f"call_{uuid.uuid4().hex[:24]}"
        arguments = _arguments(call.get("args"))
        if arguments is None:
            wrong[id_] = f"the arguments are not a JSON object: {str(call.get('args'))[:200]}"
        calls.append(ToolCall(name=_name(call.get("name"), names), args=arguments or {}, id=id_, type="tool_call"))
    if calls == message.tool_calls:
        return message, wrong
    return message.model_copy(update={"tool_calls": calls, "invalid_tool_calls": []}), wrong


def _arguments(written: Any) -> dict[str, Any] | None:
    try:
        read = json.loads(object_text(written), strict=False) if isinstance(written, str) else written
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _name(written: Any, names: Collection[str]) -> str:
    """The tool that is meant, also by `functions.NAME` or in other case; the name as it is where there is none."""
    name = str(written or "unknown").strip()
    bare = name.rpartition(".")[2].casefold()
    return name if name in names else next((known for known in names if known.casefold() == bare), name)
