"""The process that reads documents for `reading`: from standard input, to standard output, within its limits."""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from anabranch.errors import DocumentError
from anabranch.tools.readers import read


def main(max_memory: int, max_seconds: float) -> None:
    """Answers one document after the other until standard input ends.

    Args:
        max_memory: bytes that this process may have.
        max_seconds: longest time for one document; whoever asks waits as long and then ends this process, which ends
            itself a little later in case that has not happened.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no reply
    replies.write(b"\n")
    replies.flush()
    while header := sys.stdin.buffer.readline():
        path, size = json.loads(header)
        if hasattr(signal, "alarm"):
            signal.alarm(int(max_seconds) + 10)
        reply = json.dumps(_answer(Path(path), sys.stdin.buffer.read(size))).encode()
        replies.write(len(reply).to_bytes(8, "big") + reply)
        replies.flush()
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def _answer(path: Path, data: bytes) -> dict[str, Any]:
    try:
        content = read(path, data)
    except DocumentError as error:
        return {"error": str(error)}
    pages = [(page.text, page.number, page.headings) for page in content.pages]
    return {"title": content.title, "pages": pages, "notes": content.notes}
