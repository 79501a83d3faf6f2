"""Limits, prices and settings. Every setting can be given in the environment as `ANABRANCH_...`."""

import math
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from anabranch.errors import BudgetExceededError, ConfigurationError, QuestionError
from anabranch.plan import Usage
from anabranch.replies import whole_characters

PlanningMode = Literal["static", "dynamic"]
MODES: tuple[PlanningMode, ...] = ("static", "dynamic")
Protocol = Literal["auto", "guided", "per_node"]
AnswerForm = Literal["whole", "short"]
"""What the user gets: the model's whole answer, or the short one at its end, as graders want it."""
Fallback = Literal["local", "direct"]
"""Who plans when the server of the distilled decomposer is away: the in-process model, or nobody."""
MAX_QUESTION_CHARS = 20_000
LOCAL_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


class Settings(BaseSettings):
    """Settings read from the environment.

    Attributes:
        decomposer: who writes plans where nobody is named (`ANABRANCH_DECOMPOSER`); None as in `create_planner`.
        solver: who answers where nobody is named (`ANABRANCH_SOLVER`).
        decomposer_fallback: who plans when the server of the distilled decomposer is away, `local` or `direct`; a
            question fails then where nothing is said (`ANABRANCH_DECOMPOSER_FALLBACK`).
        docs: file or folder to search, for the graph that `langgraph.json` names (`ANABRANCH_DOCS`).
        cache_dir: where prepared models are kept (`ANABRANCH_CACHE_DIR`).
        local_model: hub id or folder of the in-process base model (`ANABRANCH_LOCAL_MODEL`).
        local_adapter: folder of the in-process decomposer's LoRA adapter, or `none`; the one that comes with the
            package where nothing is said (`ANABRANCH_LOCAL_ADAPTER`).
        local_solver_adapter: the same for the in-process solver (`ANABRANCH_LOCAL_SOLVER_ADAPTER`).
        threads: CPU threads for the in-process model; 0 takes half of what torch would, four at most
            (`ANABRANCH_THREADS`).
    """

    model_config = SettingsConfigDict(env_prefix="ANABRANCH_", env_ignore_empty=True)

    decomposer: str | None = None
    solver: str = "local"
    decomposer_fallback: Fallback | None = None
    docs: Path | None = None
    cache_dir: Path = Path("~/.cache/anabranch")
    local_model: str = LOCAL_MODEL
    local_adapter: str | None = None
    local_solver_adapter: str | None = None
    threads: int = Field(default=0, ge=0)

    @field_validator("cache_dir", "docs")
    @classmethod
    def _expanded(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value else value


def read_settings() -> Settings:
    """The settings from the environment.

    Raises:
        ConfigurationError: a variable has a value that does not fit.
    """
    try:
        return Settings()
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        name = f"ANABRANCH_{'_'.join(map(str, detail['loc']))}".upper()
        raise ConfigurationError(f"{name}={detail['input']!r}: {detail['msg']}; change or unset it") from error


class Price(BaseModel):
    """Price of a model in US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True)

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def of(self, usage: Usage) -> float:
        """Cost in US dollars of the tokens in `usage`."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / 1e6


class Budget(BaseModel):
    """Hard limits for one question. None means no limit.

    A model or tool call is not started once a limit is reached; a call that is under way is let finish, so
    the last call may overshoot. What was answered until then is joined.

    Attributes:
        max_tokens: tokens read and written, over all models.
        max_usd: cost; calls of models without a known price count as 0.
        max_seconds: wall time since the question came in.
        max_calls: model calls.
    """

    model_config = ConfigDict(frozen=True)

    max_tokens: int | None = Field(default=None, ge=1)
    max_usd: float | None = Field(default=None, gt=0)
    max_seconds: float | None = Field(default=None, gt=0)
    max_calls: int | None = Field(default=None, ge=1)

    def check(self, used: Usage, started_at: float) -> None:
        """Refuses to go on once a limit is reached.

        Args:
            used: what the question consumed so far.
            started_at: when it came in, as `time.time()`.

        Raises:
            BudgetExceededError: a limit is reached.
        """
        spent = {
            "max_tokens": (used.total_tokens, self.max_tokens),
            "max_usd": (used.usd or 0.0, self.max_usd),
            "max_seconds": (time.time() - started_at, self.max_seconds),
            "max_calls": (used.calls, self.max_calls),
        }
        for name, (value, limit) in spent.items():
            if limit is not None and value >= limit:
                raise BudgetExceededError(f"the budget is used up ({name}={limit:g}); raise it or ask less at once")

    def seconds_left(self, started_at: float) -> float:
        """Seconds until the time is up for a question that came in at `started_at`; infinite without a limit."""
        return math.inf if self.max_seconds is None else max(started_at + self.max_seconds - time.time(), 0.0)


def check_question(question: str) -> str:
    """Strips a question, makes its characters whole, and checks its length.

    Raises:
        QuestionError: it is empty, or longer than `MAX_QUESTION_CHARS`, white space counted, as in the OpenAPI schema.
    """
    stripped = whole_characters(question).strip()
    if not stripped:
        raise QuestionError("the question is empty; ask something")
    if len(question) > MAX_QUESTION_CHARS:
        raise QuestionError(
            f"the question has {len(question):,} characters, more than {MAX_QUESTION_CHARS:,}; "
            "shorten it, or put long material into documents (--docs FOLDER)"
        )
    return stripped


def check_mode(mode: str) -> PlanningMode:
    """The planning mode of this name.

    Raises:
        ConfigurationError: there is no such mode.
    """
    for known in MODES:
        if mode == known:
            return known
    raise ConfigurationError(f"unknown mode {mode!r}; use one of: {', '.join(MODES)}")
