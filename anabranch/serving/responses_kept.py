"""Responses that others can go on from, and be read again: kept under their ids for a day."""

import re
from collections.abc import Sequence
from typing import Any

from langgraph.store.base import BaseStore
from pydantic import BaseModel

from anabranch.errors import UnknownResponseError
from anabranch.serving.kept import Kept
from anabranch.serving.protocol import MAX_MESSAGES, AssistantTurn, Turn

KEEP_SECONDS = 86_400.0
_KEY = r"([A-Za-z0-9_-]{22})"
_RESPONSE_ID = re.compile(f"resp_{_KEY}")
_ITEM_ID = re.compile(rf"(?:msg_|fc_[0-9]{{1,3}}_){_KEY}")


class KeptResponse(BaseModel):
    """A response and what it was asked.

    Attributes:
        previous: id of the response that it went on from.
        given: what was said to it.
        output: what it said.
        reply: the response as it was sent.
    """

    previous: str = ""
    given: list[Turn]
    output: AssistantTurn
    reply: dict[str, Any] = {}


class KeptResponses:
    """Keeps the responses of a server.

    Args:
        store: where they are kept; the memory of this process where nothing is said.
        seconds: for how long.
    """

    def __init__(self, store: BaseStore | None = None, *, seconds: float = KEEP_SECONDS) -> None:
        self._kept = Kept("responses", KeptResponse, store, seconds=seconds)

    async def keep(self, key: str, response: KeptResponse) -> None:
        """Keeps a response under the key in its id.

        Raises:
            BackendError: the store cannot be written to.
        """
        await self._kept.keep(response, key)

    async def find(self, id_: str) -> KeptResponse:
        """The response of an id.

        Raises:
            UnknownResponseError: there is none, or it is too old.
            BackendError: the store cannot be read.
        """
        return await self._found(_RESPONSE_ID.fullmatch(id_), f"the response {id_[:80]!r}")

    async def output_of(self, item_id: str) -> AssistantTurn:
        """What the response said of which this is the id of an item; of its calls, the one with the id.

        Raises:
            UnknownResponseError, BackendError: as `find`.
        """
        output = (await self._found(_ITEM_ID.fullmatch(item_id), f"the item {item_id[:80]!r}")).output
        if not item_id.startswith("fc_"):
            return output
        place, calls = int(item_id.split("_")[1]), output.tool_calls or []
        return output.model_copy(update={"tool_calls": calls[place : place + 1]})

    async def conversation(self, id_: str) -> list[Turn]:
        """All that was said up to a response, and the response.

        Raises:
            UnknownResponseError, BackendError: as `find`.
        """
        parts: list[Sequence[Turn]] = []
        while id_:
            response = await self.find(id_)
            parts.append([*response.given, response.output])
            id_ = response.previous if sum(map(len, parts)) <= MAX_MESSAGES else ""
        return [turn for part in reversed(parts) for turn in part]

    async def forget(self, id_: str) -> None:
        """Forgets a response; those that went on from it cannot be gone on from either.

        Raises:
            UnknownResponseError, BackendError: as `find`.
        """
        await self.find(id_)
        await self._kept.forget(id_.removeprefix("resp_"))

    async def _found(self, match: "re.Match[str] | None", what: str) -> KeptResponse:
        found = await self._kept.find(match[1]) if match else None
        if found is None:
            raise UnknownResponseError(
                f"{what} is not known here: it is kept for {self._kept.seconds / 3600:g} hours, and only where "
                "store is not false; send the whole conversation as input"
            )
        return found
