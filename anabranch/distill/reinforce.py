"""The stage `reinforce`: an adapter learns from what its own plans find.

A round draws several plans for each of some questions, runs them over one corpus with a frozen solver, and takes one
policy-gradient step on their rewards. Requests over tools may be among them, whose plans are compared with the right
ones. Every few rounds, greedy plans for tuning questions are run; the adapter of the round that did best there is the
stage's result.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from anabranch.agents.models import resolve_model
from anabranch.batch.chat import Model, name_of, opened
from anabranch.batch.examples import Example, Paragraph, search_over
from anabranch.batch.files import digest, write_manifest
from anabranch.distill.environment import Asking, Environment, answerable, corpus, read_questions
from anabranch.distill.options import Inputs
from anabranch.distill.plan_source import PlanSource, source_of
from anabranch.distill.policy import Drawn, Policy, merged
from anabranch.distill.recipes import Reinforcement
from anabranch.distill.requests import ToolRow, read_tool_rows
from anabranch.distill.rewards import NO_PLAN, Outcome, Reward, advantages, found_and_answered, rewards
from anabranch.distill.rounds import Rounds
from anabranch.distill.student import Student
from anabranch.distill.tokens import Read, Sample, tokenized
from anabranch.distill.train import check_rows
from anabranch.errors import ConfigurationError

logger = logging.getLogger(__name__)
Asked = TypeVar("Asked")


def reinforce(
    model: Path,
    adapter: Path,
    inputs: Inputs,
    out: Path,
    solver: Model,
    how: Reinforcement,
    *,
    decomposer: str | None = None,
    reward: Reward = found_and_answered,
    notes: Mapping[str, Any] | None = None,
) -> Path:
    """Reinforces an adapter; a run that was stopped goes on after its last round.

    Args:
        model: folder of the base model.
        adapter: folder of the adapter to go on from.
        inputs: the files.
        out: folder for the chosen adapter, the last one (`latest`), the state, the curve and `manifest.json`.
        solver: who answers sub-questions; it is not changed.
        how: how to reinforce.
        decomposer: address of a vLLM server that draws the plans, up to `/v1`; None to draw in this process.
        reward: what an outcome is worth. Groups for which it fails are left out, counted and told.
        notes: more fields of the manifest.

    Raises:
        DocumentError: a file cannot be read.
        ConfigurationError: the corpus has none of the supporting passages, the reward function fails for all plans of
            a round, a step does not fit into memory, or `out` holds another run.
        ModelUnavailableError: the base model or the adapter cannot be loaded.
        EndpointError: the solver or the decomposer's server failed.
        ModelError: the gradient is no longer a number.
        BackendError: a file cannot be written.
    """
    if out.resolve() == adapter.resolve():
        raise ConfigurationError(f"{out} is the adapter to start from; name another folder for the new one")
    world = _read(inputs)
    student = Student(model, how.base, adapter, recompute=how.recompute)
    replayed = _replayed(inputs.replay, student, how)
    stamp = {"adapter": digest(adapter / "adapter_model.safetensors"), **_stamp(inputs), "reward": _named(reward)}
    policy = Policy(student, how)
    rounds = Rounds(policy, out, {**asdict(how), "rounds": None, "max_seconds": None, **stamp})

    drawing = source_of(policy, decomposer, out / "drawn", tokens=how.plan_tokens, seed=how.seed)
    asyncio.run(_run(policy, world, replayed, rounds, drawing, solver, reward, how))
    facts = {
        "stage": "reinforce",
        "recipe": asdict(how),
        **student.described,
        "inputs": stamp,
        "solver": name_of(solver),
        **world.described,
        "replay": replayed.described if replayed else None,
    }
    write_manifest(out / "manifest.json", {**facts, **(notes or {}), **rounds.described})
    return out


def _stamp(inputs: Inputs) -> dict[str, str]:
    """Hashes of the files, by name."""
    paths = [*inputs.questions, *inputs.tune, *inputs.corpus, *([inputs.replay] if inputs.replay else [])]
    paths += [*inputs.requests, *inputs.tune_requests]
    return {f"{number}:{path.name}": digest(path) for number, path in enumerate(paths)}


async def _run(
    policy: Policy,
    world: "_World",
    replayed: Read | None,
    rounds: Rounds,
    drawing: AbstractAsyncContextManager[PlanSource],
    solver: Model,
    reward: Reward,
    how: Reinforcement,
) -> None:
    small = resolve_model(solver, role="solver").small
    async with opened(solver, "solver") as (ask, _, concurrency), drawing as source:
        environment = Environment(Asking(ask, concurrency), search_over(world.passages, how.passages), small=small)
        rows = [group[0] for group in replayed.groups] if replayed else []
        await _rounds(_Trainer(policy, source, environment, reward, how), rounds, world, rows)


@dataclass(frozen=True)
class _World:
    """What is asked and searched.

    Attributes:
        asked: training questions.
        tuned: tuning questions.
        passages: the corpus.
        absent: ids of questions whose supporting passages it lacks.
        requests: training requests over tools.
        tuned_requests: tuning requests.
        bad: by reason, rows of requests that were left out.
    """

    asked: Sequence[Example]
    tuned: Sequence[Example]
    passages: Sequence[Paragraph]
    absent: Sequence[str]
    requests: Sequence[ToolRow]
    tuned_requests: Sequence[ToolRow]
    bad: Mapping[str, Sequence[str]]

    @property
    def described(self) -> dict[str, Any]:
        lost = {"supporting passages not in the corpus": self.absent, **self.bad}
        left_out = {reason: {"rows": len(places), "first": places[:5]} for reason, places in lost.items()}
        counts = {"questions": len(self.asked), "tuning_questions": len(self.tuned), "passages": len(self.passages)}
        asked = {"requests": len(self.requests), "tuning_requests": len(self.tuned_requests)}
        return {**counts, **asked, "left_out": left_out}


def _read(inputs: Inputs) -> _World:
    asked, tuned = read_questions(inputs.questions), read_questions(inputs.tune)
    held = {example.question for example in tuned}
    asked = [example for example in asked if example.question not in held]
    if not asked:
        raise ConfigurationError("every training question is a tuning question, too; give other files")
    passages = corpus(inputs.corpus, [*asked, *tuned])
    (asked, absent), (tuned, absent_tuned) = answerable(asked, passages), answerable(tuned, passages)
    lost = [*absent, *absent_tuned]
    if lost:
        logger.warning("the corpus lacks supporting passages of %d questions, which are left out", len(lost))
    bad: dict[str, list[str]] = {}
    requests, held_back = (read_tool_rows(paths, bad) for paths in (inputs.requests, inputs.tune_requests))
    return _World(asked, tuned, passages, lost, requests, held_back, bad)


def _named(reward: Reward) -> str:
    return f"{getattr(reward, '__module__', '')}:{getattr(reward, '__qualname__', type(reward).__name__)}"


async def _rounds(trainer: "_Trainer", rounds: Rounds, world: _World, rows: Sequence[Sample]) -> None:
    how, started = trainer.how, time.monotonic() - rounds.seconds
    await trainer.source.take(rounds.done)
    if not rounds.rows:
        rounds.keep({"round": 0, **await trainer.tuned(world)}, time.monotonic() - started)
    while rounds.done < how.rounds:
        seconds = time.monotonic() - started
        if how.max_seconds is not None and seconds >= how.max_seconds:
            rounds.stopped = "out of time"
            return
        number = rounds.done + 1
        chosen = questions_of(world.asked, how.questions_a_round, number, how.seed)
        requests = questions_of(world.requests, how.requests_a_round if world.requests else 0, number, how.seed)
        random = Random(f"{how.seed}/{number}")  # noqa: S311 - repeatable on purpose
        row = await trainer.round(chosen, requests, random.sample(rows, min(len(rows), how.replay_rows)))
        await trainer.source.take(number)
        if number % how.evaluate_every == 0 or number == how.rounds:
            row |= await trainer.tuned(world)
        rounds.problems += trainer.problems
        trainer.problems = []
        rounds.keep({"round": number, **row}, time.monotonic() - started)
    rounds.stopped = "done"


@dataclass
class _Trainer:
    """One round, and what goes into it.

    Attributes:
        problems: why groups were left out.
    """

    policy: Policy
    source: PlanSource
    environment: Environment
    reward: Reward
    how: Reinforcement
    problems: list[str] = field(default_factory=list)

    async def round(
        self, chosen: Sequence[Example], requests: Sequence[ToolRow], rows: Sequence[Sample]
    ) -> dict[str, float]:
        """Draws, runs, rates and steps; the curve's columns for it."""
        began = time.monotonic()
        how = self.how
        groups, planned = await asyncio.gather(
            self._outcomes(chosen, how.samples, how.temperature), self._planned(requests, how.samples, how.temperature)
        )
        drawn, kept, left_out = [], [], 0
        for group in groups:
            found, problem = await asyncio.to_thread(rewards, [outcome for _, outcome in group], self.reward)
            if found is None:
                left_out += 1
                self.problems.append(problem)
                continue
            kept += [(value, outcome) for value, (_, outcome) in zip(found, group, strict=True)]
            shares = advantages(found)
            drawn += [replace(plan, advantage=share) for share, (plan, _) in zip(shares, group, strict=True)]
        if not kept:
            raise ConfigurationError(
                f"no plan of a round has a reward: {self.problems[-1]}; mend the reward function and run again"
            )
        if left_out:
            logger.warning("%d of %d questions left out: %s", left_out, len(groups), self.problems[-1])
        for plans in planned:
            shares = advantages([value for _, value in plans])
            drawn += [replace(plan, advantage=share) for share, (plan, _) in zip(shares, plans, strict=True)]
        distinct = merged(drawn)
        drawing = time.monotonic() - began
        told = self.policy.step(distinct, rows) if distinct or rows else {}
        return {
            **{"plans": len(drawn), "distinct": len(distinct), "left_out": left_out},
            "no_plan": sum(outcome.plan is None for _, outcome in kept),
            **_rewards([value for value, _ in kept], planned),
            **_means([outcome for _, outcome in kept]),
            **told,
            **{"drawing_seconds": drawing, "step_seconds": time.monotonic() - began - drawing},
        }

    async def tuned(self, world: _World) -> dict[str, float]:
        """Greedy plans of the tuning questions and requests; the curve's columns for them."""
        groups, planned = await asyncio.gather(
            self._outcomes(world.tuned, 1, 0.0), self._planned(world.tuned_requests, 1, 0.0)
        )
        outcomes = [group[0][1] for group in groups]
        found = []
        for outcome in outcomes:
            value, problem = rewards([outcome], self.reward)
            found += value or []
            self.problems += [problem] if problem else []
        if not found:
            raise ConfigurationError(f"no plan has a reward: {self.problems[-1]}; mend the reward function")
        means = {**_rewards(found, planned), **_means(outcomes)}
        logger.info("tuning questions: reward %.4f, recall %.3f", means["reward"], means["recall"])
        return {f"tune_{name}": value for name, value in means.items()}

    async def _planned(
        self, requests: Sequence[ToolRow], samples: int, temperature: float
    ) -> list[list[tuple[Drawn, float]]]:
        """For each request its plans with what they are worth."""
        prompts = [request.prompt for request in requests]
        written = await self.source.draw(prompts, samples, temperature) if prompts else []
        found = []
        for request, replies in zip(requests, written, strict=True):
            drawn = [Drawn(request.prompt, *each, advantage=0.0) for each in replies]
            found.append([(each, request.worth(each.text, finished=each.finished)) for each in drawn])
        return found

    async def _outcomes(
        self, chosen: Sequence[Example], samples: int, temperature: float
    ) -> list[list[tuple[Drawn, Outcome]]]:
        """For each question its plans with their outcomes; a plan that was drawn twice runs once."""
        prompts = [self.environment.prompt(example.question) for example in chosen]
        written = await self.source.draw(prompts, samples, temperature)

        async def group(example: Example, prompt: Any, replies: Sequence[tuple[str, bool]]) -> Any:
            run = self.environment.run
            distinct = {each: asyncio.ensure_future(run(example, each[0], finished=each[1])) for each in replies}
            await asyncio.gather(*distinct.values())
            return [(Drawn(prompt, *each, advantage=0.0), distinct[each].result()) for each in replies]

        return list(await asyncio.gather(*map(group, chosen, prompts, written)))


def questions_of(questions: Sequence[Asked], count: int, number: int, seed: int) -> list[Asked]:
    """The questions of a round: the next ones of all in random order, then of all in another order, and so on.

    Args:
        questions: all.
        count: how many in a round.
        number: the round, from 1.
        seed: of the orders.
    """
    chosen: list[Asked] = []
    place = (number - 1) * count
    while len(chosen) < count:
        epoch, start = divmod(place, len(questions))
        order = list(questions)
        Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 - repeatable on purpose
        part = order[start : start + count - len(chosen)]
        chosen += part
        place += len(part)
    return chosen


def _replayed(path: Path | None, student: Student, how: Reinforcement) -> Read | None:
    if path is None or not how.replay_rows:
        return None
    read = tokenized(path, student.tokenizer, ["completion"], how.max_tokens)
    check_rows({path: read})
    return read


def _rewards(questions: Sequence[float], planned: Sequence[Sequence[tuple[Drawn, float]]]) -> dict[str, float]:
    """The mean reward of questions, that of requests, and, as `reward`, their sum."""
    if not planned:
        return {"reward": _mean(questions)}
    worth = [value for plans in planned for _, value in plans]
    wrong = sum(value == NO_PLAN for value in worth)
    both = _mean(questions) + _mean(worth)
    return {"reward": both, "request_reward": _mean(worth), "request_no_plan": wrong}


def _means(outcomes: Sequence[Outcome]) -> dict[str, float]:
    recalls = [outcome.recall for outcome in outcomes if outcome.recall is not None]
    return {
        "recall": _mean(recalls),
        "f1": _mean([outcome.f1 for outcome in outcomes]),
        "last_f1": _mean([outcome.last_f1 for outcome in outcomes]),
        "steps": _mean([float(outcome.steps) for outcome in outcomes]),
        "passages": _mean([float(len(outcome.found)) for outcome in outcomes]),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
