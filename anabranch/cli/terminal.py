"""Terminal input and output: the question, consoles, the answer."""

import json
import sys
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from anabranch.bounds import MAX_LINE_CHARS
from anabranch.characters import whole_data
from anabranch.cli.text import clean
from anabranch.errors import BackendError, ConfigurationError, QuestionError


def error_console() -> Console:
    """Standard error as a rich console that takes no text for markup."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def interactive() -> bool:
    """Whether a person watches: standard output and standard error are terminals."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def is_terminal() -> bool:
    """Whether a person can be asked: standard input and standard error are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def show(text: str, style: str = "") -> None:
    """Shows a text, which may be of models and tools, on standard error."""
    error_console().print(Text(clean(text), style=style), soft_wrap=True)


def need_terminal(option: str) -> None:
    """Refuses an option that asks a person where there is none.

    Raises:
        ConfigurationError: standard input or standard error is not a terminal.
    """
    if not is_terminal():
        raise ConfigurationError(
            f"{option} asks in the terminal, and there is none here; run it in one, or leave it out"
        )


def print_answer(text: str) -> None:
    """Writes the answer, and nothing else, to standard output.

    Raises:
        BackendError: there is no room for it.
    """
    write_out(clean(text) if sys.stdout.isatty() else text)


def write_out(text: str) -> None:
    """Writes text to standard output.

    Raises:
        BackendError: there is no room for it.
    """
    try:
        typer.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BackendError(
            f"standard output cannot be written ({error.strerror or error}); make room for it"
        ) from error


def print_json(data: Any, *, indent: int | None = None) -> None:
    """Writes JSON to standard output; what that cannot encode, in escapes, so that nothing is lost."""
    text = json.dumps(whole_data(data), ensure_ascii=False, indent=indent)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(whole_data(data), indent=indent)
    write_out(text)


def read_question(argument: str) -> str:
    """The question of the command line; `-` reads it from standard input.

    Raises:
        QuestionError: it is empty, too long, or not text.
    """
    return check_text(_read_stdin() if argument == "-" else argument)


def check_text(text: str) -> str:
    """A question that was typed or piped in, checked.

    Raises:
        QuestionError: it is empty, too long, or not text.
    """
    from anabranch.config import check_question  # pydantic

    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QuestionError("the question is not valid UTF-8 text; check its encoding") from error
    if "\0" in text:
        raise QuestionError("the question is binary data; give text")
    return check_question(text)


def _read_stdin() -> str:
    given = typer.get_binary_stream("stdin").read(4 * MAX_LINE_CHARS)
    if len(given) == 4 * MAX_LINE_CHARS:
        raise QuestionError("standard input is longer than any question; shorten it, or give it as a document (--docs)")
    try:
        return given.decode()
    except UnicodeDecodeError as error:
        raise QuestionError("standard input is not UTF-8 text; convert it, or pass the question itself") from error
