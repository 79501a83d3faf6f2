"""Python in a sandbox: pydantic-monty, an interpreter of a subset of Python without files, network or environment.

Each call runs in a worker process of its own, started for it (about 30 ms) and gone after it: calls share nothing,
a crash of the interpreter is a crash of that worker, and a worker that does not obey its limits is killed.
Source: https://github.com/pydantic/monty
"""

import ast
import io
import math
import re
import textwrap
import warnings
from typing import TYPE_CHECKING

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field

from anabranch.errors import BackendError, ConfigurationError
from anabranch.tools.calculator import format_number

if TYPE_CHECKING:
    from pydantic_monty import MontyError, ResourceLimits

MAX_CODE_CHARS = 50_000
_FENCED = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_CUT = "\n… (output cut)"
_FRACTION = re.compile(r"-?[0-9]+(?:\.[0-9]+(?:e[-+]?[0-9]+)?|e[-+]?[0-9]+)")
_FILE = "<sandbox>"
_VALUE = "_anabranch_value"
_MAX_NUMBER = 40
"""Most characters that a number with a fraction has."""
_MAX_MESSAGE = 2_000

DESCRIPTION = """Runs a short Python program and returns what it prints and the value of its last line.
Use it for counting, loops, dates and calculations of several steps. It has the language without yield (no generator
functions), del, except*, classes that inherit (so no exceptions of your own), properties, class and static methods,
and from the standard library math, re, json, datetime, decimal, random, itertools, functools and collections;
no other packages, no files, no input, no network. End with an expression or print the answer."""


class PythonInput(BaseModel):
    """What the sandbox takes."""

    code: str = Field(description="a whole Python program that prints the answer or ends with it as an expression")


def python_sandbox(timeout: float = 5.0, *, max_memory_mb: int = 64, max_output_chars: int = 4000) -> BaseTool:
    """A tool that runs Python in a sandbox; its output is the answer itself.

    Args:
        timeout: seconds a program may run.
        max_memory_mb: memory a program may use, in MiB.
        max_output_chars: output beyond this is cut off, visibly.

    Raises:
        ConfigurationError: a limit is not positive.
    """
    if timeout <= 0 or max_memory_mb < 1 or max_output_chars < 1:
        raise ConfigurationError("timeout, max_memory_mb and max_output_chars must be positive")
    limits: ResourceLimits = {
        "max_feed_duration_secs": timeout,
        "max_memory": max_memory_mb * 2**20,
        "max_recursion_depth": 500,
        "max_suspensions": 100,
    }

    def run(code: str) -> str:
        program = strip_fences(code)
        if not program.strip():
            raise ToolException("there is no code to run; write a Python program that prints the answer")
        if len(program) > MAX_CODE_CHARS:
            raise ToolException(f"the program has {len(program):,} characters; write one of at most {MAX_CODE_CHARS:,}")
        printed = _Printed(max_output_chars)
        value = _run(with_last_value(program, max_output_chars), printed, limits)
        return _output(printed, value, max_output_chars)

    return StructuredTool.from_function(
        func=run, name="python", description=DESCRIPTION, args_schema=PythonInput, return_direct=True
    )


def strip_fences(code: str) -> str:
    """The code in the first ``` block of a model's answer, or all of it when there is no block."""
    match = _FENCED.search(code)
    return textwrap.dedent(match[1] if match else code.strip("\n"))


def with_last_value(program: str, max_chars: int) -> str:
    """A program that ends with the value of its last line as text, and not with the value itself.

    Values stay in the worker, where they are rendered within its limits: here, one that takes 16 kB there, since its
    parts are shared, could take many GB. Two texts are given, as `str` and as `repr` write it, cut to what is needed.

    Args:
        program: the program.
        max_chars: most characters that are shown.
    """
    last = _last_expression(program)
    if last is None:
        return f"{program}\nNone"
    start, end = last
    kept = f"{program[:start]}{_VALUE} = ({program[start:end]}\n){program[end:]}"
    # No names but our own: the program may have given `str` another meaning.
    return f"{kept}\n(f'{{{_VALUE}!s}}'[:{max_chars + 1}], f'{{{_VALUE}!r}}'[:{_MAX_NUMBER}])"


def _last_expression(program: str) -> tuple[int, int] | None:
    """Where the expression begins and ends that is a program's last statement; None if it is another, or not ours."""
    # Of what stands in the program, such as "\d"; it is nobody's business here.
    warnings.filterwarnings("ignore", module=_FILE)
    try:
        body = ast.parse(program, _FILE).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not body or not isinstance(last := body[-1], ast.Expr):
        return None
    lines = list(io.StringIO(program, newline=""))  # splitlines takes more characters for line breaks
    return _place(lines, last.lineno, last.col_offset), _place(lines, last.end_lineno or 0, last.end_col_offset or 0)


def _place(lines: list[str], line: int, column: int) -> int:
    """The place of a line and a column, which is counted in bytes."""
    before = sum(map(len, lines[: line - 1]))
    return before + len(lines[line - 1].encode()[:column].decode())


class _Printed:
    """Keeps the beginning of what a program prints."""

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self.text = ""
        self.cut = False

    def __call__(self, stream: str, text: str) -> None:
        room = self._max_chars - len(self.text)
        self.text += text[:room]
        self.cut = self.cut or len(text) > room


def _run(program: str, printed: _Printed, limits: "ResourceLimits") -> tuple[str, str] | None:
    # Importing it takes 130 ms, so programs without this tool do not pay for it.
    from pydantic_monty import Monty, MontyCrashedError, MontyError

    seconds = limits["max_feed_duration_secs"] or 0.0
    try:
        # Sleeping is off: it would not count as running time. The request timeout kills a worker that hangs anyway.
        with (
            Monty(request_timeout=seconds + 5, max_processes=1) as pool,
            pool.checkout(limits=limits, os_policy={"sleep": "zero"}) as session,
        ):
            value: tuple[str, str] | None = session.feed_run(program, print_callback=printed)
            return value
    except (FileNotFoundError, RuntimeError) as error:
        raise BackendError(f"the sandbox cannot start: {error}") from error
    except MontyCrashedError as error:
        raise ToolException("the program was stopped: it broke the sandbox's limits; write a smaller one") from error
    except MontyError as error:
        raise ToolException(_explain(error, seconds)) from error


def _explain(error: "MontyError", seconds: float) -> str:
    """The interpreter's message in one line, with the line number and, for the limits, advice."""
    cause = error.exception()
    message = str(error)[:_MAX_MESSAGE]
    message = f"{type(cause).__name__}: {message}" if isinstance(cause, SyntaxError) else message
    message = " ".join((message or type(cause).__name__).split())[:300]
    if isinstance(cause, TimeoutError):
        return f"the program ran for more than {seconds:g} s and was stopped; write a faster one"
    if isinstance(cause, MemoryError):
        return f"the program used too much memory and was stopped ({message}); write a smaller one"
    if "integer string conversion" in message:
        return "the program failed: an integer of over 4,300 digits is too large to print; print what matters of it"
    traceback = getattr(error, "traceback", None)
    frames = traceback() if traceback else []
    where = f" (line {frames[-1].line})" if frames else ""
    return f"the program failed: {message}{where}"


def _output(printed: _Printed, value: tuple[str, str] | None, max_chars: int) -> str:
    parts = [printed.text.strip("\n")] if printed.text.strip() else []
    if value is not None and value != ("None", "None"):
        parts.append(_show(*value))
    text = "\n".join(parts)
    if not text.strip():
        raise ToolException("the program printed nothing; print the answer, or write it as the last line")
    return text[:max_chars] + _CUT if printed.cut or len(text) > max_chars else text


def _show(text: str, written: str) -> str:
    """A value by its `str` and its `repr`: numbers with a fraction are shown as the calculator shows them."""
    if text == written and _FRACTION.fullmatch(text) and math.isfinite(float(text)):
        return format_number(float(text))
    return text
