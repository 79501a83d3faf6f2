"""The tool catalogue: which tools a plan may route to, and what the decomposer is told of them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict

from anabranch.errors import ConfigurationError
from anabranch.plan import ROUTE_PATTERN, SOLVE


class ToolCard(BaseModel):
    """What a decomposer sees of a tool: its name and one line on what it is for."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str


class Catalogue(Mapping[str, BaseTool]):
    """Tools by name, in the order given.

    Raises:
        ConfigurationError: two tools share a name, or a name cannot be a route.
    """

    def __init__(self, tools: Iterable[BaseTool] = ()) -> None:
        self._tools: dict[str, BaseTool] = {}
        for tool in tools:
            check_name(tool.name)
            if tool.name in self._tools:
                raise ConfigurationError(f"two tools are named {tool.name!r}; rename one")
            self._tools[tool.name] = tool

    def __getitem__(self, name: str) -> BaseTool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    @property
    def cards(self) -> Sequence[ToolCard]:
        """One card a tool; descriptions are cut to their first sentence or line."""
        return [ToolCard(name=t.name, description=first_sentence(t.description)) for t in self._tools.values()]


def check_name(name: str) -> None:
    """Checks that a tool of this name can be a route of plans.

    Raises:
        ConfigurationError: it cannot.
    """
    if name == SOLVE or not re.fullmatch(ROUTE_PATTERN, name):
        raise ConfigurationError(
            f"the tool name {name!r} cannot be a route; use letters, digits and _ . / : -, and not {SOLVE!r}"
        )


def first_sentence(text: str, limit: int = 160) -> str:
    """The first sentence or line of a description, at most `limit` characters."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    sentence = re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0]
    return sentence if len(sentence) <= limit else sentence[: limit - 1].rstrip() + "…"
