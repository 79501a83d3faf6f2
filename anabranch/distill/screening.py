"""The stage `screen`: asks the solver, judges, and writes the training files and what made them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool

from anabranch.agents import prompts
from anabranch.agents.decomposer import GivenPlan
from anabranch.agents.models import RoleModel, resolve_model
from anabranch.batch.chat import answered, elsewhere, name_of, spent
from anabranch.batch.files import digest, write_jsonl, write_manifest
from anabranch.batch.jobs import Job, Replies, Sampling, read_replies, run_jobs, write_jobs
from anabranch.config import Price
from anabranch.distill import outcomes as by_row
from anabranch.distill import screen as judging
from anabranch.distill.datasets import Skipped
from anabranch.distill.options import ScreenOptions, Selection
from anabranch.distill.selection import select
from anabranch.errors import ConfigurationError, ModelError, PlanError
from anabranch.graphs.planner import create_planner
from anabranch.plan import SOLVE, Plan, Usage
from anabranch.tools import calculator

ALONE_SEED = 101


async def screen(how: ScreenOptions) -> dict[str, Any]:
    """Screens plans; a run that was stopped goes on where it was.

    Args:
        how: how to screen which plans. What is made goes into `how.work`. With `how.screened`, nobody is asked: what
            was screened before is sorted again, and only `Selection` counts.

    Returns:
        The manifest, which is also in `work/screen.json`.

    Raises:
        DocumentError: a file cannot be read.
        ConfigurationError: there are no plans, or two sources of them, or no plan can be used.
        MissingReplyError: a prompt has no answer in `replies`.
        EndpointError: the solver failed; what it answered before is kept.
        BackendError: a file cannot be written.
    """
    if how.screened is not None:
        if how.plans is not None or how.solver is not None or how.replies is not None:
            raise ConfigurationError("--screened has plans and outcomes; leave out --plans, --solver and --replies")
        return _again(how, how.screened)
    if how.plans is None:
        raise ConfigurationError("there are no plans; give --plans, or --screened with those of an earlier screening")
    return await _run(how, how.plans)


async def _run(how: ScreenOptions, plans: Path) -> dict[str, Any]:
    skipped, solver = Skipped(), how.solver
    asked = judging.read_questions(how.questions, skipped.reasons)
    candidates = judging.read_candidates(plans, asked, skipped.reasons)
    _check(candidates, plans, how.questions, skipped)
    ids = dict.fromkeys(candidate.id for candidate in candidates)
    planned = judging.planned_jobs(asked, candidates)
    alone = judging.alone_jobs([asked[id_] for id_ in ids]) if how.alone else []
    if how.replies is None and (solver is None or elsewhere(solver)):
        batches = [(planned, _along(how)), (alone, _without(how))]
        return {"requests": write_jobs(how.work / "solver_requests.jsonl", batches, name_of(solver or "solver"))}
    known = {f"{c.id}/{c.sample}": (asked[c.id].question, judging.plan_of(c.plan)[0] or Plan()) for c in candidates}
    along, without = await _answers(planned, alone, how, known)
    tried = candidates, judging.judged(asked, candidates, along), judging.judged_alone(asked, without)
    facts = {
        "solver": f"replies in {how.replies}" if solver is None else name_of(solver),
        "inputs": {"questions": digest(how.questions), "plans": digest(plans)},
        "solver_took": spent([*along, *without], Price.read(how.price)),
    }
    return _written(asked, tried, how, facts, skipped)


def _again(how: ScreenOptions, screened: Path) -> dict[str, Any]:
    skipped = Skipped()
    asked = judging.read_questions(how.questions, skipped.reasons)
    tried = by_row.read(screened, asked, skipped.reasons)
    _check(tried[0], screened, how.questions, skipped)
    facts = {"solver": f"outcomes in {screened}", "inputs": {f.name: digest(f) for f in (how.questions, screened)}}
    return _written(asked, tried, how, facts, skipped)


def _along(how: ScreenOptions) -> Sampling:
    return Sampling.of(how.samples, how.temperature, how.max_tokens, 1)


def _without(how: ScreenOptions) -> Sampling:
    return Sampling.of(how.alone, how.temperature, how.max_tokens, ALONE_SEED)


def _check(candidates: Sequence[judging.Candidate], plans: Path, questions: Path, skipped: Skipped) -> None:
    if not candidates:
        reasons = "; ".join(f"{count} are {reason}" for reason, count in skipped.counts.items()) or "it is empty"
        raise ConfigurationError(f"no plan of {plans} can be used with {questions}: {reasons}")


def _written(
    asked: Mapping[str, judging.Question],
    tried: tuple[list[judging.Candidate], list[judging.Outcome], dict[str, judging.Alone]],
    how: ScreenOptions,
    facts: Mapping[str, Any],
    skipped: Skipped,
) -> dict[str, Any]:
    """Writes outcomes, the training files and the manifest."""
    candidates, outcomes, alone = tried
    work = how.work
    write_jsonl(work / "outcomes.jsonl", outcomes)
    write_jsonl(work / "screened.jsonl", by_row.kept(candidates, outcomes, alone))
    manifest = {
        "stage": "screen",
        "prompts": prompts.version(),
        "settings": _settings(how),
        **facts,
        "results": _results(outcomes, list(alone.values())),
        "rows": select(asked, candidates, outcomes, alone, how).write(work),
        "left_out": skipped.described,
    }
    write_manifest(work / "screen.json", manifest)
    return manifest


def _settings(how: ScreenOptions) -> dict[str, Any]:
    price = Price.read(how.price)
    return {
        **{name: getattr(how, name) for name in ("samples", "alone", "temperature", "max_tokens", "protocol")},
        "selection": {field.name.removesuffix("_kept"): getattr(how, field.name) for field in fields(Selection)},
        "price": price and price.model_dump(),
    }


async def _answers(
    planned: list[Job], alone: list[Job], how: ScreenOptions, plans: Mapping[str, tuple[str, Plan]]
) -> tuple[list[Replies], list[Replies]]:
    work, solver = how.work, how.solver
    if how.replies is not None:
        return read_replies(how.replies, planned), read_replies(how.replies, alone) if alone else []
    if solver is None:
        return [], []
    resolved = resolve_model(solver, role="solver")
    per_node = how.protocol == "per_node" or (how.protocol == "auto" and resolved.small)
    along, without = _along(how), _without(how)
    if per_node:
        run = Runner(resolved, [calculator()], plans)
        done = await run_jobs(planned, work / "solver_run.jsonl", run, along, model=name_of(resolved), concurrency=4)
    else:
        done = await answered(planned, work / "solver_guided.jsonl", solver, role="solver", sampling=along)
    return (
        done,
        await answered(alone, work / "solver_alone.jsonl", solver, role="solver", sampling=without) if alone else [],
    )


def _results(outcomes: Sequence[judging.Outcome], alone: Sequence[judging.Alone]) -> dict[str, Any]:
    tried = [outcome for outcome in outcomes if outcome.of]
    return {
        "plans": len(outcomes),
        "tried": len(tried),
        "ok": sum(outcome.ok for outcome in tried),
        "right_with_a_plan": round(sum(outcome.share for outcome in tried) / max(1, len(tried)), 4),
        "right_alone": round(sum(each.share for each in alone) / max(1, len(alone)), 4),
        "questions_with_a_right_plan": len({outcome.id for outcome in tried if outcome.ok}),
        "questions": len({outcome.id for outcome in outcomes}),
        "leaking": sum(bool(outcome.leak) for outcome in outcomes),
        "repeating": sum(bool(outcome.repeats) for outcome in outcomes),
        "not_in_the_format": sum(bool(outcome.format) for outcome in outcomes),
    }


@dataclass(frozen=True)
class Runner:
    """Answers jobs as the planner would: it runs each plan, sub-question by sub-question.

    For solvers that are too small to be guided by a whole plan (see `graphs/protocol.py`), and for plans with look-ups.

    Attributes:
        solver: who answers the sub-questions.
        tools: the tools there are; a step that needs another one is reasoned about instead.
        plans: question and plan by the job's id.
    """

    solver: RoleModel
    tools: Sequence[BaseTool]
    plans: Mapping[str, tuple[str, Plan]]

    async def __call__(self, job: Job, sampling: Sampling) -> Replies:
        """Runs the plan of one job, once for each sample; a run that fails is an empty reply.

        Raises:
            EndpointError: the solver could not be reached, refused, or failed.
        """
        question, plan = self.plans[job.id]
        planner = create_planner(
            decomposer=GivenPlan(self._routed(plan)),
            solver=self.solver,
            tools=self.tools,
            gate="always",
            protocol="per_node",
            max_replans=0,
            answer_form="short",
        )
        texts, read, written = [], 0, 0
        for _ in range(sampling.n):
            try:
                result = await planner.ainvoke({"messages": [HumanMessage(question)]})
            except (ModelError, PlanError):
                texts.append("")
                continue
            texts.append(f"Answer: {result['answer']}")
            used = sum(result["usage"].values(), Usage())
            read, written = read + used.input_tokens, written + used.output_tokens
        return Replies(id=job.id, texts=texts, finished=[True] * len(texts), input_tokens=read, output_tokens=written)

    def _routed(self, plan: Plan) -> Plan:
        known = {tool.name for tool in self.tools}
        steps = (q if q.route in known else q.model_copy(update={"route": SOLVE}) for q in plan.sub_questions)
        return Plan(sub_questions=tuple(steps))
