"""`anabranch chat`: a conversation in the terminal, kept on a thread."""

import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import typer
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver

from anabranch.bounds import MAX_LINE_CHARS
from anabranch.cli.ask import Ask, Run, closing, hint, opened_thread, report, settle
from anabranch.cli.failures import Guard, complain, one_line
from anabranch.cli.loop import Loop
from anabranch.cli.streams import terminated
from anabranch.cli.terminal import check_text
from anabranch.cli.text import in_one_line
from anabranch.cli.views import Silence, View
from anabranch.config import MAX_QUESTION_CHARS
from anabranch.errors import AnabranchError
from anabranch.graphs.build import build_planner
from anabranch.graphs.planner import Planner
from anabranch.graphs.unfinished import find_unfinished

PROMPT = "> "
HELP = """\
Write a question and press Enter; what was said before is known. A line that ends with \\ goes on in the next one.
Ctrl-C stops the answer that is being written. /exit or Ctrl-D ends the conversation."""
_EXITS = ("/exit", "/quit")


def run(ask: Ask, view: View, guard: Guard) -> None:
    """Answers one message after the other until there is none left.

    Raises:
        AnabranchError: the planner cannot be built.
        typer.Exit: some message could not be answered.
    """
    with Loop() as loop, closing(loop) as stack:
        saver = opened_thread(ask, loop, stack)
        unfinished = loop.run(find_unfinished(saver, ask.thread)) if ask.thread else None
        if unfinished:
            ask = settle(ask, unfinished, view)
        planner = build_planner(ask.options, status=view.status, note=view.note, checkpointer=saver)
        view.close(keep=False)
        guard.hint = hint(ask, "chat")
        chat = Chat(planner, ask, saver, loop, view)
        loop.run(chat.greet())
        if unfinished:
            chat.answer(None)
        for message in messages(view):
            chat.answer(message)
    if chat.failed:
        raise typer.Exit(1)


class Chat:
    """A conversation under way.

    Attributes:
        failed: whether some message could not be answered.
    """

    def __init__(self, planner: Planner, ask: Ask, saver: BaseCheckpointSaver[str], loop: Loop, view: View) -> None:
        self.failed = False
        self._planner = planner
        self._ask = ask
        self._saver = saver
        self._loop = loop
        self._view = view

    async def greet(self) -> None:
        """Says how the conversation works, and where it was."""
        config: Any = {"configurable": {"thread_id": self._ask.thread_id}}
        said: list[BaseMessage] = (await self._planner.aget_state(config)).values.get("messages", [])
        if sys.stdin.isatty():
            self._view.note("/help says how it works, Ctrl-D ends it")
        for message in said[-2:]:
            speaker = PROMPT if isinstance(message, HumanMessage) else ""
            if isinstance(message, HumanMessage | AIMessage):
                self._view.note(f"{speaker}{in_one_line(str(message.text), 300)}")

    def answer(self, message: str | None) -> None:
        """Answers a message, or goes on with the unfinished one; what goes wrong is told and not raised."""
        try:
            self._answer(message)
        except (KeyboardInterrupt, typer.Abort):  # the latter at a prompt
            self._view.close(keep=False)
            if terminated() or not sys.stdin.isatty():
                raise
            complain("stopped; ask something else")
        except AnabranchError as error:
            self._view.close(keep=False)
            self.failed = True
            complain(f"error: {one_line(error)}")

    def _answer(self, message: str | None) -> None:
        run = Run(self._planner, self._ask, self._view)
        unfinished = self._loop.run(find_unfinished(self._saver, self._ask.thread_id))
        value = None
        if message is not None:
            # What was stopped half-way was not answered, so it is no part of the conversation.
            forget = unfinished.forget if unfinished else []
            value = {"messages": [*forget, HumanMessage(check_text(message), id=str(uuid.uuid4()))]}
        elif unfinished:
            self._loop.run(run.recall(unfinished))
        outcome = run.to_end(value, self._loop)
        if outcome is None:
            complain("the plan was rejected; nothing was answered")
        else:
            report(outcome, as_json=False, quiet=isinstance(self._view, Silence))


def messages(view: View) -> Iterator[str]:
    """What is typed, or piped in, message by message."""
    terminal = sys.stdin.isatty()
    if terminal:
        with suppress(ImportError):
            import readline  # noqa: F401 - arrow keys and earlier lines in `input`
    before = ""
    while True:
        try:
            line = before + _read_line(terminal=terminal)
        except EOFError:
            if before.strip():
                yield before.strip()
            return
        except KeyboardInterrupt:
            if not terminal or terminated():
                raise
            before = ""
            view.note("Ctrl-D or /exit ends the conversation")
            continue
        before = ""
        if line.endswith("\\") and len(line) < 2 * MAX_QUESTION_CHARS:
            before = line[:-1] + "\n"
        elif line.strip() in _EXITS:
            return
        elif line.strip() == "/help":
            view.note(HELP)
        elif line.strip():
            yield line.strip()


def _read_line(*, terminal: bool) -> str:
    """One line, without its end; a prompt is shown in a terminal alone.

    Raises:
        EOFError: there is no further line.
    """
    if terminal and sys.stdout.isatty():
        return input(PROMPT)
    if terminal:
        typer.echo(PROMPT, err=True, nl=False)
    line = piece = sys.stdin.readline(MAX_LINE_CHARS)
    if not line:
        raise EOFError
    while len(piece) == MAX_LINE_CHARS and not piece.endswith("\n"):
        piece = sys.stdin.readline(MAX_LINE_CHARS)  # longer than any question, and refused as one
    return line.rstrip("\r\n")
