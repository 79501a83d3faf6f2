"""Files at which one process works at a time, so that nothing is paid for twice."""

import errno
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from hashlib import sha256
from io import RawIOBase
from pathlib import Path

from anabranch.characters import written_path
from anabranch.errors import ConfigurationError, StorageError
from anabranch.private import private_folder

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def held(path: Path, advice: str, *, part: str = "") -> Iterator[None]:
    """Holds a file for this process; the hold ends with the process, however that ends.

    It is kept in a hidden file beside it, which says who holds it and stays there, empty.

    Args:
        path: the file; it need not be there yet, and its folder is made.
        advice: what to do instead if another process holds it, such as "name another --out".
        part: what of the file is held, if not all of it.

    Raises:
        StorageError: another process holds it, or the disk is full.
        ConfigurationError: its folder cannot be written.
    """
    from filelock import FileLock, Timeout

    path = path.expanduser()
    shown = f"{written_path(path)}{f' ({part})' if part else ''}"
    try:
        path = path.resolve()
        private_folder(path.parent)
        name = f".{path.name}.{sha256(part.encode()).hexdigest()[:12]}.lock" if part else f".{path.name}.lock"
        note = path.with_name(name)
        lock = FileLock(note, timeout=0, mode=0o600)
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            f"another process is at work on {shown}: {_holder(note)}; wait until it has ended, or {advice}"
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise unwritable(path, error) from error
        raise ConfigurationError(f"{shown} cannot be written ({error.strerror or error}); {advice}") from error
    try:
        try:
            note.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}))
        except OSError as error:
            raise unwritable(path, error) from error
        yield
    finally:
        with suppress(OSError):
            note.write_text("")
        lock.release()


@asynccontextmanager
async def held_among(folder: Path | None, what: str) -> AsyncIterator[None]:
    """Holds something by its name, once nobody else does who has the same folder; without a folder, nothing is held."""
    if folder is None:
        yield
        return
    from filelock import AsyncFileLock

    file = folder / sha256(what.encode()).hexdigest()
    async with AsyncFileLock(file, mode=0o600, run_in_executor=False):
        yield


def write_all(file: RawIOBase, data: bytes, path: Path) -> None:
    """Writes data to a file that has no buffer.

    Raises:
        StorageError: it cannot be written; a part of the data may be.
    """
    try:
        while data:
            data = data[file.write(data) or 0 :]
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> StorageError:
    """The error for a file that could be opened and not be written."""
    advice = "make room and run the same command again" if error.errno in _FULL else "check the file and its disk"
    return StorageError(f"{written_path(path)} cannot be written ({error.strerror or error}); {advice}")


def _holder(note: Path) -> str:
    try:
        told = json.loads(note.read_text())
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(told["since"]))
        return f"process {int(told['pid'])} on {told['host']}, since {since}"
    except (OSError, ValueError, LookupError, TypeError):
        return "it does not say which"
