"""JSON lines (also `.gz`), manifests and OpenAI's batch format, with the standard library alone, as GPU machines need.

Source: https://jsonlines.org; https://platform.openai.com/docs/guides/batch, which `vllm run-batch` takes, too.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from anabranch.characters import whole_data
from anabranch.errors import BackendError, DocumentError
from anabranch.locks import unwritable, write_all
from anabranch.private import private, private_folder

Body = Mapping[str, Any]
"""The body of a chat completion's request."""
Opener = Callable[[str, int], int]
Kinds = type | tuple[type, ...]
"""What a field may be, as `isinstance` takes it."""


@dataclass(frozen=True)
class Line:
    """A line of a file of JSON lines.

    Attributes:
        number: its place in the file, from 1.
        value: what it says; None where it is not JSON.
        problem: why it is not JSON; empty where it is.
    """

    number: int
    value: Any
    problem: str = ""


def json_lines(path: Path, *, most: int | None = None) -> Iterator[Line]:
    """The lines of a file that are not empty; half characters in them are made whole.

    Args:
        path: the file, also `.gz`.
        most: longest line that is read, in characters; None for any.

    Raises:
        DocumentError: the file is missing, cannot be read, or is not UTF-8 text.
    """
    size = -1 if most is None else 4 * most
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            number = 0
            # Not splitlines(): JSON may hold U+2028, which is no end of a line.
            while begin := file.readline(size):
                number, rest = number + 1, begin
                while len(rest) == size and not rest.endswith(b"\n"):
                    rest = file.readline(size)
                text = begin.decode("utf-8-sig" if number == 1 else "utf-8") if rest is begin else ""
                if rest is not begin or (most is not None and len(text) > most):
                    yield Line(number, None, f"longer than {most:,} characters; shorten it")
                elif text.strip():
                    yield _parsed(number, text)
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} cannot be read, it is not UTF-8 text; give one JSON value a line") from error
    except (OSError, EOFError, zlib.error) as error:
        told = getattr(error, "strerror", None) or error
        raise DocumentError(f"{path} cannot be read ({told}); check the path") from error


class Named(Protocol):
    """What has a name of its own in a file."""

    @property
    def id(self) -> str | int:
        """The name."""


T = TypeVar("T", bound=Named)


def items_of(lines: Iterable[Line], make: Callable[[Any, int], T | str], problems: list[str]) -> list[T]:
    """What stands on the lines of a file, each id once.

    Args:
        lines: the lines.
        make: makes an item of a line's value and number, or tells what is wrong with it.
        problems: takes what is wrong, a line each.
    """
    found: dict[str | int, T] = {}
    for line in lines:
        item = line.problem or make(line.value, line.number)
        if isinstance(item, str):
            problems.append(f"line {line.number}: {item}")
        elif item.id in found:
            problems.append(f"line {line.number}: the id {item.id!r} was used before")
        else:
            found[item.id] = item
    return list(found.values())


def _parsed(number: int, text: str) -> Line:
    try:
        value = json.loads(text)
        # Half characters come out of escapes alone.
        return Line(number, whole_data(value) if "\\u" in text else value)
    except (ValueError, RecursionError):
        return Line(number, None, f"not JSON: {text.strip()[:60]!r}")


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines.

    Raises:
        DocumentError: the file is missing, or a line is not a JSON object.
    """
    yield from (object_of(path, line) for line in json_lines(path))


def object_of(path: Path, line: Line) -> dict[str, Any]:
    """The JSON object that a line is.

    Raises:
        DocumentError: it is something else.
    """
    if isinstance(line.value, dict):
        return line.value
    problem = line.problem or f"it is of type {type(line.value).__name__}"
    raise DocumentError(f"{path}, line {line.number} is not a JSON object: {problem}; mend or delete it")


def read_rows(path: Path, fields: Mapping[str, Kinds], bad: dict[str, list[str]]) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines that have these fields; others are noted and left out.

    Args:
        path: the file.
        fields: the needed fields with their types.
        bad: gets, by reason, the places of the lines that were left out (`rows.jsonl:12`).

    Raises:
        DocumentError: the file is missing.
    """
    for line in json_lines(path):
        row = line.value
        reason = "" if isinstance(row, dict) else "not a JSON object"
        if not reason and (wrong := [name for name, kind in fields.items() if not _is(row.get(name), kind)]):
            reason = f"no valid {wrong[0]}"
        if reason:
            bad.setdefault(reason, []).append(f"{path.name}:{line.number}")
        else:
            yield row


def _is(value: Any, kind: Kinds) -> bool:
    return isinstance(value, kind) and not (value == "" and kind is str)


def write_jsonl(path: Path, rows: Iterable[Any], opener: Opener | None = None) -> int:
    """Writes JSON lines, whole or not at all; returns their number.

    Args:
        path: the file.
        rows: mappings or pydantic models.
        opener: as `open` takes it, such as `private`.

    Raises:
        BackendError: the file cannot be written.
    """
    count = 0
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "w", encoding="utf-8", opener=opener) as sink:
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


class LineFile:
    """A file of JSON lines that is added to, for its owner alone; what a killed run has written half is taken away.

    Args:
        path: the file; made if missing, as its folder is.

    Raises:
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            private_folder(path.parent)
            needed = _mended(path)
            # Without a buffer: what could not be written must not be tried again when the file is closed.
            self._file = open(path, "ab", buffering=0, opener=private)  # noqa: SIM115
        except OSError as error:
            raise unwritable(path, error) from error
        write_all(self._file, needed, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def add(self, text: str) -> None:
        """Writes a line, of JSON.

        Raises:
            StorageError: the disk is full.
        """
        write_all(self._file, f"{text}\n".encode(), self._path)


def _mended(path: Path) -> bytes:
    """Cuts off the half line of a run that was killed; returns what the last line still needs."""
    if not path.exists():
        return b""
    written = path.read_bytes()
    begin = written.rfind(b"\n") + 1
    if begin == len(written):
        return b""
    try:
        json.loads(written[begin:])
    except (ValueError, RecursionError):
        with path.open("r+b") as file:
            file.truncate(begin)
        return b""
    return b"\n"


@dataclass(frozen=True)
class Answered:
    """A line of a file of replies in OpenAI's batch format.

    Attributes:
        id: the request's `custom_id`.
        status: of HTTP.
        body: the chat completion, or what the server says instead.
        error: what went wrong; None where there is a completion.
    """

    id: str
    status: int
    body: Any
    error: Any = None

    @property
    def refused(self) -> bool:
        """Whether no later try would mend it, such as a prompt that is too long."""
        return self.status in (400, 413, 422)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Answered":
        """What a row of such a file says."""
        response = row.get("response") or {}
        status, body = response.get("status_code") or 0, response.get("body") or {}
        error = row.get("error") or (body.get("error") if isinstance(body, dict) else body)
        if not error and (status != 200 or not body.get("choices")):
            error = "no choices"
        return cls(str(row.get("custom_id")), status, body, error)

    def line(self) -> str:
        """The line that says so."""
        response = {"status_code": self.status, "body": self.body}
        return json.dumps({"custom_id": self.id, "response": response, "error": None}, ensure_ascii=False)


def write_requests(path: Path, bodies: Iterable[tuple[str, Body]]) -> int:
    """Writes requests in OpenAI's batch format; returns their number.

    Args:
        path: the file.
        bodies: `custom_id` and body of each.

    Raises:
        BackendError: the file cannot be written.
    """
    head = {"method": "POST", "url": "/v1/chat/completions"}
    return write_jsonl(path, ({"custom_id": id_, **head, "body": body} for id_, body in bodies), private)


def read_requests(path: Path, bad: dict[str, list[str]]) -> dict[str, Body]:
    """The bodies of requests by `custom_id`; `bad` gets, by reason, what is none, as in `read_rows`.

    Raises:
        DocumentError: the file is missing.
    """
    found: dict[str, Body] = {}
    for row in read_rows(path, {"custom_id": str, "body": dict}, bad):
        id_, body = row["custom_id"], row["body"]
        if id_ in found or not isinstance(body.get("messages"), list):
            bad.setdefault("id that is taken" if id_ in found else "no valid body.messages", []).append(id_)
            continue
        found[id_] = body
    return found
