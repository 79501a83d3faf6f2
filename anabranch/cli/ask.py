"""`anabranch ask`: one question through the planner, watched, reviewed and kept on a thread."""

import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

import typer
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command

from anabranch.cli import review
from anabranch.cli.board import Board
from anabranch.cli.failures import NOT_WHOLE, Guard, complain
from anabranch.cli.loop import Loop
from anabranch.cli.options import THREADS, Options, recalled, remember
from anabranch.cli.outcome import Outcome
from anabranch.cli.terminal import print_answer, print_json
from anabranch.cli.text import clean, in_one_line
from anabranch.cli.views import Silence, View
from anabranch.config import read_settings
from anabranch.errors import ConfigurationError
from anabranch.graphs.build import build_planner
from anabranch.graphs.checkpointers import is_postgres, open_checkpointer, shown
from anabranch.graphs.planner import Planner
from anabranch.graphs.unfinished import Unfinished, find_unfinished
from anabranch.locks import held


@dataclass(frozen=True)
class Ask:
    """What was asked for on the command line.

    Attributes:
        question: the question, checked; None goes on with what the thread has unfinished.
        options: what the planner is built from.
        given: names of the options that were given, and so hold against those a thread remembers.
        thread: name of the thread, if any.
        checkpoints: file or database that keeps threads, if not the usual file.
        restart: drop the thread's unfinished run.
        as_json: print one JSON object.
    """

    question: str | None
    options: Options
    given: Collection[str] = ()
    thread: str | None = None
    checkpoints: str | None = None
    restart: bool = False
    as_json: bool = False

    @property
    def thread_id(self) -> str:
        """The thread's name for the checkpointer, which wants one."""
        return self.thread or "once"


def run(ask: Ask, view: View, guard: Guard) -> None:
    """Answers the question and prints the answer.

    Raises:
        AnabranchError: as the planner does.
        typer.Exit: the plan was rejected, or the answer is not whole.
    """
    with Loop() as loop, closing(loop) as stack:
        saver = opened_thread(ask, loop, stack)
        unfinished = loop.run(find_unfinished(saver, ask.thread)) if ask.thread else None
        ask = settle(ask, unfinished, view)
        _run_on(ask, unfinished, saver, loop, view, guard)


def opened_thread(ask: Ask, loop: Loop, stack: AsyncExitStack) -> BaseCheckpointSaver[Any]:
    """Opens what keeps the thread, and holds the thread, if there is one, for this process.

    Raises:
        ConfigurationError, StorageError: it cannot be used, or another process is at work on the thread.
    """
    usual = read_settings().cache_dir / THREADS
    where = ask.checkpoints or usual
    if ask.thread:
        file, part = (usual, f"{shown(where)}, ") if is_postgres(where) else (Path(where), "")
        stack.enter_context(
            held(file, "use another --thread, or other --checkpoints", part=f"{part}thread {ask.thread!r}")
        )
    return loop.run(open_checkpointer(stack, where if ask.thread else None))


def settle(ask: Ask, unfinished: Unfinished | None, view: View) -> Ask:
    """Decides whether to go on or to begin, and with which options. A question of None means: go on.

    Raises:
        ConfigurationError: there is nothing to go on with, or another question is in the way.
    """
    if unfinished is None:
        if ask.question is None:
            raise ConfigurationError(f"the thread {ask.thread!r} has nothing unfinished; ask a question")
        return ask
    if ask.question not in (None, unfinished.question) and not ask.restart:
        raise ConfigurationError(
            f"the thread {ask.thread!r} is in the middle of another question ({in_one_line(unfinished.question)}); "
            "leave the question out to go on with it, add --restart to drop it, or use another --thread"
        )
    if ask.restart and ask.question:
        return ask
    options = ask.options.recalled(recalled(unfinished.metadata), ask.given)
    if options.review:
        review.need_person()
    if ask.restart:
        return replace(ask, question=unfinished.question, options=options)
    view.note(f"going on with: {in_one_line(unfinished.question)}")
    return replace(ask, question=None, options=options)


def _run_on(
    ask: Ask,
    unfinished: Unfinished | None,
    saver: BaseCheckpointSaver[Any],
    loop: Loop,
    view: View,
    guard: Guard,
) -> None:
    planner = build_planner(ask.options, status=view.status, note=view.note, checkpointer=saver)
    run = Run(planner, ask, view)
    value: Any = None
    if ask.question is None and unfinished:
        loop.run(run.recall(unfinished))
    else:
        forget = unfinished.forget if unfinished else []
        value = {"messages": [*forget, HumanMessage(ask.question or "", id=str(uuid.uuid4()))]}
    guard.hint = hint(ask, "ask")
    outcome = run.to_end(value, loop)
    if outcome is None:
        complain("the plan was rejected; nothing was answered")
        raise typer.Exit(1)
    report(outcome, as_json=ask.as_json, quiet=isinstance(view, Silence))
    if outcome.status_line():
        raise typer.Exit(NOT_WHOLE)


def hint(ask: Ask, command: str) -> str:
    """How to go on with a run that ended early."""
    if not ask.thread:
        return ""
    file = f" --checkpoints {quote(shown(ask.checkpoints))}" if ask.checkpoints else ""
    return f"nothing is lost, go on with: anabranch {command} --thread {quote(ask.thread)}{file}"


class Run:
    """A run of the planner that is watched."""

    def __init__(self, planner: Planner, ask: Ask, view: View) -> None:
        self.board = Board()
        self._planner = planner
        self._view = view
        self._seconds = 0.0
        self._max_sub_questions = ask.options.max_sub_questions
        self._config: Any = {
            "configurable": {"thread_id": ask.thread_id},
            "metadata": remember(ask.options.stored()),
        }
        self._modes: Any = ["custom", "updates"] if isinstance(view, Silence) else ["custom", "updates", "messages"]

    async def recall(self, unfinished: Unfinished) -> None:
        """Puts what an earlier process did on the board."""
        values = (await self._planner.aget_state(self._config)).values
        # Before the first node has run, the state is still that of the turn before.
        if values.get("asked") == unfinished.question and {"plan", "answers"} <= values.keys():
            self.board.show(values["plan"], [*values["answers"].values(), *unfinished.answers])
            for row in self.board.rows.values():
                if row.answer and row.answer.ok:
                    self.board.news.append(f"  {row.question.id} → {row.answer.text} (from before)")
            self._view.update(self.board)

    async def advance(self, value: Any) -> Mapping[str, Any]:
        """Runs until the end, or until a person is asked; then returns what for, by the interrupts' ids."""
        started = time.monotonic()
        self.board.news = []
        if self.board.rows:
            self._view.update(self.board)
        else:
            self._view.status(self.board.phase)
        parts: Any = self._planner.astream(
            value, self._config, stream_mode=self._modes, durability="sync", version="v2"
        )
        async for part in parts:
            self.board.take(part)
            self._view.update(self.board)
        snapshot = await self._planner.aget_state(self._config)
        # Without the time that a person takes for a review.
        self._seconds += time.monotonic() - started
        return {interrupt.id: interrupt.value for interrupt in snapshot.interrupts}

    def to_end(self, value: Any, loop: Loop) -> Outcome | None:
        """Runs until the end, and asks the person whatever there is to ask; None if she rejected the plan."""
        rejected = False
        while waiting := loop.run(self.advance(value)):
            self._view.close(keep=False)
            decisions = {id_: review.decide(asked, self._max_sub_questions) for id_, asked in waiting.items()}
            rejected = any("plan" in asked and decisions[id_] == {"type": "reject"} for id_, asked in waiting.items())
            value = Command(resume=decisions)
        outcome = loop.run(self.outcome())
        self._view.close()
        return None if rejected else outcome

    async def outcome(self) -> Outcome:
        """What the run came to."""
        state = (await self._planner.aget_state(self._config)).values
        return Outcome.of(state["asked"], state, self._seconds)


def report(outcome: Outcome, *, as_json: bool, quiet: bool) -> None:
    """Prints the answer to standard output; what it rests on and lacks, tokens, time and cost to standard error."""
    if as_json:
        print_json(outcome.to_json())
    else:
        print_answer(outcome.answer)
    if sources := outcome.sources_line():
        note(sources, quiet=quiet or as_json)
    if lacks := outcome.status_line():
        complain(lacks)
    note(outcome.line(), quiet=quiet)


def note(line: str, *, quiet: bool) -> None:
    """Writes a dim line to standard error."""
    if not quiet:
        typer.secho(clean(line), err=True, dim=True)


@contextmanager
def closing(loop: Loop) -> Iterator[AsyncExitStack]:
    """What is opened on the loop and closed on it."""
    stack = AsyncExitStack()
    try:
        yield stack
    finally:
        loop.run(stack.aclose())
