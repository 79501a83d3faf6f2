"""Parts of a prompt stay apart: a text that comes in cannot pass for a part that it is not.

A prompt puts several texts under headings of its own. A line of a text that begins like one of these is quoted, as in
an answer to a letter; all other texts stay as they are, to the byte.
"""

import re
from functools import lru_cache

QUOTED = "> "
_DRESS = r"[ \t*_#\u200b-\u200f\u2060\ufeff]{0,20}"


def inset(text: str, *headings: str, begun: bool = True) -> str:
    """A text whose lines do not begin with any of these headings.

    Args:
        text: the text that comes in.
        headings: the headings of the prompt; one that ends with a colon counts with it only.
        begun: whether the text goes on in the line of its own heading, so that its first line cannot be one.
    """
    if not text or not headings or (begun and text.isascii() and "\n" not in text and "\r" not in text):
        return text
    pattern, words = _pattern(headings)
    low = text.lower()
    if not any(word in low for word in words):
        return text
    first, *lines = text.splitlines(keepends=True)
    lines = [f"{QUOTED}{line}" if pattern.match(line) else line for line in lines]
    return "".join([f"{QUOTED}{first}" if not begun and pattern.match(first) else first, *lines])


@lru_cache(maxsize=32)
def _pattern(headings: tuple[str, ...]) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """What a line that begins with one of the headings matches, and words of which one is in such a line."""
    lines = re.compile(f"{_DRESS}(?:{'|'.join(map(_words, headings))})", re.IGNORECASE)
    return lines, tuple({heading.split()[0].removesuffix(":").lower() for heading in headings})


def _words(heading: str) -> str:
    spaced = r"[^\S\n]{1,9}".join(map(re.escape, heading.removesuffix(":").split()))
    return f"{spaced}{_DRESS}[:：]" if heading.endswith(":") else spaced


_NUMBERED = re.compile(r"^(?=\[\d{1,4}\][^\n]{1,300}: )", re.MULTILINE)


def inset_passage(text: str) -> str:
    """A passage of which no line looks like the beginning of another one in a list of passages (`[2] file: …`)."""
    return _NUMBERED.sub(QUOTED, text) if "[" in text else text
