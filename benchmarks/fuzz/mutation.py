"""Cases made from seeds by chance, the same for the same number."""

import time
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.fuzz.targets import Target

_LONGEST = 4096


class Broken(Exception):  # noqa: N818
    """A case on which a target raised what it must not raise."""

    def __init__(self, number: int, data: bytes) -> None:
        super().__init__(f"case {number}: {shown(data)}")
        self.number = number
        self.data = data


def fuzz(target: "Target", cases: int, seed: int = 0) -> float:
    """Tries a target on so many cases; returns the seconds of the slowest.

    Raises:
        Broken: a case breaks it.
    """
    slowest = 0.0
    for number in range(cases):
        data = case(target, f"{seed}-{number}")
        start = time.perf_counter()
        try:
            target.run(data)
        except Exception as error:
            raise Broken(number, data) from error
        slowest = max(slowest, time.perf_counter() - start)
    return slowest


def case(target: "Target", seed: str) -> bytes:
    """A case: a seed with some changes, a mixture of two, or pieces alone."""
    random = Random(seed)
    data = bytearray(random.choice(target.seeds) if random.random() < 0.8 else b"")
    for _ in range(random.choice((1, 2, 3, 5, 8, 13))):
        _change(data, random, target)
    return bytes(data[:_LONGEST])


def _change(data: bytearray, random: Random, target: "Target") -> None:
    place, kind = random.randint(0, len(data)), random.random()
    end = min(len(data), place + random.choice((1, 2, 4, 16, 64)))
    if kind < 0.5:
        times = random.choice((1, 1, 1, 2, 3, 20)) if random.random() < 0.98 else 500
        data[place:place] = random.choice(target.pieces) * times
    elif kind < 0.65:
        del data[place:end]
    elif kind < 0.75:
        data[place:place] = data[place:end] * random.choice((1, 2, 5))
    elif kind < 0.85:
        data[place:end] = random.choice(target.pieces)
    elif kind < 0.95:
        data[place:end] = random.randbytes(end - place)
    else:
        other = random.choice(target.seeds)
        cut = random.randint(0, len(other))
        data[place:] = other[cut:]


def shown(data: bytes) -> str:
    """A case as Python writes it, cut where it is long."""
    return repr(data if len(data) < 400 else data[:400] + b"...")
