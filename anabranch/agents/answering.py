"""A chat model whose replies are the user's answer: what it says and streams is the answer and nothing else."""

from collections.abc import AsyncIterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding

from anabranch.agents.final_answer import AnswerStream, Delta, Reading, Reply, read

REASONING = "reasoning_content"
"""Where chunks and messages have what a reply says besides the answer, as it is written."""
WORKING = "working"
"""Where a message has the reasoning before the answer, or a reply that is no answer."""


UNOPENED = "unopened_thoughts"
"""Where a message says that its reply began with thoughts whose `<think>` was missing."""


class AnsweringModel(BaseChatModel):
    """Stands in for another model and takes its replies apart.

    Whoever listens to callbacks, as LangGraph's `stream_mode="messages"` does, sees one call with the answer's tokens
    and the model's usage. The model itself is called beneath the callbacks, so nothing is told or counted twice.

    Attributes:
        inner: the model.
        reading: how its replies are read.
        thinks: whether its replies are known to begin with thoughts whose `<think>` is missing.
    """

    inner: BaseChatModel
    reading: Reading
    thinks: bool = False

    @classmethod
    def over(cls, inner: BaseChatModel, reading: Reading, *, thinks: bool = False) -> "AnsweringModel":
        """The stand-in for a model, with all that concerns its calls."""
        shared = ("cache", "callbacks", "tags", "metadata", "rate_limiter", "disable_streaming", "output_version")
        taken = {name: getattr(inner, name) for name in shared}
        # Built without validation: all of it was validated with the model itself.
        return cls.model_construct(inner=inner, reading=reading, thinks=thinks, profile=inner.profile, **taken)

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type

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
        reply = read(str(message.text), self.reading, calls_tools=calls_tools)
        reasoning = "\n\n".join(filter(None, [reply.thoughts, reply.working]))
        kept = {**({REASONING: reasoning} if reasoning else {}), **message.additional_kwargs, **_notes(reply)}
        update = {"content": _with_text(message.content, reply.answer), "additional_kwargs": kept}
        answer = ChatGeneration(message=message.model_copy(update=update), generation_info=first.generation_info)
        return ChatResult(generations=[answer, *result.generations[1:]], llm_output=result.llm_output)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        answer = AnswerStream(self.reading, tools=bool(kwargs.get("tools")), thinks=self.thinks)
        calls_tools, index = False, None
        content: Any = ""
        async for generation in _streamed(self.inner, messages, stop, kwargs):
            chunk = generation.message
            if not isinstance(chunk, AIMessageChunk):
                continue
            calls_tools = calls_tools or bool(chunk.tool_call_chunks or chunk.tool_calls)
            index = next((b["index"] for b in _texts(chunk.content) if "index" in b), index)
            content = chunk.content or content
            yield _told(generation, chunk, answer.take(str(chunk.text)))
        rest, reply = answer.end(calls_tools=calls_tools)
        block: dict[str, Any] = {"type": "text", "text": rest.content, **({} if index is None else {"index": index})}
        last = AIMessageChunk(
            content=rest.content if isinstance(content, str) else [block] if rest.content else [],
            additional_kwargs=_notes(reply),
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last)


async def _streamed(
    model: BaseChatModel, messages: list[BaseMessage], stop: list[str] | None, arguments: dict[str, Any]
) -> AsyncIterator[ChatGenerationChunk]:
    if type(model)._astream is BaseChatModel._astream and type(model)._stream is BaseChatModel._stream:
        for generation in (await model._agenerate(messages, stop, **arguments)).generations[:1]:
            whole = {name: value for name, value in dict(generation.message).items() if name != "type"}
            yield ChatGenerationChunk(message=AIMessageChunk(**whole), generation_info=generation.generation_info)
        return
    async for chunk in model._astream(messages, stop, **arguments):
        yield chunk


def _told(generation: ChatGenerationChunk, chunk: AIMessageChunk, delta: Delta) -> ChatGenerationChunk:
    """A chunk with what is certain of the answer in place of its text."""
    extra = {**chunk.additional_kwargs, **({REASONING: delta.reasoning} if delta.reasoning else {})}
    update = {
        "content": _with_text(chunk.content, delta.content),
        "additional_kwargs": extra,
        "chunk_position": None,  # the answer's rest comes after it
    }
    return ChatGenerationChunk(message=chunk.model_copy(update=update), generation_info=generation.generation_info)


def _notes(reply: Reply) -> dict[str, Any]:
    notes = {WORKING: reply.working, UNOPENED: reply.unopened}
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
