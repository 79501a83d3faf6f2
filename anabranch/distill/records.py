"""Demonstrations: questions with steps whose routes are not fixed yet."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from anabranch.plan import SOLVE, Plan, SubQuestion

MAX_SUB_QUESTIONS = 8
Kind = str
"""What answers a step: `fact`, `arithmetic`, `code`, `logic`, or the kind of another tool (`weather`, ...)."""

FALLBACKS: Mapping[Kind, Sequence[Kind]] = {"fact": ("search",), "arithmetic": ("calculator", "python"), "logic": ()}
"""Kinds of tools that can answer a kind of step, best first; a kind that is not listed needs its own tool."""


_GIVEN = re.compile(r", (if|given|assuming|considering) [^?]*\?$")


class Step(BaseModel):
    """One sub-question of a demonstration.

    Attributes:
        text: the sub-question, with slots.
        kind: what answers it.
        expression: the arithmetic it asks for, with slots, where known.
        answer: its answer, where known.
        other: the same sub-question in other words, for demonstrations of replanning.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    kind: Kind = "fact"
    expression: str | None = None
    answer: str | None = None
    other: str | None = None


class Demonstration(BaseModel):
    """A question and the steps that answer it; none if it is answered directly.

    Attributes:
        id: of its row.
        source: where it is from.
        question: its text.
        steps: sub-questions in an order in which they could be answered.
        split: `tune` rows are never trained on.
        passage: a text in which the answers to its look-ups stand; empty where there is none.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    source: str
    question: str
    steps: tuple[Step, ...] = ()
    split: Literal["train", "tune"] = "train"
    passage: str = ""

    def plan(self, tools: Mapping[Kind, str]) -> Plan:
        """The plan over a tool catalogue; one step that no tool answers is no plan.

        A sum that a tool works out has its numbers in its text. Where all sums are left to the solver, which has the
        question before it, they are asked for in short.

        Args:
            tools: names of the tools in the catalogue, by kind.
        """
        routes = [route(step.kind, tools) for step in self.steps]
        if routes == [SOLVE]:
            return Plan()
        texts = [step.text for step in self.steps]
        if all(step.kind == "arithmetic" for step in self.steps) and set(routes) == {SOLVE}:
            texts = _in_short(texts)
        made = enumerate(zip(texts, routes, strict=True), 1)
        return Plan(sub_questions=tuple(SubQuestion(id=n, text=text, route=r) for n, (text, r) in made))


def _in_short(texts: Sequence[str]) -> list[str]:
    """Sub-questions without what they say of the numbers; each as it is where two would be the same."""
    short = [_GIVEN.sub("?", text) for text in texts]
    return short if len(set(short)) == len(short) else list(texts)


def route(kind: Kind, tools: Mapping[Kind, str]) -> str:
    """The route of a kind of step: the first tool that answers it, or `solve`."""
    return next((tools[k] for k in FALLBACKS.get(kind, (kind,)) if k in tools), SOLVE)
