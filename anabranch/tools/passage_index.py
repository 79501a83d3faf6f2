"""The index of passages: BM25 over their words and, if wanted, how close they are in meaning."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.documents import Document

from anabranch.errors import DocumentError
from anabranch.tools.inverted_index import InvertedIndex
from anabranch.tools.passage_file import PassageFile
from anabranch.tools.passage_vectors import PassageVectors
from anabranch.tools.terms import STOP_WORDS, tokenize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PassageIndex:
    """Finds passages by their words, and by their meaning where there are embeddings.

    Args:
        passages: the passages; at least one has a word in it.
        words: their words, if they are known.
        vectors: their embeddings.

    Attributes:
        passages: the passages.

    Raises:
        DocumentError: no passage has a word in it.
    """

    def __init__(
        self, passages: Sequence[Document], words: InvertedIndex | None = None, vectors: PassageVectors | None = None
    ) -> None:
        self.passages = passages
        self._words = words or InvertedIndex.of([indexed_terms(passage) for passage in passages])
        self._vectors = vectors
        if not self._words.terms:
            raise _no_text()

    def with_vectors(self, vectors: PassageVectors) -> "PassageIndex":
        """The same index, with embeddings of its passages."""
        return PassageIndex(self.passages, self._words, vectors)

    @classmethod
    def load(cls, folder: Path) -> "PassageIndex":
        """The index that is kept in a folder, mapped into memory.

        Raises:
            OSError, ValueError: it is not there, or damaged.
        """
        return cls(PassageFile(folder), InvertedIndex.load(folder))

    def search(self, query: str, k: int) -> list[Document]:
        """The `k` passages that fit best, best first; without embeddings none that shares no word with the query."""
        terms = tokenize(query)
        scores = self._words.score([term for term in terms if term not in STOP_WORDS] or terms)
        close = self._vectors.score(query) if self._vectors else None
        places = best(scores, k) if close is None else best(scores + close, k, above=-math.inf)
        return [self.passages[place] for place in places]


def save_index(folder: Path, parts: Sequence[Sequence[Document] | range], earlier: PassageIndex | None) -> None:
    """Writes an index into a folder, from which `PassageIndex.load` opens it.

    Args:
        folder: where to.
        parts: new passages, or the places of some in the earlier index, each of them at most once.
        earlier: an index that was loaded.

    Raises:
        DocumentError: no passage has a word in it.
        OSError: it cannot be written.
    """
    import numpy as np

    moved = np.full(len(earlier.passages) if earlier else 0, -1, np.int64)
    added, place = dict[int, list[str]](), 0
    for part in parts:
        if isinstance(part, range):
            moved[part.start : part.stop] = np.arange(place, place + len(part))
        else:
            added |= {place + number: indexed_terms(passage) for number, passage in enumerate(part)}
        place += len(part)
    words = (earlier._words if earlier else InvertedIndex.of([])).updated(moved, added)
    if not words.terms:
        raise _no_text()
    words.save(folder)
    known = earlier.passages if earlier else None
    PassageFile.write(folder, parts, known if isinstance(known, PassageFile) else None)


def _no_text() -> DocumentError:
    return DocumentError("there is no text to search in; give documents with words in them")


def best(scores: "NDArray[np.float32]", k: int, above: float = 0) -> list[int]:
    """The places of the `k` highest scores above a limit, highest first, and of equal ones the earlier first."""
    # Only the best are sorted: of 100,000 passages, sorting all takes fifty times as long as scoring them.
    ranked = scores.copy()
    cut = max(len(ranked) - k, 0)
    ranked.partition(cut)
    places = ((scores >= ranked[cut]) & (scores > above)).nonzero()[0].tolist()
    return sorted(places, key=lambda place: (-scores[place], place))[:k]


def indexed_text(passage: Document) -> str:
    """What is searched of a passage: its text under its title and headings."""
    return f"{passage.metadata.get('title') or ''}\n{context(passage)}\n{passage.page_content}"


def indexed_terms(passage: Document) -> list[str]:
    """The terms of what is searched of a passage."""
    return tokenize(indexed_text(passage), indexing=True)


def context(passage: Document) -> str:
    """The headings that a passage stands under and that are not at its own beginning."""
    section = str(passage.metadata.get("section") or "")
    if not section:
        return ""
    opening = {line.strip(" #>") for line in passage.page_content[:400].split("\n")[:6]}
    return " > ".join(title for title in section.split(" > ") if title not in opening)
