"""Failures as one line on standard error and an exit code, and a way out that no stuck thread can block.

Exit codes: 0 done · 1 something outside failed (a model, a server, a budget) · 2 the user's mistake · 3 an
answer that lacks something, or none · 130 Ctrl-C · 143 SIGTERM.
"""

import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import typer

from anabranch import background, bounds
from anabranch.cli import streams
from anabranch.cli.text import clean
from anabranch.errors import AnabranchError, PlanError, UserError

NOT_WHOLE = 3
_SECONDS_FOR_TRACES = 5.0


@dataclass
class Guard:
    """What to tell the user when the run ends early.

    Attributes:
        hint: how to go on; added to the message of an interrupted or failed run.
    """

    hint: str = ""


@contextmanager
def guarded(*, debug: bool) -> Iterator[Guard]:
    """Runs a command: whatever it raises becomes one line and an exit code.

    Args:
        debug: show the traceback, too.

    Raises:
        typer.Exit: with the exit code.
    """
    guard = Guard()
    try:
        yield guard
    except typer.Exit:
        raise
    except BrokenPipeError as error:
        # The reader of our output has left (`| head`).
        streams.flush()
        raise typer.Exit(1) from error
    except (KeyboardInterrupt, EOFError, typer.Abort) as error:
        complain(
            f"{'ended by SIGTERM' if streams.terminated() else 'interrupted'}{'; ' if guard.hint else ''}{guard.hint}"
        )
        raise typer.Exit(streams.ended_by_signal()) from error
    except Exception as error:
        if debug:
            traceback.print_exc()
        code, hint = exit_code(error), guard.hint
        complain(f"error: {one_line(error)}{f' ({hint})' if hint and code == 1 else ''}")
        raise typer.Exit(code) from error


def quiet_libraries(*, debug: bool) -> None:
    """Keeps libraries' warnings and tracers out of a user's terminal."""
    if not debug and not sys.warnoptions:
        import logging

        warnings.simplefilter("ignore")
        logging.lastResort = logging.NullHandler()  # with None, the first message is about that


def complain(text: str) -> None:
    """Writes one line to standard error, if somebody reads that."""
    with suppress(OSError):
        typer.echo(clean(text), err=True)


def one_line(error: BaseException) -> str:
    """What went wrong, in one line; for an exception nobody foresaw, how to see more of it."""
    if isinstance(error, AnabranchError):
        return " ".join(str(error).split()) or type(error).__name__
    return f"unexpected {bounds.one_line(error)}; run again with --debug to see where"


def exit_code(error: BaseException) -> int:
    """2 for the user's mistake, else 1."""
    return 2 if isinstance(error, UserError | PlanError) else 1


def leave(code: int) -> NoReturn:
    """Ends the process, without waiting for a thread that hangs in a tool or a model."""
    _send_traces()
    code = code if streams.flush() else code or 1
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        background.end()
        os._exit(code)
    sys.exit(code)


def _send_traces() -> None:
    """Lets LangSmith have the last runs, where it is switched on; they are sent by a thread, some time later."""
    tracers = sys.modules.get("langchain_core.tracers.langchain")
    if tracers:
        sending = threading.Thread(target=tracers.wait_for_all_tracers, daemon=True)
        sending.start()
        sending.join(_SECONDS_FOR_TRACES)
