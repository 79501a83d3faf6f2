"""Reads documents from files, one after the other, each within limits of time and memory that hold.

What is small and plain is read at once. PDF, Word documents and large files go to a process of their own, because a
library that hangs or eats memory cannot be stopped in this one; the next file gets a new process if need be.
"""

import contextlib
import json
import logging
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from anabranch.errors import DocumentError
from anabranch.tools.outline import Heading
from anabranch.tools.readers import SUFFIXES, Content, Page, read

MAX_BYTES = 20 * 2**20
MAX_SECONDS = 60.0
MAX_MEMORY = 2 * 2**30
"""Bytes that the process may have which reads documents."""
_AT_ONCE = 64 * 2**10
"""Plain files of up to so many bytes are read in this process."""
_BINARY = (".pdf", ".docx")
_START_SECONDS = 30.0
# Without the package around the worker: it imports LangChain, which takes 0.7 s, and reading needs none of it.
_START = """
import json, sys, types
sys.path[:], path = json.loads(sys.argv[1])
package = sys.modules["anabranch.tools"] = types.ModuleType("anabranch.tools")
package.__path__ = path
from anabranch.tools.reading_worker import main
main(int(sys.argv[2]), float(sys.argv[3]))
"""
logger = logging.getLogger(__name__)


class KeptReplies(Protocol):
    """What the process said of files, by their path and content."""

    def get(self, path: Path, data: bytes) -> bytes | None:
        """What it said; None if that is not known."""

    def put(self, path: Path, data: bytes, reply: bytes) -> None:
        """Keeps what it said."""


class Reading:
    """Reads documents; a context, at whose end its process ends.

    Args:
        max_bytes: largest file to read.
        max_seconds: longest time for one file.
        kept: what was read by the process before, and need not be read again.
    """

    def __init__(
        self, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS, kept: KeptReplies | None = None
    ) -> None:
        self._kept = kept
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._apart = bool(sys.executable) and not getattr(sys, "frozen", False)

    def __enter__(self) -> "Reading":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def read(self, path: Path) -> Content:
        """Reads a file.

        Raises:
            DocumentError: it cannot be read, for a reason that the message tells.
        """
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            return read(path, b"")
        data = contents(path, self._max_bytes)
        if len(data) <= _AT_ONCE and suffix not in _BINARY:
            return read(path, data)
        if self._kept and (reply := self._kept.get(path, data)):
            return _content(json.loads(reply))
        process = self._started()
        return self._read_apart(process, path, data) if process else read(path, data)

    def _started(self) -> "subprocess.Popen[bytes] | None":
        """The process that reads, started if need be; None where there can be none."""
        if self._process is not None or not self._apart:
            return self._process
        paths = json.dumps([sys.path, [str(Path(__file__).parent)]])
        command = [sys.executable, "-I", "-c", _START, paths, str(MAX_MEMORY), str(self._max_seconds)]
        try:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            reason = error.strerror or str(error)
        else:
            if self._within(_START_SECONDS, self._process, lambda process: _exactly(process, 1)) == b"\n":
                return self._process
            reason = "it does not start"
            self._stop()
        self._apart = False
        logger.warning("documents are read without limits of time and memory: no process for them (%s)", reason)
        return None

    def _read_apart(self, process: "subprocess.Popen[bytes]", path: Path, data: bytes) -> Content:
        def exchange(process: "subprocess.Popen[bytes]") -> bytes:
            if process.stdin:
                process.stdin.write(json.dumps([str(path), len(data)]).encode() + b"\n" + data)
                process.stdin.flush()
            return _exactly(process, int.from_bytes(_exactly(process, 8), "big"))

        reply = self._within(self._max_seconds, process, exchange)
        if reply is None:
            self._stop()
            raise DocumentError(f"it takes more than {self._max_seconds:g} s to read; split it, or save it as text")
        if not reply:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)  # it closes its end a moment before it ends
            code = self._stop()
            raise DocumentError(
                f"its reader ended with {code} (a file that is damaged, or takes more than {MAX_MEMORY / 2**20:.0f} "
                "MiB of memory); split it, or save it as text"
            )
        content = _content(json.loads(reply))
        if self._kept:
            self._kept.put(path, data, reply)
        return content

    @staticmethod
    def _within(seconds: float, process: "subprocess.Popen[bytes]", work: Any) -> bytes | None:
        """What the process answers: nothing if it has ended, None if it had to be ended because it is late."""
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            answer: bytes = work(process)
        except (OSError, EOFError):
            return None if late.is_set() else b""
        finally:
            timer.cancel()
        return answer

    def _stop(self) -> str:
        """Ends the process; how it ended, if it had ended by itself."""
        process, self._process = self._process, None
        if process is None:
            return ""
        if process.poll() is None:
            process.kill()
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was still to be written has no reader any more
                if stream:
                    stream.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _exactly(process: "subprocess.Popen[bytes]", size: int) -> bytes:
    data = process.stdout.read(size) if process.stdout else b""
    if len(data) < size:
        raise EOFError
    return data


def _content(reply: dict[str, Any]) -> Content:
    if "error" in reply:
        raise DocumentError(reply["error"])
    pages = [
        Page(text, number, tuple(Heading(*heading) for heading in headings))
        for text, number, headings in reply["pages"]
    ]
    return Content(reply["title"], pages, tuple(reply["notes"]))


def contents(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file.

    Raises:
        DocumentError: it is something else, too large, or cannot be read.
    """
    try:
        # What opening does to a device, or how long it waits for a pipe, is not tried out.
        if not path.is_file():
            raise DocumentError("it is not a regular file" if path.exists() else "it is a broken link")
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb") as file:  # noqa: PTH123
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise DocumentError("it is not a regular file")
            size = status.st_size
            data = file.read(max_bytes + 1) if size <= max_bytes else b""
    except OSError as error:
        raise DocumentError(f"it cannot be read ({error.strerror or error})") from error
    if max(size, len(data)) > max_bytes:
        raise DocumentError(
            f"it has {max(size, len(data)) / 2**20:.1f} MiB, more than {max_bytes / 2**20:.1f}; split it"
        )
    return data
