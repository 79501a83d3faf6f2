"""The reports of many runs of `anabranch eval`, as rows to choose from."""

import json
import math
import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results.groups import NO_TOOLS
from benchmarks.results.settings import LARGE

ORDER = (
    *("direct", "cot", "unguided", "cot:3", "react", "two-stage", "static:guided", "human:guided"),
    *("static", "static:per_node", "static:per_node:sequential", "dynamic"),
)
_WRITERS = ("examples-qwen15", "kept135", "d135", "d135w", "d05", "d05m", "d05x", *sorted(LARGE, reverse=True))
PLANNERS = (None, "qwen05", "qwen15", *(name + more for name in _WRITERS for more in ("", NO_TOOLS)))
SOLVERS = ("smollm2", "small-smollm2", "s135", "small-s135", "s05t", "s05a", "s05x", "qwen05", "qwen15")
TUNING = ("tune", "reading", "lookups")
"""Runs on questions that settings are chosen by; they are tasks of their own."""
PARTS = ("decomposing", "solving")
ODD = ("error", "cut_off", "empty", "refused")
LABEL = re.compile(r"(\S+) \((?:decomposer (.+), )?solver (.+)\)")


class Row:
    """A system of a run: a way to answer, who plans, who solves, and what came of it.

    Scores are in percent, by question; the headline metric is the report's own.
    """

    def __init__(self, folder: Path, report: dict[str, Any], system: dict[str, Any]) -> None:
        """Reads a system of a report.

        Raises:
            ValueError: its label is none that `anabranch eval` writes.
        """
        self.label: str = system["label"]
        found = LABEL.fullmatch(self.label)
        if found is None:
            raise ValueError(
                f"{folder}/report.json has the system {self.label!r}; `anabranch eval report` writes it anew"
            )
        self.system, self.solver = str(found[1]), str(found[3])
        self.decomposer: str | None = found[2]
        self.folder = folder
        self.task: str = report["task"] + (f" ({folder.name})" if folder.name in TUNING else "")
        self.metric: str = report["metric"]
        self.n: int = system["n"]
        self.missing: int = system["missing"]
        self.seconds: dict[str, float] | None = system["seconds"]
        self._metrics, self._tokens = system["metrics"], system["tokens"]
        self._flags, self.plans = system["flags"], system["plans"]
        self.scores: dict[str, float] = {r["id"]: 100 * r["scores"][self.metric] for r in system["records"]}

    @property
    def key(self) -> tuple[int, int, int, int]:
        """To sort by."""
        planner, solver = place(PLANNERS, self.decomposer), place(SOLVERS, self.solver)
        return place(ORDER, self.system), planner, solver, self.n

    @property
    def name(self) -> str:
        """The system, and whose plans it has."""
        return self.system + (f", plans of {self.decomposer}" if self.decomposer else "")

    @property
    def metrics(self) -> Collection[str]:
        """The names of all metrics."""
        return list(self._metrics)

    def score(self, metric: str | None = None) -> str:
        """A metric with its standard error, %; the headline one by default."""
        return _shown(self._metrics.get(metric or self.metric))

    def score_on(self, ids: Sequence[str]) -> str:
        """The headline metric on some questions."""
        return with_error([self.scores[id_] for id_ in ids])

    def cost(self, part: str) -> str:
        """Tokens a question of planning or solving, in and out."""
        found = self._tokens[part]
        if not found["calls"]:
            return "-"
        return f"{found['input'] / max(self.n, 1):.0f} + {found['output'] / max(self.n, 1):.0f}"

    def costs(self) -> tuple[str, str]:
        """Of planning and of solving."""
        return self.cost(PARTS[0]), self.cost(PARTS[1])

    def tokens(self, *kinds: str) -> str:
        """Tokens a question of planning and solving together, of kinds `input` and `output`."""
        total: float = sum(self._tokens[part][kind] for part in PARTS for kind in kinds)
        return f"{total / max(self.n, 1):.0f}"

    def plan(self, name: str, digits: int = 1) -> str:
        """A figure of the plans with its standard error."""
        return _shown(self.plans.get(name), digits)

    def odd(self) -> str:
        """Counts of answers that were cut off, empty, refused or failed."""
        return ", ".join(f"{name} {count}" for name, count in self._flags.items() if name in ODD) or "-"

    def records(self) -> dict[str, dict[str, Any]]:
        """Its records, by question."""
        with (self.folder / "records.jsonl").open(encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines]
        return {record["id"]: record for record in records if record["system"] == self.label}


def _shown(found: dict[str, float] | None, digits: int = 1) -> str:
    return "-" if not found else f"{found['value']:.{digits}f} ± {found['error']:.{digits}f}"


def place(order: Sequence[str | None], name: str | None) -> int:
    """Where a name comes; unknown ones last."""
    return order.index(name) if name in order else len(order)


def with_error(values: Sequence[float], sign: str = "") -> str:
    """A mean with its standard error."""
    if not values:
        return "-"
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{mean:{sign}.1f}"
    error = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
    return f"{mean:{sign}.1f} ± {error:.1f}"


def versus(row: Row, base: Row | None) -> str:
    """Paired difference in points, on the questions that both have."""
    if base is None or base is row:
        return "-"
    return with_error([row.scores[id_] - base.scores[id_] for id_ in row.scores if id_ in base.scores], "+")


class Runs:
    """All rows of a folder of runs. It notes which were taken, for the commands behind a table."""

    def __init__(self, folder: Path) -> None:
        """Reads `folder/GROUP/NAME/report.json`."""
        self.rows: list[Row] = []
        self._used: list[Path] = []
        for path in sorted(folder.glob("*/*/report.json")):
            report = json.loads(path.read_text(encoding="utf-8"))
            self.rows += [Row(path.parent, report, system) for system in report["systems"]]

    def take(
        self,
        task: str,
        systems: Collection[str] | None = None,
        solvers: Collection[str] | None = None,
        *,
        decomposers: Collection[str | None] | None = None,
        group: str = "",
    ) -> list[Row]:
        """Rows that fit, in order; of the same system the one with most questions.

        Args:
            task: of `anabranch eval`.
            systems: None for all.
            solvers: None for all.
            decomposers: None for all; in it, None stands for none.
            group: regular expression that GROUP/NAME has somewhere.
        """
        best: dict[str, Row] = {}
        for row in self.rows:
            fits = (
                row.task == task
                and (systems is None or row.system in systems)
                and (solvers is None or row.solver in solvers)
                and (decomposers is None or row.decomposer in decomposers)
                and re.search(group, f"{row.folder.parent.name}/{row.folder.name}")
                and row.n > 0
            )
            if fits and (row.label not in best or best[row.label].n < row.n):
                best[row.label] = row
        found = sorted(best.values(), key=lambda row: row.key)
        self._used += [row.folder for row in found]
        return found

    def one(self, task: str, system: str, solver: str, decomposer: str | None = None) -> Row | None:
        """The row of a system, if there is one."""
        return next(iter(self.take(task, (system,), (solver,), decomposers=(decomposer,))), None)

    def forget(self) -> None:
        """Notes that nothing was taken."""
        self._used = []

    def commands(self) -> str:
        """The commands behind what was taken since the last call."""
        lines = []
        for folder in dict.fromkeys(self._used):
            words = shlex.split((folder / "command.txt").read_text(encoding="utf-8"))
            for option in ("--data", "--out"):
                if option in words:
                    words[words.index(option) + 1] = Path(words[words.index(option) + 1]).name
            lines.append(shlex.join(words))
        self.forget()
        if not lines:
            return "(nothing was run)"
        listed = "\n".join(lines)
        return f"<details><summary>Commands</summary>\n\n```\n{listed}\n```\n</details>"
