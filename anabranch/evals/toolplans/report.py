"""The table of a run of plans over tools, with published rows beside it."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anabranch.errors import BackendError, ConfigurationError
from anabranch.evals.intervals import Mean, mean
from anabranch.evals.records import Described, Record, RunFolder
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
    """

    label: str
    n: int
    measures: Mapping[str, Mean]
    read: float
    written: float
    seconds: float
    errors: int


def summarize(folder: RunFolder) -> tuple[list[Row], Sequence[str]]:
    """One row for each decomposer of a run, and the sources of its requests.

    Raises:
        ConfigurationError: there is no such run in the folder.
    """
    manifest = folder.manifest()
    gold = _gold(folder.path) if manifest.task == NAME else None
    if gold is None:
        raise ConfigurationError(f"{folder.path} holds no run of plans over tools; name the folder of one")
    records = folder.records()
    rows = [_row(system, records, gold) for system in manifest.systems]
    return rows, list(dict.fromkeys(request.source for request in gold.requests if request.source))


def write_report(folder: RunFolder) -> str:
    """Writes report.md and report.json into the run's folder; returns the table.

    Raises:
        ConfigurationError: there is no such run in the folder.
        BackendError: the report cannot be written.
    """
    rows, sources = summarize(folder)
    table = "\n".join(_table(rows, sources))
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
    found: dict[str, list[float]] = {name: [] for name in COLUMNS}
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
                found[name].append(100 * value)
    timed = [record.seconds for record in mine if record.seconds is not None]
    return Row(
        label=system.label,
        n=len(mine),
        measures={name: mean(values) for name, values in found.items()},
        read=mean([record.decomposing.input for record in mine]).value,
        written=mean([record.decomposing.output for record in mine]).value,
        seconds=mean(timed).value,
        errors=sum(record.error is not None for record in mine),
    )


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


def _cell(found: Mean) -> str:
    if not found.n:
        return "-"
    return f"{found.value:.1f}" if math.isnan(found.error) else f"{found.value:.1f} ± {NORMAL * found.error:.1f}"


def _plain(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
