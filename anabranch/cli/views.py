"""How a run is shown: redrawn in a terminal, as lines in a log, or not at all. Always on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from anabranch.cli.board import Board, Row
from anabranch.cli.terminal import error_console, interactive
from anabranch.cli.text import clean, in_one_line

_MARKS = {"pending": ("·", "dim"), "done": ("✓", "green"), "failed": ("✗", "red"), "waiting": ("?", "yellow")}
_ASCII = {"·": "-", "✓": "v", "✗": "x", "→": "->", "↻": "again:"}
_ANSWER_CHARS = 300
_WRITING_LINES = 6


class View(Protocol):
    """Shows a run."""

    def status(self, text: str) -> None:
        """Says what is happening before there is a plan."""

    def update(self, board: Board) -> None:
        """Shows what a part of the stream brought."""

    def close(self, *, keep: bool = True) -> None:
        """Gives the terminal back; with `keep`, the last state stays on the screen."""

    def note(self, text: str) -> None:
        """Adds a line that stays."""


def pick_view(*, quiet: bool) -> View:
    """The view that fits where the output goes."""
    if quiet:
        return Silence()
    return LiveView(error_console()) if interactive() else LineView(error_console())


@contextmanager
def opened_view(*, quiet: bool) -> Iterator[View]:
    """The view that fits, closed in the end whatever happens: a live one has hidden the cursor."""
    view = pick_view(quiet=quiet)
    try:
        yield view
    finally:
        view.close()


class Silence:
    """Shows nothing."""

    def status(self, text: str) -> None:
        """Shows nothing."""

    def update(self, board: Board) -> None:
        """Shows nothing."""

    def close(self, *, keep: bool = True) -> None:
        """Nothing to do."""

    def note(self, text: str) -> None:
        """Shows nothing."""


class LineView:
    """Writes a line for each thing that happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = ""

    def status(self, text: str) -> None:
        """Says it once."""
        if text != self._said:
            self._said = text
            self.note(text)

    def update(self, board: Board) -> None:
        """Writes the news."""
        for line in board.news:
            self.note(line)

    def close(self, *, keep: bool = True) -> None:
        """Nothing to do."""

    def note(self, text: str) -> None:
        """Writes the line."""
        self._console.print(Text(clean(text)), soft_wrap=True)


class LiveView:
    """Redraws the plan in place: marks, answers, and below them what is going on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._last: Board | None = None
        self._ascii = console.options.ascii_only
        self._spinner = Spinner("line" if self._ascii else "dots", style="cyan")
        # One spinner for all running rows: each redraw builds new tables, and a new spinner starts at its first frame.
        self._row_spinner = Spinner("line" if self._ascii else "dots", style="cyan")

    def status(self, text: str) -> None:
        """Shows the text beside a spinner."""
        self._draw(self._busy(text))

    def update(self, board: Board) -> None:
        """Redraws."""
        self._last = board
        self._draw(self.render(board, busy=True))

    def close(self, *, keep: bool = True) -> None:
        """Draws the last state without spinners, or nothing, and gives the terminal back."""
        if self._live is None:
            return
        last = self._last if keep and self._last and (self._last.rows or self._last.question) else None
        self._live.transient = last is None
        self._live.update(Group(self.render(last, busy=False), Text()) if last else Text(end=""))
        self._live.stop()
        self._live = self._last = None

    def note(self, text: str) -> None:
        """Writes a dim line above what is redrawn."""
        self._console.print(Text(clean(text), style="dim"))

    def _draw(self, shown: RenderableType) -> None:
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=12)
            self._live.start()
        self._live.update(shown)

    def _busy(self, text: str) -> RenderableType:
        self._spinner.update(text=Text(clean(text), style="dim"))
        return self._spinner

    def render(self, board: Board, *, busy: bool) -> RenderableType:
        """The plan as it stands; with `busy`, what is going on as well."""
        parts: list[RenderableType] = []
        rows: list[Row] = []
        if board.question:
            parts.append(Text(f"{self._sign('→')} {in_one_line(board.question, _ANSWER_CHARS)}", style="italic"))
        for id_, row in board.rows.items():
            rows.append(row)
            if id_ in board.replans:
                reason = Text(f"{self._sign('↻')} {clean(board.replans[id_])}", style="yellow")
                parts += [self._table(board, rows, busy=busy), reason]
                rows = []
        if rows:
            parts.append(self._table(board, rows, busy=busy))
        if busy:
            parts.append(self._busy(board.phase))
            if board.writing.strip():
                tail = clean(board.writing).strip().splitlines()[-_WRITING_LINES:]
                parts.append(Text("\n".join(f"  {line}" for line in tail), style="dim italic"))
        return Group(*parts)

    def _table(self, board: Board, rows: list[Row], *, busy: bool) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True)
        table.add_column(ratio=1)
        for row in rows:
            table.add_row(
                self._mark(row, busy=busy),
                str(row.question.id),
                Text(row.question.route, style="cyan"),
                self._cell(board, row),
            )
        return table

    def _mark(self, row: Row, *, busy: bool) -> RenderableType:
        if row.state == "running" and busy:
            return self._row_spinner
        sign, style = _MARKS.get(row.state, _MARKS["pending"])
        return Text(self._sign(sign), style=style)

    def _cell(self, board: Board, row: Row) -> Text:
        cell = Text(clean(board.text_of(row)))
        if row.answer:
            ok = row.answer.ok
            outcome = in_one_line(row.answer.text if ok else row.answer.error or "failed", _ANSWER_CHARS)
            cell.append(f" {self._sign('→')} ", style="dim")
            cell.append(outcome, style="bold green" if ok else "red")
            cell.append(f"  {row.answer.seconds:.1f} s", style="dim")
        return cell

    def _sign(self, sign: str) -> str:
        return _ASCII[sign] if self._ascii else sign
