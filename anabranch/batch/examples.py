"""Questions with reference answers, out of JSON lines. What cannot be used is counted and named."""

import hashlib
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict

from anabranch.batch.files import items_of, json_lines
from anabranch.errors import DocumentError, PlanError
from anabranch.plan import SOLVE, Plan, SubQuestion, escape
from anabranch.tools.documents import split_passages
from anabranch.tools.passage_index import PassageIndex
from anabranch.tools.search import index_search

PASSAGES = 4
"""Passages that one search returns, and that systems without a search tool are shown."""
_REFERENCE = re.compile(r"#(\d{1,2})(?!\d)")


class Paragraph(BaseModel):
    """A passage that may hold what a question asks for."""

    model_config = ConfigDict(frozen=True)

    title: str
    text: str


class Example(BaseModel):
    """A question and what is known of its answer.

    Attributes:
        id: unique in its set.
        question: the question.
        answers: reference answers; any of them is right, the first is the one shown.
        context: a passage that the question is about.
        paragraphs: passages to search in.
        supporting: titles of the passages that an answer needs.
        steps: a person's sub-questions, with slots `{k}`.
        kinds: what answers each of them, where known: `lookup`, `compute` or `reason`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    question: str
    answers: tuple[str, ...]
    context: str | None = None
    paragraphs: tuple[Paragraph, ...] = ()
    supporting: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def human_plan(self, search: str | None = None) -> Plan | None:
        """The person's sub-questions as a plan; None where there are none, or where they do not fit together.

        Args:
            search: the tool that look-ups go to; None to leave them to the solver.
        """
        kinds = self.kinds or ("lookup" if self.paragraphs else "reason",) * len(self.steps)
        routes = [search if search and kind == "lookup" else SOLVE for kind in kinds]
        try:
            texts = enumerate(zip(self.steps, routes, strict=True), 1)
            plan = Plan(sub_questions=tuple(SubQuestion(id=n, text=text, route=route) for n, (text, route) in texts))
        except (PlanError, ValueError):
            return None
        return None if plan.is_direct else plan


@dataclass
class Reading:
    """What a file held: examples, and why the other lines are none."""

    examples: list[Example] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_examples(path: Path) -> Reading:
    """Reads examples, one JSON object a line.

    Each has `question` and `answer`; optional are `id`, `context` (a text, or a list of `{title, text}`),
    `sub_questions` (references to earlier answers are `#1`, `#2`, ...), and in `meta`: `aliases` (other right
    answers), `supporting_facts`, `kinds`.

    Raises:
        DocumentError: the file is missing, is not text, or holds no example at all.
    """
    reading = Reading()
    reading.examples += items_of(json_lines(path), _example, reading.problems)
    if not reading.examples:
        what = (
            f"none of its {len(reading.problems)} lines is one; {reading.problems[0]}" if reading.problems else "empty"
        )
        form = '{"question": "...", "answer": "..."}'
        raise DocumentError(f"{path} has no questions with answers ({what}); write one JSON object a line: {form}")
    return reading


def choose(examples: Sequence[Example], limit: int | None, seed: int) -> list[Example]:
    """The first `limit` examples of a shuffled order, in file order; a larger limit keeps the smaller one's."""
    if limit is None or limit >= len(examples):
        return list(examples)
    order = list(range(len(examples)))
    random.Random(seed).shuffle(order)  # noqa: S311 - repeatable on purpose
    return [examples[place] for place in sorted(order[:limit])]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, shortened."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _example(row: Any, number: int) -> Example | str:
    if not isinstance(row, dict):
        return "not a JSON object"
    question, answer = row.get("question"), _text(row.get("answer"))
    if not isinstance(question, str) or not question.strip():
        return "there is no question in it"
    if not answer:
        return "there is no answer in it"
    given = row.get("meta")
    meta: dict[str, Any] = given if isinstance(given, dict) else {}
    context = row.get("context")
    paragraphs = _paragraphs(context) if isinstance(context, list) else ()
    if paragraphs is None or not isinstance(context, str | list | None):
        return "its context is neither a text nor a list of {title, text}"
    steps = row.get("sub_questions") or []
    if not isinstance(steps, list) or not all(isinstance(step, str) and step.strip() for step in steps):
        return "its sub_questions are not a list of texts"
    aliases = meta.get("aliases")
    return Example(
        id=_text(row.get("id")) or f"line-{number}",
        question=question.strip(),
        answers=tuple(dict.fromkeys([answer, *filter(None, map(_text, aliases if isinstance(aliases, list) else []))])),
        context=(context.strip() or None) if isinstance(context, str) else None,
        paragraphs=paragraphs,
        supporting=_supporting(context, meta.get("supporting_facts")),
        steps=_steps(question, steps),
        kinds=_kinds(meta, len(steps)),
    )


def _steps(question: str, steps: Sequence[str]) -> tuple[str, ...]:
    """Sub-questions with slots; where `#2` is not always an earlier one ("horse #2"), it stays as it is."""
    texts = [escape(step.strip()) for step in steps]
    used = ((place, int(match[1])) for place, text in enumerate(texts, 1) for match in _REFERENCE.finditer(text))
    if _REFERENCE.search(question) or not all(0 < number < place for place, number in used):
        return tuple(texts)
    return tuple(_REFERENCE.sub(r"{\1}", text) for text in texts)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _paragraphs(context: list[Any]) -> tuple[Paragraph, ...] | None:
    try:
        return tuple(Paragraph(title=str(part["title"]), text=part["text"]) for part in context)
    except (TypeError, LookupError, ValueError):
        return None


def _supporting(context: Any, facts: Any) -> tuple[str, ...]:
    """Titles, from flags on the paragraphs (MuSiQue) or from supporting facts in either of HotpotQA's forms."""
    flagged = [part["title"] for part in context if part.get("is_supporting")] if isinstance(context, list) else []
    named = facts.get("title", []) if isinstance(facts, dict) else [fact[0] for fact in facts or [] if fact]
    return tuple(dict.fromkeys(map(str, [*flagged, *named])))


def _kinds(meta: Mapping[str, Any], steps: int) -> tuple[str, ...]:
    """What answers each human sub-question: `meta.kinds`, or by StrategyQA's first annotator."""
    given = meta.get("kinds")
    if isinstance(given, list) and len(given) == steps:
        return tuple(map(str, given))
    evidence = meta.get("evidence")
    if not (isinstance(evidence, list) and evidence and isinstance(evidence[0], list) and len(evidence[0]) == steps):
        return ()
    return tuple("lookup" if any(isinstance(found, list) for found in step) else "reason" for step in evidence[0])


def search_over(paragraphs: Iterable[Paragraph], k: int = PASSAGES) -> BaseTool:
    """The library's search over paragraphs; the metadata of what it finds has their titles.

    Args:
        paragraphs: what to search.
        k: paragraphs that a look-up returns.

    Raises:
        DocumentError: no paragraph has a word in it.
    """
    return index_search(index_over(paragraphs), k=k)


def index_over(paragraphs: Iterable[Paragraph]) -> PassageIndex:
    """What `search_over` searches in.

    Args:
        paragraphs: what to search.

    Raises:
        DocumentError: no paragraph has a word in it.
    """
    return PassageIndex(split_passages(map(_document, paragraphs)))


def _document(paragraph: Paragraph) -> Document:
    return Document(paragraph.text or paragraph.title, metadata={"title": paragraph.title, "source": paragraph.title})
