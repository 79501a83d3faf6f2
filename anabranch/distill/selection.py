"""From outcomes to training files: the sets S_D-T and S_D-R, negatives, preference pairs, and when not to plan."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from anabranch.agents import prompts
from anabranch.batch.files import write_jsonl
from anabranch.codecs import DIRECT, decode_lines, encode_lines
from anabranch.distill.catalogues import Offer, random_offer
from anabranch.distill.options import Selection
from anabranch.distill.records import Demonstration, Kind, Step
from anabranch.distill.render import as_messages, plan_over, wanted_tools
from anabranch.distill.screen import Alone, Candidate, Outcome, Question, better_alone, held_out
from anabranch.plan import SOLVE

KINDS: Mapping[str, Kind] = {"calculator": "arithmetic", "search": "fact", "python": "python", SOLVE: "logic"}
"""By a plan's routes, what its steps ask for: so that a step can be routed anew over another tool catalogue."""
ALIKE = 0.95
"""Plans that share so much of their words make no pair."""

Row = dict[str, Any]


@dataclass
class Taken:
    """The rows, by the file they belong to; held-out ones have files of their own (`sd_r_tune`, ...)."""

    files: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, name: str, row: Row, *, tune: bool = False) -> None:
        """Adds a row."""
        self.files.setdefault(f"{name}_tune" if tune else name, []).append(row)

    def write(self, work: Path) -> dict[str, int]:
        """Writes all files into a folder, also empty ones; returns the number of rows of each.

        Raises:
            BackendError: a file cannot be written.
        """
        names = [f"{name}{end}" for name in ("sd_t", "sd_r", "pairs") for end in ("", "_tune")]
        return {
            name: write_jsonl(work / f"{name}.jsonl", self.files.get(name, ()))
            for name in [*names, "negatives", "direct"]
        }


def select(
    questions: Mapping[str, Question],
    candidates: Sequence[Candidate],
    outcomes: Sequence[Outcome],
    alone: Mapping[str, Alone],
    how: Selection,
) -> Taken:
    """Sorts plans into the training files.

    Args:
        questions: by id.
        candidates: the plans.
        outcomes: theirs, in the same order.
        alone: what the solver made of the questions without a plan, where that was tried.
        how: what to take.
    """
    taken = Taken()
    by_question: dict[str, list[tuple[Candidate, Outcome]]] = {}
    for candidate, outcome in zip(candidates, outcomes, strict=True):
        by_question.setdefault(candidate.id, []).append((candidate, outcome))
    for id_, tried in by_question.items():
        _Sorter(questions[id_], tried, alone.get(id_), how, taken).sort()
    return taken


class _Sorter:
    """The plans of one question."""

    def __init__(
        self,
        question: Question,
        tried: Sequence[tuple[Candidate, Outcome]],
        alone: Alone | None,
        how: Selection,
        taken: Taken,
    ) -> None:
        self.question, self.alone, self.how, self.taken = question, alone, how, taken
        self.tune = held_out(question.id, how.held_out)
        self.tried = [(c, o) for c, o in tried if not o.format and c.plan != DIRECT]
        outcomes = [outcome for _, outcome in self.tried]
        self.direct = how.direct and alone is not None and better_alone(outcomes, alone, how.direct_least)
        ordered = sorted(self.tried, key=lambda item: (-item[1].share, len(item[0].plan)))
        self.right = [item for item in ordered if item[1].ok and item[1].usable]
        self.wrong = [item for item in reversed(ordered) if item[1].of and not item[1].ok]

    def sort(self) -> None:
        for candidate, outcome in self.tried:
            if outcome.usable:
                self._add("sd_t", candidate)
        for _, outcome in self.wrong:
            self.taken.add("negatives", outcome.model_dump())
        if self.direct:
            self._add("sd_r", None)
        else:
            for candidate, _ in self.right[: self.how.plans_kept]:
                self._add("sd_r", candidate)
        if self.alone is not None:
            row = {"id": self.question.id, "right": self.alone.right, "of": self.alone.of, "direct": self.direct}
            self.taken.add("direct", row)
        made = set[str]()
        for better, worse in [*self._pairs(), *self._stop_pairs(), *self._direct_pairs()]:
            names = ">".join(DIRECT if plan is None else str(plan.sample) for plan in (better, worse))
            if names in made:  # a plan that repeats itself may be the wrong one of a pair already
                continue
            made.add(names)
            messages, texts = self._written(better, worse)
            row = {"id": f"{self.question.id}/{names}", "messages": messages}
            self.taken.add("pairs", {**row, "chosen": texts[0], "rejected": texts[1]}, tune=self.tune)

    def _add(self, name: str, candidate: Candidate | None) -> None:
        messages, (text,) = self._written(candidate)
        sample = DIRECT if candidate is None else candidate.sample
        row = {"id": f"{self.question.id}/{sample}", "source": "screened", "messages": messages, "completion": text}
        self.taken.add(name, row, tune=self.tune)

    def _pairs(self) -> list[tuple[Candidate | None, Candidate | None]]:
        """Right plans against wrong ones: the widest gap first, then those that differ most; each plan rarely."""
        if self.direct:
            return []
        found = [
            (-(r.share - w.share), _alike(right.plan, wrong.plan), right, wrong)
            for (right, r), (wrong, w) in product(self.right, self.wrong)
            if r.share - w.share >= self.how.margin
        ]
        left = sorted((item for item in found if item[1] < ALIKE), key=lambda item: item[:2])
        chosen: list[tuple[Candidate | None, Candidate | None]] = []
        used: dict[int, int] = {}
        while left and len(chosen) < self.how.pairs:
            best = min(left, key=lambda item: used.get(item[2].sample, 0) + used.get(item[3].sample, 0))
            left.remove(best)
            for plan in best[2:]:
                used[plan.sample] = used.get(plan.sample, 0) + 1
            chosen.append((best[2], best[3]))
        return chosen

    def _stop_pairs(self) -> Iterator[tuple[Candidate | None, Candidate | None]]:
        """The best plan against the one that repeats itself most, whatever came of that: when to stop."""
        going_on = max(self.tried, key=lambda item: len(item[1].repeats), default=None)
        if not self.direct and self.right and going_on and going_on[1].repeats:
            yield self.right[0][0], going_on[0]

    def _direct_pairs(self) -> Iterator[tuple[Candidate | None, Candidate | None]]:
        """DIRECT against the plan that hurts most, or the best plan against DIRECT."""
        if self.alone is None or not self.alone.of or not self.how.direct:
            return
        if self.direct and self.wrong and self.alone.share - self.wrong[0][1].share >= self.how.margin:
            yield None, self.wrong[0][0]
        if not self.direct and self.right and self.right[0][1].share - self.alone.share >= self.how.margin:
            yield self.right[0][0], None

    def _written(self, *candidates: Candidate | None) -> tuple[list[dict[str, str]], list[str]]:
        """The prompt that plans of this question answer, and the plans as texts; None is DIRECT."""
        own = next((c.messages for c in (*candidates, *(c for c, _ in self.tried)) if c and c.messages), None)
        if own:
            return list(own), [DIRECT if c is None else c.plan for c in candidates]
        random = Random(f"{self.how.seed}/{self.question.id}")  # noqa: S311
        shown = [self._demonstration(c) for c in candidates]
        first = next((d for d in shown if d.steps), None) or self._demonstration(self.tried[0][0])
        offer: Offer = random_offer(random, wanted_tools(first, random))
        messages = as_messages(prompts.lines_messages(self.question.question, offer.cards))
        return messages, [encode_lines(plan_over(d, offer.tools)) for d in shown]

    def _demonstration(self, candidate: Candidate | None) -> Demonstration:
        plan = decode_lines(candidate.plan if candidate else DIRECT)
        steps = tuple(Step(text=q.text, kind=KINDS[q.route]) for q in plan.sub_questions)
        return Demonstration(id=self.question.id, source="screened", question=self.question.question, steps=steps)


def _alike(left: str, right: str) -> float:
    """How much of their words two plans share, in [0, 1]."""
    a, b = (set(re.findall(r"\w+|\{\d+\}", text.lower())) for text in (left, right))
    return len(a & b) / max(1, len(a | b))
