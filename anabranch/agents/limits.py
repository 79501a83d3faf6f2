"""How long a reply may get, and how many tokens a model call took."""

import asyncio
import math
from collections.abc import Coroutine, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import Runnable, RunnableBinding

from anabranch.agents.images import without_images
from anabranch.agents.wire import whole_number
from anabranch.bounds import ANSWER_TOKENS
from anabranch.config import Price
from anabranch.plan import Usage

T = TypeVar("T")
_FIELDS = ("max_tokens", "max_output_tokens", "num_predict", "max_new_tokens")
"""What chat models call the most tokens of a reply; the first is LangChain's standard name."""
_BYTES_PER_TOKEN = 4.0
_BLOCKED = 0.2
"""A loop that is later than this by so many seconds was blocked."""
_PATIENCE = (0.01, 0.02, 0.03, 0.05, 0.07, 0.11, 0.13)
"""Seconds after each cancellation; uneven, so that they do not all come at the same moment as a token."""
_SOONER = 0.05
"""Seconds by which an outer time limit has to end before an inner one, so that the inner one can do nothing."""
_ends: "WeakKeyDictionary[asyncio.Task[Any], float]" = WeakKeyDictionary()
"""When the tasks that `within` waits for are ended, in their loop's time."""


class TimeIsUp(Exception):  # noqa: N818 - callers say what it means
    """Work was ended, since its time was up."""


def answer_limit(runnable: Runnable[Any, Any], wanted: int | None, left: float) -> int | None:
    """The most tokens that a model has to be told for its next reply; None if its own limit is low enough.

    Args:
        runnable: the chat model, or one with arguments bound.
        wanted: most tokens of the reply; None for the model's own limit, or `ANSWER_TOKENS` where it has none.
        left: tokens that are left for it.
    """
    chat, bound = _parts(runnable)
    if not isinstance(chat, BaseChatModel):
        return None
    own: Any = bound.get(_FIELDS[0])
    if not own and (field := _field(type(chat))):
        own = getattr(chat, field)
    has_own = isinstance(own, int) and own > 0  # Ollama writes "no limit" as a negative number
    if wanted is None:
        known = (getattr(chat, "profile", None) or {}).get("max_output_tokens")
        wanted = own if has_own else min(known or ANSWER_TOKENS, ANSWER_TOKENS)
    most = int(min(wanted, left))
    return None if has_own and own <= most else most


def limited(runnable: Runnable[Any, Any], most: int, *, at_call: bool) -> Runnable[Any, Any]:
    """A chat model, or one with arguments bound, that writes at most so many tokens.

    LangChain's chat models have no one way to be told. Those with OpenAI's API take `max_tokens` with each call; of the
    others, the field is set that they read it from. A model that has none of these fields is returned as it is: its
    replies are held by the time limit alone.

    Args:
        runnable: the model.
        most: most tokens of the reply.
        at_call: whether it takes `max_tokens` with each call.
    """
    chat, bound = _parts(runnable)
    if at_call or _FIELDS[0] in bound:
        return runnable.bind(max_tokens=most)
    field = next((name for name in _FIELDS if name in type(chat).model_fields), None)
    if field is None:
        return runnable
    copied: Runnable[Any, Any] = chat.model_copy(update={field: most})
    return runnable.model_copy(update={"bound": copied}) if isinstance(runnable, RunnableBinding) else copied


@lru_cache(maxsize=64)
def _field(kind: Any) -> str | None:
    """What chat models of a kind call the most tokens of a reply."""
    return next((name for name in _FIELDS if name in kind.model_fields or hasattr(kind, name)), None)


async def within(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Awaits work, and ends it after so many seconds, as `ended` does.

    Raises:
        TimeIsUp: it was ended.
        Exception: whatever it raises.
    """
    loop = asyncio.get_running_loop()
    here, ends = asyncio.current_task(), loop.time() + seconds
    if here is not None and _ends.get(here, math.inf) < ends - _SOONER:
        # The task that this runs in is ended sooner, and by the same means: another task would only take time.
        return await work
    task = loop.create_task(work)
    _ends[task] = ends
    if not await ended(task, seconds):
        raise TimeIsUp
    return task.result()


async def ended(task: "asyncio.Task[Any]", seconds: float) -> bool:
    """Waits for a task, and stops it if it is not done in time. Whether it was done.

    Not `asyncio.timeout`: some clients lose a cancellation that comes at the same moment as a token (so does
    `asyncio.wait_for` of Python 3.11), and would then go on for ever. Here it is cancelled again, and at last left.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    try:
        done, _ = await asyncio.wait({task}, timeout=None if math.isinf(seconds) else seconds)
        while not done and (lost := min(loop.time() - ends, seconds)) > _BLOCKED:
            # A tool or a model blocked the loop meanwhile: what else runs on it is not to fail for that.
            ends = math.inf if lost == seconds else loop.time() + lost
            done, _ = await asyncio.wait({task}, timeout=lost)
    except asyncio.CancelledError:
        await _stop(task)
        raise
    if not done:
        await _stop(task)
    return bool(done)


async def _stop(task: "asyncio.Task[Any]") -> None:
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else asks how it ended
    for seconds in _PATIENCE:
        task.cancel()
        if (await asyncio.wait({task}, timeout=seconds))[0]:
            return


def blocks(runnable: Runnable[Any, Any]) -> bool:
    """Whether a chat model has no asynchronous calls of its own, and does not stream."""
    chat, _ = _parts(runnable)
    if not isinstance(chat, BaseChatModel):
        return False
    names = ("_agenerate", "_astream", "_stream")
    return all(getattr(type(chat), name) is getattr(BaseChatModel, name) for name in names)


def _parts(runnable: Runnable[Any, Any]) -> tuple[Any, Mapping[str, Any]]:
    if isinstance(runnable, RunnableBinding):
        return runnable.bound, runnable.kwargs
    return runnable, {}


def usage_of(message: AIMessage, price: Price | None, prompt: Sequence[BaseMessage] = ()) -> Usage:
    """Tokens and cost of one model call.

    What the message's `usage_metadata` does not tell, or tells in no numbers, is estimated from the texts.

    Args:
        message: the reply.
        price: what the model costs.
        prompt: what it was asked.
    """
    told: Any = message.usage_metadata or {}
    read, written = (whole_number(told.get(name)) for name in ("input_tokens", "output_tokens"))
    usage = _usage(read or 0, written or 0, price, prompt, [message])
    parts = {
        "cached_tokens": _part(told, "input_token_details", "cache_read", usage.input_tokens),
        "reasoning_tokens": _part(told, "output_token_details", "reasoning", usage.output_tokens),
    }
    return usage.model_copy(update=parts)


def _part(told: Any, details: str, name: str, whole: int) -> int | None:
    """How many of some tokens are of a kind; None where it is not told."""
    found = told.get(details)
    count = whole_number(found.get(name)) if isinstance(found, Mapping) else None
    return None if count is None else min(count, whole)


def usage_metadata(usage: Usage) -> UsageMetadata:
    """Usage as LangChain's messages have it; what no server told is left out."""
    metadata = UsageMetadata(
        input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, total_tokens=usage.total_tokens
    )
    if usage.cached_tokens is not None:
        metadata["input_token_details"] = InputTokenDetails(cache_read=usage.cached_tokens)
    if usage.reasoning_tokens is not None:
        metadata["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning_tokens)
    return metadata


def expected_usage(prompt: Sequence[BaseMessage], price: Price | None) -> Usage:
    """An estimate of what a call takes before its reply."""
    return _usage(0, 0, price, prompt, ())


def _usage(
    read: int, written: int, price: Price | None, prompt: Sequence[BaseMessage], reply: Sequence[BaseMessage]
) -> Usage:
    guessed_read = 0 if read else _estimate(prompt)
    guessed_written = 0 if written else _estimate(reply)
    usage = Usage(
        input_tokens=read or guessed_read,
        output_tokens=written or guessed_written,
        calls=1,
        usd=None,
        estimated=bool(guessed_read or guessed_written),
    )
    return usage.model_copy(update={"usd": price.of(usage)}) if price else usage


def _estimate(messages: Sequence[BaseMessage]) -> int:
    """Tokens of messages by the bytes of their text: most scripts take about four bytes a token."""
    # What an image takes is counted by itself.
    text = "".join(
        str(without_images(message)) + str(getattr(message, "tool_calls", None) or "") for message in messages
    )
    if not text:
        return 0
    width = len(text.encode("utf-8", "replace")) / len(text)
    return int(count_tokens_approximately(messages, chars_per_token=_BYTES_PER_TOKEN / width))
