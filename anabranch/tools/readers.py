"""Reads one document of a known kind into text, page by page."""

import codecs
import logging
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.errors import DocumentError

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from pypdf import PdfReader


@dataclass(frozen=True)
class Page:
    """Text of one page, or of a whole document that has no pages.

    Attributes:
        text: paragraphs separated by empty lines.
        number: counted from 1; None when the document has no pages.
    """

    text: str
    number: int | None = None


@dataclass(frozen=True)
class Content:
    """What a document says.

    Attributes:
        title: its title, or its file name without suffix.
        pages: its pages that have text; at least one.
    """

    title: str
    pages: list[Page]


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
        title, pages = reader(path)
    except OSError as error:
        raise DocumentError(f"it cannot be read ({error.strerror or error})") from error
    pages = [page for page in pages if page.text.strip()]
    if not pages:
        raise DocumentError("there is no text in it" + (" (a scan?)" if path.suffix.lower() == ".pdf" else ""))
    return Content(" ".join(title.split()) or path.stem, pages)


def decode(data: bytes) -> str:
    """Text of unknown encoding: by byte order mark, then UTF-8, then the Western European code pages.

    Raises:
        DocumentError: it is no text at all.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise DocumentError(f"it is damaged: it starts as {encoding} but does not go on so") from error
    if b"\0" in data:
        raise DocumentError("it is a binary file")
    for encoding in ("utf-8", "cp1252", "latin-1"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    controls = sum(unicodedata.category(c) == "Cc" and c not in "\t\n\v\f\r\x1b\x85" for c in text[:4000])
    if controls > len(text[:4000]) * 0.02:
        raise DocumentError("it is a binary file")
    return text


# UTF-32 first: its little-endian mark starts with the one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _read_text(path: Path) -> tuple[str, list[Page]]:
    return "", [Page(decode(path.read_bytes()))]


def _read_markdown(path: Path) -> tuple[str, list[Page]]:
    text = decode(path.read_bytes())
    heading = re.search(r"^#{1,6}[ \t]+(\S.*?)[ \t#]*$", text, re.MULTILINE)
    return heading[1] if heading else "", [Page(text)]


def _read_html(path: Path) -> tuple[str, list[Page]]:
    # Importing it takes 130 ms, so programs that read no web page do not pay for it.
    from bs4 import BeautifulSoup

    data = path.read_bytes()
    declared = re.search(rb"<meta[^>]{0,200}charset=[\"']?([\w-]{2,40})", data[:2048], re.IGNORECASE)
    try:
        text = data.decode(declared[1].decode("ascii")) if declared else decode(data)
    except (UnicodeDecodeError, LookupError):
        text = decode(data)
    # An XML declaration only makes BeautifulSoup warn; text without any tag makes it ask whether it is a file name.
    text = re.sub(r"^\ufeff?\s*<\?xml[^>]*\?>", "", text)
    if "<" not in text:
        return "", [Page(text)]
    soup = BeautifulSoup(text, "html.parser")
    title = soup.title.get_text() if soup.title else ""
    return title, [Page(_visible_text(soup))]


def _visible_text(soup: "BeautifulSoup") -> str:
    """The text a browser shows, with empty lines between blocks."""
    from bs4.element import NavigableString, Tag

    # One pass over the tree: changing it instead takes quadratic time, recursion fails on deep nesting.
    parts: list[str] = []
    stack = [(iter(soup.contents), "")]
    while stack:
        children, closing = stack[-1]
        child = next(children, None)
        if child is None:
            parts.append(closing)
            stack.pop()
        elif isinstance(child, Tag) and child.name not in _INVISIBLE and not child.has_attr("hidden"):
            closing = _CLOSING.get(child.name, "")
            parts.append(closing if child.name in _BLOCKS else "")
            stack.append((iter(child.contents), closing))
        elif type(child) is NavigableString:
            # Comments and declarations are subclasses of it.
            parts.append(str(child))
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


_INVISIBLE = frozenset({"head", "title", "script", "style", "noscript", "template", "svg", "iframe", "object"})
_BLOCKS = (
    *("address", "article", "aside", "blockquote", "dd", "div", "dl", "dt", "figcaption", "figure", "footer", "form"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "summary"),
    *("table", "tr", "ul"),
)
_CLOSING = {"br": "\n", "td": " ", "th": " "} | dict.fromkeys(_BLOCKS, "\n\n")


def _read_pdf(path: Path) -> tuple[str, list[Page]]:
    # Importing it takes 240 ms, so programs that read no PDF do not pay for it.
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    # Its remarks on sloppy files would go to stderr of programs that set up no logging.
    logging.getLogger("pypdf").addHandler(logging.NullHandler())
    try:
        with path.open("rb") as file:
            reader = _unlocked(PdfReader(file))
            pages = [Page(page.extract_text(), number) for number, page in enumerate(reader.pages, start=1)]
            return _pdf_title(reader), pages
    except (DocumentError, OSError):
        raise
    except DependencyError as error:
        raise DocumentError("it is encrypted; save a copy that is not, or pip install 'pypdf[crypto]'") from error
    except Exception as error:
        # On damaged files pypdf raises anything from KeyError to RecursionError.
        raise DocumentError(f"it is not a readable PDF ({type(error).__name__})") from error


def _unlocked(reader: "PdfReader") -> "PdfReader":
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError("it is encrypted; save a copy without a password")
    return reader


def _pdf_title(reader: "PdfReader") -> str:
    title = reader.metadata.title if reader.metadata else None
    return title if isinstance(title, str) else ""


_READERS: Mapping[str, Callable[[Path], tuple[str, list[Page]]]] = {
    ".txt": _read_text,
    ".md": _read_markdown,
    ".pdf": _read_pdf,
    ".html": _read_html,
    ".htm": _read_html,
}
SUFFIXES = tuple(_READERS)
"""The kinds of documents that can be read, by the ending of the file's name."""
