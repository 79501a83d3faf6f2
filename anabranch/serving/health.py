"""Whether the models behind the server are there."""

import asyncio
import time

import httpx
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from anabranch.addresses import split_login
from anabranch.agents.listing import status_of
from anabranch.agents.models import LOCAL_TYPE
from anabranch.serving.protocol import Health
from anabranch.serving.service import Parts

PROBE_SECONDS = 3.0
KEEP_SECONDS = 5.0


class Readiness:
    """Asks model servers for their list of models; an answer counts for some seconds."""

    def __init__(self, parts: Parts) -> None:
        decomposer = getattr(parts.decomposer, "model", None)
        self._models: dict[str, BaseChatModel | None] = {
            "decomposer": getattr(decomposer, "chat", None),
            "solver": parts.solver.chat,
        }
        self._known: Health | None = None
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def check(self) -> Health:
        """How the models are."""
        async with self._asking:
            if self._known is None or time.monotonic() > self._until:
                states = await asyncio.gather(*map(_state, self._models.values()))
                status: str = "unready" if "away" in states else "ok"
                self._known = Health.model_validate(
                    {"status": status, "models": dict(zip(self._models, states, strict=True))}
                )
                self._until = time.monotonic() + KEEP_SECONDS
            return self._known


async def _state(model: BaseChatModel | None) -> str:
    if model is None:
        return "unknown"
    if model._llm_type == LOCAL_TYPE:
        return "ready"  # loaded before the server listens
    address = getattr(model, "openai_api_base", None)
    if not address:
        return "unknown"
    secret = getattr(model, "openai_api_key", None)
    key = secret.get_secret_value() if isinstance(secret, SecretStr) else ""
    try:
        place, login = split_login(str(address))
        status = await status_of(place, key, PROBE_SECONDS, getattr(model, "login", login))
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL):
        return "away"
    # A server without such a list is there all the same.
    return "away" if status >= 500 else "ready"
