"""BM25 over passages."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from langchain_core.documents import Document

from anabranch.errors import DocumentError
from anabranch.tools.terms import STOP_WORDS, tokenize


class PassageIndex:
    """A BM25 index of passages.

    Source: https://github.com/xhluca/bm25s (Lucene's variant of BM25, its default).

    Raises:
        DocumentError: no passage has a word in it.
    """

    def __init__(self, passages: Sequence[Document]) -> None:
        # Importing it takes 250 to 400 ms (numpy), so programs that search nothing do not pay for it.
        with _without_jax():
            from bm25s import BM25

        # On import it sets its own logger to DEBUG, which programs with logging set up would get to see.
        logging.getLogger("bm25s").setLevel(logging.WARNING)
        self._passages: Sequence[Document] = list(passages)
        terms = [tokenize(_indexed(passage), indexing=True) for passage in self._passages]
        if not any(terms):
            raise DocumentError("there is no text to search in; give documents with words in them")
        self._index = BM25()
        self._index.index(terms, show_progress=False)

    @classmethod
    def load(cls, folder: Path) -> "PassageIndex":
        """The index that `save` wrote, mapped into memory: passages are read when they are found.

        Raises:
            OSError, ValueError: it is not there, or damaged.
        """
        with _without_jax():
            from bm25s import BM25

        logging.getLogger("bm25s").setLevel(logging.WARNING)
        index = cls.__new__(cls)
        index._index = BM25.load(folder, load_corpus=True, mmap=True, show_progress=False, verbosity=0)
        index._passages = _PassagesOnDisk(index._index.corpus)
        return index

    def save(self, folder: Path) -> None:
        """Writes the index, with its passages, into a folder.

        Raises:
            OSError: it cannot be written.
        """
        corpus = [{"text": passage.page_content, "metadata": passage.metadata} for passage in self._passages]
        self._index.save(folder, corpus=corpus, show_progress=False, raise_on_serialization_error=True)

    def search(self, query: str, k: int) -> list[Document]:
        """The `k` passages that fit best, best first; none that shares no word with the query."""
        terms = tokenize(query)
        terms = [t for t in terms if t not in STOP_WORDS] or terms
        terms = [t for t in terms if t in self._index.vocab_dict]
        if not terms:
            return []
        scores = self._index.get_scores(terms)
        # Only the best are sorted: of 100,000 passages, sorting all takes fifty times as long as scoring them.
        ranked = scores.copy()
        cut = max(len(ranked) - k, 0)
        ranked.partition(cut)
        places = ((scores >= ranked[cut]) & (scores > 0)).nonzero()[0].tolist()
        best = sorted(places, key=lambda place: (-scores[place], place))[:k]
        return [self._passages[place] for place in best]


class _PassagesOnDisk(Sequence[Document]):
    """Passages in a file of bm25s, each read when it is asked for."""

    def __init__(self, corpus: Any) -> None:
        self._corpus = corpus
        self._one_at_a_time = Lock()  # its file has one position

    def __len__(self) -> int:
        return len(self._corpus)

    def __getitem__(self, place: Any) -> Any:
        with self._one_at_a_time:
            found = self._corpus[place]
        return Document(found["text"], metadata=found["metadata"])


def _indexed(passage: Document) -> str:
    return f"{passage.metadata.get('title') or ''}\n{context(passage)}\n{passage.page_content}"


def context(passage: Document) -> str:
    """The headings that a passage stands under and that are not at its own beginning."""
    section = str(passage.metadata.get("section") or "")
    if not section:
        return ""
    opening = {line.strip(" #>") for line in passage.page_content[:400].split("\n")[:6]}
    return " > ".join(title for title in section.split(" > ") if title not in opening)


@contextmanager
def _without_jax() -> Iterator[None]:
    """Keeps an import from seeing JAX. On import bm25s runs an operation of it, which takes three quarters of a GPU."""
    hidden = "jax" not in sys.modules
    if hidden:
        sys.modules["jax"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            sys.modules.pop("jax", None)
