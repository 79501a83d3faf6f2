"""Parts of a prompt stay apart: a text that comes in cannot pass for a part that it is not.

A prompt puts several texts under headings of its own. A line of a text that begins like one of these is quoted, as in
an answer to a letter; all other texts stay as they are, to the byte.
"""

import re
from functools import lru_cache

QUOTED = "> "
_LINE = r"(?:(?<=[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])|(?<![\s\S]))"
_DRESS = r"[ \t*_#\u200b-\u200f\u2060\ufeff]{0,20}"


def inset(text: str, *headings: str, begun: bool = True) -> str:
    """A text whose lines do not begin with any of these headings.

    Args:
        text: the text that comes in.
        headings: the headings of the prompt; one that ends with a colon counts with it only.
        begun: whether the text goes on in the line of its own heading, so that its first line cannot be one.
    """
    if not headings:
        return text
    if begun and text.isascii() and "\n" not in text and "\r" not in text:
        return text
    pattern = _pattern(headings)
    if not begun:
        return pattern.sub(QUOTED, text)
    return pattern.sub(lambda match: QUOTED if match.start() else "", text)


@lru_cache(maxsize=32)
def _pattern(headings: tuple[str, ...]) -> re.Pattern[str]:
    words = "|".join(map(_words, headings))
    return re.compile(rf"{_LINE}(?={_DRESS}(?:{words}))", re.IGNORECASE)


def _words(heading: str) -> str:
    spaced = r"[^\S\n]{1,9}".join(map(re.escape, heading.removesuffix(":").split()))
    return f"{spaced}{_DRESS}[:：]" if heading.endswith(":") else spaced


_NUMBERED = re.compile(r"(?:(?<=\n)|(?<![\s\S]))(?=\[\d{1,4}\][^\n]{1,300}: )")


def inset_passage(text: str) -> str:
    """A passage of which no line looks like the beginning of another one in a list of passages (`[2] file: …`)."""
    return _NUMBERED.sub(QUOTED, text) if "[" in text else text
