"""Counts what model calls consume, by role, and refuses the next call once a budget is used up."""

import math
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from anabranch.agents.limits import TimeIsUp, within
from anabranch.config import Budget, used_up
from anabranch.errors import BudgetExceededError
from anabranch.plan import Usage
from anabranch.scope import holding

T = TypeVar("T")
_current: ContextVar["Ledger | None"] = ContextVar("anabranch_ledger", default=None)

_NO_BUDGET = Budget()


class Ledger:
    """Usage by role. What is added to a ledger is added to its parent too.

    Args:
        used: what was consumed before.
        budget: limits; checked before each call.
        started_at: when the question came in, as `time.time()`.
        parent: the ledger this one is part of.

    Attributes:
        started_at: when the question came in.
        cut: whether a reply that was taken was cut off.
    """

    def __init__(
        self,
        used: Mapping[str, Usage] | None = None,
        *,
        budget: Budget | None = None,
        started_at: float | None = None,
        parent: "Ledger | None" = None,
    ) -> None:
        self.by_role = dict(used or {})
        self.started_at = time.time() if started_at is None else started_at
        self._parent = parent
        self.cut = False
        self._under_way: list[Usage] = []
        above = parent._limited if parent else ()
        self._limited: tuple[tuple[Ledger, Budget], ...] = ((self, budget), *above) if budget else above

    def add(self, role: str, usage: Usage) -> None:
        """Books a call."""
        known = self.by_role.get(role)
        self.by_role[role] = known + usage if known else usage
        if self._parent:
            self._parent.add(role, usage)

    @property
    def total(self) -> Usage:
        """Usage over all roles."""
        first, *others = [*self.by_role.values()] or [Usage()]
        return sum(others, first)

    def check(self) -> None:
        """Refuses to go on once a budget is used up.

        Raises:
            BudgetExceededError: a limit is reached, here or in a parent.
        """
        for one, budget in self._limited:
            budget.check(one._taken, one.started_at)

    @property
    def _taken(self) -> Usage:
        """What was consumed and what calls under way are expected to take."""
        taken = [*self.by_role.values(), *self._under_way]
        # A role without a known price counts as 0; it must not hide what the others cost.
        return sum(taken, Usage()).model_copy(update={"usd": sum(usage.usd or 0.0 for usage in taken)})

    @contextmanager
    def calling(self, expected: Callable[[], Usage]) -> Iterator[None]:
        """Counts a call as one that is under way for as long as it is.

        Args:
            expected: tells what it takes at least; asked where a budget counts tokens.

        Raises:
            BudgetExceededError: as `check`.
        """
        if not self._limited:
            yield
            return
        self.check()
        counted = any(budget.counts_tokens for _, budget in self._limited)
        least = expected() if counted else Usage(calls=1)
        for one, _ in self._limited:
            one._under_way.append(least)
        try:
            yield
        finally:
            for one, _ in self._limited:
                one._under_way.remove(least)

    @property
    def budget(self) -> Budget:
        """The limits of one call: of this ledger's budget, or the next parent's that has one."""
        return self._limited[0][1] if self._limited else _NO_BUDGET

    def tokens_left(self) -> float:
        """Tokens that the reply of a call under way may have; infinite without a limit."""
        return min((budget.tokens_left(one._taken) for one, budget in self._limited), default=math.inf)

    def seconds_left(self) -> float:
        """Seconds until the budget's time is up, here or in a parent; infinite without a limit, never below 0."""
        return min((budget.seconds_left(one.started_at) for one, budget in self._limited), default=math.inf)

    async def in_time(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits work, and ends it when the budget's time is up.

        Raises:
            BudgetExceededError: it was ended.
        """
        try:
            return await within(work, self.seconds_left())
        except TimeIsUp:
            raise self.time_is_up() from None

    def time_is_up(self) -> BudgetExceededError:
        """The error for work that was ended because the budget's time was up."""
        limits = (budget.max_seconds for _, budget in self._limited)
        return used_up("max_seconds", min((limit for limit in limits if limit), default=0))


def current() -> Ledger | None:
    """The ledger that the running code books on, if any."""
    return _current.get()


def booking(ledger: Ledger) -> AbstractContextManager[Ledger]:
    """Books all model calls made inside on `ledger`."""
    return holding(_current, ledger)
