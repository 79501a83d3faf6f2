"""Refuses work for which there is no room, before its request is read.

Clients that ask again at once, whatever they are told, cost more time than the work that is under way: two hundred of
them leave a tenth of the answers. So refusals are given one after the other. Who has to wait for his finds, when it is
his turn, that there is room again, or is refused then.
"""

import asyncio

from starlette.types import ASGIApp, Scope

from anabranch.serving.failures import reply
from anabranch.serving.metrics import Metrics
from anabranch.serving.runs import Slots

PATHS = frozenset({"/v1/plans", "/v1/chat/completions", "/v1/responses", "/v1/agui", "/a2a", "/page/runs"})
"""Where the work is."""
STEP_SECONDS = 0.01
"""Between two refusals."""
MOST_SECONDS = 2.0
"""For which one is held back."""


class Turnstile:
    """Stands before the slots of a service.

    Args:
        slots: where work waits for its turn.
        metrics: counts refusals.
    """

    def __init__(self, slots: Slots, metrics: Metrics) -> None:
        self._slots = slots
        self._metrics = metrics
        self._next = 0.0

    async def refused(self, scope: Scope) -> ASGIApp | None:
        """The refusal of a request; None if there is room for it, or if it brings no work."""
        if scope["path"] not in PATHS or scope["method"] != "POST" or self._slots.overload() is None:
            return None
        now = asyncio.get_running_loop().time()
        turn = min(max(self._next, now), now + MOST_SECONDS)
        self._next = turn + STEP_SECONDS
        await asyncio.sleep(turn - now)
        if (error := self._slots.overload()) is None:
            return None
        self._metrics.refused("queue")
        return reply(error)
