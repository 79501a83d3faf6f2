"""The commands of `anabranch distill`: a stage's options in, its manifest out. Light: bodies import the stages."""

from pathlib import Path
from typing import Any

import typer

from anabranch.cli.stages import Running, stage
from anabranch.cli.training import prefer, reinforce, train
from anabranch.distill.options import (
    BuildOptions,
    DemonstrateOptions,
    DrawOptions,
    ExportOptions,
    ReadOptions,
    ScorePlansOptions,
    ScoreRoutesOptions,
    ScoreSolverOptions,
    ScreenOptions,
    SolutionsOptions,
)
from anabranch.errors import ConfigurationError

distill = typer.Typer(
    name="distill",
    help="Distils a decomposer: stages that each go on where they stopped.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
score = typer.Typer(
    name="score",
    help="Scores a decomposer's plans and routes, or a small solver.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
distill.add_typer(score)


@distill.command()
@stage(DemonstrateOptions)
def demonstrate(options: DemonstrateOptions) -> Running:
    """Asks a teacher for plans from worked solutions, and for short questions and answers."""
    from anabranch.distill.demonstrate import demonstrate

    _check_replies(options.replies, "teacher", options.teacher[0])
    return demonstrate(options)


@distill.command()
@stage(BuildOptions)
def build(options: BuildOptions) -> dict[str, Any]:
    """Builds training, tuning and test rows from data sets and the teacher's replies."""
    from anabranch.distill.pipeline import build

    return build(options)


@distill.command()
@stage(ReadOptions)
def read(options: ReadOptions) -> Running:
    """Writes rows that teach a small solver to read answers out of passages."""
    from anabranch.distill.read import read

    return read(options)


@distill.command()
@stage(SolutionsOptions)
def solutions(options: SolutionsOptions) -> Running:
    """Writes rows that distil a solver: the data's own worked solutions, and a teacher's."""
    from anabranch.distill.solutions import solutions

    return solutions(options)


@distill.command()
@stage(DrawOptions)
def draw(options: DrawOptions) -> Running:
    """Draws a decomposer's own plans for questions, to screen and to learn from."""
    from anabranch.distill.drawing import draw

    _check_replies(options.replies, "decomposer", options.decomposer)
    return draw(options)


@distill.command()
@stage(ScreenOptions)
def screen(options: ScreenOptions) -> Running:
    """Tries plans with a solver: sorts them into sets to train on, negatives, preference pairs, and DIRECT."""
    from anabranch.distill.screening import screen

    _check_replies(options.replies, "solver", options.solver or "batch:solver")
    return screen(options)


distill.command()(train)
distill.command()(prefer)
distill.command()(reinforce)


@distill.command()
@stage(ExportOptions)
def export(options: ExportOptions) -> dict[str, Any]:
    """Merges an adapter into its base, for servers that take whole models."""
    from anabranch.agents.local import prepare
    from anabranch.distill import export

    base = prepare(options.base or export.base_of(options.adapter))
    if options.format == "merged":
        return export.merged(base, options.adapter, options.out)
    return export.gguf(base, options.adapter, options.out, options.weights)


@score.command("plans")
@stage(ScorePlansOptions)
def score_plans(options: ScorePlansOptions) -> Running:
    """Scores plans by the answers of a solver that they guide."""
    from anabranch.distill import scoring

    return scoring.plans(options)


@score.command("routes")
@stage(ScoreRoutesOptions)
def score_routes(options: ScoreRoutesOptions) -> Running:
    """Scores a decomposer's routes on tool catalogues that training never showed."""
    from anabranch.distill import scoring

    return scoring.routes(options)


@score.command("solver")
@stage(ScoreSolverOptions)
def score_solver(options: ScoreSolverOptions) -> Running:
    """Scores a small solver on held-out rows of its tasks."""
    from anabranch.distill import scoring

    return scoring.small_solver(options)


def _check_replies(replies: Path | None, role: str, model: Any) -> None:
    from anabranch.batch.chat import elsewhere

    if replies is not None and not elsewhere(model):
        raise ConfigurationError(f"--replies goes with --{role} batch:NAME, not with {model}; name who answered there")
