"""Chat models behind OpenAI-compatible addresses. Importing this module imports the OpenAI client."""

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from openai import APIError, Timeout
from pydantic import PrivateAttr

from anabranch.addresses import Login, split_login
from anabranch.agents.completions import Completions, Failed
from anabranch.agents.endpoint_client import EndpointClient
from anabranch.agents.wire import (
    SERVED_TYPE,
    error_in,
    put_right,
    refusal_in,
)
from anabranch.errors import EndpointError

CONNECT_SECONDS = 5.0


class EndpointChatModel(ChatOpenAI):
    """ChatOpenAI for a process with more than one event loop.

    A connection belongs to the loop that opened it, and ChatOpenAI keeps one pool for all: a second `asyncio.run` in
    the process fails with "Event loop is closed". Here, each loop has a pool of its own. Its connections are aiohttp's,
    which take half the processor time of httpx's own.

    Replies in other forms than OpenAI's are put right (see `anabranch/agents/wire.py`).

    A reply that is cut off at the token limit is a reply, with `finish_reason` `length`, also where JSON was asked for.
    A stream that ends with neither a reason nor `[DONE]` has no `finish_reason`: it was broken off (see `chunks.py`).

    The client retries what is worth it (no connection, 408, 409, 429, 5xx), with jitter, and waits as long as the
    server's Retry-After says.
    """

    stream_chunk_timeout: float | None = None
    """Off: `agents/models.py` holds calls to a time in total, and on Python 3.11 this one loses cancellations."""

    @classmethod
    def over(cls, chat: ChatOpenAI) -> ChatOpenAI:
        """The same model as one of these; itself where it has a client or a proxy of its own, or is of another kind."""
        if type(chat) is not ChatOpenAI or chat.http_async_client or chat.http_client or chat.openai_proxy:
            return chat
        fields = {name: getattr(chat, name) for name in ChatOpenAI.model_fields if name != "stream_chunk_timeout"}
        address, login = split_login(str(chat.openai_api_base or ""))
        if login:
            client = chat.root_async_client.copy(base_url=address)
            fields |= {"openai_api_base": address, "root_async_client": client}
        # Without validation, which would make another client: this one may have been changed since.
        made = cls.model_construct(_fields_set=set(chat.model_fields_set), **fields)
        made.log_in(login)
        return made

    @property
    def _llm_type(self) -> str:
        return SERVED_TYPE

    _login: Login | None = PrivateAttr(default=None)

    def log_in(self, login: Login | None) -> None:
        """Names the user and the password that the server wants; the address is to have none in it."""
        self._login = login

    @property
    def login(self) -> Login | None:
        """The user and the password."""
        return self._login

    _of_loop: dict[asyncio.AbstractEventLoop, "EndpointChatModel"] = PrivateAttr(default_factory=dict)

    def _pooled(self) -> "EndpointChatModel":
        """This model over the running loop's connections."""
        loop = asyncio.get_running_loop()
        for other in [other for other in list(self._of_loop) if other.is_closed()]:
            del self._of_loop[other]
        if (found := self._of_loop.get(loop)) is None:
            limits: Any = self.request_timeout
            http = EndpointClient(limits, self._login)
            client = self.root_async_client.copy(http_client=http)
            # The seed is that of a call, as copies with others share these connections.
            mine = {"root_async_client": client, "async_client": Completions(client), "seed": None}
            found = self._of_loop[loop] = self.model_copy(update=mine)
            weakref.finalize(found, _dropped, http)
        return found

    def _get_request_payload(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(*args, **kwargs)
        # Servers such as Ollama and TGI know a limit by its older name alone, which OpenAI's refuses.
        if "max_completion_tokens" in payload and not _is_openai(str(self.openai_api_base or "")):
            payload["max_tokens"] = payload["max_completion_tokens"]
        if isinstance(payload.get("response_format"), dict) and "messages" in payload:
            # Past the client's own reading of JSON, which takes a reply that was cut off or refused for a failure.
            held = {"response_format": payload.pop("response_format")}
            payload["extra_body"] = {**(payload.get("extra_body") or {}), **held}
        return payload

    async def aclose(self) -> None:
        """Closes the running loop's connections; the next call opens new ones."""
        if pooled := self._of_loop.pop(asyncio.get_running_loop(), None):
            await pooled.root_async_client.close()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        pooled, kwargs = self._pooled(), self._seeded(kwargs)
        payload = pooled._get_request_payload(messages, stop=stop, **kwargs)
        if "response_format" in payload or self.include_response_headers or pooled._use_responses_api(payload):
            return await ChatOpenAI._agenerate(pooled, messages, stop, run_manager, **kwargs)
        try:
            reply = await pooled.async_client.create(**payload)
        except APIError as error:
            failed = pooled.model_copy(update={"async_client": Failed(error)})
            return await ChatOpenAI._agenerate(failed, messages, stop, run_manager, **kwargs)
        # LangChain reads it in a thread, which takes longer than the reading.
        return pooled._create_chat_result(reply)

    def _seeded(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return arguments if self.seed is None else {"seed": self.seed, **arguments}

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        replied = False
        async for chunk in ChatOpenAI._astream(self._pooled(), *args, **self._seeded(kwargs)):
            replied = replied or _says_anything(chunk)
            yield chunk
        if not replied:
            # The server does not stream, or answered with something else, which is then told.
            yield await self._at_once(*args, **kwargs)

    async def _at_once(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> ChatGenerationChunk:
        """The reply without streaming, as one chunk."""
        kwargs.pop("stream", None)
        (found,) = (await self._agenerate(messages, stop, **kwargs)).generations[:1]
        message = AIMessageChunk.model_validate(found.message.model_dump(exclude={"type"}))
        chunk = ChatGenerationChunk(message=message, generation_info=found.generation_info)
        if run_manager:
            await run_manager.on_llm_new_token(str(message.text), chunk=chunk)
        return chunk

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        if not isinstance(response, dict):
            return super()._create_chat_result(response, generation_info)
        if response.get("choices") == []:
            raise ValueError(f"there is nothing in the server's reply: {str(response)[:200]}")
        result = super()._create_chat_result(put_right(response), generation_info)
        for generation, choice in zip(result.generations, response["choices"], strict=False):
            if refused := choice["message"].get("refusal"):
                generation.message.additional_kwargs["refusal"] = refused
        return result

    def _convert_chunk_to_generation_chunk(self, chunk: dict[str, Any], *args: Any) -> ChatGenerationChunk | None:
        if told := error_in(chunk):
            failed = "the server failed while it wrote its reply"
            raise EndpointError(f"{failed}: {told}; see its log", public=f"{failed}; see its log")
        found = super()._convert_chunk_to_generation_chunk(put_right(chunk), *args)
        if found and (refused := refusal_in(chunk)):
            found.message.additional_kwargs["refusal"] = refused  # the pieces are joined like those of the text
        return found


def _is_openai(address: str) -> bool:
    host = urlsplit(address).hostname or "api.openai.com"
    return host.endswith(("openai.com", "openai.azure.com"))


def _dropped(http: Any) -> None:
    """Closes connections that nobody has closed, such as those of a loop that has ended, as far as it needs no loop."""
    closing = http.aclose()
    with suppress(Exception):
        closing.send(None)
    closing.close()


def _says_anything(chunk: ChatGenerationChunk) -> bool:
    message, info = chunk.message, chunk.generation_info or {}
    calls = isinstance(message, AIMessageChunk) and message.tool_call_chunks
    return bool(message.content or message.additional_kwargs or calls or info.get("finish_reason"))


def timeouts(read: float) -> Timeout:
    """Time limits of one attempt.

    Args:
        read: seconds without a byte from the server. A reply that is not streamed comes when it is written.
    """
    return Timeout(read, connect=CONNECT_SECONDS)
