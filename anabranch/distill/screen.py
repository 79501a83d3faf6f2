"""Screening: what a solver makes of each plan, and what is wrong with the plan itself.

A question has several candidate plans. The solver answers it along each of them and, a few times, without any. That
gives outcomes; out of these come the paper's two sets (arXiv 2402.15000, section 3): S_D-T, all plans, and S_D-R, those
that led to the right answer; beyond the paper, pairs of a right and a wrong plan, and the questions that are better
answered without a plan. Wrong plans are kept, as negatives.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from anabranch.agents import prompts
from anabranch.batch.files import Kinds, read_rows
from anabranch.batch.jobs import Job, Replies
from anabranch.codecs import LineGrammar, decode_lines
from anabranch.distill.catalogues import shipped
from anabranch.distill.datasets import plain_number, results
from anabranch.distill.records import MAX_SUB_QUESTIONS
from anabranch.distill.render import as_messages
from anabranch.distill.teacher import repeats, says
from anabranch.errors import PlanError
from anabranch.grading import right_answer
from anabranch.plan import Plan

TOOLS = ("calculator", "search", "python")
GRAMMAR = LineGrammar(TOOLS, MAX_SUB_QUESTIONS)
"""Tools that candidate plans may name."""
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_SLOT = re.compile(r"\{\d+\}")


class Question(BaseModel):
    """A training question with its answer.

    Attributes:
        id: of the row.
        question: its text.
        answer: its right answer.
        results: intermediate results of its solution, where they are known.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    question: str
    answer: str
    results: tuple[str, ...] = ()


class Candidate(BaseModel):
    """A plan for a question.

    Attributes:
        id: the question's.
        sample: which of the question's plans.
        plan: the plan as lines.
        source: who wrote it.
        messages: the prompt that it was written for; made anew where there is none.
        tools: the library's tools in that prompt's catalogue; None where it had others, or is not known.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    sample: int
    plan: str
    source: str = ""
    messages: tuple[dict[str, str], ...] = ()
    tools: tuple[str, ...] | None = None


class Outcome(BaseModel):
    """What became of a plan.

    Attributes:
        id: the question's.
        sample: which of the question's plans.
        plan: the plan as lines.
        source: who wrote it.
        right: how many of the solver's answers along it were right.
        of: out of how many; 0 where the plan was not tried, because it cannot be read.
        ok: whether at least half were.
        leak: what it gives away: the answer, or an intermediate result.
        repeats: sub-questions that ask again what an earlier one asks.
        format: why it is no valid plan; empty where it is one.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    sample: int
    plan: str
    source: str = ""
    right: int = 0
    of: int = 0
    ok: bool = False
    leak: tuple[str, ...] = ()
    repeats: tuple[int, ...] = ()
    format: str = ""

    @property
    def share(self) -> float:
        """Of right answers."""
        return self.right / self.of if self.of else 0.0

    @property
    def usable(self) -> bool:
        """Whether it may be shown to a student."""
        return not self.leak and not self.repeats and not self.format


@dataclass(frozen=True)
class Alone:
    """What the solver made of a question without a plan: right answers, and out of how many."""

    right: int
    of: int

    @property
    def share(self) -> float:
        """Of right answers."""
        return self.right / self.of if self.of else 0.0


def read_questions(path: Path, bad: dict[str, list[str]]) -> dict[str, Question]:
    """The questions of a data set by id; malformed rows are noted and left out.

    Raises:
        DocumentError: the file cannot be read.
    """
    fields: dict[str, Kinds] = {"id": (str, int), "question": str, "answer": (str, int, float)}
    found = {}
    for row in read_rows(path, fields, bad):
        meta = row.get("meta") if isinstance(row.get("meta"), dict) else None
        known = [*results({"meta": meta}), *map(str, (meta or {}).get("sub_answers") or [])]
        question = " ".join(row["question"].split())
        id_ = str(row["id"])
        found[id_] = Question(id=id_, question=question, answer=str(row["answer"]), results=tuple(known))
    return found


def read_candidates(path: Path, questions: Mapping[str, Question], bad: dict[str, list[str]]) -> list[Candidate]:
    """Candidate plans; malformed rows and those of unknown questions are noted, repeated plans left out.

    Raises:
        DocumentError: the file cannot be read.
    """
    found: dict[tuple[str, str], Candidate] = {}
    seen: set[tuple[str, int]] = set()
    counts: dict[str, int] = {}
    for row in read_rows(path, {"id": (str, int), "plan": str}, bad):
        id_ = str(row["id"])
        sample = int(row["sample"]) if isinstance(row.get("sample"), int) else counts.get(id_, 0)
        if id_ not in questions:
            bad.setdefault("of a question that is not there", []).append(f"{id_}/{sample}")
        elif (id_, row["plan"].strip()) in found:
            bad.setdefault("a plan that the question has already", []).append(f"{id_}/{sample}")
        elif (id_, sample) in seen:
            bad.setdefault("a sample number that the question has already", []).append(f"{id_}/{sample}")
        else:
            seen.add((id_, sample))
            counts[id_] = counts.get(id_, 0) + 1
            text, tools = row["plan"].strip(), tools_of(row)
            messages = tuple(row.get("messages") or prompt_of(questions[id_].question, tools))
            source = str(row.get("source", ""))
            candidate = Candidate(id=id_, sample=sample, plan=text, source=source, messages=messages, tools=tools)
            found[(id_, text)] = candidate
    return list(found.values())


@lru_cache(maxsize=100_000)
def plan_of(text: str) -> tuple[Plan | None, str]:
    """The plan that a text is, or None and why it is none that a decomposer could write."""
    try:
        plan = decode_lines(text)
        plan.check(TOOLS, MAX_SUB_QUESTIONS)
    except PlanError as error:
        return None, str(error)
    if not GRAMMAR.matches(text):
        return None, "it has what the grammar does not allow, such as brackets or other ids than 1, 2, 3"
    return plan, ""


def leaks(plan: Plan, question: Question) -> list[str]:
    """The answer and intermediate results that a plan's sub-questions give away.

    What the question says itself, in digits or in words, is given and no leak.
    """
    given = {plain_number(number) for number in _NUMBER.findall(question.question)}
    secrets = [secret for secret in dict.fromkeys([question.answer, *question.results]) if secret.strip()]
    found = []
    for secret in secrets:
        number = plain_number(secret)
        if _NUMBER.fullmatch(number.removeprefix("-")):
            told = number.removeprefix("-") in _numbers(plan) and not says(question.question, given, number)
        else:
            words = re.compile(rf"(?<!\w){re.escape(secret)}(?!\w)", re.IGNORECASE)
            common = secret.lower() in ("yes", "no", "true", "false")
            told = not common and not words.search(question.question) and any(words.search(t) for t in _texts(plan))
        if told:
            found.append(secret)
    return found


def _texts(plan: Plan) -> list[str]:
    return [_SLOT.sub(" ", question.text) for question in plan.sub_questions]


def _numbers(plan: Plan) -> set[str]:
    return {plain_number(number) for text in _texts(plan) for number in _NUMBER.findall(text)}


def planned_jobs(questions: Mapping[str, Question], candidates: Iterable[Candidate]) -> list[Job]:
    """The solver's prompts along each plan that can be read; a plan that says DIRECT has none."""
    jobs = []
    for candidate in candidates:
        plan, _ = plan_of(candidate.plan)
        if plan is not None and not plan.is_direct:
            messages = as_messages(prompts.guided_messages(questions[candidate.id].question, plan))
            jobs.append(Job(id=f"{candidate.id}/{candidate.sample}", messages=messages))
    return jobs


def alone_jobs(questions: Iterable[Question]) -> list[Job]:
    """The solver's prompts without a plan."""
    return [Job(id=f"{q.id}/alone", messages=as_messages(prompts.direct_messages(q.question))) for q in questions]


def judged(
    questions: Mapping[str, Question], candidates: Iterable[Candidate], planned: Iterable[Replies]
) -> list[Outcome]:
    """The outcome of each plan.

    Args:
        questions: by id.
        candidates: their plans.
        planned: replies to `planned_jobs`.
    """
    replies = {reply.id: reply.texts for reply in planned}
    outcomes = []
    for candidate in candidates:
        question = questions[candidate.id]
        texts = replies.get(f"{candidate.id}/{candidate.sample}", [])
        right = sum(right_answer(text, question.answer) for text in texts)
        outcomes.append(outcome(candidate, question, right, len(texts)))
    return outcomes


def outcome(candidate: Candidate, question: Question, right: int, of: int) -> Outcome:
    """The outcome of a plan along which `right` of `of` answers were right."""
    plan, problem = plan_of(candidate.plan)
    return Outcome(
        **candidate.model_dump(include={"id", "sample", "plan", "source"}),
        right=right,
        of=of,
        ok=of > 0 and 2 * right >= of,
        leak=tuple(leaks(plan, question)) if plan else (),
        repeats=tuple(repeats(q.text for q in plan.sub_questions)) if plan else (),
        format=problem,
    )


def tools_of(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The library's tools that a row of plans names; None where it names none, or what is none of them."""
    tools = row.get("tools")
    return tuple(tools) if isinstance(tools, list) and all(tool in TOOLS for tool in tools) else None


def prompt_of(question: str, tools: Sequence[str] | None) -> tuple[dict[str, str], ...]:
    """The prompt of a distilled decomposer over some of the library's tools; empty where they are not known."""
    if tools is None:
        return ()
    return tuple(as_messages(prompts.lines_messages(question, shipped(*tools).cards)))


def judged_alone(questions: Mapping[str, Question], replies: Iterable[Replies]) -> dict[str, Alone]:
    """What the solver made of each question by itself, out of the replies to `alone_jobs`."""
    found = {}
    for reply in replies:
        id_ = reply.id.removesuffix("/alone")
        right = sum(right_answer(text, questions[id_].answer) for text in reply.texts)
        found[id_] = Alone(right, len(reply.texts))
    return found


def better_alone(outcomes: Sequence[Outcome], alone: Alone, least: float = 0.5) -> bool:
    """Whether a question is answered without a plan at least as well as with one.

    Args:
        outcomes: of the question's plans.
        alone: the solver without a plan.
        least: share of right answers that the solver must reach alone; below it, nothing is known.
    """
    tried = [outcome.share for outcome in outcomes if outcome.of]
    return bool(tried) and alone.share >= least and alone.share >= sum(tried) / len(tried)


def held_out(id_: str, share: float) -> bool:
    """Whether a question is kept for the held-out files; decided by its id alone, so the same in every run."""
    return int(hashlib.sha256(id_.encode()).hexdigest()[:8], 16) < share * 0x1_0000_0000
