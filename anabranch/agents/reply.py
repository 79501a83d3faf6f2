"""How a model's reply ended, and what it says. One place decides for all callers, streamed or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from langchain_core.messages import AIMessage, BaseMessage

from anabranch.agents.answering import WORKING
from anabranch.characters import whole_data
from anabranch.errors import ReplyError
from anabranch.replies import split_thoughts

Ending = Literal["whole", "cut", "refused", "empty"]
"""`whole`; `cut` off at a token limit; `refused` by the model or a content filter; `empty`: no text, no tool call."""

_ENDINGS: Mapping[str, Ending] = {
    "length": "cut",
    "max_tokens": "cut",
    "model_length": "cut",
    "model_context_window_exceeded": "cut",
    "incomplete": "cut",
    "content_filter": "refused",
    "refusal": "refused",
    "safety": "refused",
    "recitation": "refused",
    "prohibited_content": "refused",
    "blocklist": "refused",
    "guardrail_intervened": "refused",
}
"""By the finish reasons of OpenAI, vLLM, Anthropic, Mistral, Gemini and Bedrock, in lower case."""
_WRITTEN = ("content", "tool_calls", "invalid_tool_calls", "additional_kwargs", "name", "id", "tool_call_id")
"""Fields of messages whose texts are kept and sent."""
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")


M = TypeVar("M", bound=BaseMessage)


def whole(message: M) -> M:
    """The message without half characters in its content, its tool calls and what else belongs to it."""
    update: dict[str, Any] = {}
    for name in _WRITTEN:
        value = getattr(message, name, None)
        if value and (made := whole_data(value)) is not value:
            update[name] = made
    return message.model_copy(update=update) if update else message


def without_thoughts(message: AIMessage) -> AIMessage:
    """The message with its thoughts, if there are any in its text, moved to `reasoning_content`."""
    text = str(message.text)
    if "<" not in text:
        return message
    thoughts, said = split_thoughts(text)
    if not thoughts:
        return message
    kept = {"reasoning_content": thoughts, **message.additional_kwargs}
    return message.model_copy(update={"content": said, "additional_kwargs": kept})


def ending(message: AIMessage) -> Ending:
    """How a reply ended."""
    if refusal(message):
        return "refused"
    reasons = [str(message.response_metadata[name]).lower() for name in _REASONS if name in message.response_metadata]
    found: Ending = next((_ENDINGS[reason] for reason in reasons if reason in _ENDINGS), "whole")
    if found == "whole" and not str(message.text).strip() and not message.tool_calls and not message.invalid_tool_calls:
        return "empty"
    return found


def refusal(message: AIMessage) -> str:
    """The words of a refusal that the API tells apart from text; empty if there are none."""
    told: Any = message.additional_kwargs.get("refusal")
    if not told and isinstance(message.content, list):
        blocks = [block for block in message.content if isinstance(block, dict)]
        told = next((b.get("refusal") or b.get("text") for b in blocks if b.get("type") == "refusal"), None)
    return str(told or "").strip()


@dataclass(frozen=True)
class Final:
    """A reply that is the user's answer.

    Attributes:
        text: the answer; the words of a refusal.
        working: the reasoning before it.
        message_id: id of the model's message, if the answer is its text, and was streamed with it.
        ending: how the reply ended.
    """

    text: str
    working: str = ""
    message_id: str | None = None
    ending: Ending = "whole"


def final_of(message: AIMessage, role: str) -> Final:
    """The answer in a reply that `call` has read as one.

    Raises:
        ReplyError: it is empty.
    """
    try:
        text = text_of(message, role)
    except ReplyError as error:
        if error.ending != "refused":
            raise
        return Final(error.text, message_id=message.id if str(message.text) == error.text else None, ending="refused")
    return Final(text, str(message.additional_kwargs.get(WORKING, "")), message.id, ending(message))


def text_of(message: AIMessage, role: str) -> str:
    """The text of a reply, without white space around it; that of a reply that was cut off, too.

    Args:
        message: the reply, as `call` gives it.
        role: who wrote it, for the error.

    Raises:
        ReplyError: it is empty, or was refused.
    """
    text, how = str(message.text).strip(), ending(message)
    if how == "refused":
        words = refusal(message) or text or "a content filter stopped it"
        raise ReplyError(f"the {role} refused: {' '.join(words.split())[:300]}", ending=how, text=words)
    if text:
        return text
    thought = "all of it was thoughts; " if message.additional_kwargs.get("reasoning_content") else ""
    advice = "give it more tokens" if how == "cut" else "ask again, or check the model"
    raise ReplyError(f"the {role}'s reply was empty ({thought}{advice})", ending=how)
