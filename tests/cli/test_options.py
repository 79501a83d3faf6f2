"""Options: their checks, and how a thread remembers them."""

import json
from pathlib import Path

import pytest

from anabranch.cli.options import Options
from anabranch.cli.outcome import cost, usage_line
from anabranch.config import Budget
from anabranch.errors import ConfigurationError
from anabranch.graphs.build import build_budget
from anabranch.options import price_of
from anabranch.plan import Usage


@pytest.mark.parametrize(
    ("text", "price"), [("", None), ("0.15,0.6", (0.15, 0.6)), (" 1 , .5 ", (1.0, 0.5)), ("0,0", (0, 0))]
)
def test_prices(text: str, price: tuple[float, float] | None) -> None:
    assert price_of(text) == price


@pytest.mark.parametrize("text", ["1", "1,2,3", "a,b", "1,nan", "1,inf", "-1,1", "$1,$2"])
def test_prices_of_another_form(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not IN,OUT"):
        price_of(text)


def test_a_thread_remembers_what_is_not_given_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    first = Options.of({"solver": "openai:x", "tool": ["a:b"], "docs": ["papers"], "mode": "dynamic", "other": 1})
    stored = json.loads(json.dumps(first.stored()))
    second = Options.of({"solver": "openai:y", "mode": "static"}).recalled(stored, {"solver", "thread"})
    assert second == Options(solver="openai:y", tool=("a:b",), docs=(str(tmp_path / "papers"),), mode="dynamic")
    assert Options().recalled({}, ()) == Options()


def test_costs_are_readable() -> None:
    assert [cost(usd) for usd in (None, 0, 12.3456, 0.12345, 0.000123, 7.2e-07)] == [
        "cost unknown",
        "$0",
        "$12.35",
        "$0.1235",
        "$0.00012",
        "$0.00000072",
    ]
    assert usage_line(Usage(input_tokens=1000, output_tokens=234), 1.26) == "1,234 tokens · 1.3 s · $0"
    guessed = Usage(input_tokens=1000, output_tokens=234, estimated=True)
    assert usage_line(guessed, 1.26) == "about 1,234 tokens · 1.3 s · $0"


def test_limits_become_a_budget() -> None:
    assert build_budget(Options()) == Budget()
    limits = {"budget_tokens": 9, "budget_seconds": 2.5, "call_timeout": 1.5, "max_answer_tokens": 7}
    expected = Budget(max_tokens=9, max_seconds=2.5, call_timeout=1.5, max_answer_tokens=7)
    assert build_budget(Options.of(limits)) == expected
