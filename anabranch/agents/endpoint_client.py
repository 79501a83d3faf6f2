"""The HTTP client of models behind addresses. Importing this module imports the OpenAI client."""

import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from openai import DefaultAioHttpClient

from anabranch.addresses import Login
from anabranch.agents.chunks import library
from anabranch.agents.wire import error_status
from anabranch.fetching import MAX_REPLY_BYTES, check_encoding, too_long

_MOST_KEPT = 16
"""Requests of which the address and the headers are kept: their number of attempts and their key may differ."""

_DIFFER = frozenset({"content", "headers", "timeout"})


class EndpointClient(DefaultAioHttpClient):
    """The OpenAI client's HTTP client over aiohttp, whose replies are bounded, and whose errors have their status.

    Requests differ in nothing but their body, and to read an address and put headers together takes longer than to
    send them; so that is done once.

    Args:
        timeout: time limits of one attempt.
        login: the user and the password that the server wants.
    """

    def __init__(self, timeout: Any, login: Login | None = None) -> None:
        super().__init__(
            timeout=timeout,
            verify=_trusted(),
            event_hooks={"response": [_bounded, _as_error]},
            headers={"Accept-Encoding": "identity"},
            auth=login,
        )
        self._kept: dict[Any, Any] = {}

    def build_request(self, method: str, url: Any, **parts: Any) -> Any:
        """A request; see `httpx.AsyncClient.build_request`."""
        content: Any = parts.get("content")
        headers: Any = parts.get("headers")
        timeout: Any = parts.get("timeout")
        bare = all(value is None or name in _DIFFER for name, value in parts.items()) and not self.cookies
        known = isinstance(url, str) and isinstance(content, bytes) and isinstance(headers, list)
        if not (bare and known and isinstance(timeout, library().Timeout)):
            return super().build_request(method, url, **parts)
        key = (method, url, *headers)
        if (first := self._kept.get(key)) is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            first = self._kept[key] = super().build_request(method, url, content=b"-", headers=headers)
        made = library().Request(
            method,
            first.url,
            headers=first.headers,
            stream=library().ByteStream(content),
            extensions={"timeout": timeout.as_dict()},
        )
        made.headers.encoding = first.headers.encoding
        made.headers["Content-Length"] = str(len(content))
        made.read()
        return made


async def _bounded(response: Any) -> None:
    """Ends the reading of a reply that has more bytes than any that is of use."""
    check_encoding(response.headers)
    response.stream = _bounded_stream()(response.stream)


@cache
def _bounded_stream() -> Any:
    class Bounded(library().AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            seen = 0
            async for chunk in self.stream:
                seen += len(chunk)
                if seen > MAX_REPLY_BYTES:
                    raise too_long()
                yield chunk

        async def aclose(self) -> None:
            await self.stream.aclose()

    return Bounded


async def _as_error(response: Any) -> None:
    """Gives a reply of status 200 whose body is an error the error's status: the client retries it, or tells it."""
    if response.status_code == 200 and "json" in response.headers.get("content-type", ""):
        response.status_code = error_status(await response.aread()) or 200


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted; reading them takes longer than a call."""
    context: ssl.SSLContext = library().create_ssl_context()
    return context
