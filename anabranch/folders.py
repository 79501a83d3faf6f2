"""Documents as they are named on the command line: `PATH`, or `NAME=PATH[:DESCRIPTION]` for a search of their own."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SEARCH = "search"
"""The name of the search in documents that are given without one."""
_NAMED = re.compile(r"([A-Za-z][\w.-]{0,63})=(.+)", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class Folder:
    """Documents to search in.

    Attributes:
        path: a file or a folder.
        name: the tool's name; empty where none is given.
        description: what they are about; empty where it is not said.
    """

    path: str
    name: str = ""
    description: str = ""

    @classmethod
    def of(cls, text: str) -> "Folder":
        """Reads `PATH`, `NAME=PATH` or `NAME=PATH:DESCRIPTION`.

        What exists as it is written is a path; of a text with several colons, the longest part that exists is.
        """
        named = None if _exists(text) else _NAMED.fullmatch(text)
        if named is None:
            return cls(text)
        name, rest = named.groups()
        if _exists(rest):
            return cls(rest, name)
        colons = [place for place, letter in enumerate(rest) if letter == ":"]
        place = next((place for place in reversed(colons) if _exists(rest[:place])), (colons or [len(rest)])[0])
        return cls(rest[:place], name, rest[place + 1 :].strip())

    def absolute(self) -> str:
        """The text that names the same documents from any working directory."""
        path = str(Path(self.path).expanduser().absolute())
        return f"{self.name}={path}{self.description and f':{self.description}'}" if self.name else path


def by_name(texts: Iterable[str]) -> dict[str, list[Folder]]:
    """The documents by the name of the tool that searches in them; the same name may be given several times."""
    found: dict[str, list[Folder]] = {}
    for folder in map(Folder.of, texts):
        found.setdefault(folder.name or SEARCH, []).append(folder)
    return found


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long, or of somebody who is not known
        return False
