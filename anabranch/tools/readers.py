"""Reads one document of a known kind into text, page by page."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from anabranch.characters import whole_characters
from anabranch.errors import DocumentError
from anabranch.tools.encodings import decode, decode_html
from anabranch.tools.markdown import read_markdown
from anabranch.tools.outline import Heading
from anabranch.tools.pdf_files import read_pdf
from anabranch.tools.tables import read_json, read_json_lines, read_separated
from anabranch.tools.web_pages import visible_text
from anabranch.tools.word_files import read_docx


@dataclass(frozen=True)
class Page:
    """Text of one page, or of a whole document that has no pages.

    Attributes:
        text: paragraphs separated by empty lines.
        number: counted from 1; None when the document has no pages.
        headings: its headings, in order.
    """

    text: str
    number: int | None = None
    headings: tuple[Heading, ...] = ()


@dataclass(frozen=True)
class Content:
    """What a document says.

    Attributes:
        title: its title, or its file name without suffix.
        pages: its pages that have text; at least one.
        notes: what of it could not be read.
    """

    title: str
    pages: list[Page]
    notes: tuple[str, ...] = ()


Read = tuple[str, list[Page], list[str]]
"""Title, pages and notes of a document."""


def read(path: Path) -> Content:
    """Reads a document of one of the kinds in `SUFFIXES`.

    Raises:
        DocumentError: the kind is not known, the file cannot be read, or there is no text in it.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DocumentError(
            f"its kind {path.suffix or '(no suffix)'!r} is not known; use one of: {', '.join(SUFFIXES)}"
        )
    try:
        title, pages, notes = reader(path)
    except DocumentError:
        raise
    except OSError as error:
        raise DocumentError(f"it cannot be read ({error.strerror or error})") from error
    except Exception as error:
        # A file that its reader does not expect costs this file, not those beside it.
        raise DocumentError(f"it is not a readable {path.suffix} file ({type(error).__name__})") from error
    pages = [Page(clean(page.text), page.number, page.headings) for page in pages]
    pages = [page for page in pages if page.text.strip()]
    if not pages:
        reason = "there is no text in it" + (" (a scan?)" if path.suffix.lower() == ".pdf" else "")
        raise DocumentError("; ".join([reason, *notes[:3]]))
    return Content(" ".join(clean(title).split()) or file_name(path.stem), pages, tuple(notes))


# Soft hyphens, zero-width spaces and joiners, marks of direction, controls, tags; the joiners that letters need stay.
_INVISIBLE = re.compile(
    r"\u00ad[ \t]*\r?\n[ \t]*"
    r"|[\x00-\x08\x0e-\x1f\x7f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)


def clean(text: str) -> str:
    """Text without invisible characters, which break words up for models and people, and without lone surrogates."""
    return whole_characters(_INVISIBLE.sub("", text))


def file_name(name: str) -> str:
    """A file's name or path as text; bytes in it that are not UTF-8 are taken for Western European letters."""
    return re.sub("[\udc80-\udcff]", lambda match: bytes([ord(match[0]) - 0xDC00]).decode("cp1252", "replace"), name)


def _read_text(path: Path) -> Read:
    return "", [Page(decode(path.read_bytes()))], []


def _read_markdown(path: Path) -> Read:
    title, text, headings = read_markdown(decode(path.read_bytes()))
    return title, [Page(text, headings=headings)], []


def _read_html(path: Path) -> Read:
    title, text, headings = visible_text(decode_html(path.read_bytes()))
    return title, [Page(text, headings=headings)], []


def _read_pdf(path: Path) -> Read:
    title, texts, notes = read_pdf(path.read_bytes())
    return title, [Page(text, number) for number, text in texts], notes


def _read_docx(path: Path) -> Read:
    title, text, headings = read_docx(path)
    return title, [Page(text, headings=headings)], []


def _read_csv(path: Path) -> Read:
    return "", [Page(read_separated(decode(path.read_bytes())))], []


def _read_tsv(path: Path) -> Read:
    return "", [Page(read_separated(decode(path.read_bytes()), "\t"))], []


def _read_json(path: Path) -> Read:
    return "", [Page(read_json(decode(path.read_bytes())))], []


def _read_json_lines(path: Path) -> Read:
    text, notes = read_json_lines(decode(path.read_bytes()))
    return "", [Page(text)], notes


_READERS: Mapping[str, Callable[[Path], Read]] = {
    ".txt": _read_text,
    ".md": _read_markdown,
    ".pdf": _read_pdf,
    ".html": _read_html,
    ".htm": _read_html,
    ".xhtml": _read_html,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".docx": _read_docx,
}
SUFFIXES = tuple(_READERS)
"""The kinds of documents that can be read, by the ending of the file's name."""
