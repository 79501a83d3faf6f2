"""`anabranch eval`: runs, imports of batches, reports."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from anabranch.batch.store import ReplyStore, take_in
from anabranch.cli.failures import Guard, complain
from anabranch.cli.gauge import Gauge
from anabranch.cli.loop import Loop
from anabranch.cli.options import Options
from anabranch.cli.outcome import cost
from anabranch.cli.terminal import write_out
from anabranch.cli.views import opened_view
from anabranch.evals.engine import Progress
from anabranch.evals.options import EvalOptions, ReportOptions
from anabranch.evals.records import RunFolder
from anabranch.evals.report import write_report
from anabranch.evals.run import Prepared, check, go, prepare
from anabranch.evals.summary import summarize
from anabranch.evals.toolplans import run as toolplans
from anabranch.evals.toolplans.report import write_report as write_toolplans_report
from anabranch.graphs.build import build_tools
from anabranch.locks import held

_SHOWN_PROBLEMS = 5


def run(options: EvalOptions, guard: Guard, *, quiet: bool) -> None:
    """Runs systems on questions, or has decomposers plan over tools, and writes the report.

    Args:
        options: what to evaluate on what.
        guard: told how to go on after an interruption.
        quiet: no progress.

    Raises:
        UserError, BackendError: as options, files and models do.
    """
    planned = options.task == toolplans.NAME
    (toolplans.check if planned else check)(options)
    with held(RunFolder(options.out).lock, "name another --out"):
        with opened_view(quiet=quiet) as view:
            view.status("starting")
            if planned:
                prepared = toolplans.prepare(options, progress=view.status)
            else:
                tools = build_tools(Options(tool=options.tool), status=view.status, note=view.note)
                prepared = prepare(options, tools, progress=view.status)
        tell_problems(prepared.manifest.problems, "note" if planned else "skipped")
        progress = _answered(prepared, guard, quiet=quiet)
        report(options.out, options)
        tell_end(progress, prepared.folder)


def with_decomposer(options: EvalOptions) -> EvalOptions:
    """The options where nobody is named to plan: the first solver does where the in-process model is not installed."""
    if find_spec("xllamacpp") is not None or options.task == toolplans.NAME or options.solver == ("local",):
        return options
    complain(f"{options.solver[0]} writes the plans, too: name a --decomposer, or pip install 'anabranch[local]'")
    return replace(options, decomposer=options.solver[:1])


def _answered(prepared: Prepared, guard: Guard, *, quiet: bool) -> Progress:
    """Answers what has no record yet, and shows how far it is."""
    guard.hint = f"what is done is kept in {prepared.folder.path}; run the same command again to go on"
    total = len(prepared.examples) * len(prepared.entrants)
    with Loop() as loop, Gauge(total, quiet=quiet) as gauge:

        def show(progress: Progress) -> None:
            gauge.tell(total - progress.total + progress.done + progress.waiting, details(progress))

        return loop.run(go(prepared, show))


def report(folder: Path, how: ReportOptions) -> None:
    """Writes report.html, report.md and report.json, and prints the table.

    Raises:
        ConfigurationError: there is no run in the folder, or no such baseline.
    """
    place = RunFolder(folder)
    if place.manifest().task == toolplans.NAME:
        write_out(write_toolplans_report(place, how.baseline))
        return
    summary = summarize(place, baseline=how.baseline, paper_grading=how.paper_grading)
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


def import_replies(folder: Path, files: Sequence[Path], cache: Path | None) -> None:
    """Takes in the replies of a batch.

    Raises:
        UserError: there is no run in the folder, or a file cannot be read.
    """
    place = RunFolder(folder)
    place.manifest()
    store = ReplyStore(cache or place.cache)
    try:
        taken = take_in(store, place.requests, files)
    finally:
        store.close()
    tell_problems(taken.problems)
    complain(taken.line())


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
