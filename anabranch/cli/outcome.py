"""What a run comes to: as JSON for programs, and as one line of tokens, time and cost for people."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anabranch.graphs.channels import plain
from anabranch.graphs.outcome import labels
from anabranch.plan import Answer, Plan, Source, Status, Usage

MAX_LABELS = 6
_STATUS_WORDS: Mapping[str, str] = {
    "partial": "partial: something is missing from this answer",
    "not_found": "not found: no look-up found an answer",
    "refused": "refused: the model would not answer",
    "failed": "failed: there is no answer",
}


@dataclass(frozen=True)
class Outcome:
    """The end of a run.

    Attributes:
        question: the question.
        answer: the final answer.
        status: how the question ended.
        sources: what the answer rests on.
        plan: all sub-questions that were asked.
        answers: their answers.
        usage: tokens and cost by role.
        seconds: wall time.
        cut: whether the answer was cut off, at a token limit or by its server.
    """

    question: str
    answer: str
    status: Status | None = None
    sources: Sequence[Source] = ()
    plan: Plan = field(default_factory=Plan)
    answers: Mapping[int, Answer] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)
    seconds: float = 0.0
    cut: bool = False

    @classmethod
    def of(cls, question: str, state: Mapping[str, Any], seconds: float) -> "Outcome":
        """Takes the outcome out of the planner's state."""
        ended = (state["answer"], state.get("status"), state.get("sources", ()))
        said = state["messages"][-1:]
        cut = any(message.response_metadata.get("finish_reason") == "length" for message in said)
        return cls(question, *ended, state["plan"], state["answers"], state["usage"], seconds, cut)

    @property
    def total(self) -> Usage:
        """Usage over all roles."""
        return sum(self.usage.values(), Usage())

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "question": self.question,
            "answer": self.answer,
            "status": self.status,
            "sources": [plain(source) for source in self.sources],
            "plan": plain(self.plan),
            "answers": [plain(answer) for answer in self.answers.values()],
            "usage": {**plain(dict(self.usage)), "total": plain(self.total)},
            "seconds": round(self.seconds, 3),
        }

    def sources_line(self) -> str:
        """Where the sources stand, in one line; empty if there are none to name."""
        shown = labels(self.sources)
        more = [f"{len(shown) - MAX_LABELS} more"] if len(shown) > MAX_LABELS else []
        return f"Sources: {' · '.join([*shown[:MAX_LABELS], *more])}" if shown else ""

    def status_line(self) -> str:
        """What the answer lacks, in one line; empty if it lacks nothing."""
        if self.status in ("answered", None):
            return ""
        why = ["it was cut off"] if self.cut else []
        why += [f"the answer of sub-question {a.id} was cut off" for a in self.answers.values() if a.cut]
        why += [f"sub-question {a.id} failed: {a.error}" for a in self.answers.values() if not a.ok]
        told = f" ({'; '.join(why)})" if why and self.status != "refused" else ""
        return f"{_STATUS_WORDS[self.status]}{told}"

    def line(self) -> str:
        """Tokens by role, seconds and cost."""
        roles = ", ".join(f"{role} {usage.total_tokens:,}" for role, usage in self.usage.items())
        return usage_line(self.total, self.seconds, roles)


def usage_line(usage: Usage, seconds: float, details: str = "") -> str:
    """Tokens, seconds and cost in one line; `about` where tokens are estimated."""
    tokens = f"{'about ' if usage.estimated else ''}{usage.total_tokens:,} tokens{f' ({details})' if details else ''}"
    return f"{tokens} · {seconds:.1f} s · {cost(usage.usd)}"


def cost(usd: float | None) -> str:
    """Dollars with as many digits as they need; `cost unknown` where a price is missing."""
    if usd is None:
        return "cost unknown"
    if not usd:
        return "$0"
    decimals = 2 if usd >= 1 else max(4, 1 - math.floor(math.log10(usd)))
    return f"${usd:.{decimals}f}"
