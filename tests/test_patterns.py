"""No regular expression takes quadratic time: each is tried on texts that such a one cannot finish."""

import signal
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from tests.patterns import Use, attacks, uses

SMALL, FACTOR, LARGE, ATTACKS = 1_000, 4, 200_000, 400
SECONDS = 2.0
LENGTHS = {
    "_TWICE": 64,
    "_REPLAN_BEGUN": 120,
    "_PLAIN_CALCULATION": 300,
    "_SIGNED": 80,
    "_UNIT": 80,
    "_ADDED_PERCENT": 1000,
    "_EMPTY": 1000,
    "_NAME_INSIDE": 1000,
    "_REWORDING": 1000,
}
"""Patterns that are only applied to texts of some length: longer ones are cut, or refused, before."""


class _TooLongError(Exception):
    pass


def _ring(*_: object) -> None:
    raise _TooLongError


def _timed(apply: Callable[[Any], object], text: Any, limit: float = SECONDS) -> float:
    """Seconds of processor time that a pattern takes, at most the limit."""
    start = time.process_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    try:
        apply(text)
    except _TooLongError:
        return limit
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return time.process_time() - start


def _worst(use: Use) -> str:
    """The text on which a pattern takes too long, if there is one."""
    binary = isinstance(use.pattern.pattern, bytes)
    longest = LENGTHS.get(use.name, LARGE)

    def text(attack: tuple[str, str, str], length: int) -> Any:
        start, unit, end = attack
        made = start + unit * (length // len(unit)) + end
        return made.encode("latin-1", "replace") if binary else made

    for attack in islice(attacks(use.pattern), ATTACKS if longest == LARGE else ATTACKS // 10):
        # Only what grows faster than the text is tried at full length.
        small = _timed(use.apply, text(attack, SMALL), SECONDS / 10) if longest == LARGE else 1.0
        larger = _timed(use.apply, text(attack, min(longest, SMALL * FACTOR)), SECONDS / 10) if small > 0.0003 else 0.0
        if larger > 7 * min(small, SECONDS / 100) and _timed(use.apply, text(attack, longest)) >= SECONDS:
            return "{!r} + {!r} * n + {!r}".format(*attack)
    return ""


FOUND, UNKNOWN = uses()


def test_nearly_all_patterns_can_be_tried() -> None:
    assert len(FOUND) > 200
    assert len(UNKNOWN) <= 12, UNKNOWN


@pytest.mark.parametrize("use", FOUND, ids=lambda use: use.place)
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="patterns are stopped by a signal")
def test_no_pattern_takes_quadratic_time(use: Use) -> None:
    before = signal.signal(signal.SIGVTALRM, _ring)
    try:
        worst = _worst(use)
        assert not worst, f"{use.place}: {use.pattern.pattern!r} backtracks on {worst}"
    finally:
        signal.signal(signal.SIGVTALRM, before)
