"""Demonstrations as training prompts: the very messages that serving sends, with a tool catalogue for each.

Some come after a passage, as in reading tasks. There nothing needs to be looked up: what would be a search is reading,
so it is left to the solver. What such rows are worth is in docs/lab/notebook.md: so far, nothing to a solver that reads
the passage anyway.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.tools import ToolException

from anabranch.agents import prompts
from anabranch.codecs import DIRECT, DONE, encode_lines
from anabranch.distill.catalogues import Offer, random_offer
from anabranch.distill.records import FALLBACKS, Demonstration, Kind, Step
from anabranch.distill.sources import Passage
from anabranch.plan import SOLVE, Answer, Plan, SubQuestion, fill, slots
from anabranch.tools.calculator import calculate

DYNAMIC_SHARE = 0.1
REPLAN_SHARE = 0.06
SHORT_SHARE = 0.3
"""Share of the demonstrations that get a tool for their sums by chance only, and so mostly leave them to the solver."""
NO_TOOLS_SHARE = 0.08
PASSAGE_SHARE = 0.2
"""Share of the demonstrations that come after a passage, where one can be made."""
HINT_SHARE = 0.3
HINTS = (
    "Answer with a number, a date or the words of the passage.",
    "Answer with a name, a number or a few words.",
    "Answer with a name, a number or a few words, or with yes or no.",
    "Answer with a name, or with a number alone.",
    "Answer yes or no.",
    "Answer in short.",
    "Be brief.",
)
"""What may follow a question, with a passage or without: a student that saw it with passages alone took it for one."""
NO_TOOLS = Offer((), {})
MOST_WORDS = 170
"""Of a paragraph that has nothing to do with the question."""

_LAST_SENTENCE = re.compile(r"^(.+[.!])\s++([^.!]+\?)$", re.DOTALL)
_GIVEN = re.compile(r", (if|given|assuming|considering) [^?]*\?$")
_ROLES = {"system": "system", "human": "user", "ai": "assistant"}
_FAILURES = (
    "the tool's result does not hold the answer",
    "no passage found",
    "no answer within 60 s",
    "ToolException: no passage found; try other words for it, or fewer",
)
_FEEDBACK = ("{t} has no answer", "the answer to {k} is missing", "sub-question {k} failed", "unknown: {t}")


def as_messages(messages: Sequence[BaseMessage]) -> list[dict[str, str]]:
    """Messages as chat templates and servers take them."""
    return [{"role": _ROLES[message.type], "content": str(message.text)} for message in messages]


def training_rows(
    demonstrations: Iterable[Demonstration], random: Random, pool: Sequence[Passage] = ()
) -> Iterator[dict[str, Any]]:
    """Prompts and completions, each demonstration with a catalogue of its own, some after a passage.

    Args:
        demonstrations: what to show.
        random: source of chance.
        pool: paragraphs that have nothing to do with the questions.
    """
    for shown in demonstrations:
        read = over_a_passage(shown, pool, random) if random.random() < PASSAGE_SHARE else None
        demonstration = _with_a_hint(read or shown, random)
        wanted = wanted_tools(demonstration, random)
        if random.random() < SHORT_SHARE:
            wanted = [kind for kind in wanted if kind not in FALLBACKS["arithmetic"]]
        offer = NO_TOOLS if random.random() < NO_TOOLS_SHARE else random_offer(random, wanted)
        chance = random.random()
        made = None
        if chance < DYNAMIC_SHARE:
            made = _dynamic(demonstration, offer, random)
        elif chance < DYNAMIC_SHARE + REPLAN_SHARE:
            made = _replan(demonstration, offer, random)
        if made is None:
            plan = plan_over(demonstration, offer.tools)
            made = prompts.lines_messages(demonstration.question, offer.cards), encode_lines(plan)
        yield {
            "id": demonstration.id,
            "source": demonstration.source,
            "messages": as_messages(made[0]),
            "completion": made[1],
        }


def route_rows(demonstrations: Iterable[Demonstration], random: Random) -> Iterator[dict[str, Any]]:
    """Prompts with catalogues that training never shows, and the plans that fit them."""
    for demonstration in demonstrations:
        offer = random_offer(random, wanted_tools(demonstration, random), held_out=True)
        routes = [card.name for card in offer.cards]
        yield {
            "id": demonstration.id,
            "source": demonstration.source,
            "messages": as_messages(prompts.lines_messages(demonstration.question, offer.cards)),
            "routes": routes,
            "plan": plan_over(demonstration, offer.tools).model_dump(),
        }


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


def _with_a_hint(demonstration: Demonstration, random: Random) -> Demonstration:
    """A demonstration whose question may say what form its answer is to have."""
    if not demonstration.steps or random.random() >= HINT_SHARE:
        return demonstration
    return demonstration.model_copy(update={"question": f"{demonstration.question} {random.choice(HINTS)}"})


def plan_over(demonstration: Demonstration, tools: Mapping[Kind, str]) -> Plan:
    """A demonstration's plan over a tool catalogue; one step that no tool answers is no plan.

    A sum that a tool works out has its numbers in its text. Where all sums are left to the solver, which has the
    question before it, they are asked for in short.

    Args:
        demonstration: the question and its steps.
        tools: names of the tools in the catalogue, by kind.
    """
    steps = demonstration.steps
    routes = [route(step.kind, tools) for step in steps]
    if routes == [SOLVE]:
        return Plan()
    texts = [step.text for step in steps]
    if _only_sums(steps) and set(routes) == {SOLVE}:
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


def wanted_tools(demonstration: Demonstration, random: Random) -> list[str]:
    """Kinds of tools that a demonstration has a use for."""
    arithmetic = "python" if random.random() < 0.12 else "calculator"
    names = {"fact": "search", "arithmetic": arithmetic}
    kinds = dict.fromkeys(names.get(step.kind, step.kind) for step in demonstration.steps)
    return [kind for kind in kinds if kind != "logic"]


def with_answers(steps: Sequence[Step]) -> list[Step]:
    """Steps with the answers of arithmetic filled in, where those before are known."""
    known: dict[int, str] = {}
    filled = []
    for number, step in enumerate(steps, 1):
        answer = step.answer
        if answer is None and step.expression and slots(step.expression) <= known.keys():
            try:
                answer = calculate(fill(step.expression, known).replace(",", ""))
            except ToolException:
                answer = None
        if answer is not None:
            known[number] = answer
        filled.append(step.model_copy(update={"answer": answer}))
    return filled


def layers(steps: Sequence[Step]) -> list[list[int]]:
    """Places of the steps, from 0, in layers that can be asked at once."""
    depth: list[int] = []
    for step in steps:
        depth.append(1 + max((depth[number - 1] for number in slots(step.text)), default=-1))
    return [[place for place, d in enumerate(depth) if d == level] for level in range(max(depth, default=-1) + 1)]


def _dynamic(demonstration: Demonstration, offer: Offer, random: Random) -> tuple[list[BaseMessage], str] | None:
    """The next layer of a plan, after answers to those before."""
    plan = plan_over(demonstration, offer.tools)
    steps = with_answers(demonstration.steps)
    if plan.is_direct:
        return prompts.lines_messages(demonstration.question, offer.cards, "dynamic"), DIRECT
    order = layers(steps)
    cut = random.randint(0, len(order))
    before = [place for layer in order[:cut] for place in layer]
    if any(steps[place].answer is None for place in before):
        return None
    numbers = {place + 1: number for number, place in enumerate([p for layer in order for p in layer], 1)}
    asked = tuple(_numbered(steps[place], numbers, numbers[place + 1], offer) for place in before)
    next_ = tuple(
        _numbered(steps[place], numbers, numbers[place + 1], offer)
        for place in (order[cut] if cut < len(order) else ())
    )
    answers = {
        numbers[place + 1]: Answer(id=numbers[place + 1], text=steps[place].answer or "", route=question.route)
        for place, question in zip(before, asked, strict=True)
    }
    messages = prompts.lines_messages(
        demonstration.question, offer.cards, "dynamic", asked=Plan(sub_questions=asked), answers=answers
    )
    return messages, _lines(next_) if next_ else DONE


def _replan(demonstration: Demonstration, offer: Offer, random: Random) -> tuple[list[BaseMessage], str] | None:
    """A plan after one look-up failed: the same in other words, and what depends on it."""
    steps = with_answers(demonstration.steps)
    places = [place for place, step in enumerate(steps) if step.other and step.kind == "fact"]
    if len(steps) < 2 or not places or "search" not in offer.tools:
        return None
    lost = random.choice(places)
    behind = _dependents(steps, lost)
    if any(step.answer is None for place, step in enumerate(steps) if place not in behind):
        return None
    plan = plan_over(demonstration, offer.tools)
    answers = {place + 1: _outcome(place, lost, behind, step, random) for place, step in enumerate(steps)}
    again = sorted(behind)
    numbers = {n: n for n in range(1, len(steps) + 1)} | {p + 1: len(steps) + 1 + k for k, p in enumerate(again)}
    new = []
    for place in again:
        step = steps[place]
        text = (step.other or step.text) if place == lost else step.text
        new.append(_numbered(step.model_copy(update={"text": text}), numbers, numbers[place + 1], offer))
    known = {id_: answer.text for id_, answer in answers.items() if answer.ok}
    feedback = random.choice(_FEEDBACK).replace("{k}", str(lost + 1)).replace("{t}", fill(steps[lost].text, known))
    messages = prompts.lines_messages(
        demonstration.question, offer.cards, asked=plan, answers=answers, feedback=feedback
    )
    return messages, _lines(new)


def _dependents(steps: Sequence[Step], lost: int) -> set[int]:
    behind = {lost}
    for place, step in enumerate(steps):
        if any(number - 1 in behind for number in slots(step.text)):
            behind.add(place)
    return behind


def _outcome(place: int, lost: int, behind: set[int], step: Step, random: Random) -> Answer:
    if place == lost:
        return Answer(id=place + 1, status="failed", error=random.choice(_FAILURES))
    if place in behind:
        return Answer(id=place + 1, status="failed", error=f"sub-question {lost + 1}, which it needs, failed")
    return Answer(id=place + 1, text=step.answer or "")


def _numbered(step: Step, numbers: dict[int, int], number: int, offer: Offer) -> SubQuestion:
    text = fill(step.text, {old: f"{{{new}}}" for old, new in numbers.items()})
    return SubQuestion(id=number, text=text, route=route(step.kind, offer.tools))


def _lines(questions: Sequence[SubQuestion]) -> str:
    # New sub-questions refer to ones outside of this list, so they are no plan of their own.
    return encode_lines(Plan.model_construct(sub_questions=tuple(questions)))
