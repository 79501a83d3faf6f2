"""Search over made-up passages: our index beside bm25s' own `retrieve`, pairs in turn, with the same words.

python -m benchmarks.search [--passages 100000] [--queries 100]
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bm25s
from langchain_core.documents import Document
from rich.console import Console
from rich.table import Table

from anabranch.tools.passage_index import PassageIndex, indexed_terms, save_index

WORDS = 50_000
TERMS = 60
ASKED = 6
FOUND = 4


def passages(count: int, rng: random.Random) -> list[Document]:
    """Passages of words whose frequencies fall as those of a language do (Zipf)."""
    words = [f"w{number}" for number in range(WORDS)]
    weights = [1 / (number + 1) for number in range(WORDS)]
    drawn = rng.choices(words, weights, k=count * TERMS)
    return [Document(" ".join(drawn[place : place + TERMS])) for place in range(0, len(drawn), TERMS)]


def milliseconds(work: Callable[[], Any]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def compare(found: Sequence[Document], asked: Sequence[str], folder: Path) -> list[tuple[str, float, float]]:
    """Milliseconds of ours and of bm25s, for each thing that is done."""
    theirs = bm25s.BM25()
    terms = [indexed_terms(passage) for passage in found]
    theirs_made = milliseconds(lambda: theirs.index(terms, show_progress=False))
    ours_made = milliseconds(lambda: save_index(folder, [found], None))
    opened = [milliseconds(lambda: PassageIndex.load(folder)) for _ in range(5)]
    ours, times = PassageIndex.load(folder), []
    for query in asked:
        words: Any = [query.split()]
        retrieve = partial(theirs.retrieve, words, k=FOUND, show_progress=False, n_threads=1)
        times.append((milliseconds(partial(ours.search, query, FOUND)), milliseconds(retrieve)))
    warm = len(times) // 10
    query_ms, retrieve_ms = (statistics.median(column) for column in zip(*times[warm:], strict=True))
    return [
        ("index, of which ours is also written", ours_made, theirs_made),
        ("open what was kept", statistics.median(opened), float("nan")),
        ("a query", query_ms, retrieve_ms),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    args = parser.parse_args()
    rng = random.Random(1)
    found = passages(args.passages, rng)
    asked = [" ".join(rng.sample(rng.choice(found).page_content.split(), ASKED)) for _ in range(args.queries)]
    table = Table(title=f"search over {args.passages:,} passages of {TERMS} words (n = {args.queries} queries), ms")
    for column in ("", "anabranch", "bm25s", "anabranch / bm25s"):
        table.add_column(column, justify="right")
    with TemporaryDirectory() as folder:
        for name, ours, theirs in compare(found, asked, Path(folder)):
            other = ("", "") if theirs != theirs else (f"{theirs:.2f}", f"{ours / theirs:.2f}")
            table.add_row(name, f"{ours:.2f}", *other)
    Console().print(table)


if __name__ == "__main__":
    main()
