"""The list of models of an OpenAI-compatible server, within a time and a size that hold for the whole of it."""

import asyncio
import json
import ssl
import threading
from concurrent.futures import Future
from functools import cache
from typing import Any

import httpx

from anabranch.agents.wire import MAX_REPLY_BYTES, can_chat, check_encoding
from anabranch.errors import ConfigurationError, EndpointError

LISTING_SECONDS = 10.0


def listed_model(address: str, key: str, role: str) -> str:
    """The model that a server is asked for where none is named. An event loop that runs here has to wait for it.

    Args:
        address: the server's, with `/v1`.
        key: its API key.
        role: a model whose name begins so is taken, else the first that chats.

    Raises:
        EndpointError: the server does not list its models, not in time, or in too many bytes.
        ConfigurationError: none of them looks like one to chat with.
    """
    try:
        listed = _listed(address, key)
        entries = listed if isinstance(listed, list) else listed["data"]
        names = [str(entry["id"]) for entry in entries if can_chat(entry)]
        found = next((name for name in names if name.startswith(role)), names[0] if names or not entries else None)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or f"not within {LISTING_SECONDS:g} s"
        raise EndpointError(
            f"{address} does not list its models ({reason}); "
            f"check that it is up and ends in /v1, or name one: {address}#MODEL"
        ) from error
    if found is None:
        raise ConfigurationError(
            f"no model that {address} lists looks like one to chat with; name one: {address}#MODEL"
        )
    return found


def _listed(address: str, key: str) -> Any:
    future: Future[bytes] = Future()

    def work() -> None:
        try:
            future.set_result(asyncio.run(_body(address, key)))
        except BaseException as error:
            future.set_exception(error)

    # A thread of its own, which nobody waits for: looking up a name cannot be stopped.
    threading.Thread(target=work, name="anabranch-models", daemon=True).start()
    return json.loads(future.result(LISTING_SECONDS + 1))


async def status_of(address: str, key: str, seconds: float) -> int:
    """The status of `GET /models`, without its body.

    Raises:
        TimeoutError: it took longer.
        httpx.HTTPError, httpx.InvalidURL: nobody answers.
    """
    async with (
        asyncio.timeout(seconds),
        httpx.AsyncClient(timeout=seconds, verify=_trusted(address)) as client,
        client.stream("GET", _url(address), headers=_headers(key)) as response,
    ):
        return response.status_code


async def _body(address: str, key: str) -> bytes:
    async with (
        asyncio.timeout(LISTING_SECONDS),
        httpx.AsyncClient(timeout=LISTING_SECONDS, verify=_trusted(address)) as client,
        client.stream("GET", _url(address), headers=_headers(key)) as response,
    ):
        response.raise_for_status()
        check_encoding(response.headers)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_REPLY_BYTES:
                raise EndpointError(f"the list of models has more than {MAX_REPLY_BYTES:,} bytes")
        return bytes(body)


def _trusted(address: str) -> ssl.SSLContext | bool:
    """The certificates that are trusted, where they are needed: reading them takes longer than to ask."""
    return _certificates() if address.lower().startswith("https:") else False


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _url(address: str) -> str:
    return f"{address.rstrip('/')}/models"


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
