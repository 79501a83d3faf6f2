"""The reports of many runs of `anabranch eval` as one table a task: `python -m benchmarks.tables FOLDER > tables.md`.

FOLDER has a folder with a report.json for each run, however deep. Differences are paired, in points, to the solver's
own `cot` and `unguided` on the questions that both have; of the same system the run with most questions counts.
"""

import argparse
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABEL = re.compile(r"(\S+) \((?:decomposer (.+), )?solver (.+)\)")
HEAD = (
    *("solver", "how", "plans of", "n", "score, %", "to cot", "to unguided", "tokens of planning (in + out)"),
    *("tokens of solving (in + out)", "planned, %", "sub-questions", "median s", "odd"),
)
ODD = ("error", "cut_off", "empty", "refused")


@dataclass(frozen=True)
class Row:
    """A system of a run, and what came of it. Scores are in percent, by question.

    Attributes:
        task: what was asked, and the run's data where that is not the task's own.
        how: the system.
        decomposer: who planned; empty for nobody.
        solver: who answered.
        report: what the report says of the system.
        scores: by question, in the report's headline metric.
    """

    task: str
    how: str
    decomposer: str
    solver: str
    report: dict[str, Any]
    scores: dict[str, float]

    def cells(self, bases: Sequence["Row | None"]) -> list[str]:
        """Its cells of the table."""
        n, plans, seconds = self.report["n"], self.report["plans"], self.report["seconds"]
        costs = [self._cost(part, n) for part in ("decomposing", "solving")]
        odd = ", ".join(f"{name} {count}" for name, count in self.report["flags"].items() if name in ODD)
        figures = [f"{plans[name]['value']:.1f}" if plans.get(name) else "" for name in ("planned", "sub_questions")]
        score, differences = with_error(list(self.scores.values())), [self._versus(base) for base in bases]
        time = f"{seconds['median']:.2f}" if seconds else ""
        return [self.solver, self.how, self.decomposer, str(n), score, *differences, *costs, *figures, time, odd]

    def _cost(self, part: str, n: int) -> str:
        found = self.report["tokens"][part]
        return f"{found['input'] / n:.0f} + {found['output'] / n:.0f}" if found["calls"] else ""

    def _versus(self, base: "Row | None") -> str:
        if base is None or base is self:
            return ""
        return with_error([self.scores[id_] - base.scores[id_] for id_ in self.scores if id_ in base.scores], "+")


def with_error(values: Sequence[float], sign: str = "") -> str:
    """A mean with its standard error."""
    if len(values) < 2:
        return "".join(f"{value:{sign}.1f}" for value in values)
    mean = sum(values) / len(values)
    error = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return f"{mean:{sign}.1f} ± {error:.1f}"


def rows(folder: Path) -> Iterator[Row]:
    """The systems of all reports in a folder that have an answer.

    Raises:
        ValueError: a label is none that `anabranch eval` writes.
    """
    for path in sorted(folder.glob("**/report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(report, list):  # of plans over tools, which have a table of their own
            continue
        manifest = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))
        data = Path(manifest["data"]).stem if manifest.get("data") else report["task"]
        for system in report["systems"]:
            found = LABEL.fullmatch(system["label"])
            if found is None:
                raise ValueError(f"{path} has the system {system['label']!r}; `anabranch eval report` writes it anew")
            scores = {each["id"]: 100 * each["scores"][report["metric"]] for each in system["records"]}
            if system["n"]:
                yield Row(
                    f"{report['task']}: {data}, {report['metric']}", found[1], found[2] or "", found[3], system, scores
                )


def tables(found: Sequence[Row]) -> Iterator[str]:
    """One table a task, in Markdown."""
    best: dict[tuple[str, ...], Row] = {}
    for row in sorted(found, key=lambda row: row.report["n"]):
        best[row.task, row.solver, row.how, row.decomposer] = row
    for task in sorted({row.task for row in best.values()}):
        yield f"## {task}\n\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}"
        for key in sorted(best):
            row = best[key]
            if row.task == task:
                bases = [best.get((task, row.solver, how, "")) for how in ("cot", "unguided")]
                yield f"| {' | '.join(row.cells(bases))} |"
        yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    print("\n".join(tables(list(rows(parser.parse_args().folder)))))


if __name__ == "__main__":
    main()
