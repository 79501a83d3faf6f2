"""Requests to reinforce on, in many of which no tool of the catalogue fits, and such ones to choose the round by.

```
python -m benchmarks.reinforcement.requests W/w3/decomposer_train.jsonl OUT --test W/w3/routes_test.jsonl \
    --tasks OUT/families.jsonl OUT/hidden.jsonl --routes W/w3_more/routes_test.jsonl
```

Where a tool fits each request, nothing rewards leaving one to the solver, and the route test falls. So half of the
requests are rows of the first training (what `anabranch distill build` made): in some of them no tool fits, in others
only for some steps. The other half are rows over tools that `benchmarks.toolplans` makes. No question of the route test
is among them. OUT gets requests.jsonl, tune_requests.jsonl and, of `--routes`, tune_routes.jsonl.
"""

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal

from anabranch.distill.render import HINTS
from anabranch.plan import SOLVE

Row = dict[str, Any]
Fit = Literal["none", "some", "all"]
SEED = 9
SHARES: Mapping[Fit, float] = {"none": 0.46, "some": 0.3, "all": 0.24}
"""Of the rows of the first training: those in which no tool fits a step, in which one fits some steps, and all."""
_ROUTES = "\nRoutes:\n"
_STEP = re.compile(r"^\d+ \[([^\]]*)\]", re.MULTILINE)


def fit(row: Row) -> Fit | None:
    """For how many steps of the right plan the catalogue has a tool; None where there is no tool, or no step."""
    shown = row["messages"][0]["content"].partition(_ROUTES)[2].splitlines()
    tools = {line.partition(": ")[0] for line in shown} - {SOLVE}
    fitting = [route in tools for route in _STEP.findall(row["completion"])]
    if not tools or not fitting:
        return None
    return "all" if all(fitting) else "some" if any(fitting) else "none"


def question(row: Row) -> str:
    """The question of a row, without the form of the answer."""
    asked = str(row["messages"][-1]["content"]).removeprefix("Question: ").partition("\n")[0].strip()
    for hint in HINTS:
        asked = asked.removesuffix(hint).strip()
    return asked.lower()


def chosen(original: Sequence[Row], count: int, tuned: int, barred: Iterable[str]) -> tuple[list[Row], list[Row]]:
    """Rows of the first training to reinforce on, and to choose the round by, in the same shares; each question once.

    Args:
        original: rows of the first training.
        count: how many to reinforce on.
        tuned: how many to choose by.
        barred: questions that may be in neither.

    Raises:
        ValueError: there are too few.
    """
    rows = list(original)
    Random(SEED).shuffle(rows)
    seen = set(barred)
    by_fit: dict[Fit, list[Row]] = {name: [] for name in SHARES}
    for row in rows:
        asked, how = question(row), fit(row)
        if how and asked not in seen:
            seen.add(asked)
            by_fit[how].append(row)
    train: list[Row] = []
    tune: list[Row] = []
    for name, share in SHARES.items():
        first, second = round(share * tuned), round(share * count)
        if len(by_fit[name]) < first + second:
            raise ValueError(f"{len(by_fit[name])} rows in which a tool fits {name} steps; {first + second} are needed")
        tune += by_fit[name][:first]
        train += by_fit[name][first : first + second]
    return train, tune


def read(path: Path) -> list[Row]:
    """The objects of a file of JSON lines."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def write(path: Path, rows: Sequence[Row]) -> None:
    """Writes JSON lines, and tells how many."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{path}: {len(rows)} rows", flush=True)


def main() -> None:
    """Writes the requests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("original", type=Path, help="`decomposer_train.jsonl` of `distill build`")
    parser.add_argument("out", type=Path)
    parser.add_argument("--test", type=Path, required=True, help="the route test, whose questions are left out")
    parser.add_argument("--tasks", type=Path, nargs="+", required=True, help="files of rows over tools")
    parser.add_argument("--routes", type=Path, help="the route test of another build, to choose an adapter by")
    parser.add_argument("--first", type=int, default=3000, help="requests of the first training")
    parser.add_argument("--others", type=int, default=3400, help="requests over tools, at most")
    parser.add_argument("--tune-first", type=int, default=108)
    parser.add_argument("--tune-others", type=int, default=140)
    args = parser.parse_args()
    barred = {question(row) for row in read(args.test)}
    train, tune = chosen(read(args.original), args.first, args.tune_first, barred)
    tasks = list({question(row): row for path in args.tasks for row in read(path)}.values())
    random = Random(SEED)
    random.shuffle(tasks)
    tune += tasks[: args.tune_others]
    train += tasks[args.tune_others : args.tune_others + args.others]
    random.shuffle(train)
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out / "requests.jsonl", train)
    write(args.out / "tune_requests.jsonl", tune)
    if args.routes:
        write(args.out / "tune_routes.jsonl", [row for row in read(args.routes) if question(row) not in barred])


if __name__ == "__main__":
    main()
