"""Tool catalogues of training prompts: many kinds, none of the held-out ones, and one right route for each step."""

import re
from collections.abc import Sequence
from random import Random

import pytest

from anabranch.distill.catalogues import (
    HELD_OUT,
    MAIN,
    MOST,
    NEAR,
    PHRASES,
    RIVALS,
    TOOLS,
    Offer,
    is_held_out,
    likeness,
    random_offer,
    shipped,
)
from anabranch.distill.records import FALLBACKS
from anabranch.distill.vocabulary import TOOL_TASKS
from anabranch.plan import ROUTE_PATTERN
from anabranch.tools.catalogue import first_sentence

WANTED: Sequence[list[str]] = (
    ["calculator"],
    ["search"],
    ["search", "calculator"],
    ["python"],
    ["weather"],
    ["sql"],
    [],
)


def offers(count: int, seed: int = 1) -> list[tuple[list[str], Offer]]:
    random = Random(seed)
    chosen = [random.choice(WANTED) for _ in range(count)]
    return [(wanted, random_offer(random, wanted)) for wanted in chosen]


def bare(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def test_there_are_many_kinds_with_many_names_and_descriptions() -> None:
    assert len(TOOLS.keys() - set(MAIN)) >= 120
    for kind, (names, descriptions) in TOOLS.items():
        assert len(set(names)) == len(names) >= (40 if kind in MAIN else 3), kind
        assert len(set(descriptions)) == len(descriptions) >= (30 if kind in MAIN else 3), kind
        assert all(re.fullmatch(ROUTE_PATTERN, name) for name in names), kind
    every = [name for names, _ in TOOLS.values() for name in names]
    assert len({*every}) == len(every)
    assert HELD_OUT.keys() <= TOOLS.keys()
    assert PHRASES.keys() == set(MAIN)
    assert (TOOL_TASKS.keys() | {kind for kinds in FALLBACKS.values() for kind in kinds}) <= TOOLS.keys()
    assert {kind for kinds in RIVALS.values() for kind in kinds} <= TOOLS.keys()


def test_no_name_or_description_is_a_held_out_one_or_nearly() -> None:
    held_names = {bare(name) for names, _ in HELD_OUT.values() for name in names}
    held = [text for _, texts in HELD_OUT.values() for text in texts]
    cards = {card for _, offer in offers(4000) for card in offer.cards}
    written = [(name, text) for names, texts in TOOLS.values() for name, text in zip(names, texts * 9, strict=False)]
    assert len(cards) > 5000
    for name, description in [*written, *((card.name, card.description) for card in cards)]:
        assert bare(name) not in held_names
        assert max(likeness(description, text) for text in held) < NEAR, description


@pytest.mark.parametrize(
    ("name", "description", "held"),
    [
        ("Fact-Finder", "Tells a joke.", True),
        ("jokes", "Interprets Python source.", True),
        ("jokes", "Creates a picture.", True),
        ("jokes", "Tells a joke.", False),
    ],
)
def test_a_near_copy_of_a_held_out_tool_is_known(name: str, description: str, held: bool) -> None:
    assert is_held_out(name, description) is held


def test_the_held_out_catalogue_has_nothing_else() -> None:
    random, names = Random(2), {name for names, _ in HELD_OUT.values() for name in names}
    for _ in range(300):
        assert {card.name for card in random_offer(random, random.choice(WANTED), held_out=True).cards} <= names


def test_catalogues_have_one_to_eight_tools_with_names_of_their_own() -> None:
    sizes = [len(offer.cards) for _, offer in offers(3000)]
    assert max(sizes) == MOST
    assert all(sizes.count(size) > 60 for size in range(1, MOST + 1))
    assert sizes.count(0) < 60
    for _, offer in offers(1000):
        assert len({card.name for card in offer.cards}) == len(offer.cards) == len(offer.tools)
        assert all(re.fullmatch(ROUTE_PATTERN, card.name) and card.description for card in offer.cards)
        # A prompt in use shows first sentences.
        assert all(first_sentence(card.description) == card.description for card in offer.cards)


def test_no_other_tool_would_do_for_a_step() -> None:
    for wanted, offer in offers(4000):
        own = [kind for kind in wanted if kind not in MAIN]
        if own and own[0] not in offer.tools:
            assert "search" not in offer.tools
        for kind in own or wanted or [""]:
            assert not offer.tools.keys() & set(RIVALS.get(kind, ()))


def test_a_useful_tool_is_mostly_but_not_always_there() -> None:
    made = [kind in offer.tools for wanted, offer in offers(3000) for kind in wanted]
    assert 0.7 < sum(made) / len(made) < 0.95
    assert any(offer == shipped("calculator", "search") for _, offer in offers(300))
