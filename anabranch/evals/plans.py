"""Measures of the plans themselves."""

import re
from collections.abc import Iterable, Sequence
from itertools import combinations

from anabranch.batch.examples import Example
from anabranch.evals.intervals import Mean, mean
from anabranch.evals.records import Record
from anabranch.grading import normalize, numbers, token_f1
from anabranch.plan import Plan, SubQuestion
from anabranch.tools.terms import STOP_WORDS, tokenize

REDUNDANT = 0.8
"""Sub-questions that share at least this much of all their content words (Jaccard) ask for the same thing."""
ALIGNED = 0.3
"""A sub-question and a person's that share less of their words (F1) are not taken for each other."""
_KIND_OF_ROUTE = {"solve": "reason", "search": "lookup", "calculator": "compute", "python": "compute"}


def measures(records: Iterable[tuple[Record, Example]]) -> dict[str, Mean]:
    """Measures of the plans of one system; empty if it does not plan.

    - `planned`: per cent of questions with a plan, not answered directly
    - `valid`: per cent of questions whose first draft could run as it was
    - `sub_questions`: their number, where there is a plan
    - `critical_path`: longest chain of dependencies over the number of sub-questions; 1 is a chain, less is parallel
    - `redundant`, `leaking`: per cent of sub-questions that repeat another one or the question; that give it away
    - `agreement`: F1, in per cent, of the best matches with a person's sub-questions; `same_length`: as many
    - `routes`: per cent of matched sub-questions whose route is of the kind that the person's has
    """
    found: dict[str, list[float]] = {}
    for record, example in records:
        if record.plan is None:
            continue
        for name, values in _measured(record.plan, record, example).items():
            found.setdefault(name, []).extend(values)
    return {name: mean(values) for name, values in found.items() if values}


def critical_path(plan: Plan) -> int:
    """Sub-questions on the longest chain of dependencies."""
    depth: dict[int, int] = {}
    for question in plan.sub_questions:
        depth[question.id] = 1 + max((depth[d] for d in question.depends_on), default=0)
    return max(depth.values(), default=0)


def redundant(plan: Plan, question: str) -> list[bool]:
    """Whether each sub-question repeats an earlier one, or the whole question where it is not the only one."""
    texts = [step.text for step in plan.sub_questions]
    repeats = {later for (_, first), (later, second) in combinations(enumerate(texts), 2) if _alike(first, second)}
    return [place in repeats or (len(texts) > 1 and _alike(text, question)) for place, text in enumerate(texts)]


def leaking(plan: Plan, record: Record, example: Example) -> list[bool]:
    """Whether each sub-question holds what it asks for: its own answer, or the question's reference answer.

    What stands in the question, its context or an answer that came before gives nothing away.
    """
    given = f"{example.question} {example.context or ''}"
    answers = {answer.id: answer.text for answer in record.answers if answer.ok}
    found = []
    for step in plan.sub_questions:
        secrets = [example.answers[0], answers.get(step.id, "")]
        found.append(any(_holds(step.text, secret) and not _holds(given, secret) for secret in secrets))
        given += f" {answers.get(step.id, '')}"
    return found


def agreement(plan: Plan, human: Plan) -> tuple[float, list[tuple[SubQuestion, SubQuestion]]]:
    """F1 of the greedy one-to-one match of sub-questions by their words, and the pairs matched."""
    scored = sorted(
        (
            (-token_f1(_plain(ours.text), [_plain(theirs.text)]), ours.id, theirs.id, ours, theirs)
            for ours in plan.sub_questions
            for theirs in human.sub_questions
        ),
        key=lambda item: item[:3],
    )
    pairs: list[tuple[SubQuestion, SubQuestion]] = []
    total, used = 0.0, (set[int](), set[int]())
    for score, mine, other, ours, theirs in scored:
        if mine in used[0] or other in used[1] or -score < ALIGNED:
            continue
        used[0].add(mine)
        used[1].add(other)
        pairs.append((ours, theirs))
        total -= score
    size = len(plan.sub_questions) + len(human.sub_questions)
    return 2 * total / size if size else 1.0, pairs


def _measured(plan: Plan, record: Record, example: Example) -> dict[str, Sequence[float]]:
    size = len(plan.sub_questions)
    found: dict[str, Sequence[float]] = {
        "planned": [100.0 * (size > 0)],
        "valid": [100.0 * (record.decomposing.calls <= record.rounds and record.error is None)],
    }
    if not size:
        return found
    found["sub_questions"] = [float(size)]
    found["critical_path"] = [critical_path(plan) / size]
    found["redundant"] = [100.0 * value for value in redundant(plan, example.question)]
    found["leaking"] = [100.0 * value for value in leaking(plan, record, example)]
    human = example.human_plan()
    if human is None:
        return found
    f1, pairs = agreement(plan, human)
    found["agreement"] = [100.0 * f1]
    found["same_length"] = [100.0 * (size == len(human.sub_questions))]
    if example.kinds:
        kinds = dict(zip(human.ids, example.kinds, strict=True))
        found["routes"] = [100.0 * (_KIND_OF_ROUTE.get(ours.route) == kinds[theirs.id]) for ours, theirs in pairs]
    return found


def _alike(left: str, right: str) -> bool:
    mine, other = _content(left), _content(right)
    return bool(mine | other) and len(mine & other) >= REDUNDANT * len(mine | other)


def _content(text: str) -> set[str]:
    """Content words; two sub-questions of one form about different slots are no repetition, so slots are words."""
    words = {word for word in tokenize(_plain(text), indexing=True) if word not in STOP_WORDS}
    return words | set(re.findall(r"\{\d+\}", text))


def _plain(text: str) -> str:
    return re.sub(r"\{\d+\}", "it", text)


def _holds(text: str, secret: str) -> bool:
    """Whether a text holds an answer: the number, or the words; yes and no tell nothing."""
    words = normalize(secret)
    if not words or words in ("yes", "no"):
        return False
    figures = numbers(secret)
    if len(figures) == 1 and not secret.strip("$% .,-+0123456789"):
        return figures[0] in numbers(re.sub(r"\{\d+\}", " ", text))
    return f" {words} " in f" {normalize(text)} "
