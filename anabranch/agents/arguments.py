"""Writes a tool call's arguments: from the sub-question as it is where that will do, else by the solver."""

import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from anabranch.agents import prompts
from anabranch.agents.grounding import made_up
from anabranch.agents.models import RoleModel
from anabranch.agents.structured import call_for_json
from anabranch.bounds import MAX_ARGUMENTS_CHARS, is_shortened
from anabranch.errors import ModelError
from anabranch.replies import json_values
from anabranch.tools.expressions import filled_expression, span_in
from anabranch.tools.kept import PerTool

QUESTION_ARGUMENTS = frozenset({"query", "question", "q", "search", "search_query"})
"""Names of arguments that take a sub-question as it is: those of look-ups. A `text` is worked on, not looked up."""

_MAX_KNOWN, _MAX_KNOWN_CHARS = 20, 1_000
_CALL_KEYS = ("arguments", "args", "parameters", "input", "kwargs", "function", "properties")
_CALL_NAMES = ("name", "tool", "tool_name", "type", "id", "title", "description", "required")


async def write_arguments(
    model: RoleModel,
    tool: BaseTool,
    text: str,
    *,
    unfilled: str | None = None,
    answers: Mapping[int, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The arguments of the tool call that answers a sub-question.

    A tool with one text argument that takes a question or query gets the sub-question itself; an arithmetic
    expression in the text goes to an `expression` argument as it is. Otherwise the solver writes the arguments.

    Args:
        model: the solver.
        tool: the tool.
        text: the sub-question with its slots filled.
        unfilled: the sub-question with its slots, if it has any.
        answers: text of the answers that are in the slots, by sub-question id.

    Raises:
        ModelError: the solver did not write a JSON object, or subtracts the parts of a range or a date; or an answer
            was cut that is to be calculated with.
        BudgetExceededError, EndpointError: as `call`.
    """
    parameters = parameters_of(tool)
    properties = parameters.get("properties")
    if not properties:
        return {}
    names = list(parameters.get("required") or properties)
    if _is_question(names, properties):
        return {names[0]: text}
    if names in (["expression"], ["code"]):
        _check_whole(text)
    if names == ["expression"] and (expression := filled_expression(unfilled or text, answers)):
        return {"expression": expression}
    written = await _written_arguments(model, tool, text, parameters)
    if names == ["expression"] and (span := span_in(str(written.get("expression")), answers)):
        raise ModelError(f"{span[:60]!r} is a range or a date, not one number to calculate with; ask for the number")
    return written


def takes_a_question(tool: BaseTool) -> bool:
    """Whether a tool takes a sub-question as it is."""
    parameters = parameters_of(tool)
    properties = parameters["properties"]
    return _is_question(list(parameters.get("required") or properties), properties)


def _is_question(names: Sequence[str], properties: Mapping[str, Any]) -> bool:
    return len(names) == 1 and names[0] in QUESTION_ARGUMENTS and _takes_any_text(properties.get(names[0], {}))


def _takes_any_text(schema: Mapping[str, Any]) -> bool:
    options = schema.get("anyOf", [schema])
    return any("string" in option.get("type", "string") and "enum" not in option for option in options)


def parameters_of(tool: BaseTool) -> dict[str, Any]:
    """JSON schema of a tool's arguments."""
    return {"type": "object", "properties": {}, **_parameters(tool)}


@PerTool
def _parameters(tool: BaseTool) -> dict[str, Any]:
    found: dict[str, Any] = convert_to_openai_tool(tool)["function"].get("parameters") or {}
    return found


async def write_action(model: RoleModel, tool: BaseTool, text: str, known: Sequence[str]) -> dict[str, Any]:
    """The arguments of a call that changes something. Values must stand in what is known; none is made up.

    Args:
        model: the solver.
        tool: the tool.
        text: the sub-question with its slots filled.
        known: what was said and found: the conversation, the answers so far.

    Raises:
        ModelError: the solver did not write a JSON object; or, also when asked again, it left out a required argument
            or gave one a value that occurs nowhere; or an answer that it needs was cut.
        BudgetExceededError, EndpointError: as `call`.
    """
    _check_whole(text)
    parameters = parameters_of(tool)
    if not parameters["properties"]:
        return {}
    shown = [line[:_MAX_KNOWN_CHARS] for line in known[-_MAX_KNOWN:]]
    feedback, missing = "", ""
    for _ in range(2):
        messages = prompts.action_messages(text, tool.name, tool.description, json.dumps(parameters), shown, feedback)
        written = await _asked(model, messages, tool, parameters)
        wrong = {name: value for name, value in made_up(written, parameters, known).items() if value is not None}
        lacking = [name for name in parameters.get("required", ()) if written.get(name) in (None, "")]
        if not wrong and not lacking:
            return {name: value for name, value in written.items() if value is not None}
        told = [f"{name} ({value!r} is given nowhere)" for name, value in wrong.items()]
        missing = ", ".join([*told, *(name for name in lacking if name not in wrong)])
        feedback = f"These values are not known: {missing}. Take them from what is said, or write null."
    raise ModelError(f"{tool.name} was not called: the question does not say {missing}; ask again and say it")


def _check_whole(text: str) -> None:
    if is_shortened(text):
        raise ModelError("an answer that it needs is too long to be taken over whole; ask for what is needed of it")


async def _written_arguments(model: RoleModel, tool: BaseTool, text: str, parameters: dict[str, Any]) -> dict[str, Any]:
    messages = prompts.arguments_messages(text, tool.name, tool.description, json.dumps(parameters))
    return await _asked(model, messages, tool, parameters)


async def _asked(
    model: RoleModel, messages: Sequence[BaseMessage], tool: BaseTool, parameters: dict[str, Any]
) -> dict[str, Any]:
    schema = {"title": "arguments", **parameters}
    reply = await call_for_json(model, messages, schema, role="solver", strict=False)
    if len(reply) > MAX_ARGUMENTS_CHARS:
        most = f"{MAX_ARGUMENTS_CHARS:,} characters"
        raise ModelError(f"the solver wrote no arguments for {tool.name} of at most {most}, but {len(reply):,}")
    written = arguments_in(json_values(reply), tool.name, parameters)
    if written is None:
        raise ModelError(f"the solver wrote no arguments for {tool.name}: {reply[:80]!r}")
    return written


def arguments_in(values: Sequence[Any], name: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments among the JSON values of a reply: the first object that fits the tool best.

    Args:
        values: the values.
        name: the tool's name.
        parameters: JSON schema of its arguments.
    """
    properties, required = set(parameters.get("properties", ())), set(parameters.get("required", ()))
    found: list[dict[str, Any]] = []
    for value in values:
        single = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(single, dict):
            found.append(_unwrapped(single, name, properties))
    return max(found, key=lambda each: (required <= set(each), set(each) <= properties), default=None)


def _unwrapped(value: dict[str, Any], name: str, properties: Collection[str]) -> dict[str, Any]:
    """Arguments that were written as a whole call, `{"name": ..., "arguments": {...}}`, or in the schema's form."""
    for key in _CALL_KEYS:
        inner = value.get(key)
        if key in properties or key not in value or not set(value) <= {*_CALL_KEYS, *_CALL_NAMES}:
            continue
        if isinstance(inner, str):
            inner = next(iter(json_values(inner)), None)
        if isinstance(inner, dict):
            return _unwrapped(inner, name, properties) if key == "function" else inner
    inner = value.get(name)
    return inner if isinstance(inner, dict) and set(value) == {name} and name not in properties else value
