"""What a run input asks of a thread, once it is known how the thread stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ag_ui.core import AssistantMessage, Message, SystemMessage, ToolMessage, UserMessage
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage
from langchain_core.messages import SystemMessage as SystemText
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from anabranch.agents.conversation import last_question
from anabranch.config import check_question
from anabranch.errors import ConfigurationError
from anabranch.serving.agui.interrupts import Waiting, client_call_id, decisions, shown_result_id
from anabranch.serving.agui.protocol import RunInput, result_of
from anabranch.serving.page.threads import CLIENT_CALL, Asked, Standing


@dataclass(frozen=True)
class Reading:
    """What is to be done.

    Attributes:
        asked: what is asked of the thread; None if it is only to be shown.
        turn: id of the message that asks.
        messages: the conversation as the client has it.
        standing: the thread, where its last question is gone on with; else a new one.
    """

    asked: Asked | None
    turn: str
    messages: Sequence[Message]
    standing: Standing = field(default_factory=Standing)


def read_input(body: RunInput, standing: Standing) -> Reading:
    """Reads a run input.

    Raises:
        ConfigurationError: it does not fit to where the thread stands.
        QuestionError: the question is empty or too long.
    """
    results = _results(body, standing.waiting)
    calls = [each for each in standing.waiting if CLIENT_CALL in each]
    spoken = [each for each in body.messages if isinstance(each, UserMessage | AssistantMessage) or _is_returned(each)]
    last = spoken[-1] if spoken else None
    if body.resume:
        if not standing.waiting:
            raise ConfigurationError("nothing in this thread waits for an answer, or no more; ask a question")
        return _continued(body, standing, decisions(standing.waiting, body.resume, results))
    if isinstance(last, ToolMessage):
        if not calls:
            raise ConfigurationError("no tool call of this thread waits for its result; ask a question")
        return _continued(body, standing, decisions(standing.waiting, [], results))
    if isinstance(last, UserMessage) and last.id != _open_question(standing):
        if len(calls) < len(standing.waiting):
            raise ConfigurationError("this thread waits for answers to its interrupts; send them in resume")
        return _question(body, standing)
    if standing.waiting or not standing.unfinished:
        if not standing.messages:
            raise ConfigurationError("there is no question; the last message must be the user's")
        return Reading(None, _turn(standing), body.messages or _as_messages(standing.messages), standing)
    return _continued(body, standing, None)


def _is_returned(message: Message) -> bool:
    """Whether a message has what a tool of the client returned; look-ups of an aborted run are our own to show."""
    return isinstance(message, ToolMessage) and message.id != shown_result_id(message.tool_call_id)


def _results(body: RunInput, waiting: Sequence[Waiting]) -> dict[str, str]:
    """What the client says that tools returned, by the id of the call."""
    asked = {call.id for each in body.messages if isinstance(each, AssistantMessage) for call in each.tool_calls or []}
    asked |= {client_call_id(each) for each in waiting if CLIENT_CALL in each}
    results: dict[str, str] = {}
    for message in body.messages:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in asked:
                raise ConfigurationError(f"there is no tool call {message.tool_call_id[:80]!r} for a tool message")
            results[message.tool_call_id] = result_of(message)
    return results


def _open_question(standing: Standing) -> str | None:
    """Id of the question that stopped half-way: a client that lost its connection sends it again."""
    return standing.messages[-1].id if standing.unfinished and standing.messages else None


def _question(body: RunInput, standing: Standing) -> Reading:
    """A new question. What a client sends is the conversation, unless it is the question alone."""
    said = body.said()
    check_question(last_question(said))
    spoken = [message for message in said if not isinstance(message, SystemText)]
    known = {message.id for message in standing.messages}
    question = spoken[-1]
    if standing.messages and len(spoken) == 1 and question.id not in known:
        forget = standing.unfinished.forget if standing.unfinished else []
        gone = {each.id for each in forget}
        kept = [message for message in standing.messages if message.id not in gone]
        updates, told = [*forget, question], [*_as_messages(kept), *body.messages]
    else:
        forget = [RemoveMessage(id=REMOVE_ALL_MESSAGES)] if standing.messages else []
        updates, told = [*forget, *said], list(body.messages)
    return Reading(Asked(updates, body.wants_review, tools=body.own_tools()), str(question.id), told)


def _continued(body: RunInput, standing: Standing, answers: dict[str, Any] | None) -> Reading:
    asked = Asked(decisions=answers, tools=body.own_tools())
    return Reading(asked, _turn(standing), body.messages or _as_messages(standing.messages), standing)


def _turn(standing: Standing) -> str:
    asked = [message.id for message in standing.messages if isinstance(message, HumanMessage)]
    return str(asked[-1]) if asked else ""


def _as_messages(said: Sequence[BaseMessage]) -> list[Message]:
    found: list[Message] = []
    for place, message in enumerate(said):
        id_, text = message.id or f"message-{place}", str(message.text)
        if isinstance(message, HumanMessage):
            found.append(UserMessage(id=id_, content=text))
        elif isinstance(message, AIMessage):
            found.append(AssistantMessage(id=id_, content=text))
        elif isinstance(message, SystemText):
            found.append(SystemMessage(id=id_, content=text))
    return found
