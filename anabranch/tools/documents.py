"""Documents from files and folders, and their division into passages."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from langchain_core.documents import Document

from anabranch.characters import written_path
from anabranch.errors import DocumentError
from anabranch.tools.markdown import read_markdown
from anabranch.tools.outline import Heading, Outline
from anabranch.tools.readers import SUFFIXES
from anabranch.tools.reading import MAX_BYTES, MAX_SECONDS, KeptReplies, Reading

PASSAGE_WORDS = 120
OVERLAP_WORDS = 25


class ReadDocument(Document):
    """A document as it was read from a file, with the headings in its text, in order."""

    headings: tuple[Heading, ...] = ()


@dataclass(frozen=True)
class LoadedFile:
    """A file that was read.

    Attributes:
        path: where it is.
        source: what its documents are said to be from.
        documents: how many of them there are; None if it was not read again.
        notes: what could not be read of it.
    """

    path: Path
    source: str
    documents: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class LoadReport:
    """What became of the files.

    Attributes:
        documents: one for each page, or for each file without pages, with the metadata source (path relative to
            the folder that was given), title and page (None without pages).
        files: those that were read, in the order of their documents.
        skipped: files and folders that were not, each with the reason.
    """

    documents: list[Document] = field(default_factory=list)
    files: list[LoadedFile] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def loaded(self) -> list[Path]:
        """The files that were read."""
        return [file.path for file in self.files]

    @property
    def notes(self) -> list[tuple[Path, str]]:
        """What could not be read of files that were: a page, a line."""
        return [(file.path, note) for file in self.files for note in file.notes]

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return not self.skipped and not self.notes

    def summary(self) -> str:
        """One line: how many files were read, how many were skipped, what is missing of others, and why."""
        text = f"{len(self.files)} file{'' if len(self.files) == 1 else 's'} read"
        if self.skipped:
            text += f", {len(self.skipped)} skipped ({_reasons(self.skipped)})"
        if notes := self.notes:
            text += f", {len({path for path, _ in notes})} read in part ({_reasons(notes)})"
        return text


def _reasons(found: Sequence[tuple[Path, str]]) -> str:
    reasons = "; ".join(f"{written_path(path.name)}: {reason}" for path, reason in found[:3])
    return reasons + (f"; and {len(found) - 3} more" if len(found) > 3 else "")


def load_documents(
    paths: str | Path | Iterable[str | Path],
    *,
    max_bytes: int = MAX_BYTES,
    max_seconds: float = MAX_SECONDS,
    kept: KeptReplies | None = None,
    unchanged: Mapping[tuple[str, str], Sequence[str]] | None = None,
) -> LoadReport:
    """Reads files, and folders with all that is below them.

    Folders and files with names that start with a dot are left out. Links are followed, each folder once.

    Args:
        paths: files or folders.
        max_bytes: largest file to read.
        max_seconds: longest time for one file; one that takes longer is skipped.
        kept: what was read of files before, and takes long to read.
        unchanged: files that are not read again, by path and source, each with its notes; they have no documents.

    Raises:
        DocumentError: a path is missing, a folder has nothing that can be read, or a file given by itself cannot
            be read.
    """
    roots = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not roots:
        raise DocumentError("no documents are given; name a file or a folder")
    report = LoadReport()
    with Reading(max_bytes, max_seconds, kept) as reading:
        load = partial(_load_file, report=report, reading=reading, unchanged=dict(unchanged or {}))
        for root in roots:
            if _is_there(root) and root.is_dir():
                _load_folder(root, report, load, prefix=f"{root.resolve().name}/" if len(roots) > 1 else "")
                continue
            try:
                load(root, root.name)
            except DocumentError as error:
                raise DocumentError(f"{written_path(root)} cannot be used: {error}") from error
    return report


def file_states(paths: Iterable[str | Path]) -> list[tuple[str, int, int]]:
    """The files that `load_documents` would read: path, size in bytes, and time of the last change in nanoseconds.

    Raises:
        DocumentError: a path is missing.
    """
    found: list[tuple[str, int, int]] = []
    for root in map(Path, paths):
        files = _files(root, LoadReport()) if _is_there(root) and root.is_dir() else [root]
        for file in files:
            try:
                status = file.stat()
            except OSError:  # a link that leads nowhere
                found.append((str(file), -1, -1))
            else:
                found.append((str(file), status.st_size, status.st_mtime_ns))
    return found


def _is_there(path: Path) -> bool:
    """Whether a path leads to something.

    Raises:
        DocumentError: it does not.
    """
    try:
        path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            raise DocumentError(f"there is no '{written_path(path)}'; check the path") from error
        return False
    except ValueError as error:
        raise DocumentError(f"'{written_path(path)}' is no path; check it") from error
    return True


def _load_folder(folder: Path, report: LoadReport, load: Callable[[Path, str], None], prefix: str) -> None:
    skipped, loaded = len(report.skipped), len(report.files)
    for path in _files(folder, report):
        try:
            load(path, prefix + path.relative_to(folder).as_posix())
        except DocumentError as error:
            report.skipped.append((path, str(error)))
    if len(report.files) == loaded:
        found = report.skipped[skipped:]
        hint = f"put {', '.join(SUFFIXES)} files into it"
        name = written_path(folder)
        if not found:
            raise DocumentError(f"the folder '{name}' is empty; {hint}")
        first = f"{written_path(found[0][0].name)}: {found[0][1]}"
        raise DocumentError(f"none of the {len(found)} files in '{name}' can be read ({first}); {hint}")


def _files(folder: Path, report: LoadReport) -> Iterator[Path]:
    """Files below a folder, in a stable order; folders that cannot be listed go to the report."""
    waiting, seen = [folder], set[tuple[int, int]]()
    while waiting:
        parent = waiting.pop()
        try:
            status = parent.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(parent) as entries:
                found = sorted((entry.name, _is_folder(entry)) for entry in entries if not entry.name.startswith("."))
        except OSError as error:
            report.skipped.append((parent, f"it cannot be read ({error.strerror or error})"))
            continue
        yield from (parent / name for name, is_folder in found if not is_folder)
        waiting += [parent / name for name, is_folder in reversed(found) if is_folder]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link into a closed folder: why it cannot be read is found out with the files
        return False


def _load_file(
    path: Path, source: str, report: LoadReport, reading: Reading, unchanged: dict[tuple[str, str], Sequence[str]]
) -> None:
    source = written_path(source)
    if (notes := unchanged.pop((str(path), source), None)) is not None:  # each once: a folder may be given twice
        report.files.append(LoadedFile(path, source, None, tuple(notes)))
        return
    content = reading.read(path)
    report.files.append(LoadedFile(path, source, len(content.pages), content.notes))
    for page in content.pages:
        metadata = {"source": source, "title": content.title, "page": page.number}
        report.documents.append(ReadDocument(page_content=page.text, metadata=metadata, headings=page.headings))


def split_passages(
    documents: Iterable[Document], *, words: int = PASSAGE_WORDS, overlap: int = OVERLAP_WORDS
) -> list[Document]:
    """Divides documents into passages at the borders of sections, paragraphs and sentences.

    Args:
        documents: documents of any length; short ones stay whole. Their metadata goes to each passage, and with it
            `section`: the headings that the passage stands under, where they are known.
        words: length of a passage, roughly; two Chinese or Japanese characters count as a word.
        overlap: where a paragraph is cut, the sentence before the cut begins the next passage, too, if it has at
            most this many words.
    """
    return [
        Document(passage, metadata=document.metadata | ({"section": " > ".join(path)} if path else {}))
        for document in documents
        for passage, path in _passages(document, words, overlap)
    ]


class _Piece(NamedTuple):
    text: str
    words: int
    path: tuple[str, ...]
    is_heading: bool = False


def _passages(document: Document, words: int, overlap: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    pieces = list(_pieces(document, words))
    left = sum(piece.words for piece in pieces)
    # Passages of even length, so that none ends as a stub.
    target = left if left <= 1.25 * words else left / max(2, round(left / words))
    current: list[_Piece] = []
    size = 0.0
    for piece in pieces:
        if current and left > 0.4 * target and _is_full(current, size, piece, target):
            yield _join(current), _section(current)
            carried = None if len(current) == 1 or current[-1].text.endswith("\n\n") else current[-1]
            current = [carried] if carried and carried.words <= overlap else []
            size = 0.0
        current.append(piece)
        size += piece.words
        left -= piece.words
    if _join(current):
        yield _join(current), _section(current)


def _is_full(current: Sequence[_Piece], size: float, following: _Piece, target: float) -> bool:
    """Whether a passage ends before the next piece: rather between sections than paragraphs, than sentences."""
    if current[-1].is_heading:
        return False
    if following.is_heading:
        return size >= 0.5 * target
    if current[-1].text.endswith("\n\n"):
        return size >= 0.75 * target
    return size + following.words / 2 > target


def _section(pieces: Sequence[_Piece]) -> tuple[str, ...]:
    """The headings that a passage stands under, with those that it begins with."""
    return next((piece for piece in pieces if not piece.is_heading), pieces[-1]).path


def _join(pieces: Sequence[_Piece]) -> str:
    return "".join(piece.text for piece in pieces).strip()


def _pieces(document: Document, words: int) -> Iterator[_Piece]:
    """Headings and sentences with the white space after them; what is too long for a passage is cut between words."""
    outline = Outline(_headings(document))
    text = re.sub(r"\n[ \t]*\n\s*", "\n\n", document.page_content.replace("\r\n", "\n"))
    for paragraph in re.split(r"(?<=\n\n)", text):
        start = 0
        for line in re.finditer(r"[^\n]*\n*", paragraph) if outline.waiting else ():
            before = outline.path
            if outline.is_heading(line[0]):
                yield from _sentences(paragraph[start : line.start()], words, before)
                yield _Piece(line[0], count_words(line[0]), outline.path, is_heading=True)
                start = line.end()
        yield from _sentences(paragraph[start:], words, outline.path)


def _headings(document: Document) -> tuple[Heading, ...]:
    """The headings of a document; of those that other loaders read, the ones of Markdown are known."""
    if isinstance(document, ReadDocument):
        return document.headings
    is_markdown = str(document.metadata.get("source")).lower().endswith((".md", ".mdx", ".markdown"))
    return read_markdown(document.page_content)[2] if is_markdown else ()


def _sentences(paragraph: str, words: int, path: tuple[str, ...]) -> Iterator[_Piece]:
    length = count_words(paragraph)
    if length <= words / 3 or (length <= words and paragraph.startswith("|")):
        # Rows of tables, items of lists and small tables stay whole.
        if paragraph:
            yield _Piece(paragraph, length, path)
        return
    for sentence in re.split(r"(?<=[.!?]\s)(?=\S)|(?<=[。！？])", paragraph):
        length = count_words(sentence)
        if length > words:
            yield from (_Piece(piece, count_words(piece), path) for piece in _cut(sentence, words))
        elif sentence:
            yield _Piece(sentence, length, path)


def _cut(sentence: str, words: int) -> Iterator[str]:
    piece, size = "", 0.0
    for match in re.finditer(rf"({_CJK})\s*|(?:(?!{_CJK})\S){{1,100}}\s*|\s+", sentence):
        piece += match[0]
        size += 0.5 if match[1] else max(1, len(match[0]) / _LONG_WORD)
        if size >= words:
            yield piece
            piece, size = "", 0.0
    if piece:
        yield piece


# Scripts that do not put spaces between words: Thai to Khmer, kana, Chinese characters.
_CJK = (
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff]"
)


_LONG_WORD = 20


def count_words(text: str) -> int:
    """Number of words; two characters of a script without spaces count as one, endless words as several."""
    words = len(text.split())
    if not text.isascii():
        characters = len(re.findall(_CJK, text))
        words = len(re.sub(_CJK, " ", text).split()) + (characters + 1) // 2
    return max(words, len(text.strip()) // _LONG_WORD)
