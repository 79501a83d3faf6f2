"""What a decomposer is shown of a large catalogue."""

from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool

from anabranch.errors import ConfigurationError
from anabranch.tools.catalogue import Catalogue
from anabranch.tools.shortlist import MANY_TOOLS, SHOWN, fitting_cards, shortlist, tool_text


def made(name: str, description: str, schema: Any = None) -> BaseTool:
    return StructuredTool(
        name=name,
        description=description,
        args_schema=schema or {"type": "object", "properties": {}},
        func=lambda: "",
    )


def many(count: int, *more: BaseTool) -> Catalogue:
    return Catalogue([*(made(f"tool_{n}", f"Counts things of kind {n}.") for n in range(count)), *more])


WEATHER = made("forecast", "Tells the weather.", {"type": "object", "properties": {"town": {"type": "string"}}})


def test_few_tools_are_shown_as_they_are() -> None:
    catalogue = many(MANY_TOOLS - 1, WEATHER)
    assert fitting_cards(catalogue, "the weather") == catalogue.cards


def test_of_many_tools_those_that_fit_are_shown_best_first() -> None:
    cards = fitting_cards(many(MANY_TOOLS, WEATHER), "Will the weather in this town be good?")
    assert len(cards) == SHOWN
    assert cards[0].name == "forecast"


def test_general_tools_are_always_shown() -> None:
    catalogue = many(60, made("search", "Looks up facts."), made("web_find", "Finds pages."))
    names = [card.name for card in fitting_cards(catalogue, "Who leads it?")]
    assert len(names) == SHOWN
    assert {"search", "web_find"} <= set(names)
    assert [card.name for card in shortlist(catalogue, 1).cards("kind 7", catalogue)] == ["search"]


def test_how_many_can_be_said() -> None:
    catalogue = many(9, WEATHER)
    assert [card.name for card in shortlist(catalogue, 1).cards("weather", catalogue)] == ["forecast"]
    assert len(shortlist(many(99), None).cards("weather", many(99))) == 99
    for wrong in (0, -1, "all"):
        with pytest.raises(ConfigurationError, match="tool_retrieval is"):
            shortlist(catalogue, wrong)


def test_tools_that_are_not_offered_take_no_place() -> None:
    catalogue = many(9, WEATHER)
    offered = Catalogue(tool for name, tool in catalogue.items() if name != "forecast")
    cards = shortlist(catalogue, 3).cards("weather", offered)
    assert len(cards) == 3
    assert "forecast" not in {card.name for card in cards}


def test_a_schema_that_is_none_is_no_trouble() -> None:
    assert tool_text(made("odd", "Does odd things.", {"type": "nonsense"})).arguments == ()
    assert tool_text(WEATHER).arguments == ("town",)
    catalogue = many(40, made("blank", ""), made("odd", "Odd.", {"properties": 5}))
    assert len(fitting_cards(catalogue, "odd")) == SHOWN


def test_ten_thousand_tools() -> None:
    catalogue = many(10_000, WEATHER)
    chosen = shortlist(catalogue, "auto")
    assert chosen.cards("the weather", catalogue)[0].name == "forecast"
    assert len(chosen.cards("weather and things of kind 77", catalogue)) == SHOWN
