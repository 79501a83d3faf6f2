r"""Text that can be written: to files, connections, databases and terminals. Pure text, no I/O.

A string may hold what is no character and can be written nowhere: halves of characters (lone surrogates), which JSON
escapes such as `"\ud83d"` and cut-off emoji leave behind, bytes of file names that are not UTF-8, and NUL, which
databases refuse. Whatever comes in, from people, models, tools, clients and files, is made whole where it comes in:
halves that stand side by side become their character, everything else the replacement character U+FFFD. Names, which
must stay different where they are different, have what cannot be written in escapes: `caf\xe9.txt`.
"""

import codecs
import os
import re
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

REPLACEMENT = "\ufffd"


def whole_characters(text: str) -> str:
    """Text without half characters and NUL; the same object if it has none."""
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def whole_data(value: Any, other: Callable[[Any], Any] = lambda value: value) -> Any:
    """Data of mappings, lists, tuples and texts with all of its texts whole; the same object if they are.

    Args:
        value: the data.
        other: makes values of other types whole.
    """
    if isinstance(value, str):
        return whole_characters(value)
    if type(value) in (list, tuple):
        for place, item in enumerate(value):
            if (made := whole_data(item, other)) is not item:
                rest = (whole_data(later, other) for later in value[place + 1 :])
                return type(value)([*value[:place], made, *rest])
        return value
    if isinstance(value, dict) or (not isinstance(value, _PLAIN) and isinstance(value, Mapping)):
        for place, (key, item) in enumerate(value.items()):
            # Each part is looked at once: twice would be twice for each level below it.
            pair = whole_data(key), whole_data(item, other)
            if pair[0] is not key or pair[1] is not item:
                pairs = list(value.items())
                rest = ((whole_data(later), whole_data(part, other)) for later, part in pairs[place + 1 :])
                return dict([*pairs[:place], pair, *rest])
        return value
    return other(value)


_PLAIN = (int, float, NoneType)
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<half>\\u(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0000))"
    r"|\\."
)


def whole_json(text: str) -> str:
    """JSON whose escapes stand for whole characters, before it is read by a parser that refuses anything else."""
    if "\\u" not in text:
        return text
    return _ESCAPE.sub(lambda match: r"\ufffd" if match["half"] else match[0], text)


class WholeStream:
    """Makes a text whole that comes in pieces; half a character at the end of one waits for the next."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16-le")("replace")
        self._waiting = False

    def take(self, piece: str) -> str:
        """What is certain with this piece."""
        if not self._waiting and (not piece or piece.isascii()):
            return whole_characters(piece)
        self._waiting = "\ud800" <= piece[-1:] <= "\udbff" if piece else self._waiting
        return whole_characters(self._decoder.decode(piece.encode("utf-16-le", "surrogatepass")))

    def rest(self) -> str:
        """What the text ends with, if that is half a character."""
        waiting, self._waiting = self._waiting, False
        return REPLACEMENT if waiting else ""


_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\\]")
_WRITTEN = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\\\")


def written_path(path: str | os.PathLike[str]) -> str:
    r"""A file's path as text in one line, from which `path_of` makes the path again.

    Bytes that are not UTF-8, line breaks and other control characters are written as `\xe9` or `\u2028`, and so that
    this can be undone, a backslash in a name is doubled.
    """
    return _UNWRITABLE.sub(_escaped, os.fspath(path))


def path_of(written: str) -> str:
    """The path that `written_path` has written: one that opens the file."""
    return _WRITTEN.sub(_unescaped, written)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] == "\\":
        return r"\\"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python writes it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        byte = int(match[1], 16)
        return chr(byte if byte < 0x80 else 0xDC00 + byte)
    return chr(int(match[2], 16)) if match[2] else "\\"


_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def written_name(name: str) -> str:
    r"""A name, such as a thread's, that a database can hold; different names stay different."""
    return _NO_NAME.sub(_escaped, name)
