"""Scores of decomposers on GSM8K, of routes on unseen catalogues, and of small solvers. Strict grading only.

A GSM8K answer counts when the reply's final answer, as users of the planner would see it, holds that one number.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anabranch.agents.answers import is_number, normalize
from anabranch.batch.jobs import Replies
from anabranch.codecs import decode_lines
from anabranch.errors import PlanError
from anabranch.plan import Plan
from anabranch.replies import final_answer


@dataclass(frozen=True)
class Score:
    """A share with its standard error.

    Attributes:
        right: how many were right.
        n: out of how many.
    """

    right: int
    n: int

    @property
    def percent(self) -> float:
        """The share, in percent."""
        return 100 * self.right / self.n if self.n else 0.0

    @property
    def standard_error(self) -> float:
        """Of the share, in percentage points (binomial)."""
        share = self.right / self.n if self.n else 0.0
        return 100 * math.sqrt(share * (1 - share) / self.n) if self.n else 0.0

    def __str__(self) -> str:
        return f"{self.percent:.1f} ± {self.standard_error:.1f} ({self.right}/{self.n})"


def score(right: Sequence[bool]) -> Score:
    """Counts."""
    return Score(sum(right), len(right))


def right_answer(reply: str, answer: str) -> bool:
    """Whether the final answer of a reply is the answer: that one number, or else the same words."""
    given = final_answer(reply)
    try:
        float(answer.replace(",", ""))
    except ValueError:
        return bool(normalize(given)) and normalize(given) == normalize(answer)
    return is_number(given, answer)


def read_plan(reply: str, routes: Sequence[str], most: int) -> Plan | None:
    """The plan of a reply, or None where it is not a valid one."""
    try:
        plan = decode_lines(reply)
        plan.check(routes, most)
    except PlanError:
        return None
    return plan


def same_routes(plan: Plan | None, wanted: Plan) -> tuple[int, int]:
    """Steps with the wanted route, and steps; a plan of another length has none right."""
    expected = [q.route for q in wanted.sub_questions]
    if plan is None or len(plan.sub_questions) != len(expected):
        return 0, max(1, len(expected))
    got = [q.route for q in plan.sub_questions]
    if not expected:
        return 1, 1
    return sum(a == b for a, b in zip(got, expected, strict=True)), len(expected)


def solver_right(source: str, reply: str, wanted: str, calculate: Any) -> bool:
    """Whether a small solver's reply is right: the same value for arguments, the same text otherwise."""
    if source == "arguments":
        try:
            got, expected = json.loads(reply), json.loads(wanted)
            return all(_same_value(got[name], expected[name], calculate) for name in expected)
        except Exception:
            return False
    return _plain(reply) == _plain(wanted)


def _same_value(got: str, wanted: str, calculate: Any) -> bool:
    left, right = (text.removeprefix("print(").removesuffix(")") if "print" in text else text for text in (got, wanted))
    return got == wanted or bool(calculate(left) == calculate(right))


def _plain(text: str) -> str:
    return re.sub(r"^(the|a|an) ", "", re.sub(r"[^\w\s]", "", text.lower()).strip())


def row_of(name: str, replies: Sequence[Replies], answers: Mapping[str, str]) -> dict[str, Any]:
    """One row of the GSM8K table."""
    right = [right_answer(reply.texts[0], answers[reply.id]) for reply in replies]
    result = score(right)
    return {
        "row": name,
        "percent": round(result.percent, 2),
        "standard_error": round(result.standard_error, 2),
        "right": result.right,
        "n": result.n,
        "output_tokens": sum(reply.output_tokens for reply in replies) / max(1, len(replies)),
        "cut_off": sum(not reply.finished[0] for reply in replies),
    }
