"""The meaning of passages: their embeddings, beside an index of their words."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.documents import Document

from anabranch.tools.embedder import BATCH, Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHT = 3.0
"""What being closest in meaning is worth, in points of BM25 (docs/search.md)."""
_FLAT = 1e-6


@dataclass(frozen=True)
class PassageVectors:
    """The embeddings of passages, and what makes those of queries.

    Attributes:
        embedder: the embeddings.
        vectors: those of the passages, each of length 1; shape (passages, dimensions).
    """

    embedder: Embedder
    vectors: "NDArray[np.float32]"

    def score(self, query: str) -> "NDArray[np.float32] | None":
        """How close each passage is to a query, in points of BM25: 0 for the usual one, `WEIGHT` for the closest.

        The scale does not depend on the embeddings, whose cosines differ in size.

        Returns:
            Shape (passages,); None where there are no embeddings at present.
        """
        import numpy as np

        asked = self.embedder.query(query, self.vectors.shape[1])
        if asked is None:
            return None
        cosines: NDArray[np.float32] = self.vectors @ asked
        above: NDArray[np.float32] = cosines - cosines.mean()
        spread = above.max()
        if spread <= _FLAT:
            return np.full_like(above, WEIGHT)
        above *= np.float32(WEIGHT) / spread
        return above


def embedded(
    embedder: Embedder, passages: Sequence[Document], text: Callable[[Document], str]
) -> "NDArray[np.float32]":
    """The embeddings of passages; shape (passages, dimensions).

    Args:
        embedder: makes them.
        passages: the passages; at least one.
        text: what is embedded of a passage.

    Raises:
        EndpointError: the embeddings fail.
        ValueError: they have different dimensions.
    """
    import numpy as np

    return np.concatenate(list(_batches(embedder, passages, text)))


def _batches(
    embedder: Embedder, passages: Sequence[Document], text: Callable[[Document], str]
) -> "Iterator[NDArray[np.float32]]":
    for start in range(0, len(passages), BATCH):
        places = range(start, min(start + BATCH, len(passages)))
        yield embedder.passages([text(passages[place]) for place in places])


def save_vectors(folder: Path, embedder: Embedder, vectors: "NDArray[np.float32]") -> None:
    """Writes vectors into the folder of an index, which may be in use.

    Raises:
        OSError: they cannot be written.
    """
    import numpy as np

    new = folder / f".new-{os.getpid()}.npy"
    try:
        np.save(new, vectors)
        new.replace(_file(folder, embedder))
    finally:
        new.unlink(missing_ok=True)


def load_vectors(folder: Path, embedder: Embedder, count: int) -> "NDArray[np.float32] | None":
    """The vectors of so many passages that are kept in a folder, mapped into memory; None where there are none."""
    import numpy as np

    try:
        found = np.asarray(np.load(_file(folder, embedder), mmap_mode="r"))
    except (OSError, ValueError):
        return None
    return found if found.ndim == 2 and len(found) == count and found.dtype == np.float32 else None


def _file(folder: Path, embedder: Embedder) -> Path:
    return folder / f"vectors-{sha256(embedder.name.encode()).hexdigest()[:24]}.npy"
