"""The headings of a text: which of them a place in it stands under."""

from collections.abc import Iterable
from typing import NamedTuple

from anabranch.bounds import MAX_TITLE_CHARS


class Heading(NamedTuple):
    """A heading.

    Attributes:
        level: 1 for the highest.
        line: its line in the text, without white space around it.
        title: its words, without marks.
    """

    level: int
    line: str
    title: str


def shortened(title: str) -> str:
    """A title that is short enough to be repeated with everything below it."""
    return title if len(title) <= MAX_TITLE_CHARS else f"{title[: MAX_TITLE_CHARS - 2].rstrip()} …"


class Outline:
    """Follows a text line by line and knows the headings above the current one.

    Args:
        headings: all headings of the text, in order.
    """

    def __init__(self, headings: Iterable[Heading]) -> None:
        self._left = iter(headings)
        self._next = next(self._left, None)
        self._path: list[Heading] = []

    @property
    def path(self) -> tuple[str, ...]:
        """Titles of the headings above, the highest first."""
        return tuple(shortened(heading.title) for heading in self._path)

    @property
    def waiting(self) -> bool:
        """Whether a heading is still to come."""
        return self._next is not None

    def is_heading(self, line: str) -> bool:
        """Whether a line is the next heading; if so, what follows stands under it."""
        heading = self._next
        if heading is None or line.strip() != heading.line:
            return False
        while self._path and self._path[-1].level >= heading.level:
            self._path.pop()
        self._path.append(heading)
        self._next = next(self._left, None)
        return True
