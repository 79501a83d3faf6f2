"""Tool catalogues for training prompts: varied names and descriptions, irrelevant tools; held-out ones for tests."""

import json
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from anabranch.distill.records import Kind
from anabranch.distill.vocabulary import EMPTY, FOLDER
from anabranch.tools import calculator as calculator_tool
from anabranch.tools import python as python_module
from anabranch.tools import search as search_module
from anabranch.tools.catalogue import ToolCard, first_sentence

Texts = tuple[tuple[str, ...], tuple[str, ...]]
MAIN: Sequence[Kind] = ("calculator", "search", "python")
SHIPPED_SHARE = 0.25
"""Share of training prompts with the library's own tools: they are what most people run."""


@dataclass(frozen=True)
class Offer:
    """A tool catalogue of one prompt.

    Attributes:
        cards: the tools in the order of the prompt.
        tools: their names by kind.
    """

    cards: tuple[ToolCard, ...]
    tools: Mapping[Kind, str]


def shipped(*kinds: Kind) -> Offer:
    """A catalogue of the library's own tools, with the cards they really have."""
    descriptions = {
        "calculator": calculator_tool().description,
        "search": search_module.DESCRIPTION,
        "python": python_module.DESCRIPTION,
    }
    cards = tuple(ToolCard(name=kind, description=first_sentence(descriptions[kind])) for kind in kinds)
    return Offer(cards, {kind: kind for kind in kinds})


def random_offer(random: Random, wanted: Sequence[Kind], *, held_out: bool = False) -> Offer:
    """A random catalogue for a demonstration: never with two tools, or a tool and none, to choose from for a step.

    Args:
        random: source of chance.
        wanted: kinds of tools that would help; each is there most of the time.
        held_out: take names and descriptions that training never shows.
    """
    if held_out:
        return _suited(wanted, _named(random, _held_out_kinds(random, wanted), _held_out_card))
    if random.random() < SHIPPED_SHARE:
        kinds = _shipped_kinds(random, wanted)
        return shipped(*(kind for kind in kinds if kind not in _unfit(wanted, kinds)))
    return _suited(wanted, _named(random, _kinds(random, wanted), _card))


def _shipped_kinds(random: Random, wanted: Sequence[Kind]) -> list[Kind]:
    # The library lists its tools in this order when several are switched on.
    sets = (["calculator"], ["search"], ["calculator", "search"], ["calculator", "search"], ["search", "calculator"])
    fitting = [kinds for kinds in sets if set(wanted) & set(MAIN) <= set(kinds)] or sets
    if random.random() < 0.2:
        return random.choice((["calculator", "search"], ["calculator", "python"], ["calculator", "search", "python"]))
    return list(random.choice(fitting if random.random() < 0.8 else sets))


def _held_out_kinds(random: Random, wanted: Sequence[Kind]) -> list[Kind]:
    chosen = [kind for kind in wanted if random.random() < 0.85]
    others = [kind for kind in HELD_OUT if kind not in wanted]
    chosen += random.sample(others, min(len(others), random.choice((0, 1, 1, 2, 2, 3, 4))))
    random.shuffle(chosen)
    return chosen


def _kinds(random: Random, wanted: Sequence[Kind]) -> list[Kind]:
    chosen = [kind for kind in wanted if random.random() < 0.88]
    chosen += [kind for kind, share in UNASKED.items() if kind not in wanted and random.random() < share]
    others = [kind for kind in TOOLS if kind not in MAIN and kind not in wanted]
    more = random.choices(range(8), EXTRA)[0]
    chosen += random.sample(others, max(0, min(more, MOST - len(chosen))))
    random.shuffle(chosen)
    return chosen


def _named(random: Random, kinds: Sequence[Kind], card: Callable[[Random, Kind], ToolCard]) -> dict[Kind, ToolCard]:
    named: dict[Kind, ToolCard] = {}
    for kind in kinds:
        made = card(random, kind)
        if made.name not in {other.name for other in named.values()}:
            named[kind] = made
    return named


def _suited(wanted: Sequence[Kind], named: Mapping[Kind, ToolCard]) -> Offer:
    unfit = _unfit(wanted, named)
    kept = {kind: card for kind, card in named.items() if kind not in unfit}
    return Offer(tuple(kept.values()), {kind: card.name for kind, card in kept.items()})


def _unfit(wanted: Sequence[Kind], present: Container[Kind]) -> set[Kind]:
    """Kinds that a careful person might take as well as the right route."""
    own = [kind for kind in wanted if kind not in MAIN]
    unfit = {rival for kind in own or wanted or ("",) for rival in RIVALS.get(kind, ())}
    if any(kind not in present for kind in own):
        # What its own tool would tell may be found by a search, too.
        unfit.add("search")
    return unfit.difference(wanted)


def _held_out_card(random: Random, kind: Kind) -> ToolCard:
    names, descriptions = HELD_OUT[kind]
    return ToolCard(name=random.choice(names), description=random.choice(descriptions))


def _card(random: Random, kind: Kind) -> ToolCard:
    names, descriptions = TOOLS[kind]
    while True:
        name, description = random.choice(names), random.choice(descriptions)
        if kind in PHRASES and random.random() < 0.5:
            description = _phrase(random, kind)
        if random.random() < 0.2:
            description = description.rstrip(".")
        chance = random.random()
        if chance < 0.35:
            # A name that says nothing: only the description tells what the tool is for.
            name = _nonsense(random)
        elif chance < 0.55:
            name = random.choice(AFFIXES).replace("*", name)
        elif chance < 0.7:
            name = _restyled(random, name)
        if not is_held_out(name, description):
            return ToolCard(name=name, description=first_sentence(description))


def _phrase(random: Random, kind: Kind) -> str:
    lead, verb, *rest = (random.choice(options) for options in PHRASES[kind])
    verb = verb[0].lower() + verb[1:] if lead and not lead.endswith(":") else verb
    return " ".join(part for part in (lead, verb, *rest) if part) + "."


def _nonsense(random: Random) -> str:
    if random.random() < 0.35:
        syllables = (random.choice("bdfgklmnprstvz") + random.choice("aeiou") for _ in range(random.randint(2, 3)))
        name = "".join(syllables) + random.choice(("", "", "n", "x", "r"))
    else:
        name = random.choice(NONSENSE)
    name = name.capitalize() if random.random() < 0.2 else name
    return name + random.choice(("", "", "", "", "_tool", "2", "_v1", "-x", ".run", str(random.randint(1, 99))))


def _restyled(random: Random, name: str) -> str:
    """The words of a name put together in another way."""
    words: list[str] = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name)]
    style = random.randrange(5)
    if style == 0:
        return words[0] + "".join(word.capitalize() for word in words[1:])
    if style == 1:
        return "".join(word.capitalize() for word in words)
    return "-_."[style - 2].join(words)


def is_held_out(name: str, description: str) -> bool:
    """Whether a tool is, or nearly is, one of those that are kept for tests."""
    return _bare(name) in _held_out_names() or _is_near(description)


@cache
def _held_out_names() -> frozenset[str]:
    return frozenset(_bare(name) for names, _ in HELD_OUT.values() for name in names)


@cache
def _is_near(description: str) -> bool:
    return any(likeness(description, held) >= NEAR for _, texts in HELD_OUT.values() for held in texts)


def likeness(one: str, other: str) -> float:
    """Share of the words that two descriptions have in common, of all their words that mean something."""
    left, right = _stems(one), _stems(other)
    return len(left & right) / max(1, len(left | right))


@cache
def _stems(text: str) -> frozenset[str]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return frozenset(re.sub(r"(?<=...)(ations?|ing|ions?|ed|es?|s)$", "", word) for word in words if word not in EMPTY)


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _read(*files: str) -> Mapping[Kind, Texts]:
    """Names and descriptions by kind: a block each, `kind | names` with names going on in indented lines."""
    tables = [(FOLDER / f"{file}.txt").read_text(encoding="utf-8").strip() for file in files]
    found: dict[Kind, Texts] = {}
    for block in "\n\n".join(tables).split("\n\n"):
        kind, _, rest = block.strip().partition(" | ")
        names, *descriptions = rest.replace("\n  ", " ").splitlines()
        found[kind] = tuple(name.strip() for name in names.split(",")), tuple(descriptions)
    return found


MOST = 8
"""Tools in a catalogue."""
EXTRA = (0.06, 0.18, 0.2, 0.2, 0.15, 0.1, 0.07, 0.04)
"""Share of catalogues with 0, 1, ... tools that help with nothing."""
UNASKED: Mapping[Kind, float] = {"calculator": 0.35, "search": 0.35, "python": 0.12}
"""How often tools are there without a step for them."""
NEAR = 0.5
"""Likeness from which a description counts as a copy of a held-out one."""
_WORDS: Mapping[str, Any] = json.loads((FOLDER / "tools.json").read_text(encoding="utf-8"))
RIVALS: Mapping[Kind, Sequence[Kind]] = _WORDS["rivals"]
"""Kinds that could do, or seem to do, what another kind is for; `""` stands for questions that need no tool."""
AFFIXES: Sequence[str] = _WORDS["affixes"]
PHRASES: Mapping[Kind, Sequence[Sequence[str]]] = _WORDS["phrases"]
"""Parts of descriptions by kind, combined at random; with names that say nothing they teach to read descriptions."""
NONSENSE: Sequence[str] = _WORDS["nonsense"]
"""Names that tell nothing of what a tool is for."""
TOOLS = _read("tools_that_help", "tools_at_work", "tools_at_home", "tools_in_town")
"""Names and descriptions by kind, for training."""
HELD_OUT: Mapping[Kind, Texts] = {
    kind: (tuple(names), tuple(texts)) for kind, (names, texts) in _WORDS["held_out"].items()
}
"""Names and descriptions by kind that training never shows."""
