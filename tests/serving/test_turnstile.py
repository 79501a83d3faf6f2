import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from starlette.types import Message

from anabranch.serving import turnstile
from anabranch.serving.door import Door, DoorRules
from anabranch.serving.metrics import Metrics
from anabranch.serving.runs import Slots
from anabranch.serving.turnstile import Turnstile

PLANS: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/plans", "headers": []}


class Caller:
    """A client of a door in whose app nobody works; notes what it is asked and told."""

    def __init__(self, slots: Slots) -> None:
        self.metrics = Metrics()
        self.let_in = False
        self.read = False
        self.told: list[Message] = []
        stile = Turnstile(slots, self.metrics)
        self.door = Door(self._app, rules=DoorRules(), metrics=self.metrics, turnstile=stile)

    async def _app(self, *_: Any) -> None:
        self.let_in = True

    async def _receive(self) -> Message:
        self.read = True
        return {"type": "http.request", "body": b"{}"}

    async def _send(self, message: Message) -> None:
        self.told.append(message)

    async def ask(self, **changes: Any) -> None:
        await self.door({**PLANS, **changes}, self._receive, self._send)


@pytest.mark.parametrize("path", ["/v1/plans", "/v1/chat/completions", "/v1/responses"])
async def test_work_is_refused_before_its_body_is_read(path: str) -> None:
    slots = Slots(1, 0)
    caller = Caller(slots)
    async with slots.slot():
        await caller.ask(path=path)
    assert (caller.let_in, caller.read) == (False, False)
    assert caller.told[0]["status"] == 429
    assert dict(caller.told[0]["headers"])[b"retry-after"] == b"1"
    assert b'anabranch_refusals_total{reason="queue"} 1.0' in caller.metrics.text()
    await caller.ask()
    assert (caller.let_in, caller.read) == (True, True)


@pytest.mark.parametrize("other", [{"path": "/v1/models", "method": "GET"}, {"path": "/health"}])
async def test_what_brings_no_work_is_let_in(other: dict[str, str]) -> None:
    slots = Slots(1, 0)
    caller = Caller(slots)
    async with slots.slot():
        await caller.ask(**other)
    assert caller.let_in


async def test_refusals_are_given_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "STEP_SECONDS", 30.0)
    slots = Slots(1, 0)
    first, second = (caller := Caller(slots)).ask(), caller.ask()
    async with slots.slot():
        await first
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second, 0.05)
    assert len(caller.told) == 2  # the head and the body of one reply


async def test_who_was_held_back_is_let_in_where_there_is_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "STEP_SECONDS", 0.05)
    slots = Slots(1, 0)
    caller = Caller(slots)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(slots.slot())
        await caller.ask()
        held = asyncio.create_task(caller.ask())
        await asyncio.sleep(0.01)
    await held
    assert caller.let_in
