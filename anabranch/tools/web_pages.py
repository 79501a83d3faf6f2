"""The text that a web page shows, by the parser that browsers' rules describe (Lexbor, through selectolax)."""

import re
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from anabranch.tools.outline import Heading
from anabranch.tools.tables import labelled

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

MAX_DEPTH = 1000
"""Elements nested deeper are read as siblings, as browsers do: time would grow with the square of the depth."""
_MAX_TAG = 10_000
"""Characters of a tag with attributes; the parser compares each with all others of its tag."""

_INVISIBLE_NAMES = """
head title script style noscript template svg math iframe object embed audio video canvas datalist noembed noframes rt
rp
"""
_BLOCK_NAMES = """
address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure footer
form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol p pre search section summary table tr ul
"""
# Elements without end tags, with end tags that may be left out, or with content that is no markup.
_UNCOUNTED_NAMES = """
area base br col embed hr img input link meta param source track wbr p li dt dd tr td th thead tbody tfoot option
optgroup colgroup caption rt rp html head body script style title textarea template noscript iframe select
"""
_INVISIBLE, _BLOCKS, _UNCOUNTED = (
    frozenset(names.split()) for names in (_INVISIBLE_NAMES, _BLOCK_NAMES, _UNCOUNTED_NAMES)
)
_CLOSING = {"br": "\n"} | dict.fromkeys(_BLOCKS, "\n\n")
_CLOSING |= dict.fromkeys(("td", "th", "option", "optgroup", "button", "select", "textarea", "img"), " ")
_RAISED = {
    "sup": str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻"),
    "sub": str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋"),
}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDING_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))\b", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-z][^\s/>]*+)[^>]*+(?:>|\Z)", re.IGNORECASE)
_CLOSED_AT_ONCE = re.compile(r"<(title|script|style|textarea|iframe|div|span|p|a|td|th)\b([^<>]*)/>", re.IGNORECASE)


def visible_text(page: str) -> tuple[str, str, tuple[Heading, ...]]:
    """Title, visible text with empty lines between blocks, and headings of a web page."""
    # Importing it takes 20 ms, so programs that read no web page do not pay for it.
    from selectolax.lexbor import LexborHTMLParser

    if page.lstrip("\ufeff \t\r\n").startswith("<?xml"):
        page = _CLOSED_AT_ONCE.sub(r"<\1\2></\1>", page)
    tree = LexborHTMLParser(_shallow(page))
    title = tree.css_first("head > title")
    text = _Text()
    if tree.root is not None:
        text.walk(tree.root)
    lines = (" ".join(line.split()) for line in "".join(text.parts).split("\n"))
    return (
        title.text() if title is not None else "",
        re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(),
        tuple(text.headings),
    )


@dataclass
class _Cell:
    row: int
    head: bool
    start: int
    end: int = 0


@dataclass
class _Table:
    start: int
    rows: int = 0
    cells: list[_Cell] = field(default_factory=list)
    plain: bool = False
    in_head: bool = False


class _Text:
    """Collects the text of a tree, without recursion: pages may be nested deeply."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.headings: list[Heading] = []
        self._tables: list[_Table] = []

    def walk(self, root: "LexborNode") -> None:
        stack: list[tuple[str, int]] = []
        node: LexborNode | None = root
        while node is not None:
            tag, child = node.tag or "", None
            if tag == "-text":
                self.parts.append(node.text_content or "")
            elif _shown(node, tag):
                child = node.first_child
                start = self._open(tag)
                if child is None:
                    self._close(tag, start)
                else:
                    stack.append((tag, start))
            # Onwards: into it, or to what follows it, or to what follows one of its ancestors.
            while child is None and node is not None:
                child = node.next
                if child is None:
                    node = node.parent if stack else None
                    if node is not None:
                        self._close(*stack.pop())
            node = child

    def _open(self, tag: str) -> int:
        if tag in _BLOCKS:
            self.parts.append("\n\n")
        if tag == "table":
            for outer in self._tables:
                outer.plain = True
            self._tables.append(_Table(len(self.parts)))
        elif self._tables and tag == "tr":
            self._tables[-1].rows += 1
        elif self._tables and tag in ("td", "th"):
            head = tag == "th" or self._tables[-1].in_head
            self._tables[-1].cells.append(_Cell(self._tables[-1].rows, head, len(self.parts)))
        elif self._tables and tag in ("thead", "tbody"):
            self._tables[-1].in_head = tag == "thead"
        return len(self.parts)

    def _close(self, tag: str, start: int) -> None:
        if tag in _HEADINGS:
            line = " ".join("".join(self.parts[start:]).split())
            self.parts[start:] = [line]
            if line:
                self.headings.append(Heading(_HEADINGS[tag], line, line))
        elif tag in _RAISED:
            self._raise(start, _RAISED[tag])
        elif tag in ("td", "th") and self._tables:
            self._tables[-1].cells[-1].end = len(self.parts)
        elif tag == "table" and self._tables:
            table = self._tables.pop()
            if not table.plain and (text := self._rows_of(table)):
                self.parts[table.start :] = [text]
        self.parts.append(_CLOSING.get(tag, ""))

    def _raise(self, start: int, signs: dict[int, int]) -> None:
        """Writes the digits of a power or a note as such: `10<sup>6</sup>` is not 106."""
        text = "".join(self.parts[start:]).strip()
        if text and all(ord(character) in signs for character in text):
            self.parts[start:] = [text.translate(signs)]

    def _rows_of(self, table: _Table) -> str:
        """The rows of a table, with the names of its columns where it has any; empty if the table is for the layout.

        Without the lines around them, nobody can tell where one cell ends and the next begins: "11 December 2 to 6
        November". Cells of a layout have paragraphs and the like in them.
        """
        rows = [list(cells) for _, cells in groupby(table.cells, key=lambda cell: cell.row)]
        whole = [["".join(self.parts[c.start : c.end]).strip() for c in row] for row in rows]
        if max(map(len, rows), default=0) < 2 or any("\n\n" in cell for row in whole for cell in row):
            return ""
        texts = [[" ".join(cell.split()) for cell in row] for row in whole]
        caption = "".join(self.parts[table.start : table.cells[0].start]).strip()
        if len(rows) > 1 and all(cell.head for cell in rows[0]):
            return "\n\n".join([*filter(None, [caption]), *labelled(texts[0], texts[1:])])
        named = all(len(row) == 2 and row[0].head and not row[1].head for row in rows)
        lines = [(": " if named else " | ").join(row) for row in texts if any(row)]
        return "\n\n".join([*filter(None, [caption]), *lines])


def _shown(node: "LexborNode", tag: str) -> bool:
    if tag in _INVISIBLE or tag.startswith(("-", "!")):
        return tag == "-document"
    attributes = node.attributes
    if not attributes:
        return tag != "dialog"
    if "hidden" in attributes or (tag == "dialog" and "open" not in attributes):
        return False
    return not _HIDING_STYLE.search(attributes.get("style") or "")


def _shallow(page: str) -> str:
    """The page without the tags that nest it more than `MAX_DEPTH` deep, and without the attributes of endless tags."""
    if page.count("<") <= MAX_DEPTH and max(map(len, page.split("<"))) < _MAX_TAG:
        return page
    depth = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal depth
        tag = match[0] if len(match[0]) < _MAX_TAG else f"<{match[1]}{match[2]}>"
        if match[2].lower() in _UNCOUNTED:
            return tag
        depth = max(0, depth + (-1 if match[1] else 1))
        return "\n\n" if depth + bool(match[1]) > MAX_DEPTH else tag

    return _TAG.sub(replace, page)
