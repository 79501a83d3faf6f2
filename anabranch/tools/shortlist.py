"""The tools that a decomposer is shown of a catalogue that is too large for a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from langchain_core.tools import BaseTool

from anabranch.errors import ConfigurationError
from anabranch.tools.catalogue import Catalogue, ToolCard
from anabranch.tools.retrieval import ToolIndex, ToolText

MANY_TOOLS = 30
"""A catalogue of more tools than this is cut down, where nobody says otherwise."""
SHOWN = 24
"""To so many: of UltraTool's, RestBench-TMDB's and Seal-Tools' test requests, 88, 74 and 93 % find all their tools
among them (docs/toolplans.md)."""
GENERAL = frozenset({"search", "calculator", "python"})
"""The library's own tools: always shown, since their descriptions share no word with the questions that they answer."""


@dataclass(frozen=True)
class Shortlist:
    """Chooses the tools that fit a request, by their words.

    Attributes:
        catalogue: all tools.
        most: how many are shown; a catalogue that has no more is shown whole, in its own order.
    """

    catalogue: Catalogue
    most: int | None

    def cards(self, request: str, offered: Catalogue) -> Sequence[ToolCard]:
        """The cards of the tools that fit, best first.

        Args:
            request: the request, and what else is known of what is missing.
            offered: the tools of the catalogue that a plan may use.
        """
        cards = offered.cards
        if self.most is None or len(cards) <= self.most:
            return cards
        by_name = {card.name: card for card in cards}
        names = list(self.catalogue)
        left_out = len(names) - len(cards)
        found = [names[place] for place in self._index.find(request, self.most + left_out)]
        general = [name for name in by_name if name in GENERAL]
        fitting = [name for name in found if name in by_name and name not in GENERAL]
        return [by_name[name] for name in [*fitting[: max(0, self.most - len(general))], *general]]

    @cached_property
    def _index(self) -> ToolIndex:
        return ToolIndex([tool_text(tool) for tool in self.catalogue.values()])


def shortlist(catalogue: Catalogue, tool_retrieval: int | str | None) -> Shortlist:
    """What `tool_retrieval=` of `create_planner` stands for.

    Args:
        catalogue: all tools.
        tool_retrieval: `auto`, how many tools are shown, or None for all.

    Raises:
        ConfigurationError: it is something else.
    """
    if tool_retrieval == "auto":
        return Shortlist(catalogue, SHOWN if len(catalogue) > MANY_TOOLS else None)
    if tool_retrieval is not None and (not isinstance(tool_retrieval, int) or tool_retrieval < 1):
        raise ConfigurationError(
            f"tool_retrieval is {tool_retrieval!r}; give 'auto', how many tools a plan may choose from, or None for all"
        )
    return Shortlist(catalogue, tool_retrieval)


def fitting_cards(catalogue: Catalogue, request: str) -> Sequence[ToolCard]:
    """The cards that a decomposer is shown of a catalogue where nobody says how many."""
    return shortlist(catalogue, "auto").cards(request, catalogue)


def tool_text(tool: BaseTool) -> ToolText:
    """What is known of a tool in words; arguments in a schema that is none are left out."""
    try:
        arguments = tuple(map(str, tool.args))
    except Exception:  # whatever a library makes of a schema that is none
        arguments = ()
    return ToolText(tool.name, tool.description, arguments)
