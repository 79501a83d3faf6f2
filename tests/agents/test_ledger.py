import asyncio
import math
import time

import pytest

from anabranch.agents.ledger import Ledger, booking, current
from anabranch.agents.models import RoleModel, call
from anabranch.agents.prompts import direct_messages
from anabranch.config import Budget, Price
from anabranch.errors import BudgetExceededError
from anabranch.plan import Usage
from tests.fakes import ScriptedChatModel

ONE = Usage(input_tokens=10, output_tokens=5, calls=1, usd=0.1)


def test_books_by_role() -> None:
    ledger = Ledger({"decomposer": ONE})
    ledger.add("solver", ONE)
    ledger.add("solver", ONE)
    assert ledger.by_role["decomposer"] == ONE
    assert ledger.by_role["solver"].calls == 2
    assert ledger.total.total_tokens == 45


def test_what_was_used_before_is_not_changed() -> None:
    used = {"solver": ONE}
    Ledger(used).add("solver", ONE)
    assert used == {"solver": ONE}


def test_a_part_books_on_the_whole() -> None:
    whole = Ledger({"decomposer": ONE})
    middle = Ledger(parent=whole)
    part = Ledger(parent=middle)
    part.add("solver", ONE)
    assert part.by_role == middle.by_role == {"solver": ONE}
    assert whole.by_role == {"decomposer": ONE, "solver": ONE}


def test_booking_nests_and_ends() -> None:
    assert current() is None
    with booking(Ledger()) as outer:
        with booking(Ledger(parent=outer)) as inner:
            assert current() is inner
        assert current() is outer
    assert current() is None


def test_booking_ends_after_an_error() -> None:
    with pytest.raises(KeyError), booking(Ledger()):
        raise KeyError
    assert current() is None


async def test_tasks_at_the_same_time_book_apart() -> None:
    async def work(role: str) -> Usage:
        with booking(Ledger(parent=current())) as ledger:
            await asyncio.sleep(0)
            own = current()
            assert own is ledger
            own.add(role, ONE)
            await asyncio.sleep(0)
            return ledger.total

    with booking(Ledger()) as whole:
        assert list(await asyncio.gather(work("a"), work("b"))) == [ONE, ONE]
    assert whole.by_role == {"a": ONE, "b": ONE}


@pytest.mark.parametrize(
    "budget", [Budget(max_calls=1), Budget(max_tokens=15), Budget(max_usd=0.1), Budget(max_seconds=30)]
)
def test_the_budget_counts_what_was_used_before(budget: Budget) -> None:
    with pytest.raises(BudgetExceededError):
        Ledger({"solver": ONE}, budget=budget, started_at=time.time() - 31).check()
    Ledger(budget=budget).check()


def test_a_part_is_held_to_the_budget_of_the_whole() -> None:
    whole = Ledger(budget=Budget(max_calls=2))
    part = Ledger(parent=Ledger(parent=whole))
    part.add("solver", ONE)
    part.check()
    whole.add("solver", ONE)
    with pytest.raises(BudgetExceededError):
        part.check()


def test_a_role_without_a_price_does_not_hide_what_the_others_cost() -> None:
    free = Usage(input_tokens=10, calls=1, usd=None)
    ledger = Ledger({"decomposer": free, "solver": ONE}, budget=Budget(max_usd=0.1))
    assert ledger.total.usd is None
    with pytest.raises(BudgetExceededError, match="max_usd"):
        ledger.check()
    Ledger({"decomposer": free}, budget=Budget(max_usd=0.1)).check()


async def test_no_call_is_made_once_the_budget_is_used_up() -> None:
    chat = ScriptedChatModel(script=["a", "b", "c"])
    model = RoleModel(chat, Price(input=1, output=1))
    with booking(Ledger(budget=Budget(max_calls=2))) as ledger:
        for _ in range(2):
            await call(model, direct_messages("Q?"), role="solver")
        for _ in range(2):
            with pytest.raises(BudgetExceededError):
                await call(model, direct_messages("Q?"), role="solver")
    assert len(chat.prompts) == 2
    assert ledger.total.calls == 2


async def test_without_a_ledger_calls_are_free() -> None:
    assert (await call(RoleModel(ScriptedChatModel(script=["a"])), direct_messages("Q?"), role="solver")).text == "a"


def test_seconds_left_are_those_of_the_shortest_budget() -> None:
    assert Ledger().seconds_left() == math.inf
    whole = Ledger(budget=Budget(max_seconds=30), started_at=time.time() - 10)
    assert 15 < Ledger(parent=Ledger(parent=whole)).seconds_left() <= 20
    assert 0 < Ledger(budget=Budget(max_seconds=5), parent=whole).seconds_left() <= 5
    assert Ledger(budget=Budget(max_seconds=5), started_at=time.time() - 10).seconds_left() == 0
