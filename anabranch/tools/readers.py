"""Reads one document of a known kind into text, page by page."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from anabranch.bounds import MAX_DOCUMENT_CHARS
from anabranch.characters import whole_characters
from anabranch.errors import DocumentError
from anabranch.tools.encodings import decode, decode_html
from anabranch.tools.markdown import read_markdown
from anabranch.tools.outline import Heading, shortened
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


_MOST_NOTES = 1000

Read = tuple[str, list[Page], list[str]]
"""Title, pages and notes of a document."""


def read(path: Path, data: bytes | None = None) -> Content:
    """Reads a document of one of the kinds in `SUFFIXES`.

    Args:
        path: its name says of which kind it is.
        data: what is in it; None to read the file.

    Raises:
        DocumentError: the kind is not known, the file cannot be read, or there is no text in it.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DocumentError(
            f"its kind {path.suffix or '(no suffix)'!r} is not known; use one of: {', '.join(SUFFIXES)}"
        )
    try:
        title, pages, notes = reader(path.read_bytes() if data is None else data)
    except DocumentError:
        raise
    except OSError as error:
        raise DocumentError(f"it cannot be read ({error.strerror or error})") from error
    except MemoryError as error:
        raise DocumentError("it takes too much memory to read; split it, or save it as text") from error
    except Exception as error:
        # A file that its reader does not expect costs this file, not those beside it.
        raise DocumentError(f"it is not a readable {path.suffix} file ({type(error).__name__})") from error
    pages = [Page(clean(page.text), page.number, page.headings) for page in pages]
    pages = [page for page in pages if page.text.strip()]
    if not pages:
        reason = "there is no text in it" + (" (a scan?)" if path.suffix.lower() == ".pdf" else "")
        raise DocumentError("; ".join([reason, *notes[:3]]))
    if (length := sum(len(page.text) for page in pages)) > MAX_DOCUMENT_CHARS:
        raise DocumentError(f"its text has {length:,} characters, more than {MAX_DOCUMENT_CHARS:,}; split it")
    name = " ".join(clean(title).split()) or file_name(path.stem)
    return Content(shortened(name), pages, tuple(clean(note) for note in notes[:_MOST_NOTES]))


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


def _read_text(data: bytes) -> Read:
    return "", [Page(decode(data))], []


def _read_markdown(data: bytes) -> Read:
    title, text, headings = read_markdown(decode(data))
    return title, [Page(text, headings=headings)], []


def _read_html(data: bytes) -> Read:
    title, text, headings = visible_text(decode_html(data))
    return title, [Page(text, headings=headings)], []


def _read_pdf(data: bytes) -> Read:
    title, texts, notes = read_pdf(data)
    return title, [Page(text, number) for number, text in texts], notes


def _read_docx(data: bytes) -> Read:
    title, text, headings = read_docx(data)
    return title, [Page(text, headings=headings)], []


def _read_csv(data: bytes) -> Read:
    return "", [Page(read_separated(decode(data)))], []


def _read_tsv(data: bytes) -> Read:
    return "", [Page(read_separated(decode(data), "\t"))], []


def _read_json(data: bytes) -> Read:
    return "", [Page(read_json(decode(data)))], []


def _read_json_lines(data: bytes) -> Read:
    text, notes = read_json_lines(decode(data))
    return "", [Page(text)], notes


_READERS: Mapping[str, Callable[[bytes], Read]] = {
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
