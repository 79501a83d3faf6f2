"""The tool calls of a model's message, read where they were written loosely."""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, ToolCall
from langchain_core.tools import BaseTool

from anabranch.agents.arguments import arguments_in, parameters_of
from anabranch.agents.reply import ending
from anabranch.bounds import MAX_ARGUMENTS_CHARS, fits
from anabranch.replies import json_values

_IN_TEXT = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)|\[TOOL_CALLS\](.*)", re.DOTALL)
"""How Hermes, Qwen and Mistral models write calls, which a server may pass on as text."""
_TOOLS = re.compile(r"</?tools>")
"""Around the tools in the prompt of a Qwen model, which small ones write around calls."""
_ARGUMENTS = ("arguments", "parameters", "args")


def read_calls(message: AIMessage, tools: Mapping[str, BaseTool]) -> tuple[AIMessage, Mapping[str, str]]:
    """Reads the tool calls of a message.

    Servers take a conversation only if each call has an id, the same in the call and its result, and arguments that
    are a JSON object.

    Args:
        message: the model's message.
        tools: the tools that it was offered, by name.

    Returns:
        The message with all its calls in order: each with an id of its own, and arguments read however they were
        written. And, by id, what was wrong with calls whose arguments cannot be read; these have none. The last call of
        a message that was cut off is one of them: what is there of its arguments may look whole.
    """
    written: list[Mapping[str, Any]] = [*message.tool_calls, *message.invalid_tool_calls]
    in_text = [] if written else list(_calls_in(str(message.text), tools))
    wrong: dict[str, str] = {}
    calls: list[ToolCall] = []
    for call in written or in_text:
        given = call.get("id")
        id_ = given if given and all(given != other["id"] for other in calls) else f"call_{uuid.uuid4().hex[:24]}"
        name = _name(call.get("name"), tools)
        arguments = _arguments(call.get("args"), tools.get(name))
        if arguments is None:
            wrong[id_] = f"the arguments are not a JSON object: {str(call.get('args'))[:200]}"
        elif not fits(arguments, MAX_ARGUMENTS_CHARS):
            wrong[id_], arguments = f"the arguments are too long; {MAX_ARGUMENTS_CHARS:,} characters is the most", {}
        calls.append(ToolCall(name=name, args=arguments or {}, id=id_, type="tool_call"))
    if calls and ending(message) == "cut":
        calls[-1]["args"] = {}
        wrong[str(calls[-1]["id"])] = "the call was cut off before its end; write it again, and shorter"
    if calls == message.tool_calls:
        return message, wrong
    changes: dict[str, Any] = {"content": ""} if in_text else {}
    return message.model_copy(update={"tool_calls": calls, "invalid_tool_calls": [], **changes}), wrong


def _arguments(written: Any, tool: BaseTool | None) -> dict[str, Any] | None:
    values: Sequence[Any] = json_values(written) if isinstance(written, str) else [written]
    parameters = parameters_of(tool) if tool else {}
    if len(values) == 1 and isinstance(values[0], dict) and set(parameters.get("required", ())) <= set(values[0]):
        return values[0]
    return arguments_in(values, tool.name if tool else "", parameters)


def _calls_in(text: str, tools: Mapping[str, BaseTool]) -> Iterator[Mapping[str, Any]]:
    """The calls of known tools that a text consists of, or that it marks as such."""
    marked = [first or second for first, second in _IN_TEXT.findall(text)]
    bare = _TOOLS.sub("", text).strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json").removeprefix("tool_call").strip()
    if not marked and not (bare[:1] in ("{", "[") and bare[-1:] in ("}", "]")):
        return
    for value in json_values("\n".join(marked) if marked else bare):
        for call in value if isinstance(value, list) else [value]:
            key = next((key for key in _ARGUMENTS if isinstance(call, dict) and key in call), None)
            if key and _name(call.get("name"), tools) in tools:
                yield {"name": call["name"], "args": call[key], "id": None}


def _name(written: Any, tools: Mapping[str, BaseTool]) -> str:
    """The tool that is meant, also by `functions.NAME` or in other case; the name as it is where there is none."""
    name = str(written or "unknown").strip() or "unknown"
    bare = name.rpartition(".")[2].casefold()
    return name if name in tools else next((known for known in tools if known.casefold() == bare), name)
