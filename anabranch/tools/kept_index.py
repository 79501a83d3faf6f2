"""Indexes of documents that are kept in a folder and mapped into memory; of what has changed, changed files are read.

What takes time to read (PDF, Word, large files) is kept by its content besides, so that nothing is lost where indexing
is stopped, or files are touched.
"""

import json
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.documents import Document

from anabranch.errors import EndpointError
from anabranch.private import private_file, private_folder
from anabranch.tools.documents import LoadReport, file_states, load_documents, split_passages
from anabranch.tools.embedder import Embedder
from anabranch.tools.passage_index import PassageIndex, indexed_text, save_index
from anabranch.tools.passage_vectors import PassageVectors, embedded, load_vectors, save_vectors

FORMAT = 2
"""Of what is kept. It goes up when passages, terms or files are made in another way."""
_MANIFEST = "manifest.json"
logger = logging.getLogger(__name__)

Tell = Callable[[str], None]
Part = Sequence[Document] | range


def kept_index(
    paths: Sequence[str | Path],
    folder: str | Path,
    *,
    embedder: Embedder | None = None,
    tell: Tell = logger.warning,
) -> PassageIndex:
    """The index of documents, as it was kept, or made and kept.

    Where files have come, gone or changed (their size or time), those are read and indexed, and the others taken over.
    A folder that cannot be written, or what is damaged in it, costs no more than the time to make the index.

    Args:
        paths: files or folders.
        folder: where indexes are kept, those of other documents, too; it is made for its owner alone.
        embedder: embeddings of passages, which are kept, too; where they fail, passages are found by words alone.
        tell: told in one line what could not be read of the documents, and why an index is not kept.

    Raises:
        DocumentError: as `load_documents`.
    """
    place = Path(folder).expanduser() / _hash([str(Path(path).resolve()) for path in paths])[:24]
    states = file_states(paths)
    state = _hash([FORMAT, version("anabranch"), states])[:24]
    if (kept := _opened(place / state)) is None:
        try:
            kept = _kept(paths, place, state, {path: (size, time) for path, size, time in states}, embedder)
        except OSError as error:
            reason = error.strerror or error
            tell(f"the index is not kept in '{place}' ({reason}), so it is made again at each start")
            report = load_documents(paths)
            kept = Kept(PassageIndex(split_passages(report.documents)), _summary(report), [])
    if kept.summary:
        tell(kept.summary)
    return with_embeddings(kept.index, embedder, tell, place / state) if embedder else kept.index


def with_embeddings(index: PassageIndex, embedder: Embedder, tell: Tell, folder: Path | None = None) -> PassageIndex:
    """An index with the embeddings of its passages; as it is where they cannot be had, which is told.

    Args:
        index: the index.
        embedder: the embeddings.
        tell: told in one line why there are none.
        folder: where the index is kept, and they with it.
    """
    if folder and (kept := load_vectors(folder, embedder, len(index.passages))) is not None:
        return index.with_vectors(PassageVectors(embedder, kept))
    try:
        vectors = embedded(embedder, index.passages, indexed_text)
    except (EndpointError, ValueError) as error:
        tell(f"{error}; passages are found by words alone until the next start")
        return index
    if folder and folder.is_dir():
        try:
            save_vectors(folder, embedder, vectors)
        except OSError as error:
            tell(f"the embeddings are not kept ({error.strerror or error}), so they are made again at each start")
    return index.with_vectors(PassageVectors(embedder, vectors))


class KeptFile(NamedTuple):
    """A file in an index that is kept.

    Attributes:
        path: where it is.
        source: what its passages are said to be from.
        size: its bytes; -1 if that is not known.
        time: its last change in nanoseconds.
        passages: how many of the passages are its own; they follow those of the file before.
        notes: what could not be read of it.
    """

    path: str
    source: str
    size: int
    time: int
    passages: int
    notes: Sequence[str]


@dataclass(frozen=True)
class Kept:
    """An index that is kept.

    Attributes:
        index: the index.
        summary: what could not be read of its documents.
        files: the documents.
    """

    index: PassageIndex
    summary: str
    files: Sequence[KeptFile]

    def unchanged(self, states: Mapping[str, tuple[int, int]]) -> dict[tuple[str, str], tuple[KeptFile, range]]:
        """The files whose size and time are still the same, with the places of their passages."""
        found, place = dict[tuple[str, str], tuple[KeptFile, range]](), 0
        for file in self.files:
            if states.get(file.path) == (file.size, file.time):
                found[file.path, file.source] = file, range(place, place + file.passages)
            place += file.passages
        return found


def _kept(
    paths: Sequence[str | Path],
    place: Path,
    state: str,
    states: Mapping[str, tuple[int, int]],
    embedder: Embedder | None,
) -> Kept:
    """Makes an index beside the others and gives it its name when it is whole; older ones of the same documents go.

    Raises:
        OSError: it cannot be written.
    """
    private_folder(place)
    new = Path(tempfile.mkdtemp(dir=place, prefix=".new-"))
    try:
        earlier = _earlier(place)
        parts = _write(paths, new, earlier and earlier[1], states)
        if earlier and embedder:
            _update_vectors(new, embedder, earlier, parts)
        with suppress(FileExistsError):  # another process was faster
            if (place / state).exists():
                shutil.rmtree(place / state)
            new.rename(place / state)
        kept = _opened(place / state)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    for other in place.iterdir():
        if other.is_dir() and other.name != state and not other.name.startswith(".new-"):
            shutil.rmtree(other, ignore_errors=True)
    if kept is None:
        raise OSError(f"what was written to {place} cannot be read")
    return kept


def _update_vectors(new: Path, embedder: Embedder, earlier: tuple[Path, Kept], parts: Sequence[Part]) -> None:
    """Writes the embeddings of an index, if those of the earlier one are kept: new ones of new passages alone."""
    import numpy as np

    folder, kept = earlier
    known = load_vectors(folder, embedder, len(kept.index.passages))
    if known is None:
        return
    try:
        rows = [
            known[part.start : part.stop] if isinstance(part, range) else embedded(embedder, part, indexed_text)
            for part in parts
            if part
        ]
        save_vectors(new, embedder, np.concatenate(rows))
    except (EndpointError, ValueError, OSError) as error:
        logger.debug("%s", error)  # they are tried again, and it is told, when the index is opened


def _write(
    paths: Sequence[str | Path], new: Path, earlier: Kept | None, states: Mapping[str, tuple[int, int]]
) -> Sequence[Part]:
    """Writes the index of documents into a folder, out of an earlier one and of what has changed since.

    Returns:
        Of each file its new passages, or their places in the earlier index.
    """
    known = earlier.unchanged(states) if earlier else {}
    with closing(Readings(new.parent)) as readings:
        notes = {key: file.notes for key, (file, _) in known.items()}
        report = load_documents(paths, kept=readings, unchanged=notes)
        readings.keep_only(map(str, report.loaded))
    documents = iter(report.documents)
    files, parts = list[KeptFile](), list[Part]()
    for file in report.files:
        key = str(file.path), file.source
        if file.documents is None:
            part: Part = known[key][1]
        else:
            part = split_passages(islice(documents, file.documents))
        parts.append(part)
        files.append(KeptFile(*key, *states.get(key[0], (-1, -1)), len(part), file.notes))
    save_index(new, parts, earlier.index if earlier else None)
    sizes = {file.name: file.stat().st_size for file in new.iterdir()}
    manifest = {"made_by": _made_by(), "summary": _summary(report), "sizes": sizes, "files": files}
    (new / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return parts


def _summary(report: LoadReport) -> str:
    return "" if report.complete else report.summary()


def _made_by() -> list[Any]:
    return [FORMAT, version("anabranch")]


def _earlier(place: Path) -> tuple[Path, Kept] | None:
    """An index of the same documents as they were before, and its folder."""
    folders = [folder for folder in place.iterdir() if folder.is_dir() and not folder.name.startswith(".new-")]
    return next(((folder, kept) for folder in folders if (kept := _opened(folder))), None)


def _opened(folder: Path) -> Kept | None:
    """An index that was kept; None where there is no whole one."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        sizes: dict[str, int] = manifest["sizes"]
        if manifest["made_by"] != _made_by() or any((folder / n).stat().st_size != s for n, s in sizes.items()):
            return None
        return Kept(PassageIndex.load(folder), manifest["summary"], [KeptFile(*file) for file in manifest["files"]])
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever numpy and JSON raise for files that are none of theirs
        logger.debug("the index in %s is damaged: %s", folder, error)
        return None


class Readings:
    """What was read of files, by their content, in an SQLite file; without effect where that cannot be used.

    Args:
        folder: where the file is.
    """

    def __init__(self, folder: Path) -> None:
        self._database: sqlite3.Connection | None = None
        with suppress(OSError, sqlite3.Error):
            private_folder(folder)
            self._database = sqlite3.connect(private_file(folder / "readings.sqlite"), timeout=5, isolation_level=None)
            self._database.execute("CREATE TABLE IF NOT EXISTS read (path TEXT PRIMARY KEY, key TEXT, reply BLOB)")

    def get(self, path: Path, data: bytes) -> bytes | None:
        """What was read of a file with this content."""
        rows = self._do("SELECT reply FROM read WHERE path = ? AND key = ?", (str(path), self._key(path, data)))
        return bytes(rows[0][0]) if rows else None

    def put(self, path: Path, data: bytes, reply: bytes) -> None:
        """Keeps what was read, in place of what was read of the file before."""
        self._do("INSERT OR REPLACE INTO read VALUES (?, ?, ?)", (str(path), self._key(path, data), reply))

    def keep_only(self, paths: Iterable[str]) -> None:
        """Forgets all other files."""
        here = set(paths)
        for (path,) in self._do("SELECT path FROM read", ()):
            if path not in here:
                self._do("DELETE FROM read WHERE path = ?", (path,))

    def close(self) -> None:
        """Closes the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _key(self, path: Path, data: bytes) -> str:
        return _hash([*_made_by(), path.name, sha256(data).hexdigest()])

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
