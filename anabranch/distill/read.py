"""The stage `read`: rows that make a small solver a reader, besides those that `build` makes for it."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from anabranch.agents import prompts
from anabranch.batch.chat import name_of
from anabranch.batch.files import read_jsonl, write_jsonl, write_manifest
from anabranch.distill import reader
from anabranch.distill.options import ReadOptions
from anabranch.distill.solving import Row
from anabranch.distill.sources import MUSIQUE, Sources

HELD_OUT = 260
"""Tuning rows over made-up pages, with tables that training never shows."""
_PROSE_HELD_OUT = 80
_TAUGHT_HELD_OUT = 120


async def read(how: ReadOptions) -> dict[str, Any]:
    """Writes `reader_train.jsonl` and `reader_tune.jsonl`.

    The solver's rows that `build` left in the folder are taken in, so that the reader goes on to do what they teach.

    Args:
        how: how many rows of what; they go into `how.work`.

    Returns:
        The manifest, which is also in `work/read.json`.

    Raises:
        DocumentError: there is no data set.
        EndpointError: the teacher failed; what it wrote before is kept.
        BackendError: a file cannot be written.
    """
    work, teacher, seed = how.work, how.teacher, how.seed
    random, sources = Random(seed), Sources(how.data, how.source, work)  # noqa: S311
    paragraphs = [*sources.passages(), *sources.more_passages()]
    taught: list[Row] = []
    wordings: dict[str, Sequence[str]] = {}
    counts: dict[str, Any] = {}
    if teacher is not None:
        counts = {"teacher": name_of(teacher), "taught": await reader.taught_rows(paragraphs, work, teacher, seed=seed)}
        taught = _shuffled(work / "taught.jsonl", random)
        wordings = {each["question"]: each["ways"] for each in read_jsonl(work / "wordings.jsonl")}
    made = reader.drawn(work, how.rows, seed=seed, name="drawn", wordings=wordings)
    tune = reader.drawn(work, min(how.rows, HELD_OUT), seed=seed + 1, name="drawn_tune")
    prose = reader.fact_rows(paragraphs, sources.rows(MUSIQUE), random)
    random.shuffle(prose)
    kept, known = len(prose) // 20, [work / f"solver_{name}.jsonl" for name in ("train", "tune")]
    given = [_shuffled(path, random) if path.is_file() else [] for path in known]
    held = [*prose[: min(kept, _PROSE_HELD_OUT)], *taught[:_TAUGHT_HELD_OUT], *given[1][:_TAUGHT_HELD_OUT]]
    train = [*read_jsonl(made), *prose[kept:], *taught[_TAUGHT_HELD_OUT:], *given[0], *reader.small_rows(seed)]
    random.shuffle(train)
    manifest = {
        "stage": "read",
        "prompts": prompts.version(),
        "seed": seed,
        "inputs": sources.inputs,
        **counts,
        "reader_train": write_jsonl(work / "reader_train.jsonl", train),
        "reader_tune": write_jsonl(work / "reader_tune.jsonl", [*read_jsonl(tune), *held]),
    }
    write_manifest(work / "read.json", manifest)
    return manifest


def _shuffled(path: Path, random: Random) -> list[Row]:
    rows = list(read_jsonl(path))
    random.shuffle(rows)
    return rows
