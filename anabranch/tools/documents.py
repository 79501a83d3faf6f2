"""Documents from files and folders, and their division into passages."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from langchain_core.documents import Document

from anabranch.errors import DocumentError
from anabranch.tools.readers import SUFFIXES, read

MAX_BYTES = 20 * 2**20
PASSAGE_WORDS = 120
OVERLAP_WORDS = 25


@dataclass(frozen=True)
class LoadReport:
    """What became of the files.

    Attributes:
        documents: one for each page, or for each file without pages, with the metadata source (path relative to
            the folder that was given), title and page (None without pages).
        loaded: files that were read.
        skipped: files in folders that were not, each with the reason.
    """

    documents: list[Document] = field(default_factory=list)
    loaded: list[Path] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)

    def summary(self) -> str:
        """One line: how many files were read, how many were skipped, and why."""
        text = f"{len(self.loaded)} file{'' if len(self.loaded) == 1 else 's'} read"
        if not self.skipped:
            return text
        reasons = "; ".join(f"{path.name}: {reason}" for path, reason in self.skipped[:3])
        more = f"; and {len(self.skipped) - 3} more" if len(self.skipped) > 3 else ""
        return f"{text}, {len(self.skipped)} skipped ({reasons}{more})"


def load_documents(paths: str | Path | Iterable[str | Path], *, max_bytes: int = MAX_BYTES) -> LoadReport:
    """Reads files, and folders with all that is below them.

    Folders and files with names that start with a dot are left out. Links are followed, each folder once.

    Args:
        paths: files or folders.
        max_bytes: largest file to read.

    Raises:
        DocumentError: a path is missing, a folder has nothing that can be read, or a file given by itself cannot
            be read.
    """
    roots = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not roots:
        raise DocumentError("no documents are given; name a file or a folder")
    report = LoadReport()
    for root in roots:
        if root.is_dir():
            _load_folder(root, report, max_bytes, prefix=f"{root.resolve().name}/" if len(roots) > 1 else "")
        elif root.exists():
            try:
                _load_file(root, root.name, report, max_bytes)
            except DocumentError as error:
                raise DocumentError(f"{root} cannot be used: {error}") from error
        else:
            raise DocumentError(f"there is no {str(root)!r}; check the path")
    return report


def _load_folder(folder: Path, report: LoadReport, max_bytes: int, prefix: str) -> None:
    skipped, loaded = len(report.skipped), len(report.loaded)
    for path in _files(folder):
        try:
            _load_file(path, prefix + path.relative_to(folder).as_posix(), report, max_bytes)
        except DocumentError as error:
            report.skipped.append((path, str(error)))
    if len(report.loaded) == loaded:
        found = report.skipped[skipped:]
        hint = f"put {', '.join(SUFFIXES)} files into it"
        if not found:
            raise DocumentError(f"the folder {str(folder)!r} is empty; {hint}")
        first = f"{found[0][0].name}: {found[0][1]}"
        raise DocumentError(f"none of the {len(found)} files in {str(folder)!r} can be read ({first}); {hint}")


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder, in a stable order."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


def _load_file(path: Path, source: str, report: LoadReport, max_bytes: int) -> None:
    if not path.is_file():
        raise DocumentError("it is a broken link" if path.is_symlink() else "it is not a regular file")
    size = path.stat().st_size
    if size > max_bytes:
        raise DocumentError(f"it has {size / 2**20:.1f} MiB, more than {max_bytes / 2**20:.1f}; split it")
    content = read(path)
    report.loaded.append(path)
    for page in content.pages:
        metadata = {"source": source, "title": content.title, "page": page.number}
        report.documents.append(Document(page.text, metadata=metadata))


def split_passages(
    documents: Iterable[Document], *, words: int = PASSAGE_WORDS, overlap: int = OVERLAP_WORDS
) -> list[Document]:
    """Divides documents into passages at the borders of paragraphs and sentences.

    Args:
        documents: documents of any length; short ones stay whole. Their metadata goes to each passage.
        words: length of a passage, roughly; two Chinese or Japanese characters count as a word.
        overlap: where a paragraph is cut, the sentence before the cut begins the next passage, too, if it has at
            most this many words.
    """
    return [
        Document(passage, metadata=dict(document.metadata))
        for document in documents
        for passage in _passages(document.page_content, words, overlap)
    ]


def _passages(text: str, words: int, overlap: int) -> Iterator[str]:
    sentences = [(sentence, count_words(sentence)) for sentence in _sentences(text, words)]
    left = sum(length for _, length in sentences)
    # Passages of even length, so that none ends as a stub.
    target = left if left <= 1.25 * words else left / max(2, round(left / words))
    current: list[str] = []
    size = 0.0
    for sentence, length in sentences:
        ends_paragraph = bool(current) and current[-1].endswith("\n\n")
        full = size >= 0.75 * target if ends_paragraph else size + length / 2 > target
        if current and full and left > 0.4 * target:
            yield _join(current)
            carried = "" if ends_paragraph or len(current) == 1 else current[-1]
            current = [carried] if carried and count_words(carried) <= overlap else []
            size = 0.0
        current.append(sentence)
        size += length
        left -= length
    if _join(current):
        yield _join(current)


def _join(sentences: Sequence[str]) -> str:
    return "".join(sentences).strip()


def _sentences(text: str, words: int) -> Iterator[str]:
    """Sentences with the white space after them; those too long for a passage are cut between words."""
    text = re.sub(r"\n[ \t]*\n\s*", "\n\n", text.replace("\r\n", "\n"))
    for sentence in re.split(r"(?<=\n\n)|(?<=[.!?]\s)(?=\S)|(?<=[。！？])", text):
        if count_words(sentence) <= words:
            if sentence:
                yield sentence
            continue
        yield from _cut(sentence, words)


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
