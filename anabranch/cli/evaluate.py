"""The commands of `anabranch eval`. Light: what they do is in `evaluation` and imported when a command runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import typer

from anabranch.cli.failures import Guard, guarded, quiet_libraries
from anabranch.cli.parameters import Debug, Quiet, takes
from anabranch.errors import ConfigurationError
from anabranch.evals.options import EvalOptions, ReportOptions

Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="The run's folder.")]
evaluate = typer.Typer(
    name="eval",
    help="Runs planners and baselines on questions, and reports accuracy and total cost.",
    rich_markup_mode=None,
    invoke_without_command=True,
)


@evaluate.callback()
@takes(EvalOptions, environment=False)
def run(ctx: typer.Context, quiet: Quiet = False, debug: Debug = False, **_: Any) -> None:
    """Runs systems on questions and writes report.html, report.md and report.json into --out."""
    if ctx.invoked_subcommand is not None:
        return
    with _guarded(debug=debug) as guard:
        options = EvalOptions.of(ctx.params, attrgetter("flag"))
        if options.task == "own" and options.data is None:
            raise ConfigurationError("name a --task, or your own questions with --data FILE.jsonl")
        from anabranch.cli import evaluation

        named = bool(ctx.params["decomposer"])
        evaluation.run(options if named else evaluation.with_decomposer(options), guard, quiet=quiet)


@evaluate.command()
@takes(ReportOptions, environment=False)
def report(ctx: typer.Context, folder: Folder, debug: Debug = False, **_: Any) -> None:
    """Writes the report of a run again, from what is recorded."""
    with _guarded(debug=debug):
        from anabranch.cli import evaluation

        evaluation.report(Path(folder), ReportOptions.of(ctx.params))


@evaluate.command("import")
def import_(
    folder: Folder,
    replies: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Replies to requests.jsonl, in OpenAI's batch format.")
    ],
    cache: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The run's --cache, if it has one.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Takes in the replies of a batch; then run the same `anabranch eval` command again."""
    with _guarded(debug=debug):
        from anabranch.cli import evaluation

        evaluation.import_replies(Path(folder), [Path(file) for file in replies], cache)


@contextmanager
def _guarded(*, debug: bool) -> Iterator[Guard]:
    with guarded(debug=debug) as guard:
        quiet_libraries(debug=debug)
        yield guard
