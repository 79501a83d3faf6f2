"""The list of models of an OpenAI-compatible server, within a time and a size that hold for the whole of it."""

import json
from typing import Any

from anabranch.addresses import Login, masked
from anabranch.agents.wire import can_chat
from anabranch.errors import ConfigurationError, EndpointError
from anabranch.fetching import fetch, fetch_async

LISTING_SECONDS = 10.0


def listed_model(address: str, key: str, role: str, login: Login | None = None) -> str:
    """The model that a server is asked for where none is named. An event loop that runs here has to wait for it.

    Args:
        address: the server's, with `/v1`.
        key: its API key.
        role: a model whose name begins so is taken, else the first that chats.
        login: the user and the password that it wants, if it is so.

    Raises:
        EndpointError: the server does not list its models, not in time, or in too many bytes.
        ConfigurationError: none of them looks like one to chat with.
    """
    try:
        listed = _listed(address, key, login)
        entries = listed if isinstance(listed, list) else listed["data"]
        names = [str(entry["id"]) for entry in entries if can_chat(entry)]
        found = next((name for name in names if name.startswith(role)), names[0] if names or not entries else None)
    except Exception as error:
        reason = masked(" ".join(str(error).split()), key)[:300] or f"not within {LISTING_SECONDS:g} s"
        raise EndpointError(
            f"{address} does not list its models ({reason}); "
            f"check that it is up and ends in /v1, or name one: {address}#MODEL"
        ) from error
    if found is None:
        raise ConfigurationError(
            f"no model that {address} lists looks like one to chat with; name one: {address}#MODEL"
        )
    return found


def _listed(address: str, key: str, login: Login | None) -> Any:
    found = fetch(_url(address), seconds=LISTING_SECONDS, headers=_headers(key), login=login)
    if found.status >= 300:
        raise EndpointError(f"it answers with status {found.status}")
    return json.loads(found.body)


async def status_of(address: str, key: str, seconds: float, login: Login | None = None) -> int:
    """The status of `GET /models`, without its body.

    Raises:
        TimeoutError: it took longer.
        httpx.HTTPError, httpx.InvalidURL: nobody answers.
    """
    asked = fetch_async(_url(address), seconds=seconds, headers=_headers(key), whole=False, login=login)
    return (await asked).status


def _url(address: str) -> str:
    return f"{address.rstrip('/')}/models"


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
