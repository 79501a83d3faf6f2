"""The options that `ask` and `plan` share, as data. Light: no pydantic, no LangGraph."""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from anabranch.addresses import without_login
from anabranch.errors import ConfigurationError

PROTOCOLS = ("auto", "guided", "per_node")
MODES = ("static", "dynamic")


@dataclass(frozen=True)
class Options:
    """What a planner is built from. The names are those of the command line.

    Attributes:
        decomposer: model that writes plans; None for the in-process one, or the solver where that is not installed.
        solver: model that answers.
        tool: names of built-in tools, or MODULE:ATTRIBUTE; `none` alone for no tool.
        docs: files and folders for the search tool.
        mode: planning mode.
        protocol: how plans run.
        max_sub_questions: most sub-questions in a plan.
        max_replans: most plans after the first.
        timeout: seconds one sub-question may take.
        budget_tokens: most tokens for one question; None for no limit.
        budget_seconds: most seconds for one question; None for no limit.
        call_timeout: seconds one model call may take in all; None for the planner's default.
        max_answer_tokens: most tokens of one reply; None for the model's own limit, or the planner's default.
        grounded: whether nothing may be answered but what tools look up.
        price: IN,OUT of the solver, in dollars per million tokens; empty if not known.
        decomposer_price: the same of the decomposer.
        review: whether a person sees each plan first.
    """

    decomposer: str | None = None
    solver: str = "local"
    tool: tuple[str, ...] = ()
    docs: tuple[str, ...] = ()
    mode: str = "static"
    protocol: str = "auto"
    max_sub_questions: int = 8
    max_replans: int = 1
    timeout: float = 120.0
    budget_tokens: int | None = None
    budget_seconds: float | None = None
    call_timeout: float | None = None
    max_answer_tokens: int | None = None
    grounded: bool = False
    price: str = ""
    decomposer_price: str = ""
    review: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Options out of a mapping that may hold other things too; values that are None keep the default.

        Raises:
            ConfigurationError: a value that no planner can be built from.
        """
        known = {field.name for field in fields(cls)}
        taken = {name: value for name, value in values.items() if name in known and value is not None}
        lists = {name: tuple(value) for name, value in taken.items() if isinstance(value, list | tuple)}
        options = cls(**(taken | lists))
        options.check()
        return options

    def check(self) -> None:
        """Refuses what can be seen to be wrong before any model is loaded.

        Raises:
            ConfigurationError: an unknown mode or protocol, a limit out of range, or a price that is not IN,OUT.
        """
        for name, value, known in (("mode", self.mode, MODES), ("protocol", self.protocol, PROTOCOLS)):
            if value not in known:
                raise ConfigurationError(f"unknown {name} {value!r}; use one of: {', '.join(known)}")
        for name in ("max_sub_questions", "budget_tokens", "max_answer_tokens"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ConfigurationError(f"--{name.replace('_', '-')} is {number}; it must be at least 1")
        if self.max_replans < 0:
            raise ConfigurationError(f"--max-replans is {self.max_replans}; it must be at least 0")
        for name in ("timeout", "budget_seconds", "call_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:
                raise ConfigurationError(f"--{name.replace('_', '-')} is {seconds:g}; it must be more than 0 seconds")
        for price in (self.price, self.decomposer_price):
            price_of(price)

    def stored(self) -> dict[str, Any]:
        """The options as JSON-ready data for a thread: paths hold from any working directory, logins are left out."""
        paths = [str(Path(path).expanduser().absolute()) for path in self.docs]
        models = {name: value and without_login(value) for name, value in self._models().items()}
        return asdict(self) | {"tool": list(self.tool), "docs": paths, **models}

    def recalled(self, stored: Mapping[str, Any], given: Collection[str]) -> "Options":
        """These options, with those from `stored` in place of what was not `given` on the command line."""
        before = Options.of(stored)
        kept = {field.name: getattr(before, field.name) for field in fields(self) if field.name not in given}
        # The environment may name the same address with the login that the thread does not keep.
        now = {
            name: value for name, value in self._models().items() if value and without_login(value) == kept.get(name)
        }
        return replace(self, **{**kept, **now})

    def _models(self) -> dict[str, str | None]:
        return {"decomposer": self.decomposer, "solver": self.solver}


def price_of(text: str) -> tuple[float, float] | None:
    """Reads a price, `IN,OUT` in dollars per million tokens; None for an empty text.

    Raises:
        ConfigurationError: it has another form.
    """
    if not text:
        return None
    match = re.fullmatch(r"\s*(\d+|\d*\.\d+)\s*,\s*(\d+|\d*\.\d+)\s*", text)
    if match is None:
        raise ConfigurationError(f"the price {text!r} is not IN,OUT in dollars per million tokens, such as 0.15,0.60")
    return float(match[1]), float(match[2])
