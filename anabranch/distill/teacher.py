"""A teacher that turns human solution steps into sub-questions, and the checks on what it writes.

The teacher sees each step with its result hidden and earlier results as slots, so it can neither give an answer away
nor lose a dependency without being caught. Source: rationale-conditioned demonstrations as in arXiv 2402.15000.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from anabranch.distill.datasets import Calculation, plain_number
from anabranch.distill.records import Demonstration, Step
from anabranch.plan import slots

Message = dict[str, str]

INSTRUCTION = """\
You turn each step of a solution into the question that it answers.
Write one question a line, numbered as the steps. Each question must be understandable without the others: say in it \
all numbers that its step calculates with, and what they count. Where a step uses {1} or {2}, write {1} or {2} in the \
question, too. Never say the result. Be short."""

_EXAMPLES: Sequence[tuple[str, Sequence[tuple[str, str]], Sequence[str]]] = (
    (
        "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips "
        "did Natalia sell altogether in April and May?",
        (
            ("48 / 2", "Natalia sold 48/2 = ? clips in May."),
            ("48 + {1}", "Natalia sold 48+{1} = ? clips altogether in April and May."),
        ),
        (
            "How many clips did Natalia sell in May, if that was half of 48?",
            "How many clips did Natalia sell altogether, with 48 in April and {1} in May?",
        ),
    ),
    (
        "A farmer has 3 fields with 120 rows of 14 cabbages each. A tenth of the cabbages is eaten by rabbits. He "
        "sells the others for $2 each. How much does he earn?",
        (
            ("120 * 14", "Each field has 120*14 = ? cabbages."),
            ("3 * {1}", "So there are 3*{1} = ? cabbages."),
            ("{2} / 10", "The rabbits eat {2}/10 = ? of them."),
            ("{2} - {3}", "That leaves {2}-{3} = ? to sell."),
            ("{4} * 2", "He earns {4}*2 = ?"),
        ),
        (
            "How many cabbages are in a field with 120 rows of 14 cabbages?",
            "How many cabbages are in 3 fields of {1} cabbages?",
            "How many cabbages do the rabbits eat, if they eat a tenth of {2}?",
            "How many of the {2} cabbages are left after the rabbits eat {3}?",
            "How much does the farmer earn with {4} cabbages at $2 each?",
        ),
    ),
    (
        "Ken is 4 years older than Lea. In 6 years Ken will be 30. How old is Lea now?",
        (("30 - 6", "Ken is 30-6 = ? years old now."), ("{1} - 4", "Lea is {1}-4 = ? years old.")),
        (
            "How old is Ken now, if he will be 30 in 6 years?",
            "How old is Lea, if she is 4 years younger than Ken, who is {1}?",
        ),
    ),
)

QUIZ_INSTRUCTION = """\
Write four questions that the passage answers, each with its answer. Each answer is copied from the passage and has at \
most five words: a name, a place, a year, a number. Each question must be understandable without the passage: name \
what it is about. Form: Q: ... on one line, A: ... on the next."""

_QUIZ_EXAMPLE = (
    "Kestrel Point Lighthouse\nKestrel Point Lighthouse was built in 1868 by the engineer Amos Trell. It is 31 metres "
    "high. Its lamp was lit with oil until 1927. The first keeper, Pieter Lund, came from Oslo.",
    "Q: In which year was the Kestrel Point Lighthouse built?\nA: 1868\nQ: Who built the Kestrel Point Lighthouse?\n"
    "A: Amos Trell\nQ: How high is the Kestrel Point Lighthouse?\nA: 31 metres\n"
    "Q: Where did Pieter Lund come from?\nA: Oslo",
)

_CONDITION = re.compile(r",\s+(?:if|given|when|since|after|assuming|with|where)\b.*", re.DOTALL)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_LINE = re.compile(r"\s*(\d+)[.):]\s+(.+)")
_WORDS: Mapping[str, str] = {
    "2": r"two|twice|half|halves|double|doubled|couple|pair|second|both|each other",
    "3": r"three|third|thirds|triple|thrice|times",
    "4": r"four|quarter|quarters|fourth|fourths|quadruple",
    "5": r"five|fifth|fifths|weekdays?",
    "6": r"six|sixth|sixths",
    "7": r"seven|seventh|weeks?|weekly|daily",
    "8": r"eight|eighth|eighths",
    "9": r"nine|ninth",
    "10": r"ten|tenth|tenths",
    "12": r"twelve|dozens?|year|annual\w*|months?|foot|feet|inch\w*",
    "1": r"one|a|an|another|first|itself|himself|herself|the",
    "20": r"twenty|score",
    "24": r"hours?|days?",
    "30": r"months?|thirty",
    "60": r"hours?|minutes?|seconds?|sixty",
    "100": r"percent\w*|%|hundred|cents?|dollars?|meters?|centimeters?",
    "52": r"weeks?|years?",
    "365": r"years?|daily|days?",
    "1000": r"thousand|kilograms?|kg|grams?|km|kilometers?|liters?|ml",
}
_REFERS_TO_PASSAGE = re.compile(
    r"\b(passage|text|paragraph|article|above|according|he|she|it|they|this|his|her|its|their|these)\b", re.IGNORECASE
)


def version() -> str:
    """Short hash of what the teacher is told."""
    return hashlib.sha256(repr([INSTRUCTION, _EXAMPLES, QUIZ_INSTRUCTION, _QUIZ_EXAMPLE]).encode()).hexdigest()[:12]


def step_prompt(question: str, steps: Sequence[Calculation]) -> list[Message]:
    """The prompt that asks the teacher for the sub-questions of a solution."""
    messages = [{"role": "system", "content": INSTRUCTION}]
    for example, calculations, texts in _EXAMPLES:
        messages.append({"role": "user", "content": _task(example, calculations)})
        messages.append({"role": "assistant", "content": numbered(texts)})
    task = _task(question, [(step.expression, step.prose) for step in steps])
    return [*messages, {"role": "user", "content": task}]


def quiz_prompt(title: str, text: str) -> list[Message]:
    """The prompt that asks the teacher for questions about a passage."""
    return [
        {"role": "system", "content": QUIZ_INSTRUCTION},
        {"role": "user", "content": _QUIZ_EXAMPLE[0]},
        {"role": "assistant", "content": _QUIZ_EXAMPLE[1]},
        {"role": "user", "content": f"{title}\n{text}"},
    ]


def _task(question: str, steps: Iterable[tuple[str, str]]) -> str:
    lines = [f"{n}. {expression} | {prose}" for n, (expression, prose) in enumerate(steps, 1)]
    return "\n".join([f"Problem: {question}", "Steps:", *lines])


def numbered(texts: Sequence[str]) -> str:
    """Sub-questions as a teacher writes them, one numbered line each."""
    return "\n".join(f"{n}. {text}" for n, text in enumerate(texts, 1))


def read_lines(text: str, count: int) -> list[str] | None:
    """The questions of a reply, or None where there is not one for each step."""
    found = [match for line in text.splitlines() if (match := _LINE.fullmatch(line))]
    if [int(match[1]) for match in found] != list(range(1, count + 1)):
        return None
    return [" ".join(match[2].replace("**", "").split()) for match in found]


def repeats(texts: Iterable[str]) -> list[int]:
    """Places, from 1, of sub-questions that ask what an earlier one asks, but for conditions that follow after a comma.

    A student that learns from such plans does not learn to stop: with everything answered, it asks for the last thing
    once more ("..., given {2}?"), and the second answer is mostly wrong.
    """
    seen, found = set[str](), []
    for place, text in enumerate(texts, 1):
        asked = " ".join(re.findall(r"\w+|\{\d+\}", _CONDITION.sub("", text.casefold())))
        if asked in seen:
            found.append(place)
        seen.add(asked)
    return found


def faults(text: str, step: Calculation, question: str) -> list[str]:
    """What is wrong with a sub-question for a step: `form`, `slots`, `leak`, `numbers`."""
    found = []
    tail = text.rstrip().endswith("?") and text.count("?") == 1
    if not tail or len(text) > 200 or re.search(r"[\[\]\\=|]|\{(?!\d\})|(?<!\d)\}", text):
        found.append("form")
    if slots(text) != slots(step.expression):
        found.append("slots")
    given = {plain_number(n) for n in _NUMBER.findall(question)} | set(step.numbers)
    said = {plain_number(n) for n in _NUMBER.findall(re.sub(r"\{\d\}", " ", text))}
    if step.result in said - given:
        found.append("leak")
    if any(not says(text, said, number) for number in step.numbers):
        found.append("numbers")
    return found


def repaired(text: str, step: Calculation) -> str:
    """A sub-question with what its step calculates with, where it does not say so: `..., given 48 and {1}?`."""
    said = {plain_number(n) for n in _NUMBER.findall(re.sub(r"\{\d\}", " ", text))}
    missing = [f"{{{n}}}" for n in sorted(slots(step.expression) - slots(text))]
    missing += [number for number in dict.fromkeys(step.numbers) if not says(text, said, number)]
    if not missing or not text.endswith("?"):
        return text
    *first, last = missing
    given = f"{', '.join(first)} and {last}" if first else last
    return f"{text[:-1].rstrip()}, given {given}?"


def says(text: str, said: set[str], number: str) -> bool:
    """Whether a text names a number, in digits or in words such as `half`; `said` are its numbers in digits."""
    words = _WORDS.get(number)
    if number in said or (words and re.search(rf"\b(?:{words})\b", text, re.IGNORECASE)):
        return True
    whole = plain_number(f"{float(number) * 100:.4f}") if "." in number else ""
    return bool(whole) and (whole in said or bool(re.search(r"half|quarter|third|fifth|tenth", text)))


def demonstration(
    row: Mapping[str, Any], steps: Sequence[Calculation], replies: Sequence[str], split: str = "train"
) -> tuple[Demonstration | None, list[str]]:
    """The best plan out of a teacher's samples.

    Each step takes its first sub-question without fault, whichever sample it is in.

    Args:
        row: the data row.
        steps: its solution steps.
        replies: the teacher's samples.
        split: `train` or `tune`.

    Returns:
        The plan, or None with what was wrong in the best sample.
    """
    question = " ".join(str(row["question"]).split())
    samples = [lines for reply in replies if (lines := read_lines(reply, len(steps)))]
    if not samples:
        return None, ["alignment"]
    made: list[Step] = []
    wrong: list[str] = []
    for place, step in enumerate(steps):
        texts = [sample[place] for sample in samples]
        checked = [(faults(text, step, question), text) for text in (*texts, *(repaired(t, step) for t in texts))]
        problem, text = min(checked, key=lambda item: len(item[0]))
        wrong += problem
        made.append(Step(text=text, kind="arithmetic", expression=step.expression, answer=step.result))
    if wrong:
        return None, wrong
    plan = {"id": row["id"], "source": "gsm8k", "question": question, "steps": made, "split": split}
    return Demonstration.model_validate(plan), []


def quiz(reply: str, title: str, text: str) -> list[tuple[str, str]]:
    """The good question-answer pairs of a teacher's reply about a passage."""
    pairs = re.findall(r"^(?>[^\n]*?Q:)(.+)\n+A:(.+)", reply, re.MULTILINE)
    good: dict[str, str] = {}
    for question, answer in pairs:
        question, answer = question.strip(" "), answer.strip(" .")
        fits = 0 < len(answer.split()) <= 6 and answer in f"{title}\n{text}" and question.endswith("?")
        told = answer.lower() in question.lower() or _REFERS_TO_PASSAGE.search(question)
        if fits and not told and len(question) < 160:
            good[question] = answer
    return list(good.items())
