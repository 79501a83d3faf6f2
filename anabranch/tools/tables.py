"""Tables and data as text: every row with the names of its columns, every value with its path.

A passage may begin anywhere in a table; with the names beside the cells it is understood by itself.
"""

import contextlib
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from anabranch.bounds import MAX_DOCUMENT_CHARS
from anabranch.errors import DocumentError
from anabranch.tools.outline import shortened

MIN_ROWS = 4
"""Smaller tables fit into one passage and stay as they are."""

_LINE_WORDS = 60
_SAMPLE, _SAMPLE_ROWS = 20_000, 50
_NUMERIC = re.compile(r"[-+]?[.,\s%$€£]*+\d[\d.,\s%$€£:/-]*")


def labelled(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows as `Name: Ann; Role: Lead`; a row that does not fit the header as its cells alone."""
    names = [shortened(" ".join(name.split())) for name in header]
    return list(bounded(line for line in (_labelled_row(names, row) for row in rows) if line))


def bounded(parts: Iterable[str]) -> Iterator[str]:
    """The parts of a document's text; names that are repeated with every value must not make it grow without end.

    Raises:
        DocumentError: they have too many characters.
    """
    size = 0
    for part in parts:
        size += len(part)
        if size > MAX_DOCUMENT_CHARS:
            raise DocumentError(f"its text has more than {MAX_DOCUMENT_CHARS:,} characters; split it")
        yield part


def _labelled_row(header: Sequence[str], row: Sequence[str]) -> str:
    cells = [" ".join(cell.split()) for cell in row]
    if len(cells) > len(header):
        return _plain(cells)
    pairs = zip(header, cells, strict=False)
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


def read_separated(text: str, delimiter: str | None = None) -> str:
    """The rows of a CSV or TSV file, one a paragraph.

    Args:
        text: the file's text.
        delimiter: what separates the cells; None to find out.
    """
    first, _, rest = text.partition("\n")
    if told := re.fullmatch(r"\s*sep=(.)\s*", first):
        text, delimiter = rest, told[1]
    rows = _rows(text, delimiter or _delimiter(text))
    if not rows:
        return ""
    lead = _lead(rows)
    above, rows = [_plain(row) for row in rows[:lead]], rows[lead:]
    header = [" ".join(cell.split()) for cell in rows[0]]
    named = [name for name in header if name]
    is_header = named and len(set(named)) == len(named) and not any(_NUMERIC.fullmatch(name) for name in named)
    if is_header and len(rows) > 1:
        return "\n\n".join([*above, *labelled(header, rows[1:])])
    return "\n\n".join([*above, *map(_plain, rows)])


def _lead(rows: Sequence[Sequence[str]]) -> int:
    """How many rows are above the table: exports often begin with a title, a date, a filter."""
    sizes = [sum(bool(cell.strip()) for cell in row) for row in rows[:10]]
    return next(n for n, size in enumerate(sizes) if 2 * size > max(sizes))


def _plain(row: Iterable[str]) -> str:
    return "; ".join(" ".join(cell.split()) for cell in row if cell.strip())


def _delimiter(text: str) -> str:
    """What separates the cells: it divides most of the first rows into as many cells, and seldom has a space after it.

    The standard library's `csv.Sniffer` takes exponential time for a thousand quotes.
    """
    sample = text[:_SAMPLE]

    def fit(delimiter: str) -> tuple[float, float, int]:
        sizes = [len(row) for row in _sampled(sample, delimiter)]
        common = max(set(sizes), key=lambda size: (size > 1, sizes.count(size)), default=1)
        spaced = sample.count(f"{delimiter} ") / max(1, sample.count(delimiter))
        return (sizes.count(common) / len(sizes) if common > 1 else 0.0), -spaced, common

    return max(",;\t|", key=fit)


def _sampled(sample: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
            rows += [row] if row else []
            if len(rows) == _SAMPLE_ROWS:
                break
    return rows


def _rows(text: str, delimiter: str) -> list[list[str]]:
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
            return [row for row in reader if any(cell.strip() for cell in row)]
        except csv.Error:
            # A quote that is never closed makes one cell of all that follows, which is longer than a cell may be.
            continue
    raise DocumentError("it is not a table with separated values; check its quotes")


def read_json(text: str) -> str:
    """A JSON document as paragraphs of `key: value`; several documents, one a line, are read, too.

    Raises:
        DocumentError: it is not JSON.
    """
    try:
        return "\n\n".join(bounded(_described(_loads(text), "")))
    except ValueError as error:
        lines, _, notes = _documents(text)
        if not lines or notes:
            raise DocumentError(f"it is not valid JSON ({error}); correct it or save it as .txt") from error
        return "\n\n".join(lines)
    except RecursionError as error:
        raise DocumentError("its JSON is nested too deeply") from error


def read_json_lines(text: str) -> tuple[str, list[str]]:
    """JSON documents, one a line, as paragraphs; and notes on lines that are not JSON.

    Raises:
        DocumentError: no line is JSON.
    """
    paragraphs, read, notes = _documents(text)
    if notes and not read:
        raise DocumentError(f"no line of it is JSON ({notes[0]})")
    return "\n\n".join(bounded(paragraphs)), notes


def _documents(text: str) -> tuple[list[str], int, list[str]]:
    paragraphs: list[str] = []
    notes: list[str] = []
    read = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            paragraphs += _described(_loads(line), "")
            read += 1
        except (ValueError, RecursionError):
            notes.append(f"line {number} is not valid JSON")
    return paragraphs, read, notes


def _loads(text: str) -> Any:
    # Numbers stay as they are written: no rounding, and no limit on their digits.
    return json.loads(text, parse_int=str, parse_float=str, strict=False)


def _described(value: Any, path: str) -> Iterator[str]:
    """Paragraphs for a value: one for a small value or a record, else those of its parts with their paths.

    A list of records gives a paragraph for each.
    """
    parts = _parts(value)
    is_record = isinstance(value, Mapping) and not any(_parts(part) for part in value.values())
    if is_record or not parts or (isinstance(value, Mapping) and _is_small(value)):
        lines = [f"{name}: {leaf}" if name else leaf for name, leaf in _leaves(value, "")]
        body = ("; " if _is_small(value) else "\n").join(lines)
        if body:
            yield f"{path}: {body}" if path else body
        return
    for name, part in parts:
        yield from _described(part, _joined(path, name))


def _is_small(value: Any) -> bool:
    words = 0
    for name, leaf in _leaves(value, ""):
        words += len(name.split()) + len(leaf.split())
        if words > _LINE_WORDS or "[" in name:
            return False
    return True


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    parts = _parts(value)
    if parts:
        for name, part in parts:
            yield from _leaves(part, _joined(path, name))
    elif isinstance(value, list):
        if value:
            yield path, ", ".join(map(_scalar, value))
    elif value not in ("", None) and value != {}:
        yield path, _scalar(value)


def _parts(value: Any) -> list[tuple[str, Any]]:
    """The parts of a value that have names or places; a list of plain values has none."""
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return [(f"[{n}]", part) for n, part in enumerate(value)]
    return []


def _joined(path: str, name: str) -> str:
    name = shortened(name)
    return f"{path}{name}" if name.startswith("[") or not path else f"{path}.{name}"


def _scalar(value: Any) -> str:
    text = (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    )
    return " ".join(text.split())
