"""The stage `screen`: asks the solver, judges, and writes the training files and what made them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool

from anabranch.agents import prompts
from anabranch.agents.decomposer import GivenPlan
from anabranch.agents.models import RoleModel, resolve_model
from anabranch.batch.chat import Model, answered, elsewhere, name_of, spent
from anabranch.batch.files import digest, write_jsonl, write_manifest
from anabranch.batch.jobs import Job, Replies, Sampling, read_replies, run_jobs, write_jobs
from anabranch.config import Price
from anabranch.distill import outcomes as by_row
from anabranch.distill import screen
from anabranch.distill.datasets import Skipped
from anabranch.distill.selection import Selection, select
from anabranch.errors import ConfigurationError, ModelError, PlanError
from anabranch.graphs.planner import create_planner
from anabranch.options import Protocol
from anabranch.plan import SOLVE, Plan, Usage
from anabranch.tools import calculator

ALONE_SEED = 101


@dataclass(frozen=True)
class Screening:
    """How to screen.

    Attributes:
        samples: the solver's answers along each plan.
        alone: its answers without a plan; 0 to leave out when not to plan.
        temperature: of its answers, where there is more than one; a single one is greedy.
        max_tokens: of an answer.
        protocol: `guided` (one call along the plan), `per_node` (the planner runs the plan), or `auto`: guided unless
            the solver is the in-process model.
        selection: what to take.
        price: of the solver's tokens.
    """

    samples: int = 1
    alone: int = 4
    temperature: float = 0.7
    max_tokens: int = 512
    protocol: Protocol = "auto"
    selection: Selection = field(default_factory=Selection)
    price: Price | None = None

    def sampling(self, n: int, seed: int) -> Sampling:
        """Greedy for one sample, else at the temperature."""
        if n == 1:
            return Sampling(max_tokens=self.max_tokens)
        return Sampling(n=n, temperature=self.temperature, max_tokens=self.max_tokens, top_p=0.95, seed=seed)


async def run(
    questions: Path,
    plans: Path,
    work: Path,
    solver: Model | None,
    how: Screening,
    *,
    replies: Path | None = None,
) -> dict[str, Any]:
    """Screens plans; a run that was stopped goes on where it was.

    Args:
        questions: JSON lines with `id`, `question`, `answer`, and `meta.steps` where there is a worked solution.
        plans: JSON lines with `id` (the question's), `sample`, `plan` (as lines), and the plan's prompt as `messages`,
            if it had one.
        work: folder for what is made.
        solver: who answers; None or `batch:NAME` if `replies` has the answers, or if they are to be made elsewhere.
        how: how to screen.
        replies: answers to the prompts in `work/solver_requests.jsonl`, which such a call without them writes.

    Returns:
        The manifest, which is also in `work/screen.json`.

    Raises:
        DocumentError: a file cannot be read.
        ConfigurationError: no plan can be used.
        MissingReplyError: a prompt has no answer in `replies`.
        EndpointError: the solver failed; what it answered before is kept.
        BackendError: a file cannot be written.
    """
    skipped = Skipped()
    asked = screen.read_questions(questions, skipped.reasons)
    candidates = screen.read_candidates(plans, asked, skipped.reasons)
    _check(candidates, plans, questions, skipped)
    ids = dict.fromkeys(candidate.id for candidate in candidates)
    planned = screen.planned_jobs(asked, candidates)
    alone = screen.alone_jobs([asked[id_] for id_ in ids]) if how.alone else []
    if replies is None and (solver is None or elsewhere(solver)):
        batches = [(planned, how.sampling(how.samples, 1)), (alone, how.sampling(how.alone, ALONE_SEED))]
        return {"requests": write_jobs(work / "solver_requests.jsonl", batches, name_of(solver or "solver"))}
    known = {f"{c.id}/{c.sample}": (asked[c.id].question, screen.plan_of(c.plan)[0] or Plan()) for c in candidates}
    along, without = await _answers(work, planned, alone, solver, how, replies, known)
    tried = candidates, screen.judged(asked, candidates, along), screen.judged_alone(asked, without)
    facts = {
        "solver": f"replies in {replies}" if solver is None else name_of(solver),
        "inputs": {"questions": digest(questions), "plans": digest(plans)},
        "solver_took": spent([*along, *without], how.price),
    }
    return _written(work, asked, tried, how, facts, skipped)


def again(questions: Path, screened: Path, work: Path, how: Screening) -> dict[str, Any]:
    """Sorts plans that were screened before, without asking a solver; `how.selection` may differ.

    Args:
        questions: as in `run`.
        screened: an earlier screening's `screened.jsonl`, also as `.gz`.
        work: folder for what is made.
        how: how to take; how to ask is of no account.

    Returns:
        As `run`.

    Raises:
        DocumentError: a file cannot be read.
        ConfigurationError: no plan can be used.
        BackendError: a file cannot be written.
    """
    skipped = Skipped()
    asked = screen.read_questions(questions, skipped.reasons)
    tried = by_row.read(screened, asked, skipped.reasons)
    _check(tried[0], screened, questions, skipped)
    facts = {"solver": f"outcomes in {screened}", "inputs": {f.name: digest(f) for f in (questions, screened)}}
    return _written(work, asked, tried, how, facts, skipped)


def _check(candidates: Sequence[screen.Candidate], plans: Path, questions: Path, skipped: Skipped) -> None:
    if not candidates:
        reasons = "; ".join(f"{count} are {reason}" for reason, count in skipped.counts.items()) or "it is empty"
        raise ConfigurationError(f"no plan of {plans} can be used with {questions}: {reasons}")


def _written(
    work: Path,
    asked: Mapping[str, screen.Question],
    tried: tuple[list[screen.Candidate], list[screen.Outcome], dict[str, screen.Alone]],
    how: Screening,
    facts: Mapping[str, Any],
    skipped: Skipped,
) -> dict[str, Any]:
    """Writes outcomes, the training files and the manifest."""
    candidates, outcomes, alone = tried
    write_jsonl(work / "outcomes.jsonl", outcomes)
    write_jsonl(work / "screened.jsonl", by_row.kept(candidates, outcomes, alone))
    manifest = {
        "stage": "screen",
        "prompts": prompts.version(),
        "settings": {**asdict(how), "price": how.price.model_dump() if how.price else None},
        **facts,
        "results": _results(outcomes, list(alone.values())),
        "rows": select(asked, candidates, outcomes, alone, how.selection).write(work),
        "left_out": skipped.described,
    }
    write_manifest(work / "screen.json", manifest)
    return manifest


async def _answers(
    work: Path,
    planned: list[Job],
    alone: list[Job],
    solver: Model | None,
    how: Screening,
    replies: Path | None,
    plans: Mapping[str, tuple[str, Plan]],
) -> tuple[list[Replies], list[Replies]]:
    if replies is not None:
        return read_replies(replies, planned), read_replies(replies, alone) if alone else []
    if solver is None:
        return [], []
    resolved = resolve_model(solver, role="solver")
    per_node = how.protocol == "per_node" or (how.protocol == "auto" and resolved.small)
    along, without = how.sampling(how.samples, 1), how.sampling(how.alone, ALONE_SEED)
    if per_node:
        run = Runner(resolved, [calculator()], plans)
        done = await run_jobs(planned, work / "solver_run.jsonl", run, along, model=name_of(resolved), concurrency=4)
    else:
        done = await answered(planned, work / "solver_guided.jsonl", solver, role="solver", sampling=along)
    return (
        done,
        await answered(alone, work / "solver_alone.jsonl", solver, role="solver", sampling=without) if alone else [],
    )


def _results(outcomes: Sequence[screen.Outcome], alone: Sequence[screen.Alone]) -> dict[str, Any]:
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
