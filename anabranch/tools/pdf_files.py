"""The text of a PDF page by page, through pypdf; what is damaged costs no more than itself."""

import contextlib
import io
import logging
import re
import time
from typing import TYPE_CHECKING, Any

from anabranch.errors import DocumentError

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

_CATALOGUE = re.compile(rb"/Type\s*/Catalog\b")
_OBJECT = re.compile(rb"(?<!\d)(\d{1,10})\s{1,9}(\d{1,5})\s{1,9}obj\b")
_SECONDS = 45.0
"""No page is begun after so long, so that the pages before it are not lost to the limit for the whole file."""
_CATALOGUE_WITHIN = 2000
"""Bytes of an object before it says that it is the catalogue."""


def read_pdf(data: bytes) -> tuple[str, list[tuple[int, str]], list[str]]:
    """Title, numbered pages, and notes on what of it could not be read.

    Raises:
        DocumentError: it is encrypted, or no page can be found.
    """
    # Importing it takes 240 ms, so programs that read no PDF do not pay for it.
    from pypdf.errors import DependencyError

    # Its remarks on sloppy files would go to stderr of programs that set up no logging.
    logging.getLogger("pypdf").addHandler(logging.NullHandler())
    try:
        reader, notes = _opened(data)
    except DocumentError:
        raise
    except DependencyError as error:
        raise DocumentError("it is encrypted; save a copy that is not, or pip install 'pypdf[crypto]'") from error
    except Exception as error:
        # On damaged files pypdf raises anything from KeyError to RecursionError.
        raise DocumentError(f"it is not a readable PDF ({type(error).__name__})") from error
    pages: list[tuple[int, str]] = []
    begun, count = time.monotonic(), len(reader.pages)
    for number in range(1, count + 1):
        if time.monotonic() - begun > _SECONDS:
            notes.append(f"pages {number} to {count} are left out: reading took more than {_SECONDS:g} s; split it")
            break
        try:
            page = reader.pages[number - 1]
            text = page.extract_text()
        except Exception as error:
            notes.append(f"page {number} cannot be read ({type(error).__name__})")
            continue
        pages.append((number, text))
        if not text.strip() and _has_pictures(page):
            notes.append(f"page {number} has no text (a scan?)")
    return _title(reader), pages, notes


def _opened(data: bytes) -> tuple["PdfReader", list[str]]:
    """The document; if its end is damaged or missing, as far as its objects can be found without it."""
    from pypdf.errors import DependencyError

    try:
        return _checked(data), []
    except (DocumentError, DependencyError):
        raise
    except Exception:
        catalogue = _catalogue(data)
        if catalogue is None or b"/Encrypt" in data:
            raise
        trailer = b"\ntrailer\n<< /Root %b %b R >>\nstartxref\n0\n%%%%EOF\n" % catalogue.groups()
        return _checked(data + trailer), ["its end is damaged, so pages may be missing"]


def _catalogue(data: bytes) -> re.Match[bytes] | None:
    """The beginning of the object that lists the pages."""
    for told in _CATALOGUE.finditer(data):
        before = data[max(0, told.start() - _CATALOGUE_WITHIN) : told.start()]
        if found := _OBJECT.search(before, before.rfind(b"endobj") + 1):
            return found
    return None


def _checked(data: bytes) -> "PdfReader":
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError("it is encrypted; save a copy without a password")
    len(reader.pages)
    return reader


def _has_pictures(page: "PageObject") -> bool:
    resources: Any = {}
    with contextlib.suppress(Exception):
        resources = page["/Resources"]
    return "/XObject" in resources


def _title(reader: "PdfReader") -> str:
    try:
        title = reader.metadata.title if reader.metadata else None
    except Exception:
        return ""
    return title if isinstance(title, str) else ""
