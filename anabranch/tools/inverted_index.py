"""An inverted index with BM25 scores, that can be made out of an earlier one and of what has changed since.

Source: bm25s (https://github.com/xhluca/bm25s), whose scores it has (Lucene's variant of BM25); bm25s itself can only
be made anew.
"""

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SATURATION, _LENGTH = 1.5, 0.75
"""BM25's k1 and b."""
_ARRAYS = ("starts", "places", "counts", "lengths", "scores")
_TERMS = "terms.json"


@dataclass(frozen=True)
class InvertedIndex:
    """Which texts have a term, how often, and what that is worth. Texts are known by their places.

    Attributes:
        terms: the number of each term.
        starts: where the postings of each term begin, and where those of the last one end; shape (terms + 1,).
        places: the text of each posting, ascending for each term.
        counts: how often it has the term.
        lengths: terms of each text; shape (texts,).
        scores: BM25 of each posting.
    """

    terms: Mapping[str, int]
    starts: "NDArray[np.int64]"
    places: "NDArray[np.int32]"
    counts: "NDArray[np.integer[Any]]"
    lengths: "NDArray[np.int32]"
    scores: "NDArray[np.float32]"

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]]) -> "InvertedIndex":
        """The index of texts.

        Args:
            texts: the terms of each.
        """
        import numpy as np

        none = np.zeros(0, np.int32)
        empty = cls({}, np.zeros(1, np.int64), none, none, none, np.zeros(0, np.float32))
        return empty.updated(np.zeros(0, np.int64), dict(enumerate(texts)))

    @classmethod
    def load(cls, folder: Path) -> "InvertedIndex":
        """The index that `save` wrote, mapped into memory.

        Raises:
            OSError, ValueError: it is not there, or damaged.
        """
        import numpy as np

        terms = json.loads((folder / _TERMS).read_text(encoding="utf-8"))
        # As plain arrays: each slice of a `memmap` costs microseconds.
        mapped = (np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in _ARRAYS)
        return cls(dict(zip(terms, range(len(terms)), strict=True)), *mapped)

    def save(self, folder: Path) -> None:
        """Writes it into a folder.

        Raises:
            OSError: it cannot be written.
        """
        import numpy as np

        (folder / _TERMS).write_text(json.dumps(list(self.terms)), encoding="utf-8")
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))

    def updated(self, moved: "NDArray[np.int64]", added: Mapping[int, Sequence[str]]) -> "InvertedIndex":
        """The index after some texts have gone and others have come: the same as if it were made anew.

        Args:
            moved: the new place of each text of this index, or -1 if it is gone; shape (texts,).
            added: the terms of the other texts, by their places.
        """
        import numpy as np

        size = int((moved >= 0).sum()) + len(added)
        lengths = np.zeros(size, np.int32)
        lengths[moved[moved >= 0]] = self.lengths[moved >= 0]
        terms = dict(self.terms)
        keys, counts = self._kept(moved, size)
        new_keys, new_counts = _counted(terms, added, lengths)
        keys, counts = np.concatenate([keys, new_keys]), np.concatenate([counts, new_counts])
        # Two ascending runs, which a stable sort merges in one pass.
        order = np.argsort(keys, kind="stable")
        numbers, places = np.divmod(keys[order], max(size, 1))
        found = np.bincount(numbers, minlength=len(terms))
        terms = {term: number for number, term in enumerate(term for term, many in zip(terms, found) if many)}  # noqa: B905
        found, places, counts = found[found > 0], places.astype(np.int32), counts[order]
        return InvertedIndex(
            terms,
            np.concatenate([np.zeros(1, np.int64), np.cumsum(found)]),
            places,
            counts.astype(np.min_scalar_type(int(counts.max(initial=0)))),
            lengths,
            _scores(found, places, counts, lengths),
        )

    def _kept(self, moved: "NDArray[np.int64]", size: int) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
        """The postings of texts that stay, each as number of the term * size + place, and their counts."""
        import numpy as np

        numbers = np.repeat(np.arange(len(self.terms)), np.diff(self.starts))
        places = moved[self.places]
        stay = places >= 0
        return numbers[stay] * size + places[stay], self.counts[stay].astype(np.int64)

    def score(self, terms: Sequence[str]) -> "NDArray[np.float32]":
        """How well each text fits: 0 for those that have none of the terms; shape (texts,)."""
        import numpy as np

        scores = np.zeros(len(self.lengths), np.float32)
        for term in terms:
            if (number := self.terms.get(term)) is not None:
                start, end = self.starts[number], self.starts[number + 1]
                scores[self.places[start:end]] += self.scores[start:end]
        return scores


def _counted(
    terms: dict[str, int], added: Mapping[int, Sequence[str]], lengths: "NDArray[np.int32]"
) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """The postings of new texts, as `_kept`; new terms get numbers, and the texts their lengths."""
    import numpy as np

    numbers = array("q")
    for place, words in added.items():
        lengths[place] = len(words)
        numbers.extend([terms.setdefault(word, len(terms)) for word in words])
    places = np.array(list(added), np.int64)
    keys = np.array(numbers, np.int64) * len(lengths) + np.repeat(places, lengths[places])
    found, counts = np.unique(keys, return_counts=True)
    return found, counts.astype(np.int64)


def _scores(
    found: "NDArray[np.int64]",
    places: "NDArray[np.int32]",
    counts: "NDArray[np.int64]",
    lengths: "NDArray[np.int32]",
) -> "NDArray[np.float32]":
    """BM25 of each posting; `found` is the number of texts that have each term."""
    import numpy as np

    usual = float(lengths.mean()) if len(lengths) else 0.0
    room = (_SATURATION * (1 - _LENGTH + _LENGTH * lengths / max(usual, 1e-9))).astype(np.float32)
    rarity = np.log1p((len(lengths) - found + 0.5) / (found + 0.5)).astype(np.float32)
    often = counts.astype(np.float32)
    often /= often + room[places]
    scores: NDArray[np.float32] = np.repeat(rarity, found)
    scores *= often
    return scores
