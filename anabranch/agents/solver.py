"""The solver: answers a question directly or along a plan, answers one sub-question, and writes tool arguments."""

import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.errors import GraphBubbleUp

from anabranch.agents import prompts
from anabranch.agents.models import RoleModel, call, call_for_json
from anabranch.agents.reply import text_of
from anabranch.agents.tool_calls import read_calls
from anabranch.errors import BudgetExceededError, ModelError
from anabranch.plan import Plan
from anabranch.replies import final_answer as final_answer
from anabranch.replies import has_mark, json_values, says_not_found, without_mark
from anabranch.tools.calling import call_tool
from anabranch.tools.expressions import filled_expression, span_in

MAX_TOOL_ROUNDS = 6
QUESTION_ARGUMENTS = frozenset({"query", "question", "q", "search", "search_query"})
"""Names of arguments that take a sub-question as it is: those of look-ups. A `text` is worked on, not looked up."""

_CALL_KEYS = ("arguments", "args", "parameters", "input", "kwargs", "function")
_CALL_NAMES = ("name", "tool", "tool_name", "type", "id")


async def solve(
    model: RoleModel, question: str, plan: Plan, *, history: Sequence[BaseMessage] = (), tools: Sequence[BaseTool] = ()
) -> AIMessage:
    """Answers a question in one guided call, or directly if the plan is empty.

    Source: the two-stage protocol of arXiv 2402.15000, section 3.

    Args:
        model: the solver.
        question: the question.
        plan: its sub-questions, which guide the answer.
        history: earlier turns of the conversation, and system messages of the caller.
        tools: tools that compute, offered to a model that can call tools.

    Returns:
        The whole reply; `final_answer` takes the answer out of it.

    Raises:
        BudgetExceededError, EndpointError: as `call`.
    """
    prompt = prompts.direct_messages(question) if plan.is_direct else prompts.guided_messages(question, plan)
    messages = prompts.with_history(prompt, history)
    if not tools or not (model.chat.profile or {}).get("tool_calling"):
        return await call(model, messages, role="solver")
    return await _solve_with_tools(model, messages, {tool.name: tool for tool in tools})


async def _solve_with_tools(model: RoleModel, messages: list[BaseMessage], tools: Mapping[str, BaseTool]) -> AIMessage:
    runnable = model.chat.bind_tools(list(tools.values()))
    said: list[AIMessage] = []
    for _ in range(MAX_TOOL_ROUNDS):
        reply, wrong = read_calls(await call(model, messages, role="solver", runnable=runnable), tools)
        if not reply.tool_calls:
            return _answer(reply, said)
        messages = [*messages, reply]
        said.append(reply)
        for request in reply.tool_calls:
            id_ = request["id"] or ""
            told = ToolMessage(wrong[id_], tool_call_id=id_, status="error") if id_ in wrong else None
            messages.append(told or await _run_tool(tools.get(request["name"]), request))
    return _answer(await call(model, messages, role="solver"), said)


def _answer(reply: AIMessage, said: Sequence[AIMessage]) -> AIMessage:
    """The reply; the last answer that stood beside a tool call, if the model ends with nothing more to say."""
    if str(reply.text).strip():
        return reply
    before = next((earlier for earlier in reversed(said) if has_mark(str(earlier.text))), None)
    return AIMessage(str(before.text), id=before.id) if before else reply


async def _run_tool(tool: BaseTool | None, request: ToolCall) -> ToolMessage:
    content = "there is no such tool"
    if tool is not None:
        try:
            content = await call_tool(tool, request["args"])
        except (GraphBubbleUp, BudgetExceededError):
            raise
        except Exception as error:
            content = f"{type(error).__name__}: {error}"
    return ToolMessage(content, tool_call_id=request["id"] or "")


async def answer_step(model: RoleModel, text: str) -> str:
    """Answers one sub-question without a tool; `text` has its slots filled.

    Raises:
        ReplyError: the reply is empty or a refusal.
        BudgetExceededError, EndpointError: as `call`.
    """
    reply = text_of(await call(model, prompts.step_messages(text), role="solver", stream=False), "solver")
    return without_mark(reply)


async def read_answer(model: RoleModel, text: str, evidence: str) -> str:
    """Reads the answer of a sub-question out of a tool's result.

    Raises:
        ModelError: the model says that the result does not hold the answer, or says nothing.
        BudgetExceededError, EndpointError: as `call`.
    """
    message = await call(model, prompts.read_messages(text, evidence), role="solver", stream=False)
    reply = text_of(message, "solver")
    if says_not_found(reply):
        raise ModelError("the tool's result does not hold the answer")
    return without_mark(reply)


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
        ModelError: the solver did not write a JSON object, or subtracts the parts of a range or a date.
        BudgetExceededError, EndpointError: as `call`.
    """
    parameters = convert_to_openai_tool(tool)["function"].get("parameters", {"type": "object", "properties": {}})
    properties = parameters.get("properties")
    if not properties:
        return {}
    names = list(parameters.get("required") or properties)
    if len(names) == 1 and names[0] in QUESTION_ARGUMENTS and _takes_any_text(properties.get(names[0], {})):
        return {names[0]: text}
    if names == ["expression"] and (expression := filled_expression(unfilled or text, answers)):
        return {"expression": expression}
    written = await _written_arguments(model, tool, text, parameters)
    if names == ["expression"] and (span := span_in(str(written.get("expression")), answers)):
        raise ModelError(f"{span[:60]!r} is a range or a date, not one number to calculate with; ask for the number")
    return written


def _takes_any_text(schema: Mapping[str, Any]) -> bool:
    options = schema.get("anyOf", [schema])
    return any("string" in option.get("type", "string") and "enum" not in option for option in options)


async def _written_arguments(model: RoleModel, tool: BaseTool, text: str, parameters: dict[str, Any]) -> dict[str, Any]:
    messages = prompts.arguments_messages(text, tool.name, tool.description, json.dumps(parameters))
    schema = {"title": "arguments", **parameters}
    reply = await call_for_json(model, messages, schema, role="solver", strict=False)
    written = _arguments(json_values(reply), tool.name, parameters)
    if written is None:
        raise ModelError(f"the solver wrote no arguments for {tool.name}: {reply[:80]!r}")
    return written


def _arguments(values: Sequence[Any], name: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments among the JSON values of a reply: the first object that fits the tool best."""
    properties, required = set(parameters.get("properties", ())), set(parameters.get("required", ()))
    found: list[dict[str, Any]] = []
    for value in values:
        single = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(single, dict):
            found.append(_unwrapped(single, name, properties))
    return max(found, key=lambda each: (required <= set(each), set(each) <= properties), default=None)


def _unwrapped(value: dict[str, Any], name: str, properties: Collection[str]) -> dict[str, Any]:
    """Arguments that were written as a whole tool call: `{"name": ..., "arguments": {...}}` and its like."""
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
