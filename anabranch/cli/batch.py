"""`anabranch ask --batch`: many questions from a file, with progress, and with resume after an interruption."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import typer
from langchain_core.messages import HumanMessage

from anabranch.batch.files import LineFile, items_of, json_lines
from anabranch.batch.jobs import Streak, each, is_unwell
from anabranch.bounds import MAX_LINE_CHARS
from anabranch.characters import whole_data
from anabranch.cli.failures import Guard, complain, one_line
from anabranch.cli.gauge import Gauge
from anabranch.cli.loop import Loop
from anabranch.cli.options import Options
from anabranch.cli.outcome import Outcome, usage_line
from anabranch.cli.views import opened_view
from anabranch.config import check_question
from anabranch.errors import ConfigurationError, DocumentError, StorageError
from anabranch.graphs.build import build_planner
from anabranch.graphs.edges import in_one_step
from anabranch.graphs.planner import Planner
from anabranch.locks import held
from anabranch.plan import Usage


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
    questions.items += items_of(json_lines(path, most=MAX_LINE_CHARS), _item, questions.problems)
    return questions


def _item(data: Any, number: int) -> Item | str:
    """The question on a line, or what is wrong with it."""
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
        try:
            if path.exists():
                self._read()
            self._file = LineFile(path)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read ({error.strerror}); name another --out") from error
        except StorageError as error:
            raise ConfigurationError(f"{error}, or name another --out") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def has(self, item: Item) -> bool:
        """Whether this question was answered under this id."""
        return (item.id, item.question) in self._done

    def add(self, item: Item, record: dict[str, Any]) -> None:
        """Writes an answer.

        Raises:
            StorageError: the disk is full.
        """
        self._file.add(json.dumps(whole_data({"id": item.id, **record}), ensure_ascii=False))

    def _read(self) -> None:
        *lines, tail = self._path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            if line.strip() and not self._take(line):
                raise ConfigurationError(f"line {number} of {self._path} is not an answer of ours; name another --out")
        # An interrupted run may have written the last one half.
        if tail and not self._take(tail) and not tail.startswith(b'{"id": '):
            raise ConfigurationError(f"the last line of {self._path} is not an answer of ours; name another --out")

    def _take(self, line: bytes) -> bool:
        try:
            record = json.loads(line)
            key = (record["id"], record["question"])
            failed = record["error"] is not None
        except (ValueError, TypeError, LookupError):
            return False
        self._done.discard(key) if failed else self._done.add(key)
        return True


@dataclass
class Tally:
    """What became of the questions so far."""

    answered: int = 0
    failed: int = 0
    usage: Usage = field(default_factory=Usage)
    started: float = field(default_factory=time.monotonic)


def run(path: Path, out: Path | None, options: Options, *, concurrency: int, quiet: bool, guard: Guard) -> None:
    """Answers the questions of a file that have no answer yet; each answer is written as it comes.

    Args:
        path: the questions, one JSON line each.
        out: where the answers go; by default beside the questions.
        options: what the planner is built from.
        concurrency: how many questions at a time.
        quiet: no progress.
        guard: told how to go on after an interruption.

    Raises:
        UserError, BackendError: the files, the options or the models are not usable.
        typer.Exit: some questions failed.
    """
    out = out or path.with_name(path.name.removesuffix(".jsonl") + ".answers.jsonl")
    if out.absolute() == path.absolute():
        raise ConfigurationError("--out is the file of questions; name another")
    questions = read_questions(path)
    if not questions.items and not questions.problems:
        raise DocumentError(f'{path} has no questions; write one JSON line each: {{"id": 1, "question": "..."}}')
    for problem in questions.problems:
        complain(f"skipped: {problem}")
    with held(out, "name another --out"), Answers(out) as answers:
        waiting = [item for item in questions.items if not answers.has(item)]
        before = len(questions.items) - len(waiting)
        tally = Tally()
        if waiting:
            try:
                _answer_all(waiting, answers, options, tally, concurrency=concurrency, quiet=quiet)
            finally:
                done = f"{tally.answered} of {len(waiting)} questions are answered, in {out}"
                guard.hint = f"{done}; run the same command again to go on"
    _summarize(tally, before, len(questions.problems), out)
    if tally.failed:
        raise typer.Exit(1)


def _answer_all(
    waiting: list[Item], answers: Answers, options: Options, tally: Tally, *, concurrency: int, quiet: bool
) -> None:
    with opened_view(quiet=quiet) as view:
        planner = build_planner(options, status=view.status, note=view.note)
    with Loop() as loop, Gauge(len(waiting), quiet=quiet) as gauge:
        loop.run(_answer(planner, waiting, answers, tally, gauge, concurrency))


def _summarize(tally: Tally, before: int, skipped: int, out: Path) -> None:
    parts = [f"{tally.answered} answered", f"{tally.failed} failed"]
    parts += [f"{before} answered before"] if before else []
    parts += [f"{skipped} lines skipped"] if skipped else []
    complain(f"{', '.join(parts)} · {usage_line(tally.usage, time.monotonic() - tally.started)} · {out}")


async def _answer(
    planner: Planner, items: Sequence[Item], answers: Answers, tally: Tally, gauge: Gauge, concurrency: int
) -> None:
    """Answers questions, a few at a time.

    Raises:
        BackendError: too many failures in a row.
    """
    streak = Streak()

    async def one(item: Item) -> None:
        started, error = time.monotonic(), None
        try:
            question = check_question(item.question)
            with in_one_step("plan", "solve"):
                state: Mapping[str, Any] = await planner.ainvoke({"messages": [HumanMessage(question)]})
            outcome = Outcome.of(item.question, state, time.monotonic() - started)
        except StorageError:
            raise
        except Exception as failure:
            outcome, error = Outcome(item.question, "", "failed", seconds=time.monotonic() - started), failure
        answers.add(item, {**outcome.to_json(), "error": one_line(error) if error else None})
        tally.usage += outcome.total
        tally.answered += not error
        tally.failed += bool(error)
        gauge.show(tally.answered, tally.failed, tally.usage.total_tokens)
        streak.note(unwell=error is not None and is_unwell(error), told=one_line(error) if error else "")

    await each(items, one, concurrency)
