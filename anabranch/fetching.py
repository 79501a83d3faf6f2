"""Requests to servers, within a time and a size that hold for the whole of each, from the name to the end."""

import asyncio
import json
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any, TypedDict, Unpack

import httpx

from anabranch.addresses import Login
from anabranch.bounds import MAX_REPLY_BYTES as MAX_REPLY_BYTES
from anabranch.errors import EndpointError


@dataclass(frozen=True)
class Fetched:
    """What a server replied."""

    status: int
    body: bytes


class Request(TypedDict, total=False):
    """What is asked of a server.

    Attributes:
        headers: headers of the request.
        body: what is posted as JSON; nothing is, if it is None.
        whole: read the reply, as is done where nothing is said; its status alone otherwise.
        login: the user and the password that the server wants, if it is so.
    """

    headers: Mapping[str, str] | None
    body: Any
    whole: bool
    login: Login | None


def fetch(url: str, *, seconds: float, **request: Unpack[Request]) -> Fetched:
    """Makes one request and waits for the reply; whoever runs an event loop here waits, too.

    Args:
        url: the address.
        seconds: most that it may take in all.
        request: what is asked; see `Request`.

    Raises:
        TimeoutError: it took longer.
        EndpointError: the reply is too long, or compressed.
        httpx.HTTPError, httpx.InvalidURL, ValueError: nobody answers, or the address is none.
    """
    future: Future[Fetched] = Future()

    def work() -> None:
        try:
            asked = fetch_async(url, seconds=seconds, **request)
            future.set_result(asyncio.run(asked))
        except BaseException as error:
            future.set_exception(error)

    # A thread of its own, which nobody waits for: looking up a name cannot be stopped.
    threading.Thread(target=work, name="anabranch-fetch", daemon=True).start()
    return future.result(seconds + 1)


async def fetch_async(url: str, *, seconds: float, **request: Unpack[Request]) -> Fetched:
    """The same without waiting; arguments and errors are those of `fetch`."""
    sent = {"Accept-Encoding": "identity", **(request.get("headers") or {})}
    method, content, body = "GET", None, request.get("body")
    if body is not None:
        method, content, sent = "POST", json.dumps(body), {"Content-Type": "application/json", **sent}
    async with (
        asyncio.timeout(seconds),
        httpx.AsyncClient(timeout=seconds, verify=_trusted(url), auth=request.get("login")) as client,
        client.stream(method, url, headers=sent, content=content) as response,
    ):
        return Fetched(response.status_code, await whole_body(response) if request.get("whole", True) else b"")


async def whole_body(response: httpx.Response) -> bytes:
    """The body of a reply that is being read.

    Raises:
        EndpointError: it is too long, or compressed.
    """
    check_encoding(response.headers)
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            raise too_long()
    return bytes(body)


def too_long() -> EndpointError:
    """The error for a reply that has more bytes than any that is of use."""
    return EndpointError(f"the server's reply has more than {MAX_REPLY_BYTES:,} bytes; see its log")


def check_encoding(headers: Mapping[str, str]) -> None:
    """Refuses a compressed reply, whose size cannot be told beforehand; servers are asked for plain ones.

    Raises:
        EndpointError: it is compressed.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise EndpointError(
            f"the server compresses its replies ({encoding[:40]}) although it is asked not to; switch that off there"
        )


def _trusted(url: str) -> ssl.SSLContext | bool:
    """The certificates that are trusted, where they are needed: reading them takes longer than to ask."""
    return certificates() if url.lower().startswith("https:") else False


@cache
def certificates() -> ssl.SSLContext:
    """The certificates that are trusted."""
    return httpx.create_ssl_context()
