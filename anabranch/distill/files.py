"""JSON lines (also `.gz`) and manifests on disk, with the standard library alone: a training machine needs no more.

Source: https://jsonlines.org.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from anabranch.errors import BackendError, DocumentError

Kinds = type | tuple[type, ...]
"""What a field may be, as `isinstance` takes it."""


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines.

    Raises:
        DocumentError: the file is missing, or a line is not a JSON object.
    """
    for number, row, problem in _lines(path):
        if row is None:
            raise DocumentError(f"{path}, line {number} is not a JSON object: {problem}; mend or delete it")
        yield row


def read_rows(path: Path, fields: Mapping[str, Kinds], bad: dict[str, list[str]]) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines that have these fields; others are noted and left out.

    Args:
        path: the file.
        fields: the needed fields with their types.
        bad: gets, by reason, the places of the lines that were left out (`rows.jsonl:12`).

    Raises:
        DocumentError: the file is missing.
    """
    for number, row, problem in _lines(path):
        wrong = [problem] if row is None else [name for name, kind in fields.items() if not _is(row.get(name), kind)]
        if row is None or wrong:
            reason = "not a JSON object" if row is None else f"no valid {wrong[0]}"
            bad.setdefault(reason, []).append(f"{path.name}:{number}")
            continue
        yield row


def _is(value: Any, kind: Kinds) -> bool:
    return isinstance(value, kind) and not (value == "" and kind is str)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DocumentError(f"cannot read {path}: {error}; check the path") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, None, str(error)
            continue
        yield number, row if isinstance(row, dict) else None, f"it is of type {type(row).__name__}"


def write_jsonl(path: Path, rows: Iterable[Any]) -> int:
    """Writes JSON lines, whole or not at all; returns their number.

    Args:
        path: the file.
        rows: mappings or pydantic models.

    Raises:
        BackendError: the file cannot be written.
    """
    count = 0
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as sink:
            for row in rows:
                data = row.model_dump(exclude_none=True) if hasattr(row, "model_dump") else row
                sink.write(json.dumps(data, ensure_ascii=False) + "\n")
                count += 1
        partial.replace(path)
    except OSError as error:
        raise BackendError(f"cannot write {path}: {error}; make room and run again") from error
    return count


def write_manifest(path: Path, facts: Mapping[str, Any]) -> None:
    """Writes what made the files beside it, as JSON.

    Raises:
        BackendError: it cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise BackendError(f"cannot write {path}: {error}; make room and run again") from error


def digest(path: Path) -> str:
    """Short hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
