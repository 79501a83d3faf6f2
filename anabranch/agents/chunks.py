"""The chunks of a reply that a server streams, read as they come.

Each chunk has a price, in LangChain, in LangGraph and on its way to the user: together 0.3 ms of processor time. So a
stream is read at most a hundred times a second, and what was written meanwhile is joined, where it is text and nothing
else. The first chunk is read at once.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from importlib import import_module
from typing import Any, Self

from openai import APIConnectionError, APIError, APITimeoutError, AsyncStream, DefaultAsyncHttpxClient
from pydantic_core import from_json

from anabranch.agents.limits import ended

_DRAIN_SECONDS = 0.2
_MOST_HELD = 2**18
"""Bytes after which the server has to wait."""
_PAUSE_SECONDS = 0.01
"""Between one reading of a stream and the next."""
_TEXT = frozenset({"role", "content"})
_SAID = ("content", "tool_calls", "function_call", "refusal")
_STOPPED = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


class Chunks:
    """Reads the server-sent events of a reply, as the client's own stream does.

    A server that never gives a reason for the end, but says `[DONE]`, has its reply end with `stop`. A stream that ends
    with neither was broken off.

    Args:
        stream: the client's stream.
    """

    def __init__(self, stream: AsyncStream[Any]) -> None:
        self._stream = stream
        self._said = False
        self._reason = False
        self._done = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stream.close()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        response: Any = self._stream.response
        try:
            async with aclosing(self._bursts(response.aiter_bytes())) as bursts:
                async for events in _events(bursts):
                    for chunk in joined(self._read(events)):
                        self._mind(chunk)
                        yield chunk
                    if self._done:
                        break
        except library().TimeoutException as error:
            raise APITimeoutError(request=response.request) from error
        except library().RequestError as error:
            raise APIConnectionError(request=response.request) from error
        if self._done and self._said and not self._reason:
            yield _STOPPED

    def _read(self, events: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        for event in events:
            if event.startswith(b"[DONE]"):
                self._done = True
                return
            chunk = _json(event)
            if told := chunk.get("error"):
                words = told.get("message") if isinstance(told, dict) else told
                message = words if isinstance(words, str) else "an error occurred during streaming"
                raise APIError(message, request=self._stream.response.request, body=told)
            yield chunk

    def _mind(self, chunk: dict[str, Any]) -> None:
        for choice in chunk.get("choices") or []:
            delta = choice.get("delta") or {}
            self._said = self._said or any(delta.get(name) for name in _SAID)
            self._reason = self._reason or bool(choice.get("finish_reason"))

    async def _bursts(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """What came since the stream was last looked at: at once, and then a hundred times a second."""
        came, news, room = bytearray(), asyncio.Event(), asyncio.Event()

        async def read() -> None:
            try:
                async for piece in pieces:
                    came.extend(piece)
                    news.set()
                    if len(came) > _MOST_HELD:
                        room.clear()
                        await room.wait()
            finally:
                news.set()

        reading = asyncio.create_task(read())
        reading.add_done_callback(lambda done: done.cancelled() or done.exception())  # told below, if anybody asks
        try:
            while True:
                await news.wait()
                news.clear()
                over, burst = reading.done(), bytes(came)
                came.clear()
                room.set()
                if burst:
                    yield burst
                if over:
                    break
                await asyncio.sleep(_PAUSE_SECONDS)
            reading.result()
        finally:
            # What comes after the end has to be read before the connection can be used again.
            await ended(reading, _DRAIN_SECONDS if self._done else 0)


def _json(event: bytes) -> Any:
    try:
        return from_json(event)
    except ValueError:  # Python's own reads halves of characters, too
        return json.loads(event)


def library() -> Any:
    """What the client sends with: httpx, or httpx2 since version 3 of it."""
    return import_module(DefaultAsyncHttpxClient.__base__.__module__.partition(".")[0])


async def _events(bursts: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """The data of the events that end in each burst of a stream.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """
    waiting, data = list[bytes](), list[bytes]()
    async for burst in bursts:
        waiting.append(burst)
        if b"\n" not in burst and b"\r" not in burst:
            continue
        lines = b"".join(waiting).splitlines(keepends=True)
        # A line feed may follow.
        waiting = [] if lines[-1].endswith(b"\n") else [lines.pop()]
        events = []
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" ").rstrip(b"\r\n"))
            elif data and not line.rstrip(b"\r\n"):
                events.append(b"\n".join(data))
                data = []
        if events:
            yield events
    # An event that does not end is none, by the standard; this one says that nothing is missing.
    last = b"".join([*data, *waiting]).removeprefix(b"data:").strip()
    if last == b"[DONE]":
        yield [last]


def joined(chunks: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Chunks, with those joined that follow each other and are a piece of text and nothing else."""
    first: dict[str, Any] | None = None
    text: dict[str, Any] = {}
    for chunk in chunks:
        delta = _text_in(chunk)
        if first is not None and delta is not None:
            text["content"] += delta["content"]
            continue
        if first is not None:
            yield first
        first = None
        if delta is None:
            yield chunk
        else:
            first, text = chunk, delta
    if first is not None:
        yield first


def _text_in(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """The delta of a chunk that is a piece of text and nothing else."""
    choices = chunk.get("choices")
    if chunk.get("usage") or not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    choice = choices[0]
    delta = choice.get("delta")
    if choice.get("index") or choice.get("finish_reason") or choice.get("logprobs") or not isinstance(delta, dict):
        return None
    said = {key for key, value in delta.items() if value is not None}
    return delta if said <= _TEXT and isinstance(delta.get("content"), str) else None
