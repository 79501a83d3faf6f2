"""Limits, prices and settings. Every setting can be given in the environment as `ANABRANCH_...`."""

import json
import math
import os
import time
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from anabranch.bounds import CALL_SECONDS
from anabranch.characters import whole_characters
from anabranch.errors import BudgetExceededError, ConfigurationError, QuestionError
from anabranch.options import LOCAL_MODEL, PlannerSettings, declared, price_of
from anabranch.plan import Usage

Fallback = Literal["local", "direct"]
"""Who plans when the server of the distilled decomposer is away: the in-process model, or nobody."""
MAX_QUESTION_CHARS = 20_000
LAST_ANSWER_TOKENS = 64
"""Tokens that a reply may have although the budget has fewer left: with less, its call would be of no use."""


class Settings(BaseSettings):
    """Settings of the process, read from the environment. Those of a planner are in `planner_settings`.

    Attributes:
        decomposer_fallback: who plans when the server of the distilled decomposer is away, `local` or `direct`; a
            question fails then where nothing is said (`ANABRANCH_DECOMPOSER_FALLBACK`).
        cache_dir: where prepared models are kept (`ANABRANCH_CACHE_DIR`).
        local_model: hub id, folder or GGUF file of the in-process base model (`ANABRANCH_LOCAL_MODEL`).
        local_context: most tokens of prompt and output together, for which memory is taken as they are needed; 0
            takes what the model was made for, which is also the most (`ANABRANCH_LOCAL_CONTEXT`).
        local_adapter: folder of the in-process decomposer's LoRA adapter, or `none`; the one that comes with the
            package where nothing is said (`ANABRANCH_LOCAL_ADAPTER`).
        local_solver_adapter: the same for the in-process solver (`ANABRANCH_LOCAL_SOLVER_ADAPTER`).
        threads: CPU threads for the in-process model; 0 writes with half of the processors, four at most, and reads
            prompts with all, eight at most; for models of a billion weights or more it takes what llama.cpp would
            (`ANABRANCH_THREADS`).
    """

    model_config = SettingsConfigDict(env_prefix="ANABRANCH_", env_ignore_empty=True)

    decomposer_fallback: Fallback | None = None
    cache_dir: Path = Path("~/.cache/anabranch")
    local_model: str = LOCAL_MODEL
    local_context: int = Field(default=8192, ge=0)
    local_adapter: str | None = None
    local_solver_adapter: str | None = None
    threads: int = Field(default=0, ge=0)

    @field_validator("cache_dir")
    @classmethod
    def _expanded(cls, value: Path) -> Path:
        return value.expanduser()


def read_settings() -> Settings:
    """The settings from the environment.

    Raises:
        ConfigurationError: a variable has a value that does not fit.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise _unusable(error) from error


def planner_settings() -> PlannerSettings:
    """The options of a planner from the environment, each `ANABRANCH_` with its name; lists are JSON, or one value.

    Raises:
        ConfigurationError: a variable has a value that does not fit.
    """
    options = {option.variable: option for option in declared(PlannerSettings) if os.environ.get(option.variable)}
    given = {
        option.name: _listed(variable) if option.many else os.environ[variable] for variable, option in options.items()
    }
    try:
        read = TypeAdapter(PlannerSettings).validate_python(given)
    except ValidationError as error:
        raise _unusable(error) from error
    read.check(attrgetter("variable"))
    return read


def _listed(variable: str) -> Any:
    value = os.environ[variable]
    if not value.startswith("["):
        return [value]
    try:
        return json.loads(value)
    except ValueError as error:
        raise ConfigurationError(f"{variable}={value!r} is no JSON list; change or unset it") from error


def _unusable(error: ValidationError) -> ConfigurationError:
    detail = error.errors(include_url=False)[0]
    name = f"ANABRANCH_{detail['loc'][0]}".upper()
    return ConfigurationError(f"{name}={detail['input']!r}: {detail['msg']}; change or unset it")


class Price(BaseModel):
    """Price of a model in US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True)

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The price in a text, `IN,OUT`; None for an empty one.

        Raises:
            ConfigurationError: it has another form.
        """
        price = price_of(text)
        return cls(input=price[0], output=price[1]) if price else None

    def of(self, usage: Usage) -> float:
        """Cost in US dollars of the tokens in `usage`."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / 1e6


class Budget(BaseModel):
    """Hard limits for one question, and for each model call of it.

    No model or tool call is started once one of the first four limits is reached. Then what was answered until then is
    joined, without a model; where nothing was, `BudgetExceededError` is raised. None means no limit.

    What a server does not tell of its usage is estimated from the texts, and so is what calls under way will read;
    such a `Usage` is marked as `estimated`.

    Attributes:
        max_tokens: tokens read and written, over all models. A reply may write what is left of them, but always
            `LAST_ANSWER_TOKENS`; calls under way at the same time may together exceed it by what they write.
        max_usd: cost; calls of models without a known price count as 0. The calls under way may exceed it.
        max_seconds: wall time since the question came in, waiting for a person and retries included. It ends model
            calls and tool calls that are under way. A tool that is a synchronous function cannot be stopped: it is not
            waited for.
        max_calls: model calls, those under way included. It is never exceeded; a client's retries are not counted.
        call_timeout: seconds that one model call may take in all, from connecting to the last byte, retries included.
            A call that takes longer fails with `CallTimeoutError`; a sub-question whose call does so has failed.
        max_answer_tokens: most tokens of one reply, thoughts included. None: as many as the model itself is set to, or
            `ANSWER_TOKENS` where it is set to nothing. A lower limit of the model's own stands. Passed on to models
            with a known field for it, which nearly all LangChain models have; others are held by their time alone.
    """

    model_config = ConfigDict(frozen=True)

    max_tokens: int | None = Field(default=None, ge=1)
    max_usd: float | None = Field(default=None, gt=0)
    max_seconds: float | None = Field(default=None, gt=0)
    max_calls: int | None = Field(default=None, ge=1)
    call_timeout: float = Field(default=CALL_SECONDS, gt=0)
    max_answer_tokens: int | None = Field(default=None, ge=1)

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how many tokens are used."""
        return self.max_tokens is not None or self.max_usd is not None

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
                raise used_up(name, limit)

    def seconds_left(self, started_at: float) -> float:
        """Seconds until the time is up for a question that came in at `started_at`; infinite without a limit."""
        return math.inf if self.max_seconds is None else max(started_at + self.max_seconds - time.time(), 0.0)

    def tokens_left(self, used: Usage) -> float:
        """Tokens that the next reply may have; infinite without a limit. `used` has what is under way, too."""
        return math.inf if self.max_tokens is None else max(self.max_tokens - used.total_tokens, LAST_ANSWER_TOKENS)


def used_up(name: str, limit: float) -> BudgetExceededError:
    """The error for a budget of which one limit is reached."""
    return BudgetExceededError(f"the budget is used up ({name}={limit:g}); raise it or ask less at once")


def check_question(question: str) -> str:
    """Strips a question, makes its characters whole, and checks its length.

    Raises:
        QuestionError: it is empty, or longer than `MAX_QUESTION_CHARS`, white space counted, as in the OpenAPI schema.
    """
    if len(question) > MAX_QUESTION_CHARS:
        raise QuestionError(
            f"the question has {len(question):,} characters, more than {MAX_QUESTION_CHARS:,}; "
            "shorten it, or put long material into documents (--docs FOLDER)"
        )
    stripped = whole_characters(question).strip()
    if not stripped:
        raise QuestionError("the question is empty; ask something")
    return stripped
