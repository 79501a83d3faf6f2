"""Human data sets as demonstrations: StrategyQA, MuSiQue and QDMR plans, and the solution steps of GSM8K.

Source: arXiv 2101.02235 (StrategyQA), 2108.00573 (MuSiQue), 2001.11770 (QDMR), 2110.14168 (GSM8K); the files' form is
`#k` for the answer of step k.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.tools import ToolException

from anabranch.distill.records import MAX_SUB_QUESTIONS, Demonstration, Split, Step
from anabranch.plan import escape, fill, slots
from anabranch.tools.calculator import calculate

GSM8K_TUNE = 500
"""The last rows of GSM8K's training set, kept for tuning."""

DATABASE = "sql"
"""The kind of tool that answers steps over a database."""

_REFERENCE = re.compile(r"#\s?([1-9])(?!\d)")
_OPERATION = "operation"
_ARITHMETIC = re.compile(
    r"\b(minus|plus|divided by|multiplied by|times|sum of|difference (?:between|of)|subtracted|added to"
    r"|percent(?:age)? of)\b",
    re.IGNORECASE,
)
_PROPERTY = re.compile(r"^(.+?) >> (.+)$")
_PROPERTIES: Mapping[str, str] = {
    "performer": "Who is the performer of {x}?",
    "author": "Who is the author of {x}?",
    "composer": "Who is the composer of {x}?",
    "director": "Who is the director of {x}?",
    "country": "In which country is {x}?",
    "country of citizenship": "Of which country is {x} a citizen?",
    "place of birth": "Where was {x} born?",
    "place of death": "Where did {x} die?",
    "located in the administrative territorial entity": "In which administrative region is {x}?",
    "shares border with": "With what does {x} share a border?",
    "educated at": "Where was {x} educated?",
    "spouse": "Who is the spouse of {x}?",
    "father": "Who is the father of {x}?",
    "mother": "Who is the mother of {x}?",
    "child": "Who is the child of {x}?",
    "record label": "What is the record label of {x}?",
    "employer": "Who is the employer of {x}?",
    "headquarters location": "Where are the headquarters of {x}?",
    "publisher": "Who is the publisher of {x}?",
    "continent": "On which continent is {x}?",
    "capital": "What is the capital of {x}?",
}
_CALCULATION = re.compile(r"<<([^<>=]+)=([^<>]*)>>")
_WITH_RESULT = re.compile(r"(?:=\s*|(?<!\s)\s*|)\$?<<[^<>]*>>\s*\$?(?:[\d.,]*\d)?")
_PLAIN_CALCULATION = re.compile(
    r"(?<![\w.])([(\d][\d\s.,()$%+*/x×-]*[+*/x×-][\d\s.,()$%+*/x×-]*\d\)?)\s*=\s*\$?(-?[\d.,]*\d)"
)
_LONGEST_STEP = 300
"""So much of a line is searched for a calculation without marks, whose pattern backtracks."""
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")


@dataclass
class Skipped:
    """Rows that were left out, by reason."""

    reasons: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, row: Mapping[str, Any]) -> None:
        """Notes a row by its id."""
        self.reasons.setdefault(reason, []).append(str(row.get("id", "?")))

    def take(self, reasons: Mapping[str, Sequence[str]]) -> None:
        """Notes rows by the reasons that a reader gives."""
        for reason, places in reasons.items():
            self.reasons.setdefault(reason, []).extend(places)

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows by reason."""
        return {reason: len(ids) for reason, ids in self.reasons.items()}

    @property
    def described(self) -> dict[str, Any]:
        """For a manifest: number of rows by reason, and the first of them."""
        return {reason: {"rows": len(ids), "first": ids[:5]} for reason, ids in self.reasons.items()}


def strategyqa(rows: Iterable[Mapping[str, Any]], skipped: Skipped | None = None) -> Iterator[Demonstration]:
    """StrategyQA's human plans: facts to look up, then reasoning over them."""
    for row in rows:
        texts = row.get("sub_questions")
        if not row.get("question") or not isinstance(texts, list) or not texts or not all(map(_is_text, texts)):
            (skipped or Skipped()).add("no plan", row)
            continue
        evidence = _meta(row).get("evidence") or []
        steps = [
            Step(text=text, kind=_strategy_kind(text, n, len(texts), evidence))
            for n, text in enumerate(map(to_slots, texts))
        ]
        yield from _checked(row, "strategyqa", steps, skipped, " ".join(filter(_is_text, _listed(row, "facts"))))


def musique(rows: Iterable[Mapping[str, Any]], skipped: Skipped | None = None) -> Iterator[Demonstration]:
    """MuSiQue's human plans: chains of look-ups. Steps written as `subject >> property` become questions."""
    for row in rows:
        texts, answers = row.get("sub_questions") or [], _meta(row).get("sub_answers") or []
        questions = [as_question(text) if _is_text(text) else None for text in texts]
        if not texts or len(answers) != len(texts) or None in questions or not all(map(_is_text, answers)):
            (skipped or Skipped()).add("a step is not a question", row)
            continue
        steps = [Step(text=text or "", answer=answer) for text, answer in zip(questions, answers, strict=True)]
        yield from _checked(row, "musique", steps, skipped, _support(row))


def qdmr(rows: Iterable[Mapping[str, Any]], skipped: Skipped | None = None) -> Iterator[Demonstration]:
    """QDMR's human plans over databases, each step for a database tool; rows of other splits than `train` are not read.

    They divide finer than other plans here: "return states", "return {1} that border south dakota".
    """
    for row in rows:
        if row.get("split") != "train":
            continue
        texts = row.get("sub_questions")
        if not row.get("question") or not isinstance(texts, list) or not texts or not all(map(_is_text, texts)):
            (skipped or Skipped()).add("no plan", row)
        elif len(texts) > MAX_SUB_QUESTIONS:
            (skipped or Skipped()).add("more steps than a plan may have", row)
        else:
            steps = [Step(text=text[0].upper() + text[1:], kind=DATABASE) for text in map(to_slots, texts)]
            yield from _checked(row, "qdmr", steps, skipped, "")


def musique_readings(row: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """The steps of a MuSiQue row as questions with their answers and the passage that holds each."""
    meta = _meta(row)
    answers = dict(enumerate(map(str, meta.get("sub_answers") or []), 1))
    steps = zip(row.get("sub_questions") or [], answers.values(), meta.get("support") or [], strict=False)
    for text, answer, place in steps:
        question = as_question(text) if _is_text(text) else None
        context = row["context"]
        passage = context[place] if isinstance(place, int) and 0 <= place < len(context) else None
        if question and isinstance(passage, dict) and answer in str(passage.get("text")):
            yield fill(question, answers), answer, {name: str(passage.get(name)) for name in ("title", "text")}


def _support(row: Mapping[str, Any]) -> str:
    """The paragraphs that hold the answers to a MuSiQue row's steps."""
    context = row["context"] if isinstance(row.get("context"), list) else []
    places = [n for n in _listed(row, "support") if isinstance(n, int) and 0 <= n < len(context)]
    shown = [context[place] for place in dict.fromkeys(places) if isinstance(context[place], dict)]
    return "\n\n".join(
        f"{p['title']}: {p['text']}" for p in shown if _is_text(p.get("title")) and _is_text(p.get("text"))
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _listed(row: Mapping[str, Any], name: str) -> list[Any]:
    """A list in a row's `meta`; empty where there is something else."""
    found = _meta(row).get(name)
    return found if isinstance(found, list) else []


def _meta(row: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = row.get("meta")
    return meta if isinstance(meta, dict) else {}


def to_slots(text: str) -> str:
    """`#1` becomes `{1}`; other braces are kept as they read."""
    tidy = " ".join(_REFERENCE.sub(r"{\1}", escape(text)).split())
    return re.sub(r"(\{\d\}) (['’]s\b|\?)", r"\1\2", tidy)


def as_question(text: str) -> str | None:
    """A MuSiQue step as a question, or None where its property has no wording here."""
    match = _PROPERTY.match(text)
    if match:
        wording = _PROPERTIES.get(match[2].strip())
        return wording and to_slots(wording.replace("{x}", match[1].strip()))
    question = to_slots(text).rstrip(" ?.") + "?"
    return question[0].upper() + question[1:]


def _strategy_kind(text: str, place: int, length: int, evidence: Sequence[Any]) -> str:
    """A fact, unless most annotators say that the step is an operation on what came before."""
    marks = [annotator[place] for annotator in evidence if len(annotator) == length]
    operations = sum(_OPERATION in mark and not any(isinstance(m, list) for m in mark) for mark in marks)
    refers = bool(slots(text))
    if not refers or (operations * 2 < len(marks) and not re.match(r"(?i)is \{\d\} .*(than|as|in|equal)\b", text)):
        return "fact"
    return "arithmetic" if _ARITHMETIC.search(text) and not re.match(r"(?i)(is|are|does|do)\b", text) else "logic"


def _checked(
    row: Mapping[str, Any], source: str, steps: Sequence[Step], skipped: Skipped | None, passage: str
) -> Iterator[Demonstration]:
    forward = any(not slots(step.text) <= set(range(1, n)) for n, step in enumerate(steps, 1))
    if forward or any(re.search(r"[\[\]\\\n#]", step.text) for step in steps):
        (skipped or Skipped()).add("a step refers forward or has brackets", row)
        return
    question = " ".join(str(row["question"]).split())
    yield Demonstration(id=str(row["id"]), source=source, question=question, steps=tuple(steps), passage=passage)


@dataclass(frozen=True)
class Calculation:
    """One step of a GSM8K solution, made ready for a teacher.

    Attributes:
        prose: its text with earlier results as slots and its own result as a question mark.
        expression: its arithmetic, with slots.
        result: its value as written.
    """

    prose: str
    expression: str
    result: str

    @property
    def numbers(self) -> list[str]:
        """The numbers of the expression that are not slots."""
        return [plain_number(n) for n in _NUMBER.findall(re.sub(r"\{\d\}", " ", self.expression))]


Solved = tuple[Mapping[str, Any], list[Calculation], Split]
"""A row of GSM8K, the steps of its solution, and what it is for."""


def solved(
    rows: Sequence[Mapping[str, Any]], limit: int | None = None, skipped: Skipped | None = None
) -> Iterator[Solved]:
    """GSM8K's rows whose solution can be used, with its steps; the last ones are for tuning.

    Args:
        rows: GSM8K's training set.
        limit: only so many rows for training, and for tuning.
        skipped: gets the rows that are left out.
    """
    start = len(rows) - min(GSM8K_TUNE, len(rows) // 10)
    chosen = list(enumerate(rows))
    if limit is not None:
        chosen = [*chosen[: min(limit, start)], *chosen[start : start + limit]]
    for number, row in chosen:
        steps = calculations(row)
        if steps:
            yield row, steps, "train" if number < start else "tune"
        elif skipped is not None:
            skipped.add("a solution that does not lead to its answer", row)


def calculations(row: Mapping[str, Any]) -> list[Calculation] | None:
    """The calculation steps of a GSM8K row; None where they do not lead to its answer."""
    question = str(row.get("question") or "")
    given = {plain_number(n) for n in _NUMBER.findall(question)}
    results: list[str] = []
    found: list[Calculation] = []
    for step in _steps(row):
        match = _CALCULATION.search(step) or _PLAIN_CALCULATION.search(step[:_LONGEST_STEP])
        if match is None:
            continue
        result = plain_number(match[2])
        expression = _tidy_expression(_with_slots(match[1], results, given))
        if not expression or not _gives(expression, results, result):
            return None
        prose = _hide(_WITH_RESULT.sub("= ?", step), result, given)
        found.append(Calculation(_with_slots(prose, results, given), expression, result))
        results.append(result)
    answer = plain_number(str(row.get("answer") or ""))
    return found if found and len(found) <= 8 and found[-1].result == answer else None


def results(row: Mapping[str, Any]) -> list[str]:
    """What the steps of a worked solution come to, whether or not they are right."""
    found = (_CALCULATION.search(step) or _PLAIN_CALCULATION.search(step[:_LONGEST_STEP]) for step in _steps(row))
    return [plain_number(match[2]) for match in found if match]


def worked(row: Mapping[str, Any]) -> str:
    """The worked solution of a row as a text, without the marks of its calculations; empty where there is none."""
    return "\n".join(" ".join(re.sub(r"<<[^<>]*>>", "", step).split()) for step in _steps(row)).strip()


def _steps(row: Mapping[str, Any]) -> list[str]:
    steps = _meta(row).get("steps")
    return [step for step in steps if isinstance(step, str)] if isinstance(steps, list) else []


def plain_number(text: str) -> str:
    """A number without separators and superfluous zeros, for comparing."""
    text = text.replace(",", "").replace("$", "").strip()
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.removeprefix("0") if text.startswith("0.") else text


def _with_slots(text: str, results: Sequence[str], given: set[str]) -> str:
    """Numbers that are an earlier result become its slot; where the question has the number, too, only the last's."""

    def replace(match: re.Match[str]) -> str:
        number = plain_number(match[0])
        places = [n for n, result in enumerate(results, 1) if result == number]
        if not places or (number in given and places[-1] != len(results)):
            return match[0]
        return f"{{{places[-1]}}}"

    return re.sub(rf"(?<![\d.{{])(?:{_NUMBER.pattern})(?![\d}}])", replace, text)


def _hide(text: str, result: str, given: set[str]) -> str:
    def replace(match: re.Match[str]) -> str:
        number = plain_number(match[0])
        last = text[: match.start()].rstrip(" $").endswith(("=", "= ?"))
        return "?" if number == result and (last or number not in given) else match[0]

    return re.sub(r"\?(?:\s*\?)+", "?", re.sub(_NUMBER.pattern, replace, text))


def _tidy_expression(text: str) -> str:
    """The expression with single spaces around operators, or nothing if it is more than arithmetic."""
    text = text.replace("$", "").replace("×", "*").replace("x", "*").replace(",", "")
    text = re.sub(r"((?<!\d)\d+(?:\.\d+)?|\{\d\})\s*%", r"\1 / 100", text)
    if not re.fullmatch(r"(?:[\d.+*/()\s-]|\{\d\})+", text) or not re.search(r"[+*/-]", text):
        return ""
    text = re.sub(r"(?<![\d.])\.(\d)", r"0.\1", text)
    return re.sub(r"\(\s+|(?<!\s)\s+\)", lambda m: m[0].strip(), " ".join(re.sub(r"([+*/]|-)", r" \1 ", text).split()))


def _gives(expression: str, results: Sequence[str], result: str) -> bool:
    try:
        value = calculate(fill(expression, dict(enumerate(results, 1))))
        return abs(float(value) - float(result)) <= 0.01 * max(1.0, abs(float(result)))
    except (ToolException, ValueError):
        return False
