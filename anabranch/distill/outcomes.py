"""Outcomes by row id: plans, and how often a solver was right along them, without any text of the data sets.

`screen` writes them as `screened.jsonl`; given back to it, they stand in for the plans and for the solver, so that what
follows can be repeated, or done with other settings, without either.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from anabranch.batch.files import read_rows
from anabranch.distill.screen import Alone, Candidate, Outcome, Question, outcome, prompt_of, tools_of


def kept(
    candidates: Sequence[Candidate], outcomes: Sequence[Outcome], alone: Mapping[str, Alone]
) -> Iterator[dict[str, Any]]:
    """A row for each question: its plans with the counts of right answers, and those without a plan as `alone`.

    Args:
        candidates: the plans.
        outcomes: theirs, in the same order.
        alone: what the solver made of the questions without a plan, where that was tried.
    """
    rows: dict[str, dict[str, Any]] = {}
    for candidate, each in zip(candidates, outcomes, strict=True):
        row = rows.setdefault(candidate.id, {"id": candidate.id, "plans": []})
        if candidate.tools is not None:
            row["tools"] = list(candidate.tools)
        row["plans"].append({"sample": each.sample, "plan": each.plan, "right": each.right, "of": each.of})
    for id_, row in rows.items():
        without = alone.get(id_)
        yield {**row, "alone": [without.right, without.of]} if without else row


def read(
    path: Path, questions: Mapping[str, Question], bad: dict[str, list[str]]
) -> tuple[list[Candidate], list[Outcome], dict[str, Alone]]:
    """What `kept` wrote (also as `.gz`); rows that are malformed or of unknown questions are noted and left out.

    Raises:
        DocumentError: the file cannot be read.
    """
    candidates: list[Candidate] = []
    outcomes: list[Outcome] = []
    alone: dict[str, Alone] = {}
    for row in read_rows(path, {"id": (str, int), "plans": list}, bad):
        id_ = str(row["id"])
        if id_ not in questions:
            bad.setdefault("of a question that is not there", []).append(id_)
            continue
        for plan in row["plans"]:
            if not _is_tried(plan):
                bad.setdefault("a plan without sample, plan, right and of", []).append(id_)
                continue
            tools = tools_of(row)
            messages = prompt_of(questions[id_].question, tools)
            candidate = Candidate(id=id_, sample=plan["sample"], plan=plan["plan"], messages=messages, tools=tools)
            candidates.append(candidate)
            outcomes.append(outcome(candidate, questions[id_], plan["right"], plan["of"]))
        if _is_count(without := row.get("alone")):
            alone[id_] = Alone(*without)
        elif without is not None:
            bad.setdefault("alone is not [right, of]", []).append(id_)
    return candidates, outcomes, alone


def _is_tried(plan: Any) -> bool:
    told = isinstance(plan, dict) and isinstance(plan.get("plan"), str) and isinstance(plan.get("sample"), int)
    return told and _is_count([plan.get("right"), plan.get("of")])


def _is_count(pair: Any) -> TypeGuard[list[int]]:
    """Whether it is how many were right, and of how many."""
    numbers = isinstance(pair, list) and len(pair) == 2 and all(isinstance(number, int) for number in pair)
    return numbers and 0 <= pair[0] <= pair[1]
