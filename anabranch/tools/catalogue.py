"""The tool catalogue: which tools a plan may route to, and what the decomposer is told of them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

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


@lru_cache(maxsize=1024)
def first_sentence(text: str, limit: int = 160) -> str:
    """The first sentence or line of a description, at most `limit` characters."""
    lines = [line.strip() for line in text.splitlines()]
    start = next((n for n, line in enumerate(lines) if line), len(lines))
    line = " ".join(lines[start : start + 1])
    for following in lines[start + 1 :]:
        if not _is_wrapped(line, following):
            break
        line = f"{line} {following}"
    end = next((m.start() for m in re.finditer(r"(?<=[.!?])\s", line) if _ends_sentence(line, m)), len(line))
    sentence = line[:end]
    return sentence if len(sentence) <= limit else sentence[: limit - 1].rstrip() + "…"


def _is_wrapped(line: str, following: str) -> bool:
    """Whether a long line goes on in the next one, as docstrings are wrapped."""
    return 50 <= len(line) <= 500 and line[-1] not in ".!?:" and following[:1].islower()


def _ends_sentence(line: str, space: re.Match[str]) -> bool:
    """Whether a sentence ends before this space, and not an abbreviation, an initial or the number of an item."""
    word, following = line[: space.start()].split()[-1].lstrip("([{\"'“‘").lower(), line[space.end() :].lstrip()
    if word.endswith("!"):
        return word not in ("yahoo!", "jeopardy!")
    if word.endswith("?"):
        return True
    if following[:1].islower() or line[: space.start()].count("(") > line[: space.start()].count(")"):
        return False
    if re.fullmatch(r"(?:[^\W\d_]\.)+", word) or word in _BEFORE_NAMES:
        return False
    if word in _BEFORE_NUMBERS and following[:1].isdigit():
        return False
    return not (word == line[: space.start()] and re.fullmatch(r"\d+\.", word))


_NAMED = """
dr. mr. mrs. ms. prof. st. vs. sen. gov. gen. capt. lt. sgt. incl. excl. esp. resp. approx. cf. aka. inc. ltd. corp. co.
bros. jr. sr. ph.d.
"""
_NUMBERED = "no. nos. nr. fig. figs. p. pp. vol. ver. v. eq. sec. ch. art. ca. max. min."
_BEFORE_NAMES, _BEFORE_NUMBERS = frozenset(_NAMED.split()), frozenset(_NUMBERED.split())
