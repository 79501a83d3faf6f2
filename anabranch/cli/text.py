"""Text for the terminal. Light: imported before anything is known to be needed."""

import re

from anabranch.characters import whole_characters

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Text from models, tools and documents without control characters: no escape sequences, no reordering."""
    return _CONTROL.sub("", whole_characters(text.replace("\0", "")))


def in_one_line(text: str, limit: int = 80) -> str:
    """A text in one line of at most `limit` characters, clean."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
