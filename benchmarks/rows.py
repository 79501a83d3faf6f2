"""Chooses the rows behind docs/lab/notebook.md, always the same ones: `python -m benchmarks.rows SOURCE WORK OUT`.

SOURCE holds the data sets, WORK the folders that `anabranch distill build` and `solutions` made of them
(`runs/rows.sh` has the commands), OUT gets the rows to train on, to hold out and to evaluate on.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

SEED = 5
TESTS = (
    *("gsm8k_socratic_test", "strategyqa_dev", "bamboogle", "hotpotqa_reflexion100_ctx", "llmcompiler_parallelqa"),
    *("pooled_hotpotqa", "pooled_2wiki", "pooled_musique"),
)
TUNE_ROWS = 500
"""The last rows of GSM8K's training file, on which settings are chosen."""
DROP_ROWS = 500
DRAWN = 2100
"""Questions that plans are drawn for."""
OTHERS = 2
"""Paragraphs beside those that a question of the reading task needs."""


def lines(path: Path) -> list[str]:
    """The lines of a file that are not blank."""
    with path.open(encoding="utf-8") as file:
        return [line for line in file if line.strip()]


def put(path: Path, rows: Sequence[str]) -> None:
    """Writes a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(rows), encoding="utf-8")
    print(f"{path}: {len(rows)} rows", flush=True)


def cut(source: Path, work: Path, out: Path) -> None:
    """Writes the rows to train on, and the questions of the later stages. The order of the draws is part of them."""
    random = Random(SEED)

    def some(rows: Sequence[str], most: int) -> list[str]:
        return random.sample(rows, min(most, len(rows)))

    both = [*lines(work / "w3/decomposer_train.jsonl"), *lines(work / "w3_again/decomposer_train.jsonl")]
    put(out / "w3/decomposer_twice_train.jsonl", both)
    for name in ("w3", "w3_again", "w3_math", "w3_other"):
        put(out / f"{name}/decomposer_tune_small.jsonl", some(lines(work / f"{name}/decomposer_tune.jsonl"), 300))
    put(out / "w3/solver_tune_small.jsonl", some(lines(work / "w3/solver_tune.jsonl"), 300))
    for name in ("se_math", "se_other"):
        put(out / f"{name}/se_a_tune_small.jsonl", some(lines(work / f"{name}/se_a_tune.jsonl"), 200))
    rows = lines(source / "gsm8k_main_train.jsonl")
    train, tune = rows[:-TUNE_ROWS], rows[-TUNE_ROWS:]
    put(out / "gsm8k_draw.jsonl", some(train, DRAWN))
    put(out / "gsm8k_se.jsonl", some(train, 3000) + tune[-100:])


def tests(source: Path, out: Path) -> None:
    """Writes the files that `runs/evaluations.sh` reads."""
    out.mkdir(parents=True, exist_ok=True)
    for name in TESTS:
        shutil.copyfile(source / f"{name}.jsonl", out / f"{name}.jsonl")
    rows = lines(source / "drop_dev.jsonl")
    order = list(range(len(rows)))
    Random(0).shuffle(order)  # as `anabranch eval --limit 500` chooses
    put(out / f"drop_dev_{DROP_ROWS}.jsonl", [rows[place] for place in sorted(order[:DROP_ROWS])])
    lookups = source / "hotpotqa_hipporag_train100_ctx.jsonl"
    put(
        out / "hotpotqa_reading_tune.jsonl",
        [json.dumps(after_passage(json.loads(line))) + "\n" for line in lines(lookups)],
    )
    shutil.copyfile(lookups, out / "hotpotqa_lookups_tune.jsonl")
    put(out / "gsm8k_tune.jsonl", lines(source / "gsm8k_main_train.jsonl")[-TUNE_ROWS:])


def after_passage(row: dict[str, Any]) -> dict[str, Any]:
    """A question after the paragraphs that it needs and some others, as one text."""
    needed = {title for title, _ in row["meta"]["supporting_facts"]}
    others = [part["title"] for part in row["context"] if part["title"] not in needed][:OTHERS]
    shown = [part for part in row["context"] if part["title"] in needed or part["title"] in others]
    context = "\n\n".join(f"{part['title']}: {part['text']}" for part in shown)
    return {**{name: row[name] for name in ("id", "source", "question", "answer")}, "context": context}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("source", "work", "out"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    cut(arguments.source, arguments.work, arguments.out)
    tests(arguments.source, arguments.out / "eval")


if __name__ == "__main__":
    main()
