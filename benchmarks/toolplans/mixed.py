"""Rows of one stage of a small decomposer: task rows, and as many rows of the original mixture beside them.

```
python -m benchmarks.toolplans.mixed --tasks OUT/own_train.jsonl OUT/families.jsonl --replay W/decomposer_train.jsonl \
    --part 1 --out OUT/stage_1.jsonl
```

The original mixture is what `anabranch distill build` made. A small model forgets it where too few of its rows stand
beside new ones, and learns a few rows by heart where they come again: so each stage has a half of its own.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from random import Random

HALVES = 5
"""Seed of the order in which the original mixture is halved."""


def mixed(tasks: Sequence[str], original: Sequence[str], part: int, share: float) -> list[str]:
    """The rows of a stage, in random order.

    Args:
        tasks: task rows.
        original: all rows of the original mixture.
        part: 1 takes of its first half, 2 of its second.
        share: how many of them for each task row; at most the half.
    """
    order = list(original)
    Random(HALVES).shuffle(order)
    middle = len(order) // 2
    half = order[:middle] if part == 1 else order[middle:]
    random = Random(part)
    rows = [*tasks, *random.sample(half, min(len(half), int(share * len(tasks))))]
    random.shuffle(rows)
    return rows


def lines(path: Path) -> list[str]:
    """The lines of a file that are not blank."""
    with path.open(encoding="utf-8") as file:
        return [line for line in file if line.strip()]


def main() -> None:
    """Writes the rows of a stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=Path, nargs="+", required=True, help="files of task rows")
    parser.add_argument("--replay", type=Path, required=True, help="`decomposer_train.jsonl` of `distill build`")
    parser.add_argument("--part", type=int, choices=(1, 2), required=True, help="which half of it")
    parser.add_argument("--share", type=float, default=1.0, help="rows of it for each task row")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tasks = [line for path in args.tasks for line in lines(path)]
    rows = mixed(tasks, lines(args.replay), args.part, args.share)
    args.out.write_text("".join(rows), encoding="utf-8")
    print(f"{args.out}: {len(rows)} rows, {len(tasks)} of them tasks")


if __name__ == "__main__":
    main()
