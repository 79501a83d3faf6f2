"""How a model's reply ended, and what it says. One place decides for all callers, streamed or not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from langchain_core.messages import AIMessage, BaseMessage

from anabranch.agents.answering import WORKING
from anabranch.agents.wire import whole_usage
from anabranch.bounds import MAX_REPLY_CHARS, shorten
from anabranch.characters import whole_data
from anabranch.errors import ReplyError
from anabranch.replies import begins_with_json, says_something, split_thoughts

Ending = Literal["whole", "cut", "refused", "empty"]
"""`whole`; `cut` off, at a token limit or since the server broke off; `refused` by the model or a content filter;
`empty`: no text, no tool call."""

_ENDINGS: Mapping[str, Ending] = {
    "length": "cut",
    "max_tokens": "cut",
    "max_output_tokens": "cut",
    "max_new_tokens": "cut",
    "max_length": "cut",
    "token_limit": "cut",
    "error_limit": "cut",
    "model_length": "cut",
    "model_context_window_exceeded": "cut",
    "incomplete": "cut",
    "abort": "cut",
    "aborted": "cut",
    "cancelled": "cut",
    "user_cancel": "cut",
    "error": "cut",
    "failed": "cut",
    "network_error": "cut",
    "time_limit": "cut",
    "timeout": "cut",
    "insufficient_system_resource": "cut",
    "content_filter": "refused",
    "content_filtered": "refused",
    "error_toxic": "refused",
    "sensitive": "refused",
    "spii": "refused",
    "refusal": "refused",
    "safety": "refused",
    "recitation": "refused",
    "prohibited_content": "refused",
    "blocklist": "refused",
    "guardrail_intervened": "refused",
}
"""By the finish reasons of OpenAI, vLLM, TGI, Anthropic, Mistral, Gemini, Bedrock, Cohere and DeepSeek, in lower case.
All that are not here, such as `stop`, `end_turn`, `eos_token` and `tool_calls`, are those of a whole reply."""
_WRITTEN = ("content", "tool_calls", "invalid_tool_calls", "additional_kwargs", "name", "id", "tool_call_id")
"""Fields of messages whose texts are kept and sent."""
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")
_TELLING = frozenset({"openai", "azure", "anthropic", "deepseek", "xai", "groq"})
"""What LangChain calls the providers whose streams end with a reason: one without was broken off."""
_TWICE = re.compile(r"(.+?)\1+")


M = TypeVar("M", bound=BaseMessage)


def whole(message: M) -> M:
    """The message without half characters in its content, its tool calls and what else belongs to it."""
    update: dict[str, Any] = {}
    fields = vars(message)
    for name in _WRITTEN:
        value = fields.get(name)
        if value and (made := whole_data(value)) is not value:
            update[name] = made
    return message.model_copy(update=update) if update else message


def held(message: AIMessage) -> AIMessage:
    """The message with texts no longer than any reply needs to be; one whose text is cut ended as if by its model."""
    text = message.content if isinstance(message.content, str) else str(message.text)
    told = message.additional_kwargs.items()
    long = {name: shorten(v, MAX_REPLY_CHARS) for name, v in told if isinstance(v, str) and len(v) > MAX_REPLY_CHARS}
    update: dict[str, Any] = {"additional_kwargs": {**message.additional_kwargs, **long}} if long else {}
    if len(text) > MAX_REPLY_CHARS:
        update["content"] = shorten(text, MAX_REPLY_CHARS)
        update["response_metadata"] = {**message.response_metadata, _REASONS[0]: "length"}
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
    found: Ending = next((_ENDINGS[reason] for reason in map(_once, reasons) if reason in _ENDINGS), "whole")
    if broken_off(message):
        return "cut"
    says = message.tool_calls or message.invalid_tool_calls or says_something(str(message.text))
    return "empty" if found == "whole" and not says else found


def _once(reason: str) -> str:
    """A reason that a server gave in more than one chunk; LangChain joins them to one word."""
    twice = _TWICE.fullmatch(reason[:64]) if reason not in _ENDINGS else None
    return twice[1] if twice else reason


def broken_off(message: AIMessage) -> bool:
    """Whether a streamed reply ended without the reason that its provider's streams end with."""
    told = message.response_metadata
    return told.get("model_provider") in _TELLING and not any(name in told for name in _REASONS)


def ended_early(error: Exception) -> AIMessage | None:
    """The reply that OpenAI's client takes for a failure, as it was cut off or refused where JSON was asked for."""
    reason = {"LengthFinishReasonError": "length", "ContentFilterFinishReasonError": "content_filter"}
    if (told := reason.get(type(error).__name__)) is None:
        return None
    completion: Any = getattr(error, "completion", None)
    first: Any = next(iter(getattr(completion, "choices", None) or ()), None)
    said = getattr(first, "message", None)
    usage = getattr(completion, "usage", None)
    counts: Any = {}
    if read := usage and whole_usage(usage.model_dump(warnings=False)):
        given, written = read.get("prompt_tokens", 0), read.get("completion_tokens", 0)
        counts = {"input_tokens": given, "output_tokens": written, "total_tokens": given + written}
    return AIMessage(
        str(getattr(said, "content", None) or ""),
        additional_kwargs={"refusal": refused} if (refused := getattr(said, "refusal", None)) else {},
        response_metadata={"finish_reason": told, "model_name": getattr(completion, "model", "")},
        usage_metadata=counts or None,
    )


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


def json_of(message: AIMessage, role: str) -> str:
    """The text of a reply that is to be JSON.

    Args:
        message: the reply, as `call` gives it.
        role: who wrote it, for the error.

    Raises:
        ReplyError: it is empty, was refused, or was cut off before the JSON ended.
    """
    text = text_of(message, role)
    # Models that are held to JSON may go on with white space after it, until they are stopped.
    if ending(message) == "cut" and not begins_with_json(text):
        raise ReplyError(f"the {role}'s reply was cut off ({_advice(message, 'cut')})", ending="cut")
    return text


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
    if says_something(text):
        return text
    thought = "all of it was thoughts; " if message.additional_kwargs.get("reasoning_content") else ""
    raise ReplyError(f"the {role}'s reply was empty ({thought}{_advice(message, how)})", ending=how)


def _advice(message: AIMessage, how: Ending) -> str:
    if broken_off(message):
        return "the server broke off; see its log"
    return "give it more tokens" if how == "cut" else "ask again, or check the model"
