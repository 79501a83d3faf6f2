"""What a run comes to: as JSON for programs, and as one line of tokens, time and cost for people."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anabranch.graphs.channels import plain
from anabranch.plan import Answer, Plan, Usage


@dataclass(frozen=True)
class Outcome:
    """The end of a run.

    Attributes:
        question: the question.
        answer: the final answer.
        plan: all sub-questions that were asked.
        answers: their answers.
        usage: tokens and cost by role.
        seconds: wall time.
    """

    question: str
    answer: str
    plan: Plan = field(default_factory=Plan)
    answers: Mapping[int, Answer] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def of(cls, question: str, state: Mapping[str, Any], seconds: float) -> "Outcome":
        """Takes the outcome out of the planner's state."""
        return cls(question, state["answer"], state["plan"], state["answers"], state["usage"], seconds)

    @property
    def total(self) -> Usage:
        """Usage over all roles."""
        return sum(self.usage.values(), Usage())

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "question": self.question,
            "answer": self.answer,
            "plan": plain(self.plan),
            "answers": [plain(answer) for answer in self.answers.values()],
            "usage": {**plain(dict(self.usage)), "total": plain(self.total)},
            "seconds": round(self.seconds, 3),
        }

    def line(self) -> str:
        """Tokens by role, seconds and cost."""
        roles = ", ".join(f"{role} {usage.total_tokens:,}" for role, usage in self.usage.items())
        return usage_line(self.total, self.seconds, roles)


def usage_line(usage: Usage, seconds: float, details: str = "") -> str:
    """Tokens, seconds and cost in one line."""
    tokens = f"{usage.total_tokens:,} tokens{f' ({details})' if details else ''}"
    return f"{tokens} · {seconds:.1f} s · {cost(usage.usd)}"


def cost(usd: float | None) -> str:
    """Dollars with as many digits as they need; `cost unknown` where a price is missing."""
    if usd is None:
        return "cost unknown"
    if not usd:
        return "$0"
    decimals = 2 if usd >= 1 else max(4, 1 - math.floor(math.log10(usd)))
    return f"${usd:.{decimals}f}"
