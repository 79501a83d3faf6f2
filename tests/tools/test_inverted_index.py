"""The scores are those of bm25s; an index that is updated is the one that would be made anew."""

from pathlib import Path

import numpy as np
import pytest
from bm25s import BM25
from hypothesis import given
from hypothesis import strategies as st

from anabranch.tools.inverted_index import InvertedIndex

WORDS = ["ferry", "bridge", "tower", "harbour", "museum", "東京"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=12), max_size=12)


def same(one: InvertedIndex, other: InvertedIndex) -> bool:
    """Whether they score alike, to the last bit; terms may have other numbers."""
    alike = one.terms.keys() == other.terms.keys() and one.lengths.tolist() == other.lengths.tolist()
    queries = [[word] for word in WORDS] + [["tower", "ferry", "tower", "unknown"]]
    return alike and all(one.score(query).tolist() == other.score(query).tolist() for query in queries)


@given(TEXTS.filter(any))
def test_scores_are_those_of_bm25s(texts: list[list[str]]) -> None:
    theirs = BM25()
    theirs.index(texts, show_progress=False)
    for query in (["ferry"], ["bridge", "tower"], ["harbour", "museum", "harbour"], ["東京", "ferry"]):
        known = [word for word in query if word in theirs.vocab_dict]
        expected = theirs.get_scores(known) if known else np.zeros(len(texts))
        np.testing.assert_allclose(InvertedIndex.of(texts).score(query), expected, rtol=1e-5, atol=1e-7)


@given(TEXTS, TEXTS, st.randoms())
def test_an_updated_index_is_the_one_made_anew(before: list[list[str]], added: list[list[str]], chance: object) -> None:
    order = [("old", n) for n in range(len(before))] + [("new", n) for n in range(len(added))]
    chance.shuffle(order)  # type: ignore[attr-defined]
    order = order[: chance.randint(0, len(order))]  # type: ignore[attr-defined]
    after = [before[number] if age == "old" else added[number] for age, number in order]
    moved = np.full(len(before), -1, np.int64)
    for place, (age, number) in enumerate(order):
        if age == "old":
            moved[number] = place
    new = {place: after[place] for place, (age, _) in enumerate(order) if age == "new"}
    assert same(InvertedIndex.of(before).updated(moved, new), InvertedIndex.of(after))


def test_is_kept_in_a_folder(tmp_path: Path) -> None:
    index = InvertedIndex.of([["ferry", "tower"], [], ["東京"] * 300])
    index.save(tmp_path)
    assert same(InvertedIndex.load(tmp_path), index)
    (tmp_path / "scores.npy").unlink()
    with pytest.raises(OSError, match="scores"):
        InvertedIndex.load(tmp_path)
