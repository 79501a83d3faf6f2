"""The table of a run of plans over tools, with published rows beside it."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from anabranch.errors import BackendError, ConfigurationError
from anabranch.evals.intervals import Difference, Mean, mean, paired_difference
from anabranch.evals.records import Described, Record, RunFolder
from anabranch.evals.report.markdown import interval
from anabranch.evals.summary import baseline_of
from anabranch.evals.toolplans.run import NAME, Gold
from anabranch.evals.toolplans.scores import score
from anabranch.plan import Plan

NORMAL = 1.96
"""Standard errors on each side of a mean that hold it in 95 % of all samples."""
COLUMNS: Mapping[str, str] = {
    "nodes": "node F1",
    "links": "link F1",
    "order": "link F1 by order",
    "exact": "exact",
    "retrieved": "tools found",
    "valid": "valid",
    "direct": "no plan",
}
"""The measures, all in per cent, as the table names them."""


@dataclass(frozen=True)
class Published:
    """Somebody else's result: who, whether it was trained on the set, and node F1, link F1 and exact plans."""

    who: str
    trained: bool
    nodes: float
    links: float
    exact: float


PUBLISHED: Mapping[str, Sequence[Published]] = {
    "ultratool": (
        Published("GPT-4-turbo, without examples", False, 68.6, 40.0, 27.2),
        Published("GPT-3.5, without examples", False, 54.4, 21.4, 18.3),
        Published("the best trained on its 3,027 rows", True, 70.8, 47.7, 37.2),
    )
}
"""By the source of the requests; link F1 by order, since the set has chains only (GNN4Plan, arXiv 2405.19119)."""


@dataclass(frozen=True)
class Row:
    """What a decomposer comes to.

    Attributes:
        label: its name.
        n: requests with a record.
        measures: by name, see `COLUMNS`; `links` and `order` over the requests that have links.
        read: tokens read a plan.
        written: tokens written a plan.
        seconds: time a plan; NaN where it came out of a batch.
        errors: requests for which a model or server failed.
        values: each measure by request, in per cent.
        versus: differences to the decomposer that the others are compared with, by measure; None for that one.
    """

    label: str
    n: int
    measures: Mapping[str, Mean]
    read: float
    written: float
    seconds: float
    errors: int
    values: Mapping[str, Mapping[str, float]] = field(repr=False)
    versus: Mapping[str, Difference] | None = None


def summarize(folder: RunFolder, baseline: str | None = None) -> tuple[list[Row], Sequence[str]]:
    """One row for each decomposer of a run, and the sources of its requests.

    Args:
        folder: the run's folder.
        baseline: label of the decomposer that the others are compared with, by default the first.

    Raises:
        ConfigurationError: there is no such run or decomposer.
    """
    manifest = folder.manifest()
    gold = _gold(folder.path) if manifest.task == NAME else None
    if gold is None:
        raise ConfigurationError(f"{folder.path} holds no run of plans over tools; name the folder of one")
    records = folder.records()
    rows = [_row(system, records, gold) for system in manifest.systems]
    if chosen := baseline_of(manifest.systems, baseline):
        base = rows[manifest.systems.index(chosen)]
        rows = [row if row is base else replace(row, versus=_versus(row, base, manifest.seed)) for row in rows]
    return rows, list(dict.fromkeys(request.source for request in gold.requests if request.source))


def write_report(folder: RunFolder, baseline: str | None = None) -> str:
    """Writes report.md and report.json into the run's folder; returns the tables.

    Args:
        folder: the run's folder.
        baseline: label of the decomposer that the others are compared with, by default the first.

    Raises:
        ConfigurationError: there is no such run or decomposer.
        BackendError: the report cannot be written.
    """
    rows, sources = summarize(folder, baseline)
    table = "\n".join([*_table(rows, sources), *_differences(rows)])
    data = [
        {
            "label": row.label,
            "n": row.n,
            "errors": row.errors,
            "tokens": [_number(row.read), _number(row.written)],
            "seconds": _number(row.seconds),
            **{
                name: {"mean": _number(found.value), "half_interval": _number(NORMAL * found.error), "n": found.n}
                for name, found in row.measures.items()
            },
            "versus_baseline": {name: asdict(found) for name, found in (row.versus or {}).items()},
        }
        for row in rows
    ]
    try:
        (folder.path / "report.md").write_text(table + "\n", encoding="utf-8")
        (folder.path / "report.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise BackendError(f"the report cannot be written to {folder.path}: {error}; make room") from error
    return table


def _gold(path: Path) -> Gold | None:
    try:
        return Gold.model_validate_json((path / "gold.json").read_bytes())
    except (OSError, ValueError):
        return None


def _row(system: Described, records: Mapping[tuple[str, str], Record], gold: Gold) -> Row:
    found: dict[str, dict[str, float]] = {name: {} for name in COLUMNS}
    mine: list[Record] = []
    for request in gold.requests:
        record = records.get((system.fingerprint, request.id))
        if record is None:
            continue
        mine.append(record)
        plan = record.plan or Plan()
        graded = score(plan, gold.names, request)
        failed = record.error is not None
        values = {
            "nodes": 0.0 if failed else graded.nodes,
            "links": 0.0 if failed and graded.links is not None else graded.links,
            "order": 0.0 if failed and graded.order is not None else graded.order,
            "exact": float(graded.exact and not failed),
            "retrieved": float(set(request.tools) <= set(record.retrieved)),
            "valid": float(not failed and not record.problems and record.decomposing.calls <= 1),
            "direct": float(plan.is_direct),
        }
        for name, value in values.items():
            if value is not None:
                found[name][request.id] = 100 * value
    timed = [record.seconds for record in mine if record.seconds is not None]
    return Row(
        label=system.label,
        n=len(mine),
        measures={name: mean(list(values.values())) for name, values in found.items()},
        read=mean([record.decomposing.input for record in mine]).value,
        written=mean([record.decomposing.output for record in mine]).value,
        seconds=mean(timed).value,
        errors=sum(record.error is not None for record in mine),
        values=found,
    )


def _versus(row: Row, base: Row, seed: int) -> dict[str, Difference]:
    """Differences over the requests that both have, by measure; without those of which there is none."""
    found = {}
    for name, values in row.values.items():
        shared = [id_ for id_ in values if id_ in base.values[name]]
        if shared:
            pairs = [values[id_] for id_ in shared], [base.values[name][id_] for id_ in shared]
            found[name] = paired_difference(*pairs, seed=seed)
    return found


def _table(rows: Sequence[Row], sources: Sequence[str]) -> Iterator[str]:
    """Markdown: means with half of the 95 % interval."""
    heads = ["decomposer", "n", *COLUMNS.values(), "tokens read", "written", "seconds"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        cells = [_cell(row.measures[name]) for name in COLUMNS]
        ends = [_plain(row.read, 0), _plain(row.written, 0), _plain(row.seconds, 2)]
        yield f"| {' | '.join([row.label, str(row.n), *cells, *ends])} |"
    blank = " | " * 3
    for source in sources:
        for each in PUBLISHED.get(source, ()):
            how = "trained on it" if each.trained else "zero-shot"
            yield (
                f"| published, {how}: {each.who} | 500 | {each.nodes:.1f} | | {each.links:.1f} | {each.exact:.1f} |"
                f"{blank} | | |"
            )


def _differences(rows: Sequence[Row]) -> Iterator[str]:
    """Markdown: what each decomposer gains over the one that it is compared with; nothing where there is one alone."""
    base = next((row.label for row in rows if row.versus is None), None)
    if base is None or len(rows) < 2:
        return
    yield f"\nDifference to {base}, in points, on the same requests, with a paired bootstrap interval of 95 %.\n"
    yield f"| decomposer | {' | '.join(COLUMNS.values())} |"
    yield f"|{'---|' * (1 + len(COLUMNS))}"
    for row in rows:
        if row.versus is not None:
            cells = [interval(row.versus[name]) if name in row.versus else "-" for name in COLUMNS]
            yield f"| {' | '.join([row.label, *cells])} |"


def _cell(found: Mean) -> str:
    if not found.n:
        return "-"
    return f"{found.value:.1f}" if math.isnan(found.error) else f"{found.value:.1f} ± {NORMAL * found.error:.1f}"


def _plain(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
