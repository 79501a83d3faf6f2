"""Chat models behind OpenAI-compatible addresses. Importing this module imports the OpenAI client."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient, LengthFinishReasonError, Timeout
from pydantic import PrivateAttr

from anabranch.agents.models import SERVED_TYPE

CONNECT_SECONDS = 5.0


class EndpointChatModel(ChatOpenAI):
    """ChatOpenAI for a process with more than one event loop.

    A connection belongs to the loop that opened it, and ChatOpenAI keeps one pool for all: a second `asyncio.run` in
    the process fails with "Event loop is closed". Here, each loop has one client, and with it one pool of its own.

    A reply that is cut off at the token limit is a reply, with `finish_reason` `length`, also where JSON was asked for.

    The client retries what is worth it (no connection, 408, 409, 429, 5xx), with jitter, and waits as long as the
    server's Retry-After says.
    """

    @property
    def _llm_type(self) -> str:
        return SERVED_TYPE

    _of_loop: dict[asyncio.AbstractEventLoop, Any] = PrivateAttr(default_factory=dict)

    def _here(self) -> Self:
        """The same model with the running loop's connections."""
        loop = asyncio.get_running_loop()
        if loop not in self._of_loop:
            for other in [other for other in list(self._of_loop) if other.is_closed()]:
                del self._of_loop[other]
            limits: Any = self.request_timeout
            client = self.root_async_client.copy(http_client=DefaultAsyncHttpxClient(timeout=limits))
            mine = {"root_async_client": client, "async_client": client.chat.completions}
            self._of_loop[loop] = self.model_copy(update=mine)
        found: Self = self._of_loop[loop]
        return found

    async def aclose(self) -> None:
        """Closes the running loop's connections; the next call opens new ones."""
        model = self._of_loop.pop(asyncio.get_running_loop(), None)
        if model is not None:
            await model.root_async_client.close()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            return await ChatOpenAI._agenerate(self._here(), messages, stop, run_manager, **kwargs)
        except LengthFinishReasonError as error:
            # With a `response_format`, the client takes a reply that was cut off for a failure. It is one of the model,
            # as without: its text does not parse, and its tokens count.
            return self._create_chat_result(error.completion)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in ChatOpenAI._astream(self._here(), *args, **kwargs):
            yield chunk


def timeouts(read: float) -> Timeout:
    """Time limits of one attempt.

    Args:
        read: seconds without a byte from the server. A reply that is not streamed comes when it is written.
    """
    return Timeout(read, connect=CONNECT_SECONDS)
