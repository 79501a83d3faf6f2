"""`anabranch eval`: runs, imports of batches, reports."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from anabranch.batch.store import ReplyStore, take_in
from anabranch.cli.failures import Guard, complain
from anabranch.cli.gauge import Gauge
from anabranch.cli.loop import Loop
from anabranch.cli.options import Options
from anabranch.cli.outcome import cost
from anabranch.cli.terminal import write_out
from anabranch.cli.views import opened_view
from anabranch.config import Price
from anabranch.errors import ConfigurationError
from anabranch.evals.engine import Progress
from anabranch.evals.records import RunFolder
from anabranch.evals.report import write_report
from anabranch.evals.run import Prepared, Setup, check, go, prepare
from anabranch.evals.summary import summarize
from anabranch.evals.tasks import find_task
from anabranch.evals.toolplans import run as toolplans
from anabranch.evals.toolplans.report import write_report as write_toolplans_report
from anabranch.graphs.build import build_tools
from anabranch.locks import held
from anabranch.options import price_of

_SHOWN_PROBLEMS = 5
P = TypeVar("P", Prepared, toolplans.Prepared)


def run(values: Mapping[str, Any], guard: Guard) -> None:
    """Runs systems on questions and writes the report.

    Args:
        values: the command's parameters.
        guard: told how to go on after an interruption.

    Raises:
        UserError, BackendError: as options, files and models do.
    """
    if values["task"] == toolplans.NAME:
        _run_toolplans(values, guard)
        return
    setup = _setup(values)
    check(setup)
    find_task(setup.task)
    options = Options.of({"tool": values["tool"]})
    with held(RunFolder(setup.out).lock, "name another --out"):
        _go(setup, options, values, guard)


def _go(setup: Setup, options: Options, values: Mapping[str, Any], guard: Guard) -> None:
    with opened_view(quiet=values["quiet"]) as view:
        view.status("starting")
        prepared = prepare(setup, build_tools(options, status=view.status, note=view.note), progress=view.status)
    tell_problems(prepared.manifest.problems)
    progress = _answered(prepared, go, values, guard)
    report(str(setup.out), baseline=values["baseline"], paper_grading=values["paper_grading"])
    tell_end(progress, prepared.folder)


def _run_toolplans(values: Mapping[str, Any], guard: Guard) -> None:
    """Has decomposers plan for requests over a file of tools; nothing is answered."""
    setup = _toolplans_setup(values)
    with held(RunFolder(setup.out).lock, "name another --out"):
        _go_toolplans(setup, values, guard)


def _go_toolplans(setup: toolplans.Setup, values: Mapping[str, Any], guard: Guard) -> None:
    with opened_view(quiet=values["quiet"]) as view:
        view.status("starting")
        prepared = toolplans.prepare(setup, progress=view.status)
    tell_problems(prepared.problems, "note")
    progress = _answered(prepared, toolplans.go, values, guard)
    write_out(write_toolplans_report(prepared.folder))
    tell_end(progress, prepared.folder)


def _answered(
    prepared: P,
    go: Callable[[P, Callable[[Progress], None]], Coroutine[Any, Any, Progress]],
    values: Mapping[str, Any],
    guard: Guard,
) -> Progress:
    """Answers what has no record yet, and shows how far it is."""
    guard.hint = f"what is done is kept in {prepared.folder.path}; run the same command again to go on"
    total = len(prepared.examples) * len(prepared.entrants)
    with Loop() as loop, Gauge(total, quiet=values["quiet"]) as gauge:

        def show(progress: Progress) -> None:
            gauge.tell(total - progress.total + progress.done + progress.waiting, details(progress))

        return loop.run(go(prepared, show))


def report(folder: str, *, baseline: str | None, paper_grading: bool) -> None:
    """Writes report.html, report.md and report.json, and prints the table.

    Raises:
        ConfigurationError: there is no run in the folder, or no such baseline.
    """
    place = RunFolder(Path(folder))
    if place.manifest().task == toolplans.NAME:
        write_out(write_toolplans_report(place))
        return
    summary = summarize(place, baseline=baseline, paper_grading=paper_grading)
    write_out(write_report(summary, place.path))


def tell_end(progress: Progress, folder: RunFolder) -> None:
    """Says what is left to do, and what failed."""
    if progress.waiting:
        count = sum(1 for _ in folder.requests.open(encoding="utf-8"))
        complain(
            f"{progress.waiting} answers wait for a batch: {count} requests written to {folder.requests}; "
            f"answer them, then: anabranch eval import {folder.path} REPLIES, and run the same command again"
        )
    if progress.failed:
        complain(f"{progress.failed} answers are errors; the report lists them")


def import_replies(folder: str, files: Sequence[str], cache: str | None) -> None:
    """Takes in the replies of a batch.

    Raises:
        UserError: there is no run in the folder, or a file cannot be read.
    """
    place = RunFolder(Path(folder))
    place.manifest()
    store = ReplyStore(Path(cache) if cache else place.cache)
    try:
        taken = take_in(store, place.requests, [Path(file) for file in files])
    finally:
        store.close()
    tell_problems(taken.problems)
    complain(taken.line())


def _setup(values: Mapping[str, Any]) -> Setup:
    solver, decomposer = price_of(values["price"]), price_of(values["decomposer_price"])
    named = {
        "systems": values["system"],
        "solvers": values["solver"],
        "decomposers": values["decomposer"] or _default_decomposers(values["solver"] or ()),
        "data": Path(values["data"]) if values["data"] else None,
        "cache": Path(values["cache"]) if values["cache"] else None,
        "price": Price(input=solver[0], output=solver[1]) if solver else None,
        "decomposer_price": Price(input=decomposer[0], output=decomposer[1]) if decomposer else None,
    }
    same = ("task", "limit", "seed", "concurrency", "max_tokens", "max_sub_questions", "one_corpus")
    given = {name: value for name, value in named.items() if value} | {name: values[name] for name in same}
    return Setup(out=Path(values["out"]), **given)


def _default_decomposers(solvers: Sequence[str]) -> Sequence[str]:
    """Who plans where nobody is named: the in-process decomposer or, where it is not installed, the first solver."""
    if find_spec("torch") is not None or not solvers:
        return ()
    complain(f"{solvers[0]} writes the plans, too: name a --decomposer, or pip install 'anabranch[local]'")
    return solvers[:1]


def _toolplans_setup(values: Mapping[str, Any]) -> toolplans.Setup:
    if not values["data"] or not values["tools"]:
        raise ConfigurationError("--task toolplans needs requests and tools: --data FILE.jsonl --tools FILE.json")
    price = price_of(values["decomposer_price"])
    same = ("retrieve", "right_tools", "split", "limit", "seed", "concurrency", "max_tokens", "max_sub_questions")
    return toolplans.Setup(
        out=Path(values["out"]),
        data=Path(values["data"]),
        tools=Path(values["tools"]),
        decomposers=values["decomposer"] or ("local",),
        price=Price(input=price[0], output=price[1]) if price else None,
        cache=Path(values["cache"]) if values["cache"] else None,
        **{name: values[name] for name in same},
    )


def details(progress: Progress) -> str:
    """How far a run is, in one line."""
    share = f"{100 * progress.score / progress.graded:.1f} %" if progress.graded else "-"
    parts = [f"{progress.system}: {share}", f"{progress.tokens:,} tokens", cost(progress.usd)]
    parts += [f"{progress.waiting} waiting"] if progress.waiting else []
    parts += [f"{progress.failed} failed"] if progress.failed else []
    return " · ".join(parts)


def tell_problems(problems: Sequence[str], word: str = "skipped") -> None:
    """Says what was skipped, the first few in words."""
    for problem in problems[:_SHOWN_PROBLEMS]:
        complain(f"{word}: {problem}")
    if len(problems) > _SHOWN_PROBLEMS:
        complain(f"{word}: {len(problems) - _SHOWN_PROBLEMS} more lines")
