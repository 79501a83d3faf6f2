"""The commands of `anabranch distill score`."""

from typing import Annotated

import typer

from anabranch.cli.parameters import Debug, Quiet
from anabranch.cli.stages import MODEL, Work, stage

score = typer.Typer(
    name="score",
    help="Scores a decomposer's plans and routes, or a small solver.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@score.command("plans")
def score_plans(
    ctx: typer.Context,
    data: Annotated[str, typer.Option(metavar="FILE", help="GSM8K rows.")],
    out: Work,
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the row in the table, and of the files.")],
    decomposer: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Who plans, or demonstrations.jsonl. [default: nobody]", show_default=False),
    ] = None,
    solver: Annotated[str, typer.Option(metavar="MODEL", help=f"Who answers: {MODEL}.")] = "local",
    examples: Annotated[bool, typer.Option("--examples", help="Show the decomposer worked examples.")] = False,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="The first N rows, or the last if negative.", show_default=False)
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Scores plans by the answers of a solver that they guide."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.score_plans(ctx.params)


@score.command("routes")
def score_routes(
    ctx: typer.Context,
    rows: Annotated[str, typer.Option(metavar="FILE", help="routes_test.jsonl of build.")],
    out: Work,
    decomposer: Annotated[str, typer.Option(metavar="MODEL", help=f"Who plans: {MODEL}.")] = "local",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Scores a decomposer's routes on tool catalogues that training never showed."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.score_rows(ctx.params, "routes")


@score.command("solver")
def score_solver(
    ctx: typer.Context,
    rows: Annotated[str, typer.Option(metavar="FILE", help="solver_tune.jsonl of build.")],
    out: Work,
    solver: Annotated[str, typer.Option(metavar="MODEL", help=f"Who answers: {MODEL}.")] = "local",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Scores a small solver on held-out rows of its tasks."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.score_rows(ctx.params, "solver")
