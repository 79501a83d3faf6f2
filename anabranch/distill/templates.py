"""Written demonstrations: chains of look-ups, comparisons, differences, small sums, single facts, chat and tool tasks.

Human data sets hold few plans over documents that a library may use in training; these fill the gap. All names are
made up, so nothing can be learned from them but the form of a plan.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from anabranch.distill import vocabulary as words
from anabranch.distill.records import Demonstration, Step

_KINDS = ("person", "company", "structure", "town", "film", "book", "song", "river", "country")


@dataclass(frozen=True)
class Thing:
    """A thing as a question names it, and the steps that find out which it is.

    Attributes:
        kind: what it is.
        text: its noun phrase in a question.
        steps: look-ups that resolve it, the innermost first.
    """

    kind: str
    text: str
    steps: tuple[Step, ...] = ()

    def reference(self, before: int) -> str:
        """How a step after `before` earlier steps and its own steps names it."""
        return f"{{{before + len(self.steps)}}}" if self.steps else self.text

    def shifted(self, before: int) -> list[Step]:
        """Its steps, behind `before` others."""
        if not before:
            return list(self.steps)
        numbers = {n: f"{{{n + before}}}" for n in range(1, len(self.steps) + 1)}
        return [_renumbered(step, numbers) for step in self.steps]


def _renumbered(step: Step, numbers: Mapping[int, str]) -> Step:
    text, other = step.text, step.other
    for number in sorted(numbers, reverse=True):
        text = text.replace(f"{{{number}}}", numbers[number])
        other = other and other.replace(f"{{{number}}}", numbers[number])
    return step.model_copy(update={"text": text, "other": other})


def written(random: Random, count: int) -> Iterator[Demonstration]:
    """Demonstrations of all forms, in fixed shares.

    Args:
        random: source of chance.
        count: how many.
    """
    makers: Sequence[tuple[Callable[[Random], tuple[str, list[Step]]], int]] = (
        (_chain, 34), (_single, 10), (_comparison, 14), (_same, 4), (_difference, 12), (_age_at, 4), (_total, 4),
        (_sum, 12), (_task, 8), (_tool_task, 6),
    )  # fmt: skip
    choices = random.choices([maker for maker, _ in makers], [share for _, share in makers], k=count)
    for number, make in enumerate(choices):
        question, steps = make(random)
        name = make.__name__.strip("_")
        yield Demonstration(
            id=f"written-{number}",
            source=f"written_{name}",
            question=_varied(random, question) if steps else question,
            steps=tuple(steps),
        )


def person(random: Random) -> str:
    """A made-up person's name."""
    return f"{random.choice(words.FIRST)} {random.choice(words.LAST)}"


def value(random: Random, kind: str) -> str:
    """A made-up value of an attribute."""
    if kind == "year":
        return str(random.randint(1750, 2010))
    if kind == "number":
        return f"{random.choice((random.randint(2, 900), random.randint(1000, 90_000))):,}"
    return person(random) if kind in ("name", "person") else random.choice(words.WORDS)


def _entity(random: Random, kind: str) -> str:
    word = random.choice(words.WORDS)
    if kind in words.KINDS_OF_PLACE:
        if random.random() < 0.15:
            return f"the {random.choice(words.BARE[kind])}"
        names = f"{word} {random.choice(words.LAST)}" if random.random() < 0.15 else word
        return f"the {names} {random.choice(words.KINDS_OF_PLACE[kind])}"
    if kind == "person":
        return person(random)
    if kind == "river":
        return f"the River {word}" if random.random() < 0.5 else f"the {word} River"
    if kind in ("town", "country"):
        return word + random.choice(
            ("", "", "", " Quay", "ton", " Hill", "ia") if kind == "town" else ("", "ia", "land")
        )
    title = random.choice((random.choice(words.FILMS), f"The {word} {random.choice(words.LAST)}"))
    noun = {"film": "the film ", "book": "the novel ", "song": "the song "}[kind]
    return (noun if random.random() < 0.7 else "") + title


def _thing(random: Random, kind: str, depth: int) -> Thing:
    """A thing of a kind that takes `depth` look-ups to resolve."""
    options = [(domain, r) for domain, rs in words.RELATIONS.items() for r in rs if r[0] == kind]
    if depth == 0 or not options:
        return Thing(kind, _entity(random, kind))
    domain, (_, noun, verb, asks) = random.choice(options)
    inner = _thing(random, domain, depth - 1)
    ask, other = asks[0], asks[-1] if len(asks) > 1 else None
    name = inner.reference(0)
    step = Step(text=ask.replace("{x}", name), answer=value(random, kind), other=other and other.replace("{x}", name))
    use_verb = verb and random.random() < 0.3
    phrase = f"the person who {verb}" if use_verb else noun
    return Thing(kind, phrase.replace("{x}", inner.text), (*inner.steps, step))


def _chain(random: Random) -> tuple[str, list[Step]]:
    kind = random.choice(("person", "person", "person", "town", "company", "country", "river", "structure"))
    thing = _thing(random, kind, random.choice((1, 1, 1, 1, 2, 2, 3)))
    type_, asks = random.choice(words.ATTRIBUTES[kind])
    ask = random.choice(asks)
    name = thing.reference(0)
    other = next((a for a in asks if a != ask), None)
    last = Step(text=ask.replace("{x}", name), answer=value(random, type_), other=other and other.replace("{x}", name))
    return ask.replace("{x}", thing.text), [*thing.steps, last]


def _single(random: Random) -> tuple[str, list[Step]]:
    kind = random.choice(_KINDS)
    pool = [asks for _, asks in words.ATTRIBUTES[kind]] + [r[3] for r in words.RELATIONS.get(kind, ())]
    question = random.choice(random.choice(pool)).replace("{x}", _entity(random, kind))
    return question, [Step(text=question)]


def _pair(random: Random, kind: str) -> tuple[Thing, Thing]:
    depths = random.choice(((0, 0), (0, 0), (1, 1), (1, 0), (0, 1)))
    return _thing(random, kind, depths[0]), _thing(random, kind, depths[1])


def _both(left: Thing, right: Thing, ask: str, random: Random, type_: str) -> tuple[list[Step], list[str], list[str]]:
    """Steps that look the same thing up on both sides; the names of the sides and the slots of their values."""
    steps: list[Step] = []
    names, slots = [], []
    for side in (left, right):
        names.append(side.reference(len(steps)))
        steps += side.shifted(len(steps))
        steps.append(Step(text=ask.replace("{x}", names[-1]), answer=value(random, type_)))
        slots.append(f"{{{len(steps)}}}")
    return steps, names, slots


def _comparison(random: Random) -> tuple[str, list[Step]]:
    kind, question, ask, side, winner = random.choice(words.COMPARE)
    left, right = _pair(random, kind)
    type_ = "year" if "year" in ask else "number"
    steps, names, slots = _both(left, right, ask, random, type_)
    sides = [side.replace("{x}", name).replace("{v}", slot) for name, slot in zip(names, slots, strict=True)]
    asked = question.replace("{a}", sides[0]).replace("{b}", sides[1])
    values = [float((steps[int(slot[1:-1]) - 1].answer or "0").replace(",", "")) for slot in slots]
    chosen = 0 if (values[0] <= values[1]) == (winner == "min") else 1
    answer = (left, right)[chosen].text if not (left, right)[chosen].steps else _answer(steps, names[chosen])
    steps.append(Step(text=asked, kind="logic", answer=answer))
    return question.replace("{a}", left.text).replace("{b}", right.text), steps


def _answer(steps: Sequence[Step], slot: str) -> str | None:
    return steps[int(slot[1:-1]) - 1].answer


def _same(random: Random) -> tuple[str, list[Step]]:
    kind, question, ask, last = random.choice(words.SAME)
    left, right = _pair(random, kind)
    steps, _, slots = _both(left, right, ask, random, "place")
    if random.random() < 0.5:
        steps[-1] = steps[-1].model_copy(update={"answer": _answer(steps, slots[0])})
    asked = last.replace("{1}", "{a}").replace("{2}", "{b}").replace("{a}", slots[0]).replace("{b}", slots[1])
    same = _answer(steps, slots[0]) == _answer(steps, slots[1])
    steps.append(Step(text=asked, kind="logic", answer="Yes" if same else "No"))
    return question.replace("{a}", left.text).replace("{b}", right.text), steps


def _difference(random: Random) -> tuple[str, list[Step]]:
    if random.random() < 0.3:
        return _how_much_more(random)
    kinds = random.choice((("structure", "structure"), ("company", "structure"), ("person", "structure"),
                           ("person", "company"), ("company", "company"), ("film", "film")))  # fmt: skip
    first, second = (_thing(random, kind, random.choice((0, 0, 0, 1))) for kind in kinds)
    clause, _, ask_first = random.choice(words.EVENTS[kinds[0]])
    _, tail, ask_second = random.choice(words.EVENTS[kinds[1]])
    earlier = random.randint(1750, 1980)
    steps: list[Step] = list(first.steps)
    steps.append(Step(text=ask_first.replace("{x}", first.reference(0)), answer=str(earlier)))
    start = len(steps)
    steps += second.shifted(start)
    steps.append(
        Step(text=ask_second.replace("{x}", second.reference(start)), answer=str(earlier + random.randint(1, 90)))
    )
    end = len(steps)
    between = f"How many years are there from {{{start}}} to {{{end}}}?"
    steps.append(Step(text=between, kind="arithmetic", expression=f"{{{end}}} - {{{start}}}"))
    question = random.choice((
        f"How many years after {clause} {tail}?",
        f"How many years passed between when {clause} and when {_statement(second, ask_second)}?",
        f"How many years are there between the year {clause} and the year {_statement(second, ask_second)}?",
    ))  # fmt: skip
    return question.replace("{x}", first.text, 1).replace("{x}", second.text), steps


def _statement(thing: Thing, ask: str) -> str:
    """The clause of an event that is asked for: `In which year was X built?` gives `X was built`."""
    for events in words.EVENTS.values():
        for clause, _, other in events:
            if other == ask:
                return clause.replace("{x}", thing.text)
    raise ValueError(ask)


def _how_much_more(random: Random) -> tuple[str, list[Step]]:
    form = random.choice((
        ("structure", "How much longer is {a} than {b}?", "How long is {x}?"),
        ("structure", "How much taller is {a} than {b}?", "How tall is {x}?"),
        ("structure", "How much more did {a} cost than {b}?", "How much did {x} cost?"),
        ("river", "How much longer is {a} than {b}?", "How long is {x}?"),
        ("town", "How many more people live in {a} than in {b}?", "How many people live in {x}?"),
        ("company", "How many more people work for {a} than for {b}?", "How many people work for {x}?"),
    ))  # fmt: skip
    return _with_two_amounts(random, form, "How much more is {a} than {b}?", "-")


def _age_at(random: Random) -> tuple[str, list[Step]]:
    kind = random.choice(("structure", "company"))
    place = _entity(random, kind)
    _, noun, _, asks = random.choice([r for r in words.RELATIONS[kind] if r[0] == "person"])
    clause, _, ask = random.choice(words.EVENTS[kind])
    born = random.randint(1750, 1980)
    if random.random() < 0.4:
        name = person(random)
        known = [
            Step(text=f"In which year was {name} born?", answer=str(born)),
            Step(text=ask.replace("{x}", place), answer=str(born + random.randint(18, 70))),
            Step(text="How many years are there from {1} to {2}?", kind="arithmetic", expression="{2} - {1}"),
        ]
        return f"How old was {name} when {clause.replace('{x}', place)}?", known
    steps = [
        Step(text=asks[0].replace("{x}", place), answer=person(random)),
        Step(text="In which year was {1} born?", answer=str(born)),
        Step(text=ask.replace("{x}", place), answer=str(born + random.randint(18, 70))),
        Step(text="How many years are there from {2} to {3}?", kind="arithmetic", expression="{3} - {2}"),
    ]
    again = "it" if random.random() < 0.5 else place
    return f"How old was {noun.replace('{x}', place)} when {clause.replace('{x}', again)}?", steps


def _total(random: Random) -> tuple[str, list[Step]]:
    if random.random() < 0.5:
        return _multiple(random)
    form = random.choice((
        ("town", "How many people live in {a} and {b} together?", "How many people live in {x}?"),
        ("company", "How many people do {a} and {b} employ in total?", "How many people work for {x}?"),
        ("structure", "What did {a} and {b} cost together?", "How much did {x} cost?"),
    ))  # fmt: skip
    return _with_two_amounts(random, form, "How much are {a} and {b} together?", "+")


def _with_two_amounts(random: Random, form: tuple[str, str, str], text: str, operator: str) -> tuple[str, list[Step]]:
    """A question that a sum over two amounts answers, after each was looked up."""
    kind, question, ask = form
    left, right = _pair(random, kind)
    steps, _, (a, b) = _both(left, right, ask, random, "number")
    last = text.replace("{a}", a).replace("{b}", b)
    steps.append(Step(text=last, kind="arithmetic", expression=f"{a} {operator} {b}"))
    return question.replace("{a}", left.text).replace("{b}", right.text), steps


def _multiple(random: Random) -> tuple[str, list[Step]]:
    kind, question, ask = random.choice((
        ("company", "How many people can {x} carry in {n} trips?", "How many people can {x} carry in one trip?"),
        ("structure", "How much do {n} tickets for {x} cost?", "How much does one ticket for {x} cost?"),
        ("river", "How far is it to travel {n} times the length of {x}?", "How long is {x}?"),
        ("company", "How much does {x} make in {n} years?", "How much does {x} make in one year?"),
        ("structure", "How many people visit {x} in {n} days?", "How many people visit {x} in one day?"),
    ))  # fmt: skip
    thing = _thing(random, kind, random.choice((0, 0, 1)))
    count = str(random.randint(2, 40))
    steps = [*thing.steps, Step(text=ask.replace("{x}", thing.reference(0)), answer=value(random, "number"))]
    slot = f"{{{len(steps)}}}"
    steps.append(Step(text=f"How much is {count} times {slot}?", kind="arithmetic", expression=f"{count} * {slot}"))
    return question.replace("{x}", thing.text).replace("{n}", count), steps


def _sum(random: Random) -> tuple[str, list[Step]]:
    question, steps = random.choice(words.SUMS)
    values = _values_of_a_sum(random)

    def filled(text: str) -> str:
        return re.sub(r"<([a-z])>", lambda match: values[match[1]], text)

    made = [Step(text=filled(text), kind="arithmetic", expression=filled(expression)) for text, expression in steps]
    return filled(question), made


def _values_of_a_sum(random: Random) -> dict[str, str]:
    a, b, c, d = (random.choice((random.randint(2, 12), random.randint(2, 60))) for _ in range(4))
    people = random.sample(words.FIRST, 2)
    return {
        "a": str(a), "b": str(b), "c": str(c), "d": str(d), "g": str(random.randint(70, 2000)),
        "s": str(random.randint(1, a * b)), "t": str(random.choice((5, 10, 15, 20, 25, 30, 40, 50, 75))),
        "p": people[0], "q": people[1], "i": random.choice(words.ITEMS), "k": random.choice(words.BOXES),
    }  # fmt: skip


def _task(random: Random) -> tuple[str, list[Step]]:
    if random.random() < 0.45:
        return random.choice(words.CHAT), []
    text = random.choice(words.TASKS)
    for name, options in words.TASK_WORDS.items():
        text = text.replace(f"{{{name}}}", random.choice(options))
    return text, []


def _tool_task(random: Random) -> tuple[str, list[Step]]:
    kind = random.choice(list(words.TOOL_TASKS))
    question, first, second = random.choice(words.TOOL_TASKS[kind])
    days = ("Monday", "Tuesday", "Friday", "3 May", "12 October")
    values = {"t": random.choice(words.WORDS), "u": random.choice(words.WORDS), "d": random.choice(days),
              "p": random.choice(words.FIRST), "a": str(random.randint(2, 900)),
              "o": f"{random.choice(words.WORDS)} {random.choice(words.KINDS_OF_PLACE['company'])}"}  # fmt: skip

    def filled(text: str) -> str:
        for name, word in values.items():
            text = text.replace(f"{{{name}}}", word)
        return text

    steps = [Step(text=filled(first), kind=kind)]
    if second.startswith("="):
        expression = filled(second[1:].strip())
        steps.append(
            Step(text=f"How much is {expression.replace('*', 'times')}?", kind="arithmetic", expression=expression)
        )
    elif second:
        steps.append(Step(text=filled(second), kind="logic"))
    return filled(question), steps


def _varied(random: Random, question: str) -> str:
    """The question as people may type it."""
    chance = random.random()
    if chance < 0.06:
        return question[0].lower() + question[1:].rstrip("?")
    if chance < 0.1:
        return f"{random.choice(('Please tell me:', 'I want to know:', 'Question for you:', 'Hi!'))} {question}"
    return question
