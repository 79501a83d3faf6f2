"""What a run comes to: grades, differences, tokens, cost, latency and flags, by system."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anabranch.batch.examples import Example
from anabranch.errors import ConfigurationError
from anabranch.evals import plans
from anabranch.evals.engine import grades
from anabranch.evals.intervals import Difference, Mean, mean, paired_difference
from anabranch.evals.records import Described, Manifest, Record, RunFolder, Tokens
from anabranch.evals.tasks import find_task
from anabranch.evals.tasks.task import Task
from anabranch.replies import final_answer


@dataclass(frozen=True)
class Graded:
    """A record with its example and grades."""

    record: Record
    example: Example
    scores: Mapping[str, float]

    @property
    def total_tokens(self) -> int:
        """Tokens of all calls."""
        return sum(part.input + part.output for part in (self.record.decomposing, self.record.solving))


@dataclass(frozen=True)
class Money:
    """Dollars; None where a price is not known."""

    decomposing: float | None
    solving: float | None

    @property
    def total(self) -> float | None:
        """Both."""
        return None if self.decomposing is None or self.solving is None else self.decomposing + self.solving


@dataclass(frozen=True)
class SystemSummary:
    """One row of the report.

    Attributes:
        system: the system.
        graded: its records, by example id.
        missing: questions without a record: not run yet, or waiting for a batch.
        metrics: mean grades, in per cent.
        versus: difference of the headline metric to the baseline, in points; None for the baseline itself.
        decomposing: tokens of calls that wrote plans, over all questions.
        solving: tokens of all other calls.
        money: what they cost.
        seconds: median and 95th percentile of the wall time, and of how many questions; None where none was timed.
        flags: how many answers were odd, and how.
        plans: measures of the plans; empty where the system does not plan.
    """

    system: Described
    graded: Mapping[str, Graded]
    missing: int
    metrics: Mapping[str, Mean]
    versus: Difference | None
    decomposing: Tokens
    solving: Tokens
    money: Money
    seconds: tuple[float, float, int] | None
    flags: Mapping[str, int]
    plans: Mapping[str, Mean]

    @property
    def n(self) -> int:
        """Questions with a record."""
        return len(self.graded)

    @property
    def tokens_each(self) -> float:
        """Tokens a question, over all roles."""
        parts = (self.decomposing, self.solving)
        return sum(part.input + part.output for part in parts) / self.n if self.n else math.nan

    @property
    def usd_each(self) -> float | None:
        """Dollars a question."""
        total = self.money.total
        return None if total is None or not self.n else total / self.n


@dataclass(frozen=True)
class Summary:
    """A whole run."""

    manifest: Manifest
    task: Task
    examples: Mapping[str, Example]
    systems: Sequence[SystemSummary]
    baseline: str | None
    paper_grading: bool = False
    notes: Sequence[str] = field(default=())

    def short(self, system: SystemSummary) -> str:
        """The system's name; with its models where that alone is not enough."""
        names = [other.system.name for other in self.systems]
        return system.system.name if names.count(system.system.name) == 1 else system.system.label

    def find(self, label: str) -> SystemSummary | None:
        """The system of this label."""
        return next((each for each in self.systems if each.system.label == label), None)

    @property
    def in_dollars(self) -> bool:
        """Whether costs compare in dollars: all prices are known, and not all are nothing."""
        known = [system.usd_each for system in self.systems if system.n]
        return None not in known and any(known)

    def cost(self, system: SystemSummary) -> float:
        """What a question costs, in dollars or tokens."""
        return (system.usd_each or 0.0) if self.in_dollars else system.tokens_each

    def at_equal_cost(self, system: SystemSummary) -> tuple[SystemSummary, Difference] | None:
        """The best system without a plan that costs no more, and the difference to it on the same questions.

        It is chosen on the same questions, which favours it a little. None where nothing is as cheap.
        """
        mine = self.cost(system)
        cheap = [
            other
            for other in self.systems
            if other is not system and other.n and not other.plans and 0 < self.cost(other) <= mine
        ]
        if not system.n or not cheap:
            return None
        metric = self.task.metric
        best = max(cheap, key=lambda other: other.metrics[metric].value)
        pairs = [
            (row.scores[metric], best.graded[id_].scores[metric])
            for id_, row in system.graded.items()
            if id_ in best.graded
        ]
        found = paired_difference([100 * a for a, _ in pairs], [100 * b for _, b in pairs], seed=self.manifest.seed)
        return best, found

    def hurt(self, system: SystemSummary) -> list[tuple[Graded, Graded]]:
        """Questions that the baseline got right and the system lost, each with both records, ours first."""
        metric = self.task.metric
        return [pair for pair in self._pairs(system) if pair[1].scores[metric] == 1 and pair[0].scores[metric] < 1]

    def helped(self, system: SystemSummary) -> list[tuple[Graded, Graded]]:
        """The other way round."""
        metric = self.task.metric
        return [pair for pair in self._pairs(system) if pair[0].scores[metric] == 1 and pair[1].scores[metric] < 1]

    def _pairs(self, system: SystemSummary) -> list[tuple[Graded, Graded]]:
        base = self.find(self.baseline) if self.baseline else None
        if base is None or base is system:
            return []
        return [(system.graded[id_], base.graded[id_]) for id_ in system.graded if id_ in base.graded]


def summarize(folder: RunFolder, *, baseline: str | None = None, paper_grading: bool = False) -> Summary:
    """Grades the records of a run and adds them up.

    Args:
        folder: the run.
        baseline: label or name of the system to compare with; chain of thought by default, or else the first.
        paper_grading: add the lenient grades of the paper's released code, as another metric.

    Raises:
        ConfigurationError: there is no such run or baseline.
    """
    manifest, records = folder.manifest(), folder.records()
    task = find_task(manifest.task)
    examples = {example.id: example for example in folder.examples()}
    chosen = baseline_of(manifest.systems, baseline)
    graded: dict[str, dict[str, Graded]] = {}
    for system in manifest.systems:
        mine = ((id_, records.get((system.fingerprint, id_))) for id_ in examples)
        graded[system.label] = {
            id_: _graded(task, record, examples[id_], paper_grading) for id_, record in mine if record
        }
    base = graded.get(chosen.label, {}) if chosen else {}
    rows = [
        _row(system, graded[system.label], len(examples), task, manifest.seed, None if system is chosen else base)
        for system in manifest.systems
    ]
    return Summary(manifest, task, examples, rows, chosen.label if chosen else None, paper_grading)


def baseline_of(systems: Sequence[Described], wanted: str | None) -> Described | None:
    """The system that the others are compared with: by its label or name, or else chain of thought or the first.

    Raises:
        ConfigurationError: there is no such system.
    """
    if wanted is None:
        return next((system for system in systems if system.name == "cot"), systems[0] if systems else None)
    for system in systems:
        if wanted in (system.label, system.name):
            return system
    known = ", ".join(system.label for system in systems)
    raise ConfigurationError(f"the run has no system {wanted!r}; use one of: {known}")


def _graded(task: Task, record: Record, example: Example, paper: bool) -> Graded:
    # Read out of the reply again: a better reading, or grade, needs no new run.
    read = record.model_copy(update={"answer": final_answer(record.reply)})
    return Graded(read, example, _scores(task, read, example, paper))


def _scores(task: Task, record: Record, example: Example, paper: bool) -> dict[str, float]:
    scores = grades(task, record, example)
    if paper and task.paper_grade:
        scores["paper"] = float(record.error is None and task.paper_grade(record.reply, example))
    searched = record.retrieved or record.plan is not None or "calls" in record.extra
    if example.supporting and searched:
        wanted = set(example.supporting)
        scores["recall"] = len(wanted.intersection(record.retrieved)) / len(wanted)
    return scores


def _row(
    system: Described,
    graded: Mapping[str, Graded],
    total: int,
    task: Task,
    seed: int,
    base: Mapping[str, Graded] | None,
) -> SystemSummary:
    rows = list(graded.values())
    names = dict.fromkeys(name for row in rows for name in row.scores)
    metrics = {name: mean([100 * row.scores[name] for row in rows if name in row.scores]) for name in names}
    versus = _difference(graded, base, task.metric, seed) if base else None
    decomposing = sum((row.record.decomposing for row in rows), Tokens())
    solving = sum((row.record.solving for row in rows), Tokens())
    times = sorted(row.record.seconds for row in rows if row.record.seconds is not None)
    return SystemSummary(
        system=system,
        graded=graded,
        missing=total - len(rows),
        metrics=metrics,
        versus=versus,
        decomposing=decomposing,
        solving=solving,
        money=Money(*system.usd(decomposing, solving)),
        seconds=(statistics.median(times), times[math.ceil(0.95 * len(times)) - 1], len(times)) if times else None,
        flags=Counter(flag for row in rows for flag in row.record.flags),
        plans=plans.measures([(row.record, row.example) for row in rows]),
    )


def _difference(ours: Mapping[str, Graded], theirs: Mapping[str, Graded], metric: str, seed: int) -> Difference:
    """In points, on the questions that both have."""
    both = [id_ for id_ in ours if id_ in theirs]
    left, right = ([100 * side[id_].scores[metric] for id_ in both] for side in (ours, theirs))
    return paired_difference(left, right, seed=seed)
