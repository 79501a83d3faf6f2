"""Demonstrations over a passage that comes with the question, as in reading tasks.

There nothing needs to be looked up: what would be a search is reading, so it is left to the solver. What such rows are
worth is in docs/lab/notebook.md: so far, nothing to a solver that reads the passage anyway.
"""

import re
from collections.abc import Sequence
from random import Random

from anabranch.distill.records import Demonstration, Step
from anabranch.distill.sources import Passage
from anabranch.plan import fill, slots

MOST_WORDS = 170
"""Of a paragraph that has nothing to do with the question."""
_LAST_SENTENCE = re.compile(r"^(.+[.!])\s++([^.!]+\?)$", re.DOTALL)


def over_a_passage(demonstration: Demonstration, pool: Sequence[Passage], random: Random) -> Demonstration | None:
    """A demonstration whose question comes after a passage; None where there is nothing to make one of.

    The passage is the data's own; else what its steps look up, as notes; else all of the question but its last
    sentence. A paragraph about something else may stand before or after it.

    Args:
        demonstration: a question without a passage.
        pool: paragraphs about other things.
        random: source of chance.
    """
    question, passage = demonstration.question, demonstration.passage or _notes(demonstration.steps, random)
    if not passage and _only_sums(demonstration.steps) and (found := _LAST_SENTENCE.match(question)):
        passage, question = found[1], found[2]
    if not passage:
        return None
    parts = [passage]
    if pool and random.random() < 0.6:
        parts.insert(random.choice((0, 1)), " ".join(random.choice(pool)["text"].split()[:MOST_WORDS]))
    parts.append(question)
    steps = tuple(
        step.model_copy(update={"kind": "logic"} if step.kind == "fact" else {}) for step in demonstration.steps
    )
    return demonstration.model_copy(update={"question": "\n\n".join(parts), "steps": steps})


def _only_sums(steps: Sequence[Step]) -> bool:
    return bool(steps) and all(step.kind == "arithmetic" for step in steps)


def _notes(steps: Sequence[Step], random: Random) -> str:
    """What the steps look up, as notes in any order; empty where an answer is not known."""
    known: dict[int, str] = {}
    notes = []
    for number, step in enumerate(steps, 1):
        if step.kind == "fact":
            if step.answer is None or not slots(step.text) <= known.keys():
                return ""
            notes.append(f"{fill(step.text, known).rstrip('?')}: {step.answer}.")
        if step.answer is not None:
            known[number] = step.answer
    random.shuffle(notes)
    return " ".join(notes)
