"""`client.chat.completions` of the OpenAI client, without its types, which take most of its time.

The client walks through what is sent by its types and makes objects of each reply and each chunk, of which LangChain
makes dictionaries again. Here, what is sent and what comes are the dictionaries that they are. Connections, retries
and errors are the client's.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from openai import APIConnectionError, APITimeoutError, AsyncOpenAI, AsyncStream

from anabranch.agents.chunks import Chunks

_OPTIONS = {"extra_headers": "headers", "extra_query": "params", "extra_body": "extra_json", "timeout": "timeout"}
"""What LangChain passes beside the payload, and the client's names for it."""
_KEY = {"bearer_auth": True}
"""With which key the client asks; by default it would take an administrator's where it has no other."""


class Completions:
    """Asks a client for completions, as LangChain asks its `chat.completions`.

    Args:
        client: the client.
    """

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> "_Replies":
        """The same, for those who want to read the reply themselves."""
        return _Replies(self)

    async def create(self, *, stream: bool = False, **payload: Any) -> Any:
        """A reply, or the chunks of one; a text where the reply is no JSON."""
        given: Any = {name: payload.pop(key, None) for key, name in _OPTIONS.items()}
        options: Any = {name: value for name, value in given.items() if value is not None} | {"security": _KEY}
        body = {**payload, "stream": True} if stream else payload
        with _connections_told():
            reply: Any = await self._client.post(
                f"{self._client.base_url}chat/completions",  # whole, or the client puts it together at each call
                body=body,
                options=options,
                cast_to=object,
                stream=stream,
                stream_cls=AsyncStream[object],
            )
        if isinstance(reply, AsyncStream):
            return Chunks(reply)
        if isinstance(reply, str):
            with suppress(ValueError):  # JSON that the server says is something else
                return json.loads(reply)
        return reply


@dataclass(frozen=True)
class Failed:
    """Raises an error that came, so that LangChain makes of it what it makes of its own client's.

    Attributes:
        error: the error.
    """

    error: Exception

    @property
    def with_raw_response(self) -> "Failed":
        """The same."""
        return self

    async def create(self, **_: Any) -> Any:
        """Raises it."""
        raise self.error


@contextmanager
def _connections_told() -> Iterator[None]:
    """The client takes all failures of aiohttp's connections for timeouts."""
    try:
        yield
    except APITimeoutError as error:
        cause = error.__cause__ and error.__cause__.__cause__
        if cause and not isinstance(cause, TimeoutError):
            raise APIConnectionError(request=error.request) from error
        raise


@dataclass(frozen=True)
class _Replies:
    completions: Completions

    async def create(self, **payload: Any) -> "_Reply":
        return _Reply(await self.completions.create(**payload))


@dataclass(frozen=True)
class _Reply:
    value: Any

    def parse(self) -> Any:
        return self.value
