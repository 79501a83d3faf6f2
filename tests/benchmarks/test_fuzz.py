"""A short run of each fuzz target, the same cases every time; `python -m benchmarks.fuzz` tries millions."""

import pytest

from benchmarks.fuzz.mutation import Broken, case, fuzz
from benchmarks.fuzz.targets import TARGETS, Target

CASES = {"word": 30, "pdf": 60, "html": 150, "markdown": 100, "reply": 150, "text": 150}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("default")
def test_no_case_breaks_a_target(name: str) -> None:
    fuzz(TARGETS[name], CASES.get(name, 300))


def test_cases_are_the_same_for_the_same_seed_and_a_broken_one_is_told() -> None:
    def run(data: bytes) -> None:
        if b"{1}" in data:
            raise ZeroDivisionError

    target = Target(run, [b"seed"], [b"{1}", b"x"])
    assert [case(target, str(n)) for n in range(20)] == [case(target, str(n)) for n in range(20)]
    with pytest.raises(Broken, match=r"case \d+: b.*\{1\}"):
        fuzz(target, 100)
