"""Clients that go away: what was done for them stops, and the slot is free for the next."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from anabranch.serving.options import Limits
from anabranch.serving.runs import Run, Slots, Stopped
from anabranch.serving.service import Service
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import Step, plan_json
from tests.serving import live
from tests.serving.conftest import Serve

USER = {"role": "user", "content": live.QUESTION}
CHAT: dict[str, Any] = {"model": "anabranch", "messages": [USER]}
DIRECT = json.dumps({"sub_questions": []})

served = [pytest.mark.loopback, pytest.mark.enable_socket]


def metric(service: Service, name: str) -> float:
    line = next(line for line in service.metrics.text().decode().splitlines() if line.startswith(f"{name} "))
    return float(line.split()[-1])


async def counted_as_cancelled(service: Service) -> None:
    """A run is counted a moment after its slot is free."""
    await asyncio.to_thread(live.wait_until, lambda: metric(service, "anabranch_cancelled_total") == 1)


async def leave(url: str, body: dict[str, Any], when: Callable[[], object]) -> None:
    """Asks, and goes away before there is a reply, as soon as something is so."""
    async with httpx.AsyncClient(timeout=60) as client:
        asked = asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=body))
        await asyncio.to_thread(live.wait_until, when, 60)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_leaving_in_the_middle_of_a_stream_cancels_the_generation(serve: Serve) -> None:
    writing = ScriptedChatModel(script=live.always("Answer: " + "word " * 10_000), word_delay=0.01)
    service = Service(live.parts(DIRECT, writing), Limits(max_concurrency=1))
    url = serve(service=service)
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{url}/v1/chat/completions", json={**CHAT, "stream": True}) as response,
    ):
        pieces = 0
        async for line in response.aiter_lines():
            pieces += '"word"' in line or '" word"' in line
            if pieces >= 3:
                break
        assert service.slots.running == 1
    await asyncio.to_thread(live.wait_until, lambda: writing.cancelled and not service.slots.running)
    await counted_as_cancelled(service)


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("sub_questions", [0, 3])
async def test_leaving_before_the_reply_cancels_all_calls(serve: Serve, stream: bool, sub_questions: int) -> None:
    hanging = ScriptedChatModel(script=live.always("x"), delay=1000)
    steps: list[Step] = [("search", f"{letter}?", []) for letter in "abc"[:sub_questions]]
    plan: Any = plan_json(*steps) if steps else DIRECT
    service = Service(live.parts(plan, hanging), Limits(max_concurrency=1))
    url = serve(service=service)
    calls = max(sub_questions, 1)
    await leave(url, {**CHAT, "stream": stream}, when=lambda: len(hanging.begun) == calls)
    await asyncio.to_thread(live.wait_until, lambda: len(hanging.cancelled) == calls and not service.slots.running)
    await counted_as_cancelled(service)
    assert metric(service, "anabranch_running") == 0


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_leaving_the_queue_makes_room(serve: Serve) -> None:
    hanging = ScriptedChatModel(script=live.always("x"), delay=1000)
    service = Service(live.parts(DIRECT, hanging), Limits(max_concurrency=1, max_queue=1))
    url = serve(service=service)

    second_left = threading.Event()
    first = asyncio.create_task(leave(url, CHAT, when=second_left.is_set))
    await asyncio.to_thread(live.wait_until, lambda: hanging.begun)
    await leave(url, CHAT, when=lambda: service.slots.waiting)
    await asyncio.to_thread(live.wait_until, lambda: not service.slots.waiting)
    second_left.set()
    await first
    await asyncio.to_thread(live.wait_until, lambda: not service.slots.running and not service.slots.waiting)
    assert len(hanging.prompts) == 0
    assert len(hanging.cancelled) == 1


async def test_a_run_that_is_never_begun_ends_all_the_same() -> None:
    async def work(_: Any) -> None:
        raise AssertionError("cancelled before")

    run: Run[int] = Run(work, Slots(1, 1), 10)
    run.cancel()
    with pytest.raises(Stopped):
        await run.next()
    await run.aclose()


async def test_a_slow_reader_holds_up_the_work_and_not_the_memory() -> None:
    emitted = 0

    async def work(emit: Any) -> None:
        nonlocal emitted
        while True:
            await emit(emitted)
            emitted += 1

    run: Run[int] = Run(work, Slots(1, 1), 10)
    assert await run.next() == 0
    await asyncio.sleep(0.05)
    assert emitted < 200
    await run.aclose()


async def test_items_and_errors_come_in_order() -> None:
    async def work(emit: Any) -> None:
        await emit(1)
        raise TimeoutError("of something inside, not of the run")

    run: Run[int] = Run(work, Slots(1, 1), 10)
    assert await run.next() == 1
    with pytest.raises(TimeoutError, match="inside"):
        await run.next()
    await run.aclose()
