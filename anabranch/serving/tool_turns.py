"""Plans that wait for a client's tools, kept under the ids of the tool calls.

A reply with tool calls shows nothing of its plan: the client sends back the calls' ids with the results, and what
stands under them is the server's own. An id holds 128 random bits, so whoever knows one was sent it.
"""

import re
from collections.abc import Mapping
from typing import Any

from langgraph.store.base import BaseStore
from pydantic import BaseModel, ConfigDict

from anabranch.errors import UnknownToolCallError
from anabranch.plan import Answer, Plan
from anabranch.serving.kept import MAX_KEPT, MAX_KEPT_CHARS, Kept

KEEP_SECONDS = 3_600.0
"""Seconds for which a plan waits for the results of its tool calls."""
# At most 34 characters: OpenAI takes ids of up to 40, should the conversation move there.
_CALL_ID = re.compile(r"call_([1-9][0-9]{0,5})_([A-Za-z0-9_-]{22})")
_ADVICE = "send the messages up to the user's last one again, without the tool calls after it"


class Carried(BaseModel):
    """A plan on its way.

    Attributes:
        plan: all sub-questions so far.
        answers: answers by sub-question id, failed ones included.
        arguments: of calls that the client was asked to make, by sub-question id.
        replans: plans drawn up after the first.
        question: the question as one that stands by itself, where the user's own words leaned on earlier turns.
    """

    model_config = ConfigDict(frozen=True)

    plan: Plan = Plan()
    answers: Mapping[int, Answer] = {}
    arguments: Mapping[int, Mapping[str, Any]] = {}
    replans: int = 0
    question: str = ""


class ToolTurns:
    """Keeps the plans of a server that wait for clients.

    A plan is still there after it was gone on with, so a request that is sent twice is answered twice.

    Args:
        store: where they are kept; the memory of this process where nothing is said.
        seconds: for how long.
        most: most of them that this process keeps.
        most_chars: most characters of these.
    """

    def __init__(
        self,
        store: BaseStore | None = None,
        *,
        seconds: float = KEEP_SECONDS,
        most: int = MAX_KEPT,
        most_chars: int = MAX_KEPT_CHARS,
    ) -> None:
        self._kept = Kept("tool_turns", Carried, store, seconds=seconds, most=most, most_chars=most_chars)

    async def keep(self, carried: Carried) -> str:
        """Keeps a plan; gives the key under which it is found again.

        Raises:
            BackendError: the store cannot be written to.
        """
        return await self._kept.keep(carried)

    async def find(self, key: str) -> Carried:
        """The plan that is kept under a key.

        Raises:
            UnknownToolCallError: there is none, or it is too old.
            BackendError: the store cannot be read.
        """
        if (carried := await self._kept.find(key)) is None:
            raise UnknownToolCallError(
                f"the plan behind these tool calls is not known here: it is kept for {self._kept.seconds / 60:g} "
                f"minutes, by the server that made the calls; {_ADVICE}"
            )
        return carried


def call_id(sub_question: int, key: str) -> str:
    """The id of the tool call that answers a sub-question of the plan under a key."""
    return f"call_{sub_question}_{key}"


def read_call_id(id_: str) -> tuple[int, str] | None:
    """The sub-question and the key in the id of a tool call; None if it is not one of ours."""
    match = _CALL_ID.fullmatch(id_)
    return (int(match[1]), match[2]) if match else None
