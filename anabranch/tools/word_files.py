"""The text of a Word document (.docx), through python-docx."""

import io
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from anabranch.errors import DocumentError
from anabranch.tools.outline import Heading
from anabranch.tools.tables import MIN_ROWS, labelled

if TYPE_CHECKING:
    from docx.document import Document as WordDocument

_MAX_UNPACKED = 500 * 2**20
_WORDS = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_BREAKS = {f"{_WORDS}tab": "\t", f"{_WORDS}br": "\n", f"{_WORDS}cr": "\n", f"{_WORDS}noBreakHyphen": "-"}


def read_docx(data: bytes) -> tuple[str, str, tuple[Heading, ...]]:
    """Title, text, and headings of a Word document, without what was deleted in tracked changes.

    Raises:
        DocumentError: it is no Word document, or unpacks to more than 500 MiB.
    """
    # Importing it takes 150 ms, so programs that read no Word document do not pay for it.
    from docx import Document
    from docx.opc.exceptions import PackageNotFoundError

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED:
                raise DocumentError("it unpacks to more than 500 MiB; split it")
        document = Document(io.BytesIO(data))
    except (zipfile.BadZipFile, PackageNotFoundError, KeyError, ValueError) as error:
        raise DocumentError("it is not a readable Word document (.docx); save it again, or as .pdf") from error
    levels = _heading_levels(document)
    blocks: list[str] = []
    headings: list[Heading] = []
    for element in _blocks(document.element.body):
        if element.tag == f"{_WORDS}tbl":
            blocks += _table(element)
            continue
        text = _text(element)
        level = levels.get(_style(element), 0)
        if level and text.strip():
            line = " ".join(text.split())
            headings.append(Heading(level, line, line))
            blocks.append(line)
        else:
            blocks.append(text)
    title = document.core_properties.title or (headings[0].title if headings else "")
    return title, "\n\n".join(block for block in blocks if block.strip()), tuple(headings)


def _heading_levels(document: "WordDocument") -> dict[str, int]:
    """The level of each style that makes a heading, by the style's id; styles may be named in any language."""
    levels: dict[str, int] = {}
    for style in document.styles.element.iter(f"{_WORDS}style"):
        id_, outline = style.get(f"{_WORDS}styleId"), style.find(f"{_WORDS}pPr/{_WORDS}outlineLvl")
        name = style.find(f"{_WORDS}name")
        shown = (name.get(f"{_WORDS}val") or "").lower() if name is not None else ""
        if outline is not None and (outline.get(f"{_WORDS}val") or "9") < "9":
            levels[id_] = int(outline.get(f"{_WORDS}val")) + 1
        elif shown.startswith("heading ") and shown[8:].isdigit():
            levels[id_] = int(shown[8:])
        elif shown == "title":
            levels[id_] = 1
    return levels


def _blocks(parent: Any) -> Iterator[Any]:
    """Paragraphs and tables in order, also those in content controls."""
    for element in parent:
        if element.tag in (f"{_WORDS}p", f"{_WORDS}tbl"):
            yield element
        elif element.tag == f"{_WORDS}sdt":
            content = element.find(f"{_WORDS}sdtContent")
            yield from _blocks(content) if content is not None else ()
        elif element.tag in (f"{_WORDS}ins", f"{_WORDS}moveTo", f"{_WORDS}customXml"):
            yield from _blocks(element)


def _text(element: Any) -> str:
    """Text of a paragraph or cell; `paragraph.text` would leave out what tracked changes inserted."""
    parts: list[str] = []
    stack = [element]
    while stack:
        node = stack.pop()
        if node.tag == f"{_WORDS}t":
            parts.append(_raised(node) or node.text or "")
        elif node.tag in _BREAKS:
            parts.append(_BREAKS[node.tag])
        elif node.tag == f"{_WORDS}p" and parts:
            parts.append("\n")
        if node.tag not in (_FALLBACK, f"{_WORDS}pPr", f"{_WORDS}del", f"{_WORDS}moveFrom"):
            stack.extend(reversed(node))
    return "".join(parts)


def _raised(node: Any) -> str:
    """The digits of a power or a note as such: 10 with a raised 6 is not 106."""
    text, position = node.text or "", node.getparent().find(f"{_WORDS}rPr/{_WORDS}vertAlign")
    if position is None or not text.isascii() or not text.isdigit():
        return ""
    digits = {"superscript": "⁰¹²³⁴⁵⁶⁷⁸⁹", "subscript": "₀₁₂₃₄₅₆₇₈₉"}.get(position.get(f"{_WORDS}val"), "0123456789")
    return "".join(digits[int(digit)] for digit in text)


def _style(paragraph: Any) -> str:
    style = paragraph.find(f"{_WORDS}pPr/{_WORDS}pStyle")
    return style.get(f"{_WORDS}val") or "" if style is not None else ""


def _table(table: Any) -> list[str]:
    rows = [
        [
            " ".join(_text(cell).split())
            for cell in row.iter(f"{_WORDS}tc")
            if next(cell.iterancestors(f"{_WORDS}tr")) is row
        ]
        for row in table.iterchildren(f"{_WORDS}tr")
    ]
    rows = [row for row in rows if any(row)]
    if len(rows) > MIN_ROWS and len(rows[0]) > 1 and all(rows[0]):
        return labelled(rows[0], rows[1:])
    return ["\n".join(" | ".join(row) for row in rows)]
