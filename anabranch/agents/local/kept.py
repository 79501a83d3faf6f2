"""Folders of weights that are made once and kept: whole, by one process at a time, and made again if damaged."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from anabranch.errors import ModelUnavailableError
from anabranch.private import private_folder

MANIFEST = "checksums.json"
"""Size, time and SHA-256 of each file of a kept folder, and where they come from."""
LOCK_TIMEOUT = 900.0
_LEFTOVER_MARK = ".preparing-"


def kept(
    target: Path, make: Callable[[Path], tuple[Path, str]], *, progress: Callable[[str], None], thorough: bool = False
) -> Path:
    """A folder, made first if it is not there or damaged.

    Args:
        target: where it is kept.
        make: writes its files somewhere below a temporary folder; returns where, and where they come from.
        progress: told if the folder is damaged.
        thorough: read all of its files to find out; else only those whose size or time has changed.

    Raises:
        ModelUnavailableError: it cannot be written, or another process has been making it for 15 minutes.
    """
    from filelock import FileLock, Timeout

    if target.is_dir() and not damage(target, thorough=thorough):
        return target
    try:
        private_folder(target.parent)
        with FileLock(f"{target}.lock", timeout=LOCK_TIMEOUT):
            if target.is_dir():
                if not (found := damage(target, thorough=thorough)):
                    return target
                progress(f"{target} is damaged ({found}); it is made again ...")
                shutil.rmtree(target)
            _clean(target)
            with tempfile.TemporaryDirectory(prefix=_leftover(target), dir=target.parent) as temporary:
                folder, source = make(Path(temporary))
                _sign(folder, source)
                folder.rename(target)
    except Timeout as error:
        raise ModelUnavailableError(
            f"another process has been preparing {target.name} for {LOCK_TIMEOUT / 60:.0f} minutes; "
            f"stop it, or delete {target}.lock"
        ) from error
    except OSError as error:
        raise ModelUnavailableError(
            f"cannot write weights to {target} ({error}); free space there, or set ANABRANCH_CACHE_DIR"
        ) from error
    return target


def source_of(folder: Path) -> str:
    """Where the files of a kept folder come from; empty if that was not noted."""
    return str((_manifest(folder) or {}).get("source", ""))


def damage(folder: Path, *, thorough: bool = False) -> str:
    """What is wrong with a kept folder; empty if nothing is.

    A folder of an earlier version has no checksums: of its weights it is checked that they are not cut off.
    """
    known = (_manifest(folder) or {}).get("files")
    if not isinstance(known, dict):
        return next((f"{path.name} is cut off" for path in folder.glob("*.safetensors") if _is_cut(path)), "")
    for name, (size, time, digest) in known.items():
        path = folder / name
        try:
            status = path.stat()
            if status.st_size != size:
                return f"{name} has {status.st_size:,} bytes instead of {size:,}"
            if (thorough or status.st_mtime_ns != time) and _digest(path) != digest:
                return f"the checksum of {name} is wrong"
        except OSError as error:
            return f"{name}: {error.strerror or error}"
    return ""


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _sign(folder: Path, source: str) -> None:
    files = {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns, _digest(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    (folder / MANIFEST).write_text(json.dumps({"source": source, "files": files}, indent=1), encoding="utf-8")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_cut(path: Path) -> bool:
    """Whether a safetensors file ends before its tensors do, as its header tells."""
    with suppress(OSError, ValueError, TypeError, AttributeError), path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, 100_000_000)))
        end = max(part["data_offsets"][1] for part in header.values() if "data_offsets" in part)
        return path.stat().st_size < 8 + length + int(end)
    return True


def _leftover(target: Path) -> str:
    return f".{target.name}{_LEFTOVER_MARK}"


def _clean(target: Path) -> None:
    """Removes what killed processes left of the same folder; whoever holds its lock is the only one to make it."""
    for path in target.parent.iterdir():
        if path.name.startswith(_leftover(target)):
            shutil.rmtree(path, ignore_errors=True)
