"""Indexes of documents that are kept in a folder, and made again where a document has changed.

What takes time to read (PDF, Word, large files) is kept by its content, so that a changed file is read again and the
others are not. The index itself is bm25s', mapped into memory.
"""

import json
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anabranch.private import private_file, private_folder
from anabranch.tools.documents import file_states, load_documents, split_passages
from anabranch.tools.passage_index import PassageIndex

FORMAT = 1
"""Of what is kept. It goes up when passages, terms or files are made in another way."""
_MANIFEST = "manifest.json"
logger = logging.getLogger(__name__)


def kept_index(
    paths: Sequence[str | Path], folder: str | Path, *, tell: Callable[[str], None] = logger.warning
) -> PassageIndex:
    """The index of documents, as it was kept, or made anew and kept.

    It is made anew where a file has come, gone or changed (its size or time), or another version of anabranch made it.
    A folder that cannot be written, or what is damaged in it, costs no more than the time to make the index.

    Args:
        paths: files or folders.
        folder: where indexes are kept, those of other documents, too; it is made for its owner alone.
        tell: told in one line what could not be read of the documents, and why an index is not kept.

    Raises:
        DocumentError: as `load_documents`.
    """
    place = Path(folder).expanduser() / _hash([str(Path(path).resolve()) for path in paths])[:24]
    state = _hash([FORMAT, version("anabranch"), file_states(paths)])[:24]
    if (found := _opened(place / state)) is None:
        found = _made(paths, place, state, tell)
    index, summary = found
    if summary:
        tell(summary)
    return index


def _made(
    paths: Sequence[str | Path], place: Path, state: str, tell: Callable[[str], None]
) -> tuple[PassageIndex, str]:
    with closing(Readings(place)) as readings:
        report = load_documents(paths, kept=readings)
        readings.drop_unused()
    index, summary = PassageIndex(split_passages(report.documents)), "" if report.complete else report.summary()
    try:
        _keep(index, summary, place, state)
    except OSError as error:
        reason = error.strerror or error
        tell(f"the index is not kept in '{place}' ({reason}), so it is made again at each start")
        return index, summary
    return _opened(place / state) or (index, summary)


def _keep(index: PassageIndex, summary: str, place: Path, state: str) -> None:
    """Writes an index beside the others and gives it its name when it is whole; older ones of the same documents go."""
    private_folder(place)
    new = Path(tempfile.mkdtemp(dir=place, prefix=".new-"))
    try:
        index.save(new)
        sizes = {file.name: file.stat().st_size for file in new.iterdir()}
        (new / _MANIFEST).write_text(json.dumps({"summary": summary, "sizes": sizes}), encoding="utf-8")
        with suppress(FileExistsError):  # another process was faster
            if (place / state).exists():
                shutil.rmtree(place / state)
            new.rename(place / state)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    for other in place.iterdir():
        if other.is_dir() and other.name != state and not other.name.startswith(".new-"):
            shutil.rmtree(other, ignore_errors=True)


def _opened(folder: Path) -> tuple[PassageIndex, str] | None:
    """An index that was kept, with what could not be read of its documents; None where there is no whole one."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if any((folder / name).stat().st_size != size for name, size in manifest["sizes"].items()):
            return None
        return PassageIndex.load(folder), str(manifest["summary"])
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever numpy, JSON and bm25s raise for files that are none of theirs
        logger.debug("the index in %s is damaged: %s", folder, error)
        return None


class Readings:
    """What was read of files, by their content, in an SQLite file; without effect where that cannot be used.

    Args:
        folder: where the file is.
    """

    def __init__(self, folder: Path) -> None:
        self._used: set[str] = set()
        self._database: sqlite3.Connection | None = None
        with suppress(OSError, sqlite3.Error):
            private_folder(folder)
            self._database = sqlite3.connect(private_file(folder / "readings.sqlite"), timeout=5, isolation_level=None)
            self._database.execute("CREATE TABLE IF NOT EXISTS readings (key TEXT PRIMARY KEY, reply BLOB NOT NULL)")

    def get(self, name: str, data: bytes) -> bytes | None:
        """What was read of a file with this name and content."""
        key = self._key(name, data)
        rows = self._do("SELECT reply FROM readings WHERE key = ?", (key,))
        return bytes(rows[0][0]) if rows else None

    def put(self, name: str, data: bytes, reply: bytes) -> None:
        """Keeps what was read."""
        self._do("INSERT OR REPLACE INTO readings VALUES (?, ?)", (self._key(name, data), reply))

    def drop_unused(self) -> None:
        """Forgets what nobody asked for since this was opened."""
        kept = [key for (key,) in self._do("SELECT key FROM readings", ())]
        for key in kept:
            if key not in self._used:
                self._do("DELETE FROM readings WHERE key = ?", (key,))

    def close(self) -> None:
        """Closes the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _key(self, name: str, data: bytes) -> str:
        key = _hash([FORMAT, version("anabranch"), name, sha256(data).hexdigest()])
        self._used.add(key)
        return key

    def _do(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        if self._database is None:
            return []
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            logger.debug("what is read of documents is not kept: %s", error)
            self.close()
            return []


def _hash(value: Any) -> str:
    return sha256(json.dumps(value).encode("utf-8", "surrogatepass")).hexdigest()
