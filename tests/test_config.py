import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from anabranch.config import MAX_QUESTION_CHARS, Budget, Price, Settings, check_question
from anabranch.errors import BudgetExceededError, QuestionError
from anabranch.plan import Usage

SPENT = Usage(input_tokens=600, output_tokens=400, calls=3, usd=0.5)


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"max_tokens": 1000}, "max_tokens=1000"),
        ({"max_tokens": 1}, "max_tokens=1"),
        ({"max_usd": 0.5}, "max_usd=0.5"),
        ({"max_seconds": 60}, "max_seconds=60"),
        ({"max_calls": 3}, "max_calls=3"),
        ({"max_tokens": 5000, "max_calls": 2}, "max_calls=2"),
    ],
)
def test_a_limit_that_is_reached_stops(limits: dict[str, float], name: str) -> None:
    with pytest.raises(BudgetExceededError, match=name):
        Budget.model_validate(limits).check(SPENT, time.time() - 61)


@pytest.mark.parametrize(
    "limits",
    [{}, {"max_tokens": 1001}, {"max_usd": 0.51}, {"max_seconds": 120}, {"max_calls": 4}],
)
def test_below_its_limits_a_question_goes_on(limits: dict[str, float]) -> None:
    Budget.model_validate(limits).check(SPENT, time.time() - 61)


def test_an_unknown_cost_counts_as_nothing() -> None:
    Budget(max_usd=0.01).check(Usage(input_tokens=10**9, usd=None), time.time())


@pytest.mark.parametrize("name", ["max_tokens", "max_usd", "max_seconds", "max_calls"])
def test_a_limit_of_nothing_makes_no_sense(name: str) -> None:
    with pytest.raises(ValidationError):
        Budget.model_validate({name: 0})


def test_prices_are_for_a_million_tokens() -> None:
    assert Price(input=2, output=8).of(Usage(input_tokens=500_000, output_tokens=250_000)) == pytest.approx(3.0)
    assert Price(input=0, output=0).of(SPENT) == 0
    with pytest.raises(ValidationError):
        Price(input=-1, output=0)


def test_settings_have_defaults() -> None:
    settings = Settings()
    assert settings.local_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert settings.local_adapter is None
    assert settings.threads == 0


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_CACHE_DIR", "/tmp/cache")
    monkeypatch.setenv("ANABRANCH_LOCAL_MODEL", "/models/mine")
    monkeypatch.setenv("ANABRANCH_LOCAL_ADAPTER", "/models/adapter")
    monkeypatch.setenv("ANABRANCH_THREADS", "3")
    settings = Settings()
    assert settings.cache_dir == Path("/tmp/cache")
    assert settings.local_model == "/models/mine"
    assert settings.local_adapter == "/models/adapter"
    assert settings.threads == 3


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a compose file that passes on what may not be set; an empty path would mean the current folder."""
    defaults = Settings()
    for name in Settings.model_fields:
        monkeypatch.setenv(f"ANABRANCH_{name.upper()}", "")
    assert Settings() == defaults


def test_settings_refuse_what_they_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_THREADS", "-1")
    with pytest.raises(ValidationError, match="threads"):
        Settings()


@pytest.mark.parametrize(("question", "stripped"), [(" why? \n", "why?"), ("a\nb", "a\nb"), ("数", "数")])
def test_questions_are_stripped(question: str, stripped: str) -> None:
    assert check_question(question) == stripped


@pytest.mark.parametrize("question", ["", " ", "\n\t \u3000"])
def test_empty_questions_are_refused(question: str) -> None:
    with pytest.raises(QuestionError, match="empty"):
        check_question(question)


def test_long_questions_are_refused() -> None:
    assert len(check_question("x" * MAX_QUESTION_CHARS)) == MAX_QUESTION_CHARS
    with pytest.raises(QuestionError, match=r"100,000 characters, more than 20,000; .*--docs"):
        check_question("x" * 100_000)
    with pytest.raises(QuestionError, match=r"20,001 characters"):
        check_question("x" * MAX_QUESTION_CHARS + "\n")
