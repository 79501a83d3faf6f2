"""Files and folders that hold questions and answers: nobody but their owner reads them, whatever the umask says."""

import os
from contextlib import suppress
from pathlib import Path


def private_folder(path: Path) -> Path:
    """Makes a folder, and those above it that are missing, for the owner alone; one that is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if not path.is_dir():
        if path.parent != path:
            private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def private_file(path: Path) -> Path:
    """Makes an empty file for the owner alone; one that is there, and that others may read, is closed to them.

    Raises:
        OSError: it cannot be made.
    """
    os.close(private(path, os.O_CREAT | os.O_RDWR))
    with suppress(OSError):  # it belongs to somebody else, or is no file
        if path.is_file() and path.stat().st_mode & 0o077:
            path.chmod(path.stat().st_mode & 0o700)
    return path


def private(path: str | os.PathLike[str], flags: int) -> int:
    """An `opener` for `open`: what it makes is for the owner alone."""
    return os.open(path, flags, 0o600)
