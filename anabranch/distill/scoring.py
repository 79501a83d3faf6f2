"""Scores: a decomposer's plans on GSM8K by guided answers, its routes on unseen catalogues, and small solvers."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anabranch.agents import prompts
from anabranch.batch.chat import Model, answered
from anabranch.batch.files import read_jsonl, write_manifest
from anabranch.batch.jobs import Job, Replies, Sampling
from anabranch.codecs import LineGrammar, decode_lines
from anabranch.distill.drawing import PLAN_TOKENS, plan_job
from anabranch.distill.options import ScorePlansOptions, ScoreRoutesOptions, ScoreSolverOptions
from anabranch.distill.records import MAX_SUB_QUESTIONS
from anabranch.distill.render import as_messages
from anabranch.errors import PlanError
from anabranch.grading import right_answer
from anabranch.plan import Plan
from anabranch.tools.calculator import calculate

SOLVE_TOKENS = 512


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


async def plans_of(
    rows: Sequence[dict[str, Any]], decomposer: Model, out: Path, *, examples: bool = False
) -> tuple[dict[str, Plan | None], list[Replies]]:
    """Plans of a decomposer for questions, with the calculator in its catalogue; greedy, held to the grammar.

    Args:
        rows: `id` and `question`.
        decomposer: who writes them.
        out: file for its replies.
        examples: whether its prompt has worked examples.
    """
    jobs = [plan_job(str(row["id"]), row["question"], ["calculator"], examples=examples) for row in rows]
    replies = await answered(jobs, out, decomposer, role="decomposer", sampling=Sampling(max_tokens=PLAN_TOKENS))
    made = {r.id: read_plan(r.texts[0], ["calculator"], MAX_SUB_QUESTIONS) for r in replies}
    return made, replies


async def guided(
    name: str, rows: Sequence[dict[str, Any]], plans: dict[str, Plan | None], solver: Model, out: Path
) -> dict[str, Any]:
    """Answers along plans, one greedy call each; a missing or empty plan is a direct call."""
    jobs = []
    for row in rows:
        plan = plans.get(str(row["id"]))
        guide = plan and not plan.is_direct
        messages = (
            prompts.guided_messages(row["question"], plan)
            if plan and guide
            else prompts.direct_messages(row["question"])
        )
        jobs.append(Job(id=str(row["id"]), messages=as_messages(messages)))
    replies = await answered(jobs, out, solver, role="solver", sampling=Sampling(max_tokens=SOLVE_TOKENS))
    result = row_of(name, replies, {str(row["id"]): row["answer"] for row in rows})
    planned = [plan for plan in plans.values() if plan]
    return result | {
        "plans": len(plans),
        "valid_plans": len(planned),
        "direct_plans": sum(plan.is_direct for plan in planned),
        "sub_questions": sum(len(plan.sub_questions) for plan in planned) / max(1, len(planned)),
    }


async def routes(how: ScoreRoutesOptions) -> dict[str, Any]:
    """Route accuracy on catalogues that training never showed; keeps the result in `how.out/routes.json`."""
    rows, out = list(read_jsonl(how.rows)), how.out / "routes_replies.jsonl"
    jobs = [
        Job(id=row["id"], messages=row["messages"], pattern=LineGrammar(row["routes"], MAX_SUB_QUESTIONS).pattern)
        for row in rows
    ]
    replies = await answered(jobs, out, how.decomposer, role="decomposer", sampling=Sampling(max_tokens=PLAN_TOKENS))
    steps = total = whole = valid = aligned = 0
    for row, reply in zip(rows, replies, strict=True):
        plan, wanted = read_plan(reply.texts[0], row["routes"], MAX_SUB_QUESTIONS), Plan(**row["plan"])
        valid += plan is not None
        right, of = same_routes(plan, wanted)
        kinds = {q.route for q in plan.sub_questions} if plan else set()
        whole += plan is not None and kinds == {q.route for q in wanted.sub_questions}
        if plan is not None and len(plan.sub_questions) == len(wanted.sub_questions):
            steps, total, aligned = steps + right, total + of, aligned + 1
    result = {
        "valid": str(Score(valid, len(rows))),
        "same_set_of_routes": str(Score(whole, len(rows))),
        "same_length": str(Score(aligned, len(rows))),
        "steps_routed_right_where_same_length": str(Score(steps, total)),
    }
    write_manifest(how.out / "routes.json", result)
    return result


async def small_solver(how: ScoreSolverOptions) -> dict[str, str]:
    """Shares of right replies of a small solver, by kind of prompt; keeps them in `how.out/solver.json`."""
    rows, out = [{**row, "id": str(n)} for n, row in enumerate(read_jsonl(how.rows))], how.out / "solver_replies.jsonl"
    jobs = [Job(id=row["id"], messages=row["messages"]) for row in rows]
    replies = await answered(jobs, out, how.solver, role="solver", sampling=Sampling(max_tokens=96))
    right: dict[str, list[bool]] = {}
    for row, reply in zip(rows, replies, strict=True):
        good = solver_right(row["source"], reply.texts[0].strip(), row["completion"], calculate)
        right.setdefault(row["source"], []).append(good)
    result = {source: str(score(values)) for source, values in right.items()}
    write_manifest(how.out / "solver.json", result)
    return result


def teacher_plans(path: Path) -> dict[str, Plan | None]:
    """The teacher's plans by row id, out of `demonstrations.jsonl`."""
    plans: dict[str, Plan | None] = {}
    for row in read_jsonl(path):
        lines = [{"id": n, "text": step["text"]} for n, step in enumerate(row["steps"], 1)]
        plans[row["id"]] = Plan.model_validate({"sub_questions": lines})
    return plans


async def plans(how: ScorePlansOptions) -> dict[str, Any]:
    """Scores a decomposer's plans on GSM8K rows by what a solver makes of them; keeps the result in `out/NAME.json`."""
    name, out, limit, decomposer = how.name, how.out, how.limit, how.decomposer
    rows = list(read_jsonl(how.data))
    rows = rows[:limit] if limit is None or limit >= 0 else rows[limit:]
    made: dict[str, Plan | None] = {}
    if decomposer is not None and decomposer.endswith(".jsonl"):
        known = teacher_plans(Path(decomposer))
        rows = [row for row in rows if row["id"] in known]
        made = {row["id"]: known[row["id"]] for row in rows}
    elif decomposer is not None:
        made, _ = await plans_of(rows, decomposer, out / f"{name}_plans.jsonl", examples=how.examples)
    result = await guided(name, rows, made, how.solver, out / f"{name}_answers.jsonl")
    write_manifest(out / f"{name}.json", result)
    return result


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
