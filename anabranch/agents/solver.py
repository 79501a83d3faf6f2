"""The solver: answers a question directly or along a plan, answers one sub-question, and writes tool arguments."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp

from anabranch.agents import prompts
from anabranch.agents.answering import WORKING
from anabranch.agents.calculation import calculated
from anabranch.agents.final_answer import Reading
from anabranch.agents.grounding import out_of_thin_air
from anabranch.agents.images import NO_IMAGES, Images, shown
from anabranch.agents.json_answers import asked_for, call_as_json
from anabranch.agents.ledger import current
from anabranch.agents.models import RoleModel, call
from anabranch.agents.reply import Final, ending, final_of, refusal, text_of
from anabranch.agents.schemas import AnswerSchema
from anabranch.agents.tool_calls import read_calls
from anabranch.bounds import one_line, shorten
from anabranch.errors import BudgetExceededError, NotFoundError
from anabranch.options import AnswerForm
from anabranch.plan import Plan
from anabranch.replies import final_answer as final_answer
from anabranch.replies import has_mark, says_not_found, short_reply
from anabranch.tools.calling import call_tool
from anabranch.tools.results import MAX_CHARS
from anabranch.tools.terms import STOP_WORDS, tokenize

MAX_TOOL_ROUNDS = 6
MAX_CALLS_A_ROUND = 32
Ask = Callable[..., Awaitable[AIMessage]]
"""`call` with all arguments but the prompt, and what is bound for one call."""
_TOO_MANY = f"not called: more than {MAX_CALLS_A_ROUND} calls at once; make fewer"


async def solve(
    model: RoleModel,
    question: str,
    plan: Plan,
    *,
    history: Sequence[BaseMessage] = (),
    tools: Sequence[BaseTool] = (),
    form: AnswerForm = "whole",
    schema: AnswerSchema | None = None,
    images: Images = NO_IMAGES,
) -> Final:
    """Answers a question in one guided call, or directly if the plan is empty.

    Source: the two-stage protocol of arXiv 2402.15000, section 3.

    Args:
        model: the solver.
        question: the question.
        plan: its sub-questions, which guide the answer.
        history: earlier turns of the conversation, and system messages of the caller.
        tools: tools that compute, offered to a model that can call tools.
        form: the form of the answer; a small model writes short ones.
        images: those of the question.
        schema: the JSON that the answer is to be; not checked here, and not streamed, as it is to be checked first.

    Raises:
        ReplyError: the reply is empty.
        BudgetExceededError, EndpointError: as `call`.
    """
    direct = plan.is_direct
    form = "whole" if schema and direct else "short" if model.small else form
    prompt = prompts.direct_messages(question, form) if direct else prompts.guided_messages(question, plan, form)
    reading: Reading = "short" if form == "short" else "whole" if direct else "marked"
    messages = prompts.with_history([*shown(prompt, images), *asked_for(schema)], history)
    ask = partial(call, model, role="solver", reading=reading, stream=schema is None)
    if tools and (model.chat.profile or {}).get("tool_calling"):
        return await _solve_with_tools(model, messages, {tool.name: tool for tool in tools}, ask)
    if schema and direct:
        # Reasoning along a plan comes before the JSON, and servers that hold a reply to JSON take no tool calls.
        reply = await call_as_json(model, messages, schema, role="solver")
    else:
        reply = await ask(messages)
    return final_of(reply, "solver")


async def _solve_with_tools(
    model: RoleModel,
    messages: list[BaseMessage],
    tools: Mapping[str, BaseTool],
    ask: Callable[..., Awaitable[AIMessage]],
) -> Final:
    runnable: Runnable[Any, Any] | None = model.chat.bind_tools(list(tools.values()))
    said: list[AIMessage] = []
    for _ in range(MAX_TOOL_ROUNDS):
        reply, wrong = read_calls(await ask(messages, runnable=runnable), tools)
        if not reply.tool_calls or ending(reply) == "refused":
            return _answer(reply, said)
        messages = [*messages, _as_written(reply)]
        said.append(reply)
        for place, request in enumerate(reply.tool_calls):
            id_ = request["id"] or ""
            error = _TOO_MANY if place >= MAX_CALLS_A_ROUND else wrong.get(id_)
            told = ToolMessage(error, tool_call_id=id_, status="error") if error else None
            messages.append(told or await _run_tool(tools.get(request["name"]), request))
    return _answer(await ask(messages), said)


def _answer(reply: AIMessage, said: Sequence[AIMessage]) -> Final:
    """The answer in the last reply, after what was said at length before tool calls.

    If the model ends with nothing more to say, it is the last answer that stood beside a tool call.
    """
    before = "".join(str(earlier.text) for earlier in said)
    if before or str(reply.text).strip() or refusal(reply):
        final = final_of(reply, "solver") if not before or str(reply.text).strip() else Final("", message_id=reply.id)
        return replace(final, text=f"{before}{final.text}".strip())
    beside = (str(earlier.additional_kwargs.get(WORKING, "")) for earlier in reversed(said))
    answered = next((text for text in beside if has_mark(text)), None)
    return Final(final_answer(answered)) if answered else final_of(reply, "solver")


def _as_written(reply: AIMessage) -> AIMessage:
    """A reply with tool calls as the model wrote it."""
    working = reply.additional_kwargs.get(WORKING)
    return reply.model_copy(update={"content": working}) if working and isinstance(reply.content, str) else reply


async def _run_tool(tool: BaseTool | None, request: ToolCall) -> ToolMessage:
    content = "there is no such tool"
    if tool is not None:
        try:
            content = (await call_tool(tool, request["args"], id_=request["id"] or "call")).text
        except (GraphBubbleUp, BudgetExceededError):
            raise
        except Exception as error:
            content = one_line(error)
    return ToolMessage(shorten(content, MAX_CHARS), tool_call_id=request["id"] or "")


async def answer_step(model: RoleModel, text: str, images: Images = NO_IMAGES) -> str:
    """Answers one sub-question without a tool; `text` has its slots filled, and `images` are those that it names.

    Raises:
        ReplyError: the reply is empty or a refusal.
        BudgetExceededError, EndpointError: as `call`.
    """
    return short_reply(_taken(await call(model, shown(prompts.step_messages(text), images), role="solver")))


def _taken(message: AIMessage) -> str:
    """The text of a reply that is to be the answer of a sub-question; that it was cut off is noted on the ledger."""
    text = text_of(message, "solver")
    if ending(message) == "cut" and (ledger := current()):
        ledger.cut = True
    return text


async def check_answer(model: RoleModel, text: str, answer: str, passages: Sequence[str], result: str) -> str:
    """An answer that was read out of a tool's result, if it stands there.

    Its numbers and names must occur in the result. Numbers that do not may have been calculated from those that do:
    a model that is not small writes the calculation, and the calculator's value is the answer. Where some word of the
    question is not in the passages behind the answer, they may be about something else, and the model is asked once
    more.

    Args:
        model: the solver.
        text: the sub-question.
        answer: what was read.
        passages: the passages of the result that the answer seems to come from.
        result: the whole result.

    Returns:
        The answer as it was read, or what was calculated in its place.

    Raises:
        NotFoundError: it does not stand there.
        ReplyError, BudgetExceededError, EndpointError: as `read_answer`.
    """
    if strange := out_of_thin_air(answer, [text, result]):
        numbers = all(word[0].isdigit() for word in strange)
        if numbers and not model.small and (value := await calculated(model, text, result)):
            return value
        raise NotFoundError("the answer that was read does not stand in the tool's result")
    known = {term for passage in passages for term in tokenize(passage)}
    if set(tokenize(text)) - STOP_WORDS <= known or model.small:
        return answer
    prompt = prompts.check_messages(text, "\n\n".join(passages), answer)
    reply = text_of(await call(model, prompt, role="solver"), "solver")
    if reply.strip(" *_\"'`.\n").upper().startswith("NO"):
        raise NotFoundError("the tool's result is about something else")
    return answer


async def read_answer(model: RoleModel, text: str, evidence: str) -> str:
    """Reads the answer of a sub-question out of a tool's result.

    Raises:
        NotFoundError: the model says that the result does not hold the answer.
        ReplyError: the model says nothing.
        BudgetExceededError, EndpointError: as `call`.
    """
    message = await call(model, prompts.read_messages(text, evidence), role="solver")
    reply = _taken(message)
    if says_not_found(reply):
        raise NotFoundError("the tool's result does not hold the answer")
    return short_reply(reply)
