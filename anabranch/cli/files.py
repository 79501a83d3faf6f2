"""The files of a batch: questions in, answers out. What is written once is never lost and never done twice."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from anabranch.bounds import MAX_LINE_CHARS
from anabranch.characters import whole_data
from anabranch.errors import ConfigurationError, DocumentError
from anabranch.locks import write_all
from anabranch.private import private


@dataclass(frozen=True)
class Item:
    """A question of a batch."""

    id: str | int
    question: str


@dataclass
class Questions:
    """The questions of a file, and the lines that are none."""

    items: list[Item] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_questions(path: Path) -> Questions:
    """Reads questions, one a line: `{"id": ..., "question": ...}`, or a JSON string.

    Args:
        path: the file. A question without an id gets `line-N`.

    Raises:
        DocumentError: the file is missing or not text.
    """
    questions = Questions()
    seen: set[str | int] = set()
    for number, line in _lines(path):
        item = _item(line, number) if len(line) <= MAX_LINE_CHARS else "longer than any question; shorten it"
        if isinstance(item, str):
            questions.problems.append(f"line {number}: {item}")
        elif item.id in seen:
            questions.problems.append(f"line {number}: the id {item.id!r} was used before")
        else:
            seen.add(item.id)
            questions.items.append(item)
    return questions


def _item(line: str, number: int) -> Item | str:
    """The question on a line, or what is wrong with it."""
    try:
        data = whole_data(json.loads(line))
    except (json.JSONDecodeError, RecursionError):
        return f"not JSON: {line[:60]!r}"
    if isinstance(data, str):
        data = {"question": data}
    if not isinstance(data, dict) or not isinstance(data.get("question"), str) or not data["question"].strip():
        return "there is no question in it"
    id_ = data.get("id", f"line-{number}")
    if not isinstance(id_, str | int) or isinstance(id_, bool):
        return "its id is neither a text nor a whole number"
    return Item(id_, data["question"])


class Answers:
    """The file of answers, one JSON line each; lines are appended and later ones count.

    Raises:
        ConfigurationError: the file holds something else, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: set[tuple[str | int, str]] = set()
        if path.exists():
            self._read()
        try:
            # Without a buffer: what could not be written must not be tried again when the file is closed.
            self._file = open(path, "ab", buffering=0, opener=private)  # noqa: SIM115
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written ({error.strerror}); name another --out") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def has(self, item: Item) -> bool:
        """Whether this question was answered under this id."""
        return (item.id, item.question) in self._done

    def add(self, item: Item, record: dict[str, Any]) -> None:
        """Writes an answer.

        Raises:
            StorageError: the disk is full.
        """
        line = json.dumps(whole_data({"id": item.id, **record}), ensure_ascii=False) + "\n"
        write_all(self._file, line.encode(), self._path)

    def _read(self) -> None:
        try:
            *lines, tail = self._path.read_bytes().split(b"\n")
        except OSError as error:
            raise ConfigurationError(f"{self._path} cannot be read ({error.strerror}); name another --out") from error
        for number, line in enumerate(lines, 1):
            if line.strip() and not self._take(line):
                raise ConfigurationError(f"line {number} of {self._path} is not an answer of ours; name another --out")
        if tail and not self._take(tail):
            if not tail.startswith(b'{"id": '):
                raise ConfigurationError(f"the last line of {self._path} is not an answer of ours; name another --out")
            # An interrupted run has written it half.
            self._path.write_bytes(b"".join(line + b"\n" for line in lines))
        elif tail:
            with self._path.open("ab") as file:
                file.write(b"\n")

    def _take(self, line: bytes) -> bool:
        try:
            record = json.loads(line)
            key = (record["id"], record["question"])
            failed = record["error"] is not None
        except (ValueError, TypeError, LookupError):
            return False
        self._done.discard(key) if failed else self._done.add(key)
        return True


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers; of longer ones than are read, a little more than that."""
    number = 0
    try:
        with path.open("rb") as file:
            # Not splitlines(): JSON may hold U+2028, which is no end of a line.
            while line := file.readline(4 * MAX_LINE_CHARS):
                number += 1
                rest = line
                while len(rest) == 4 * MAX_LINE_CHARS and not rest.endswith(b"\n"):
                    rest = file.readline(4 * MAX_LINE_CHARS)
                if rest is not line:
                    yield number, "?" * (MAX_LINE_CHARS + 1)
                elif text := line.decode("utf-8-sig" if number == 1 else "utf-8").strip():
                    yield number, text
    except OSError as error:
        raise DocumentError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is not UTF-8 text; give one JSON line for each question") from error
