"""A chat model whose replies are kept, or come out of a batch.

It is itself a chat model, so everything, the planner's graph included, runs on it unchanged. Where there is no reply
and no live model, the request is noted for the next batch.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

from anabranch.agents.reply import ending, whole
from anabranch.agents.wire import SERVED_TYPE
from anabranch.batch.store import ReplyStore, key_of, request_body
from anabranch.errors import ConfigurationError, EndpointError, MissingReplyError
from anabranch.scope import holding


@dataclass(frozen=True)
class Call:
    """A model call: who, what it took, and whether the reply was kept from before."""

    role: str
    input_tokens: int
    output_tokens: int
    seconds: float | None
    kept: bool
    cut_off: bool


_calls: ContextVar[list[Call] | None] = ContextVar("anabranch_kept_calls", default=None)


def noting(calls: list[Call]) -> AbstractContextManager[list[Call]]:
    """Notes all model calls made inside, those of tasks started inside too."""
    return holding(_calls, calls)


class KeptChatModel(BaseChatModel):
    """A chat model whose replies are kept.

    Attributes:
        inner: the live model; None for one that is served in batches.
        served: its name in requests.
        role: `decomposer` or `solver`, for the bill.
        store: where replies are kept.
        defaults: call arguments where the caller names none.
        adapter: that of the live in-process model; a trained one is shown no examples.
    """

    inner: BaseChatModel | None = None
    served: str
    role: str
    store: Any
    defaults: dict[str, Any]
    adapter: Path | None = None

    @property
    def _llm_type(self) -> str:
        # The planner tells by this and by the name what a model is: in-process, behind an address, a distilled one.
        return self.inner._llm_type if self.inner else SERVED_TYPE

    @property
    def max_tokens(self) -> int | None:
        """Most tokens of a reply where the caller names no limit; part of what replies are kept by."""
        most: int | None = self.defaults.get("max_tokens")
        return most

    @property
    def model_name(self) -> str:
        """The model's name on its server."""
        return str(getattr(self.inner, "model_name", None) or self.served)

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | dict[str, Any] | bool | None = None, **kwargs: Any
    ) -> Runnable[Any, Any]:
        """Offers tools, in OpenAI's form; `tool_choice` is a tool's name, or what LangChain's or OpenAI's word is."""
        offered = [convert_to_openai_tool(tool) for tool in tools]
        if tool_choice in ("any", True):
            kwargs["tool_choice"] = "required"
        elif tool_choice in [tool["function"]["name"] for tool in offered]:
            kwargs["tool_choice"] = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=offered, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise ConfigurationError("models of an evaluation run asynchronously; use ainvoke")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        arguments = {**self.defaults, **kwargs}
        body = request_body(self.served, messages, stop, arguments)
        key, store = key_of(body), self._store
        found = store.find(key)
        if found:
            message, seconds = found.message, found.seconds
        elif self.inner is None:
            store.wanted[key] = body
            raise MissingReplyError(f"{self.served} has no reply to this prompt yet; answer requests.jsonl, import it")
        else:
            started = time.monotonic()
            message = whole(await _ask(self.inner, messages, stop, arguments))
            seconds = time.monotonic() - started
            store.keep(key, body, message, seconds)
        self._note(message, seconds, kept=found is not None)
        return ChatResult(generations=[ChatGeneration(message=message)])

    @property
    def _store(self) -> ReplyStore:
        store: ReplyStore = self.store
        return store

    def _note(self, message: AIMessage, seconds: float | None, *, kept: bool) -> None:
        calls = _calls.get()
        if calls is None:
            return
        used = message.usage_metadata
        tokens = (used["input_tokens"], used["output_tokens"]) if used else (0, 0)
        cut = ending(message) == "cut"
        calls.append(Call(self.role, *tokens, seconds=seconds, kept=kept, cut_off=cut))


class KeptOpenAIChatModel(KeptChatModel):
    """One with OpenAI's API: the planner knows by this field that it takes `response_format`."""

    openai_api_base: str | None = None


async def _ask(
    model: BaseChatModel, messages: list[BaseMessage], stop: list[str] | None, arguments: Mapping[str, Any]
) -> AIMessage:
    given = {name: value for name, value in arguments.items() if name != "tools"}
    runnable = model.bind_tools(arguments["tools"]) if arguments.get("tools") else model
    message = await runnable.ainvoke(messages, stop=stop, **given)
    if not isinstance(message, AIMessage):
        raise EndpointError(f"a model returned {type(message).__name__} instead of a chat message; check the model")
    return message
