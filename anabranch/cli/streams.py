"""Standard streams and signals of the process: what people expect where a stream is closed, full, or read by `head`.

A closed stream is replaced by the null device: the next file that is opened would take its number otherwise, and get
what is written to it.
"""

import io
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from anabranch.errors import BackendError

TERMINATED = 143
INTERRUPTED = 130
_closed: set[int] = set()
_signals: set[int] = set()


def prepare() -> None:
    """Makes the standard streams usable, whatever the process was started with, and has SIGTERM end it like Ctrl-C."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            _closed.add(number)
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            # Open until the process ends.
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # An answer that was paid for is not lost to a terminal that cannot show one of its characters.
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _Told(sys.stderr)
    if isinstance(sys.stdin, io.TextIOWrapper):
        # A line that is no text is refused by whoever reads it, and does not end the reading.
        sys.stdin.reconfigure(errors="surrogateescape")
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, _terminate)


class _Told(io.TextIOWrapper):
    """Standard error: what cannot be written to it is dropped, and ends nothing."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._given = stream  # would close the buffer when it is collected
        super().__init__(stream.buffer, encoding=stream.encoding, errors="replace", write_through=True)

    def write(self, text: str) -> int:
        """Writes, as far as that is possible."""
        try:
            return super().write(text)
        except OSError as error:
            # Of one pipe for both streams the reader has left; nobody would read the answer either.
            if isinstance(error, BrokenPipeError) and os.path.sameopenfile(1, 2):
                raise
            drop(self)
            return len(text)


def _terminate(number: int, _: FrameType | None) -> None:
    _signals.add(number)
    signal.raise_signal(signal.SIGINT)


def ended_by_signal() -> int:
    """The exit code of a run that was interrupted: by SIGTERM, or by Ctrl-C."""
    return TERMINATED if terminated() else INTERRUPTED


def terminated() -> bool:
    """Whether the process was told to end by SIGTERM."""
    return signal.SIGTERM in _signals


def need_output() -> None:
    """Refuses to work for an answer that nobody could read.

    Raises:
        BackendError: standard output is closed.
    """
    if 1 in _closed:
        raise BackendError("standard output is closed, so the answer could not be written; leave it open")


def drop(stream: object) -> None:
    """Points a standard stream whose reader has left elsewhere, or the flush at the end would complain."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]


def flush() -> bool:
    """Flushes standard output and standard error; says whether all of standard output could be written."""
    whole = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            drop(stream)
            whole = whole and stream is not sys.stdout
    return whole
