"""The report as Markdown."""

import math
from collections.abc import Sequence

from anabranch.evals.intervals import Difference, Mean
from anabranch.evals.reference import PAPER, SOURCE, beside
from anabranch.evals.summary import Summary, SystemSummary

PLAN_COLUMNS = {
    "planned": "with a plan %",
    "valid": "valid first draft %",
    "sub_questions": "sub-questions",
    "critical_path": "critical path / all",
    "redundant": "redundant %",
    "leaking": "leaking %",
    "agreement": "agreement with people (F1) %",
    "same_length": "as many as people %",
    "routes": "routes right %",
}
NOT_KNOWN = "unknown"
EQUAL_COST = (
    "Against the best system without a plan that costs no more (add cot:SAMPLES to have more of them). It is chosen on "
    "the same questions, which favours it a little."
)


def to_markdown(summary: Summary) -> str:
    """The whole report."""
    title = f"# {summary.task.title}: {len(summary.examples):,} questions"
    parts = [title, models_line(summary), main_table(summary), notes(summary)]
    parts += ["## Tokens and cost", table(*cost_rows(summary))]
    if any(system.plans for system in summary.systems):
        parts += ["## At equal cost", EQUAL_COST, table(*equal_cost_rows(summary))]
    if any(system.plans for system in summary.systems):
        parts += ["## Plans", table(*plan_rows(summary))]
    parts += ["## Odd answers", table(*flag_rows(summary)), *_hurt(summary), "## How it was made", *_made(summary)]
    return "\n\n".join(parts) + "\n"


def main_table(summary: Summary) -> str:
    """Grades, differences, tokens and cost, one row a system."""
    return table(*main_rows(summary))


def main_rows(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the main table."""
    names = list(dict.fromkeys(name for system in summary.systems for name in system.metrics))
    reference = summary.task.name in PAPER
    header = ["system", "n", *names, "difference [95 %]", "tokens each", "$ each", "seconds"]
    rows = []
    for system in summary.systems:
        cells = [summary.short(system), str(system.n), *(with_error(system.metrics.get(name)) for name in names)]
        usd = dollars(system.usd_each) if system.n else "-"
        cells += [difference(summary, system), _tokens(system.tokens_each), usd, _seconds(system)]
        rows.append([*cells, beside(summary.task.name, kind_of(system))] if reference else cells)
    return [*header, "paper (other models, lenient)"] if reference else header, rows


def kind_of(system: SystemSummary) -> str:
    """The kind of system in the paper that is closest: its plans guide one call."""
    kind, _, protocol = system.system.name.removesuffix(":always").partition(":")
    return kind if protocol in ("", "guided") or kind == "dynamic" else ""


def cost_rows(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of costs."""
    header = ["system", "calls each"]
    for part in ("decomposing", "solving"):
        header += [f"{part}: in", "out", "$"]
    header += ["total tokens", "total $"]
    rows = []
    for system in summary.systems:
        calls = system.decomposing.calls + system.solving.calls
        cells = [summary.short(system), f"{calls / system.n:.1f}" if system.n else "-"]
        for tokens, usd in (
            (system.decomposing, system.money.decomposing),
            (system.solving, system.money.solving),
        ):
            cells += [f"{tokens.input:,}", f"{tokens.output:,}", dollars(usd)]
        total = sum(part.input + part.output for part in (system.decomposing, system.solving))
        rows.append([*cells, f"{total:,}", dollars(system.money.total)])
    return header, rows


def equal_cost_rows(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the comparison with what the same money buys without a plan."""
    unit = "$" if summary.in_dollars else "tokens"
    rows = []
    for system in (system for system in summary.systems if system.plans):
        found = summary.at_equal_cost(system)
        shown = [interval(found[1]), summary.short(found[0]), _cost(summary, found[0])] if found else ["-", "none", "-"]
        rows.append([summary.short(system), _cost(summary, system), *shown])
    return ["system", f"{unit} each", "difference [95 %]", "best without a plan", f"its {unit} each"], rows


def _cost(summary: Summary, system: SystemSummary) -> str:
    value = summary.cost(system)
    return f"{value:,.0f}" if value >= 10 else dollars(value)


def plan_rows(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of plans; columns that no system has are left out."""
    planning = [system for system in summary.systems if system.plans]
    names = [name for name in PLAN_COLUMNS if any(name in system.plans for system in planning)]
    rows = [[summary.short(s), *(with_error(s.plans.get(name), small=True) for name in names)] for s in planning]
    return ["system", *(PLAN_COLUMNS[name] for name in names)], rows


def flag_rows(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of odd answers."""
    names = list(dict.fromkeys(name for system in summary.systems for name in system.flags if name != "unwell"))
    rows = [[summary.short(s), str(s.missing), *(str(s.flags.get(name, 0)) for name in names)] for s in summary.systems]
    return ["system", "not run", *names], rows


def notes(summary: Summary) -> str:
    """How to read the main table."""
    base = summary.find(summary.baseline) if summary.baseline else None
    lines = [
        f"Headline metric: {summary.task.metric}, strict. Each value ± its standard error.",
        f"Difference: of the headline metric to {summary.short(base)}, in points, on the same questions, with a paired "
        "bootstrap interval."
        if base
        else "",
        "Seconds: median and 95th percentile, while other questions were answered too; none for batches.",
        f"The column on the right is of {SOURCE}; it is not comparable." if summary.task.name in PAPER else "",
    ]
    return " ".join(line for line in lines if line)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def with_error(value: Mean | None, *, small: bool = False) -> str:
    """A mean with its standard error, or a dash."""
    if value is None or not value.n:
        return "-"
    digits = 2 if small and value.value < 10 else 1
    error = "" if math.isnan(value.error) else f" ± {value.error:.{digits}f}"
    return f"{value.value:.{digits}f}{error}"


def difference(summary: Summary, system: SystemSummary) -> str:
    """The difference to the baseline with its interval."""
    if system.system.label == summary.baseline:
        return "baseline"
    found = system.versus
    return "-" if found is None or not found.n else interval(found)


def interval(found: Difference) -> str:
    """A difference with its interval."""
    return f"{found.value:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


def dollars(value: float | None) -> str:
    """Dollars with the digits they need; `unknown` where a price is missing."""
    if value is None:
        return NOT_KNOWN
    if value == 0:
        return "0"
    return f"{value:.{2 if value >= 1 else max(4, 1 - math.floor(math.log10(value)))}f}"


def _tokens(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.0f}"


def _seconds(system: SystemSummary) -> str:
    if system.seconds is None:
        return "-"
    median, late, n = system.seconds
    return f"{median:.1f} / {late:.1f} (n={n})"


def _hurt(summary: Summary) -> list[str]:
    if summary.baseline is None or len(summary.systems) < 2:
        return []
    rows = [
        [summary.short(system), str(len(lost)), ", ".join(ours.example.id for ours, _ in lost[:20])]
        for system in summary.systems
        if system.system.label != summary.baseline
        for lost in [summary.hurt(system)]
    ]
    header = ["system", "lost", "the first 20"]
    return [
        "## Where it hurt",
        f"Questions that {summary.baseline} got right and the system lost.",
        table(header, rows),
    ]


def _made(summary: Summary) -> list[str]:
    return ["\n".join(f"- {name}: {value}" for name, value in facts(summary).items())]


def models_line(summary: Summary) -> str:
    """Which models there are."""
    solvers = ", ".join(dict.fromkeys(system.system.solver for system in summary.systems))
    planning = ", ".join(dict.fromkeys(s.system.decomposer for s in summary.systems if s.system.decomposer))
    return f"Solver: {solvers}." + (f" Decomposer: {planning}." if planning else "")


def facts(summary: Summary) -> dict[str, str]:
    """What is needed to run it again."""
    manifest = summary.manifest
    made = {"data": f"{manifest.data} (sha256 {manifest.data_hash})", "seed": manifest.seed}
    made |= {"limit": manifest.limit or "none"} | dict(manifest.settings) | dict(manifest.versions)
    made |= {"lines skipped": "; ".join(manifest.problems) or "none"}
    return {name: str(value) for name, value in made.items() if value not in ("", [])}
