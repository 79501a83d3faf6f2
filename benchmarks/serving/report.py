"""A table of the results: `python -m benchmarks.serving.report FOLDER [--dollars-per-hour 3] [--out table.md]`.

Beside the cost of 1,000 plans stands what the same tokens would cost at the price that the paper gives for its 13B
decomposer: $7.42e-5 for 1,000 tokens read and $1.48e-4 for 1,000 written (arXiv 2402.15000).
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PAPER_IN, PAPER_OUT = 7.42e-5, 1.48e-4
TARGETS = (
    "Targets: HTTP at least 0.9 of offline, with the grammar at least 0.95 of without, 1,500 plans/s with 135M "
    "parameters. On demand: free, and what fits no plan is put right under the grammar."
)
COLUMNS = (
    ("variant", "variant"),
    ("clients", "concurrency"),
    ("grammar", "grammar"),
    ("n", "requests"),
    ("plans/s", "plans_per_s"),
    ("steady", "steady_plans_per_s"),
    ("p50 s", "latency_p50"),
    ("p99 s", "latency_p99"),
    ("first token p50 s", "first_token_p50"),
    ("tokens in", "tokens_in"),
    ("tokens out", "tokens_out"),
    ("errors", "errors"),
    ("asked again", "asked_again"),
    ("cut", "cut"),
    ("valid", "valid"),
    ("of offline", "of_offline"),
    ("of no grammar", "of_free"),
    ("steady of no grammar", "steady_of_free"),
    ("$ per 1,000", "dollars"),
    ("paper's price", "paper_dollars"),
)


def enriched(rows: Sequence[Mapping[str, Any]], dollars_per_hour: float) -> list[dict[str, Any]]:
    """The results with ratios and costs added."""
    found = []
    for row in rows:
        more = dict(row)
        if rate := row.get("plans_per_s"):
            more["dollars"] = 1000 * dollars_per_hour / 3600 / rate
            plans = row["requests"] - row["errors"] or 1
            more["paper_dollars"] = (row["tokens_in"] * PAPER_IN + row["tokens_out"] * PAPER_OUT) / plans
            offline = "offline-merged" if str(row["variant"]).startswith("merged") else "offline"
            if row["concurrency"] != "offline":
                more["of_offline"] = _ratio(row, rows, variant=offline, concurrency="offline")
            if row["grammar"] != "never":
                more["of_free"] = _ratio(row, rows, grammar="never")
                more["steady_of_free"] = _ratio(row, rows, "steady_plans_per_s", grammar="never")
        found.append(more)
    return found


def _ratio(
    row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], rate: str = "plans_per_s", **changed: Any
) -> float | None:
    """This row's rate over that of the row that differs in what is `changed`."""
    if not row.get(rate):
        return None
    wanted = {name: row.get(name) for name in ("label", "variant", "concurrency", "grammar")} | changed
    for other in rows:
        if other.get(rate) and all(other.get(name) == value for name, value in wanted.items()):
            return float(row[rate] / other[rate])
    return None


def markdown(rows: Sequence[Mapping[str, Any]], dollars_per_hour: float) -> str:
    """The table, one part a label."""
    parts = []
    for label in dict.fromkeys(row.get("label", "") for row in rows):
        of_label = [row for row in rows if row.get("label", "") == label]
        lines = [f"## {label or 'results'}", "", "| " + " | ".join(name for name, _ in COLUMNS) + " |"]
        lines.append("|" + "---|" * len(COLUMNS))
        lines += ["| " + " | ".join(_cell(row, key) for _, key in COLUMNS) + " |" for row in of_label]
        abouts = dict.fromkeys((row["variant"], row["about"]) for row in of_label)
        lines += ["", *(f"- {variant}: {about}" for variant, about in abouts)]
        parts.append("\n".join(lines))
    steady = "Steady: without the first plans, when all clients ask at once, and the last, when they run dry."
    note = f"{steady} Cost at ${dollars_per_hour:g} an hour for the machine. {TARGETS}"
    return "\n\n".join([*parts, note]) + "\n"


def _cell(row: Mapping[str, Any], key: str) -> str:
    if "failed" in row and key == "plans_per_s":
        return "failed"
    value = row.get(key)
    if key in ("cut", "valid") and value is not None:
        done = row["requests"] - row["errors"]
        return f"{value} of {done}" if key == "valid" else str(value)
    if key == "grammar":
        return str(value).replace("_", " ")
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dollars-per-hour", type=float, default=3.0)
    arguments = parser.parse_args()
    lines = (arguments.folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    rows = enriched([json.loads(line) for line in lines], arguments.dollars_per_hour)
    table = markdown(rows, arguments.dollars_per_hour)
    (arguments.folder / "table.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    (arguments.folder / "table.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
