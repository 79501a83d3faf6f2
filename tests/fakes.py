"""The one scripted chat model of the suite. Anything it is not told to answer is an error, never a guess."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

Reply = str | AIMessage | Exception
Script = Callable[[str], Reply]


class ScriptedChatModel(BaseChatModel):
    """Answers from a list, in order, or from a function of the prompt's text.

    Attributes:
        script: replies in order, or a function from the whole prompt as text to a reply. Exceptions are raised.
        delay: seconds each call takes.
        word_delay: streams its replies where somebody listens, a word at a time, so many seconds apart.
        begun: prompts of all calls, as soon as they begin.
        prompts: every prompt it was given, as text.
        bound: the extra arguments of every call.
        cancelled: prompts of the calls that were cancelled before they ended.
    """

    script: Any  # list[Reply] | Script; pydantic would try to turn exceptions into messages
    delay: float = 0.0
    word_delay: float | None = None
    begun: list[str] = Field(default_factory=list)
    prompts: list[str] = Field(default_factory=list)
    bound: list[dict[str, Any]] = Field(default_factory=list)
    cancelled: list[str] = Field(default_factory=list)

    def model_post_init(self, _: Any, /) -> None:
        self.disable_streaming = self.word_delay is None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)

    def _reply(self, messages: list[BaseMessage], arguments: dict[str, Any]) -> ChatResult:
        prompt = "\n".join(f"{message.type}: {message.text}" for message in messages)
        self.prompts.append(prompt)
        self.bound.append(arguments)
        if isinstance(self.script, list):
            assert self.script, f"the script has ended; unexpected prompt:\n{prompt}"
            reply = self.script.pop(0)
        else:
            reply = self.script(prompt)
        if isinstance(reply, Exception):
            raise reply
        message = AIMessage(reply) if isinstance(reply, str) else reply
        if message.usage_metadata is None:
            read, written = len(prompt.split()), len(str(message.text).split())
            message.usage_metadata = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._reply(messages, kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.begun.append(messages[-1].text if messages else "")
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            self.cancelled.append(messages[-1].text)
            raise
        return self._reply(messages, kwargs | ({"stop": stop} if stop else {}))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        message = (await self._agenerate(messages, **kwargs)).generations[0].message
        try:
            for word in re.findall(r"\s*\S+\s*$|\s*\S+", str(message.text)):
                await asyncio.sleep(self.word_delay or 0)
                yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        except asyncio.CancelledError:
            self.cancelled.append(messages[-1].text)
            raise
        assert isinstance(message, AIMessage)
        asked = [
            tool_call_chunk(name=each["name"], args=json.dumps(each["args"]), id=each["id"], index=place)
            for place, each in enumerate(message.tool_calls)
        ]
        last = AIMessageChunk(
            content="", tool_call_chunks=asked, usage_metadata=message.usage_metadata, chunk_position="last"
        )
        yield ChatGenerationChunk(message=last)
