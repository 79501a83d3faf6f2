"""`anabranch ask --batch`: many questions from a file, with progress, and with resume after an interruption."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from langchain_core.messages import HumanMessage

from anabranch.cli.build import build_planner
from anabranch.cli.failures import Guard, complain, one_line
from anabranch.cli.files import Answers, Item, read_questions
from anabranch.cli.gauge import Gauge
from anabranch.cli.loop import Loop
from anabranch.cli.options import Options
from anabranch.cli.outcome import Outcome, usage_line
from anabranch.cli.views import opened_view
from anabranch.config import check_question
from anabranch.errors import AnabranchError, BackendError, ConfigurationError, DocumentError, StorageError
from anabranch.graphs.planner import Planner
from anabranch.locks import held
from anabranch.plan import Usage

MAX_FAILURES_IN_A_ROW = 10
"""So many failures of models or servers one after the other mean that the rest would fail, too."""


@dataclass
class Tally:
    """What became of the questions so far."""

    answered: int = 0
    failed: int = 0
    in_a_row: int = 0
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
        loop.run(_Workers(planner, answers, tally, gauge).run(waiting, concurrency))


def _summarize(tally: Tally, before: int, skipped: int, out: Path) -> None:
    parts = [f"{tally.answered} answered", f"{tally.failed} failed"]
    parts += [f"{before} answered before"] if before else []
    parts += [f"{skipped} lines skipped"] if skipped else []
    complain(f"{', '.join(parts)} · {usage_line(tally.usage, time.monotonic() - tally.started)} · {out}")


class _Workers:
    """Answers questions, a few at a time."""

    def __init__(self, planner: Planner, answers: Answers, tally: Tally, gauge: Gauge) -> None:
        self._planner = planner
        self._answers = answers
        self._tally = tally
        self._gauge = gauge

    async def run(self, items: list[Item], concurrency: int) -> None:
        """Answers all questions.

        Raises:
            BackendError: too many failures in a row.
        """
        queue = iter(items)
        workers = [asyncio.create_task(self._work(queue)) for _ in range(min(concurrency, len(items)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, queue: Any) -> None:
        for item in queue:
            started = time.monotonic()
            try:
                outcome, error = await self._answer(item, started), None
            except StorageError:
                raise
            except Exception as failure:
                outcome, error = Outcome(item.question, "", "failed", seconds=time.monotonic() - started), failure
            self._record(item, outcome, error)

    async def _answer(self, item: Item, started: float) -> Outcome:
        question = check_question(item.question)
        state: Mapping[str, Any] = await self._planner.ainvoke({"messages": [HumanMessage(question)]})
        return Outcome.of(item.question, state, time.monotonic() - started)

    def _record(self, item: Item, outcome: Outcome, error: Exception | None) -> None:
        tally = self._tally
        self._answers.add(item, {**outcome.to_json(), "error": one_line(error) if error else None})
        tally.usage += outcome.total
        tally.answered += not error
        tally.failed += bool(error)
        # A question that is itself at fault says nothing about the next one.
        unwell = error is not None and (isinstance(error, BackendError) or not isinstance(error, AnabranchError))
        tally.in_a_row = tally.in_a_row + 1 if unwell else 0
        self._gauge.show(tally.answered, tally.failed, tally.usage.total_tokens)
        if error and tally.in_a_row >= MAX_FAILURES_IN_A_ROW:
            raise BackendError(f"stopped after {tally.in_a_row} failures in a row; the last: {one_line(error)}")
