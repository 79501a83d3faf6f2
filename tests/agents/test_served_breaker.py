"""The circuit breaker of a served decomposer, and what plans while its server is away."""

import asyncio
import sys

import pytest

from anabranch.agents.breaker import CircuitBreaker
from anabranch.agents.decomposer import (
    PlanRequest,
    decompose,
)
from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.resolve import resolve_decomposer
from anabranch.config import Budget
from anabranch.errors import BudgetExceededError, EndpointError, MissingExtraError
from tests.agents.served import CARDS, PLAN, REQUEST, Serve, scripted, served, texts
from tests.ports import nobody

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_server_that_keeps_failing_is_left_alone_for_a_while(serve: Serve) -> None:
    clock = Clock()
    server = serve((500, "no"), (500, "no"), (500, "no"), PLAN)
    breaker = CircuitBreaker("x", failures=2, pause=10, clock=clock)
    decomposer = served(server.url, breaker=breaker, fallback=scripted(*["1 [solve] Why?"] * 9))

    async def planned() -> tuple[list[str], int]:
        return texts(await decompose(decomposer, REQUEST)), len(server.requests)

    instead = ["Why?"]
    assert [await planned() for _ in range(4)] == [(instead, 1), (instead, 2), (instead, 2), (instead, 2)]
    clock.now = 10  # one goes through, and fails
    assert [await planned() for _ in range(2)] == [(instead, 3), (instead, 3)]
    clock.now = 20  # one goes through, and the server is back
    assert await planned() == (["Who?", "Is {1} old?"], 4)
    assert await planned() == (["Who?", "Is {1} old?"], 5)


async def test_without_a_fallback_it_fails_at_once(serve: Serve) -> None:
    server = serve((500, "no"))
    decomposer = served(server.url, breaker=CircuitBreaker("x", failures=1, clock=Clock()))
    with pytest.raises(EndpointError, match="the server failed"):
        await decompose(decomposer, REQUEST)
    with pytest.raises(EndpointError, match="keeps failing; it is tried again in 10 s"):
        await decompose(decomposer, REQUEST)
    assert len(server.requests) == 1


async def test_while_one_probes_the_others_do_not_wait(serve: Serve) -> None:
    clock = Clock()
    server = serve(PLAN, delay=0.3)
    breaker = CircuitBreaker("x", failures=1, pause=10, clock=clock)
    with nobody() as address:
        await decompose(served(address, breaker=breaker, fallback="direct"), REQUEST)
    clock.now = 10
    decomposer = served(server.url, breaker=breaker, fallback="direct")
    drafts = await asyncio.gather(*(decompose(decomposer, REQUEST) for _ in range(5)))
    assert [bool(draft.plan.sub_questions) for draft in drafts] == [True, False, False, False, False]
    assert len(server.requests) == 1
    assert breaker.state == "closed"


async def test_a_budget_that_is_used_up_is_no_outage(serve: Serve) -> None:
    server = serve(PLAN)
    decomposer = served(server.url, fallback="direct")
    with booking(Ledger(budget=Budget(max_seconds=1), started_at=0)), pytest.raises(BudgetExceededError):
        await decompose(decomposer, REQUEST)
    assert decomposer.breaker.state == "closed"


def test_the_fallback_to_the_in_process_model_needs_its_extra(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setattr("anabranch.agents.served.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'anabranch\[local\]'"):
        served(serve(PLAN).url, fallback="local")


@pytest.mark.model
async def test_the_in_process_model_takes_over() -> None:
    question = PlanRequest("Where was the founder of the Hollin Quay ferry born?", CARDS)
    expected = await decompose(resolve_decomposer("local"), question)
    with nobody() as address:
        draft = await decompose(served(address, fallback="local"), question)
    assert draft.plan == expected.plan
    assert draft.weak
    assert draft.notes[0].endswith("; the fallback planned instead")
