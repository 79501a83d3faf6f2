"""Training prompts of the small solver: tool arguments, reading answers out of passages, short answers, chat."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from anabranch.agents import prompts
from anabranch.distill.records import Demonstration
from anabranch.distill.render import as_messages, with_answers
from anabranch.plan import fill, slots
from anabranch.tools import calculator, python_sandbox
from anabranch.tools.calculator import find_expression

NOT_FOUND_SHARE = 0.08
PASSAGES = 4
"""What the search tool returns."""

Row = dict[str, Any]
Reading = tuple[str, str, Mapping[str, str]]
"""A question, its answer, and the passage (`title`, `text`) that holds it."""
_UNITS = ("metres", "m", "kilometres", "km", "crowns", "people", "inhabitants", "tonnes", "pages", "dollars", "euros")
_SUFFIXES = (".md", ".txt", ".html", ".pdf, page {n}", "")


def argument_rows(demonstrations: Iterable[Demonstration], random: Random) -> Iterator[Row]:
    """Sub-questions with their slots filled, and the arguments of the tool call that answers each."""
    calculate, sandbox = calculator(), python_sandbox()
    for demonstration in demonstrations:
        known: dict[int, str] = {}
        for number, step in enumerate(with_answers(demonstration.steps), 1):
            if step.expression and slots(step.expression) <= known.keys():
                text, expression = _written(step.text, step.expression, known, random)
                if find_expression(text) is None:
                    use_python = random.random() < 0.06
                    arguments = {"code": f"print({expression})"} if use_python else {"expression": expression}
                    messages = _arguments_prompt(sandbox if use_python else calculate, text)
                    yield row(f"{demonstration.id}/{number}", "arguments", messages, json.dumps(arguments))
            if step.answer is not None:
                known[number] = step.answer


def _written(text: str, expression: str, known: Mapping[int, str], random: Random) -> tuple[str, str]:
    """Fills slots as tools and searches answer: sometimes with units, thousands separators or a preposition."""
    unit = random.choice(_UNITS) if random.random() < 0.3 and "years" not in text and "$" not in text else ""
    shown = {k: _shown(value, unit, random) for k, value in known.items()} if "_" not in text else dict(known)
    plain = {k: value.replace(",", "") for k, value in known.items()}
    simple = not re.search(r"\{\d\} [a-z$]", text) or "much" in text
    return fill(text, shown if simple else known), fill(expression, plain)


def _shown(value: str, unit: str, random: Random) -> str:
    year = re.fullmatch(r"1[5-9]\d\d|20[0-2]\d", value)
    if year and random.random() < 0.15:
        return random.choice((f"in {value}", f"3 June {value}", f"the autumn of {value}"))
    return f"{value} {unit}" if unit and not year else value


def _arguments_prompt(tool: BaseTool, text: str) -> list[dict[str, str]]:
    parameters = convert_to_openai_tool(tool)["function"]["parameters"]
    return as_messages(prompts.arguments_messages(text, tool.name, tool.description, json.dumps(parameters)))


def step_rows(demonstrations: Iterable[Demonstration]) -> Iterator[Row]:
    """Reasoning steps whose answer follows from the text: comparisons of values that were looked up."""
    for demonstration in demonstrations:
        known: dict[int, str] = {}
        for number, step in enumerate(demonstration.steps, 1):
            if step.kind == "logic" and step.answer and slots(step.text) <= known.keys():
                messages = as_messages(prompts.step_messages(fill(step.text, known)))
                yield row(f"{demonstration.id}/{number}", "step", messages, step.answer)
            if step.answer is not None:
                known[number] = step.answer


def reading_rows(pairs: Iterable[Reading], pool: Sequence[Mapping[str, str]], random: Random) -> Iterator[Row]:
    """Questions with passages as the search tool prints them.

    Args:
        pairs: what is asked.
        pool: passages to mix in.
        random: source of chance.
    """
    for number, (question, answer, passage) in enumerate(pairs):
        absent = random.random() < NOT_FOUND_SHARE
        others = [
            p
            for p in random.sample(pool, min(8, len(pool)))
            if answer.lower() not in f"{p['title']} {p['text']}".lower()
        ]
        shown = others[: random.choice((1, 2, 3, 3, 3))]
        if not absent:
            shown.insert(min(len(shown), random.choice((0, 0, 0, 0, 1, 1, 2, 3))), passage)
        if not shown:
            continue
        evidence = "\n\n".join(f"[{n}] {_passage(p, random)}" for n, p in enumerate(shown, 1))
        messages = as_messages(prompts.read_messages(question, evidence))
        yield row(f"read/{number}", "read", messages, prompts.NOT_FOUND if absent else answer)


def _passage(passage: Mapping[str, str], random: Random) -> str:
    title = passage["title"]
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "document"
    label = random.choice((name, name, name, title)) + random.choice(_SUFFIXES).replace(
        "{n}", str(random.randint(1, 30))
    )
    heading = random.choice(("", "", f"# {title}\n\n", f"{title}\n\n"))
    words = passage["text"].split()
    return f"{label}: {heading}{' '.join(words[:130])}"


def chat_rows(replies: Iterable[tuple[str, str, str]]) -> Iterator[Row]:
    """Questions that a teacher answered: kind (`direct` or `step`), question, reply."""
    for number, (kind, question, reply) in enumerate(replies):
        make = prompts.direct_messages if kind == "direct" else prompts.step_messages
        short = len(reply) < (600 if kind == "direct" else 80)
        if reply.strip() and short and not re.search(r"Qwen|Alibaba|OpenAI|Anthropic", reply):
            yield row(f"{kind}/{number}", kind, as_messages(make(question)), reply.strip())


def row(id_: str, source: str, messages: list[dict[str, str]], completion: str) -> Row:
    """One training row."""
    return {"id": id_, "source": source, "messages": messages, "completion": completion}
