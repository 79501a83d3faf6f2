"""Demonstrations: questions with steps whose routes are not fixed yet."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

MAX_SUB_QUESTIONS = 8
Split = Literal["train", "tune"]
Kind = str
"""What answers a step: `fact`, `arithmetic`, `code`, `logic`, or the kind of another tool (`weather`, ...)."""

FALLBACKS: Mapping[Kind, Sequence[Kind]] = {"fact": ("search",), "arithmetic": ("calculator", "python"), "logic": ()}
"""Kinds of tools that can answer a kind of step, best first; a kind that is not listed needs its own tool."""


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
    split: Split = "train"
    passage: str = ""
