"""Counts what model calls consume, by role, and refuses the next call once a budget is used up."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from anabranch.config import Budget
from anabranch.plan import Usage

_current: ContextVar["Ledger | None"] = ContextVar("anabranch_ledger", default=None)


class Ledger:
    """Usage by role. What is added to a ledger is added to its parent too.

    Args:
        used: what was consumed before.
        budget: limits; checked before each call.
        started_at: when the question came in, as `time.time()`.
        parent: the ledger this one is part of.

    Attributes:
        started_at: when the question came in.
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
        self._budget = budget
        self.started_at = time.time() if started_at is None else started_at
        self._parent = parent

    def add(self, role: str, usage: Usage) -> None:
        """Books a call."""
        self.by_role[role] = self.by_role.get(role, Usage()) + usage
        if self._parent:
            self._parent.add(role, usage)

    @property
    def total(self) -> Usage:
        """Usage over all roles."""
        return sum(self.by_role.values(), Usage())

    def check(self) -> None:
        """Refuses to go on once a budget is used up.

        Raises:
            BudgetExceededError: a limit is reached, here or in a parent.
        """
        if self._budget:
            # A role without a known price counts as 0; it must not hide what the others cost.
            spent = sum(usage.usd or 0.0 for usage in self.by_role.values())
            self._budget.check(self.total.model_copy(update={"usd": spent}), self.started_at)
        if self._parent:
            self._parent.check()

    def seconds_left(self) -> float:
        """Seconds until the budget's time is up, here or in a parent; infinite without a limit, never below 0."""
        own = self._budget.seconds_left(self.started_at) if self._budget else math.inf
        return min(own, self._parent.seconds_left()) if self._parent else own


def current() -> Ledger | None:
    """The ledger that the running code books on, if any."""
    return _current.get()


@contextmanager
def booking(ledger: Ledger) -> Iterator[Ledger]:
    """Books all model calls made inside on `ledger`."""
    token = _current.set(ledger)
    try:
        yield ledger
    finally:
        _current.reset(token)
