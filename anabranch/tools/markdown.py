"""Markdown as text whose headings are known, with the names of the columns in every row of a large table.

Source of the rules: CommonMark with tables, through markdown-it-py. Only blocks are parsed; text stays as written.
"""

import re
from typing import TYPE_CHECKING

from anabranch.tools.outline import Heading
from anabranch.tools.tables import MIN_ROWS, labelled

if TYPE_CHECKING:
    from markdown_it.token import Token

_MAX_CHARS = 2_000_000
"""Longer texts are read as they are: parsing a million characters takes seconds."""

_FRONT_MATTER = re.compile(r"---\n(?:.*\n)*?(?:---|\.\.\.)\n")
_FRONT_TITLE = re.compile(r"^title:(.+)", re.MULTILINE)


def read_markdown(text: str) -> tuple[str, str, tuple[Heading, ...]]:
    """Title (of the front matter, or the first heading), text, and headings of a Markdown document."""
    if len(text) > _MAX_CHARS:
        return "", text, ()
    from markdown_it import MarkdownIt

    text = re.sub(r"\r\n?", "\n", text)
    front = _FRONT_MATTER.match(text)
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.disable("inline")
    parser.disable("reference")  # it takes quadratic time, and links stay as they are written
    tokens = parser.parse("\n" * front[0].count("\n") + text[front.end() :] if front else text)
    lines = text.split("\n")
    headings: list[Heading] = []
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and token.map and (words := tokens[index + 1].content.split()):
            headings.append(Heading(int(token.tag[1]), lines[token.map[0]].strip(), " ".join(words)))
        elif token.type == "table_open" and token.map and token.level == 0:
            _label_rows(lines, token.map, tokens[index:])
    told = _FRONT_TITLE.search(front[0]) if front else None
    title = _unquoted(told[1].strip(" \t")) if told else headings[0].title if headings else ""
    return title, "\n".join(lines), tuple(headings)


def _unquoted(text: str) -> str:
    text = text[1:] if text[:1] in ('"', "'") else text
    return text[:-1] if text[-1:] in ('"', "'") else text


def _label_rows(lines: list[str], span: list[int], tokens: "list[Token]") -> None:
    """Rewrites the lines of a large table as rows with the names of their columns."""
    if span[1] - span[0] - 2 < MIN_ROWS:
        return
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(token.content)
    blank = [""] * (span[1] - span[0])
    # As many lines as before, so that the places of what follows stay right.
    lines[span[0] : span[1]] = ["\n".join(f"\n{row}" for row in labelled(rows[0], rows[1:])) + "\n", *blank[1:]]
