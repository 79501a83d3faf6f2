"""A chat model whose replies are the user's answer: what it says and streams is the answer and nothing else."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.runnables.config import var_child_runnable_config

from anabranch.agents.final_answer import AnswerStream, Reading, read
from anabranch.characters import WholeStream, whole_characters, whole_data
from anabranch.replies import says_something
from anabranch.scope import holding

REASONING = "reasoning_content"
"""Where chunks and messages have what a reply says besides the answer, as it is written."""
WORKING = "working"
"""Where a message has the reasoning before the answer, or a reply that is no answer."""


UNOPENED = "unopened_thoughts"
"""Where a message says that its reply began with thoughts whose `<think>` was missing."""


@dataclass
class Heard:
    """What was streamed of an answer so far, for the case that its time ends.

    Attributes:
        always: whether answers are streamed even if nobody listens.
        text: the text.
        last: the last chunk of it.
        telling: knows what was not yet certain to be of the answer.
    """

    always: bool = False
    text: str = ""
    last: BaseMessage | None = None
    telling: "_Telling | None" = None

    def end(self) -> tuple[str, str | None]:
        """The answer as far as it came, and the id of the message that was streamed with it, if any was."""
        if says_something(self.text):
            # LangChain gives chunks their ids after they were yielded.
            return self.text, self.last.id if self.last else None
        return (str(self.telling.rest().message.text) if self.telling else "").strip(), None


_heard: ContextVar[Heard | None] = ContextVar("anabranch_heard", default=None)


def hearing(*, always: bool) -> AbstractContextManager[Heard]:
    """Inside, what is streamed of answers is noted.

    Args:
        always: whether they are streamed even if nobody listens.
    """
    return holding(_heard, Heard(always))


def heard_so_far() -> str:
    """What was streamed so far of the answer that is under way."""
    heard = _heard.get()
    return heard.text if heard else ""


class AnsweringModel(BaseChatModel):
    """Stands in for another model and takes its replies apart.

    Whoever listens to callbacks, as LangGraph's `stream_mode="messages"` does, sees one call with the answer's tokens
    and the model's usage. The model itself is called beneath the callbacks, so nothing is told or counted twice.

    Attributes:
        inner: the model.
        reading: how its replies are read.
        thinks: whether its replies are known to begin with thoughts whose `<think>` is missing.
        streaming: whether it always streams, if it says so.
    """

    inner: BaseChatModel
    reading: Reading
    thinks: bool = False
    streaming: bool = False

    @classmethod
    def over(cls, inner: BaseChatModel, reading: Reading, *, thinks: bool = False) -> "AnsweringModel":
        """The stand-in for a model, with all that concerns its calls."""
        shared = ("cache", "callbacks", "tags", "metadata", "rate_limiter", "disable_streaming", "output_version")
        taken = {name: getattr(inner, name) for name in shared}
        if "streaming" in inner.model_fields_set:
            taken["streaming"] = inner.streaming  # type: ignore[attr-defined]
        if (heard := _heard.get()) and heard.always and not inner.disable_streaming:
            taken["streaming"] = True
        # Copied without validation: all of it was validated with the model itself.
        taken |= {"inner": inner, "reading": reading, "thinks": thinks, "profile": inner.profile}
        return _stand_in().model_copy(update=taken)

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type

    @cached_property
    def _serialized(self) -> dict[str, Any]:
        return self.inner._serialized

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**self.inner._identifying_params, "reading": self.reading}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return self.inner._get_ls_params(stop, **kwargs)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        return f"{self.inner._get_llm_string(stop, **kwargs)} read as {self.reading}"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._taken_apart(self.inner._generate(messages, stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._taken_apart(await self.inner._agenerate(messages, stop, **kwargs))

    def _taken_apart(self, result: ChatResult) -> ChatResult:
        first = result.generations[0]
        if not isinstance(first.message, AIMessage):
            return result
        message = first.message
        calls_tools = bool(message.tool_calls or message.invalid_tool_calls)
        reply = read(whole_characters(str(message.text)), self.reading, calls_tools=calls_tools)
        reasoning = "\n\n".join(filter(None, [reply.thoughts, reply.working]))
        said = _notes({WORKING: reply.working, UNOPENED: reply.unopened})
        kept = {**_notes({REASONING: reasoning}), **message.additional_kwargs, **said}
        update = {"content": _with_text(message.content, reply.answer), "additional_kwargs": kept}
        answer = ChatGeneration(message=message.model_copy(update=update), generation_info=first.generation_info)
        return ChatResult(generations=[answer, *result.generations[1:]], llm_output=result.llm_output)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        telling = _Telling(AnswerStream(self.reading, tools=bool(kwargs.get("tools")), thinks=self.thinks))
        if type(self.inner)._stream is BaseChatModel._stream:
            yield from map(telling.chunk, _in_one(self.inner._generate(messages, stop, **kwargs)))
        else:
            yield from map(telling.chunk, self.inner._stream(messages, stop, **kwargs))
        yield telling.rest()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        telling = _Telling(AnswerStream(self.reading, tools=bool(kwargs.get("tools")), thinks=self.thinks))
        if heard := _heard.get():
            heard.text, heard.last, heard.telling = "", None, telling
        kind = type(self.inner)
        if kind._astream is BaseChatModel._astream and kind._stream is BaseChatModel._stream:
            for generation in _in_one(await self.inner._agenerate(messages, stop, **kwargs)):
                yield telling.chunk(generation)
        else:
            async for generation in self.inner._astream(messages, stop, **kwargs):
                chunk = telling.chunk(generation)
                if heard:
                    heard.text += str(chunk.text)
                    heard.last = chunk.message
                yield chunk
        yield telling.rest()


def _in_one(result: ChatResult) -> list[ChatGenerationChunk]:
    """A whole reply as one chunk."""
    first = result.generations[0]
    whole = {name: value for name, value in dict(first.message).items() if name != "type"}
    return [ChatGenerationChunk(message=AIMessageChunk(**whole), generation_info=first.generation_info)]


@lru_cache(maxsize=1)
def _stand_in() -> AnsweringModel:
    """A stand-in for nobody; to build one takes ten times as long as to copy it."""
    return AnsweringModel.model_construct()


class _Telling:
    """Turns the chunks of a reply into those of the answer."""

    def __init__(self, answer: AnswerStream) -> None:
        self._answer = answer
        self._calls_tools = False
        self._whole = WholeStream()
        self._content: Any = ""
        self._index: Any = None

    def chunk(self, generation: ChatGenerationChunk) -> ChatGenerationChunk:
        """A chunk with what is certain of the answer in place of its text."""
        chunk = generation.message
        if not isinstance(chunk, AIMessageChunk):
            return generation
        self._calls_tools = self._calls_tools or bool(chunk.tool_call_chunks or chunk.tool_calls)
        self._index = next((b["index"] for b in _texts(chunk.content) if "index" in b), self._index)
        self._content = chunk.content or self._content
        delta = self._answer.take(self._whole.take(str(chunk.text)))
        update = {
            "content": _with_text(chunk.content, delta.content),
            "additional_kwargs": {**whole_data(chunk.additional_kwargs), **_notes({REASONING: delta.reasoning})},
            "chunk_position": None,  # the answer's rest comes after it
        }
        return ChatGenerationChunk(message=chunk.model_copy(update=update), generation_info=generation.generation_info)

    def rest(self) -> ChatGenerationChunk:
        """The last chunk, with what was not certain before."""
        last = self._answer.take(self._whole.rest())
        end, reply = self._answer.end(calls_tools=self._calls_tools)
        rest = last.content + end.content
        block = {"type": "text", "text": rest, **({} if self._index is None else {"index": self._index})}
        content: Any = rest if isinstance(self._content, str) else [block] if rest else []
        extra = _notes({WORKING: reply.working, UNOPENED: reply.unopened})
        return ChatGenerationChunk(
            message=AIMessageChunk(content=content, additional_kwargs=extra, chunk_position="last")
        )


def _notes(notes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in notes.items() if value}


def _texts(content: Any) -> list[dict[str, Any]]:
    blocks = content if isinstance(content, list) else []
    return [block for block in blocks if isinstance(block, dict) and block.get("type") == "text"]


def _with_text(content: Any, text: str) -> Any:
    """Content with another text; blocks that are no text stay, as some models want them back with the next call."""
    if not isinstance(content, list):
        return text
    first = next(iter(_texts(content)), {"type": "text"})
    kept = [block for block in content if isinstance(block, dict) and block.get("type") != "text"]
    return [*kept, {**first, "text": text}] if text else kept


def answering(runnable: Runnable[Any, Any], reading: Reading, *, thinks: bool = False) -> Runnable[Any, Any]:
    """A chat model, or one with arguments bound, whose replies are the user's answer."""
    if isinstance(runnable, BaseChatModel):
        return AnsweringModel.over(runnable, reading, thinks=thinks)
    if isinstance(runnable, RunnableBinding):
        return runnable.model_copy(update={"bound": answering(runnable.bound, reading, thinks=thinks)})
    return runnable


def unstreamed(runnable: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """A chat model, or one with arguments bound, for a call that LangGraph's `stream_mode="messages"` leaves out.

    LangChain has a model stream where anybody listens, also to calls whose tag says that LangGraph shows nothing of
    them, and each token takes its time. Where anybody else listens (`astream_events`), the model streams as before.
    """
    callbacks: Any = (var_child_runnable_config.get() or {}).get("callbacks")
    # That is how LangChain knows those who want tokens.
    listening = [type(h) for h in getattr(callbacks, "handlers", ()) if hasattr(type(h), "tap_output_aiter")]
    if not listening or not all(kind.__module__.startswith("langgraph.") for kind in listening):
        return runnable
    if isinstance(runnable, RunnableBinding):
        return runnable.model_copy(update={"bound": unstreamed(runnable.bound)})
    if isinstance(runnable, BaseChatModel):
        return runnable.model_copy(update={"disable_streaming": True})
    return runnable
