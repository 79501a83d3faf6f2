"""The solver: answers a question directly or along a plan, answers one sub-question, and writes tool arguments."""

from collections.abc import Mapping, Sequence

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp

from anabranch.agents import prompts
from anabranch.agents.models import RoleModel, call
from anabranch.agents.reply import text_of
from anabranch.agents.tool_calls import read_calls
from anabranch.errors import BudgetExceededError, ModelError
from anabranch.plan import Plan
from anabranch.replies import final_answer as final_answer
from anabranch.replies import has_mark, says_not_found, without_mark
from anabranch.tools.calling import call_tool

MAX_TOOL_ROUNDS = 6


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
            content = (await call_tool(tool, request["args"], id_=request["id"] or "call")).text
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
