"""The commands of `anabranch distill`: a stage's options in, its manifest out. Light: bodies import the stages."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import typer

from anabranch.cli.stages import Made, Running, stage
from anabranch.distill.options import (
    BuildOptions,
    DemonstrateOptions,
    DrawOptions,
    ExportOptions,
    PreferOptions,
    ReadOptions,
    ReinforceOptions,
    ScorePlansOptions,
    ScoreRoutesOptions,
    ScoreSolverOptions,
    ScreenOptions,
    SolutionsOptions,
    Trained,
    TrainOptions,
)
from anabranch.distill.recipes import PreferenceRecipe, Recipe, Reinforcement
from anabranch.errors import ConfigurationError, MissingExtraError

R = TypeVar("R", Recipe, PreferenceRecipe, Reinforcement)
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
def build(options: BuildOptions) -> Made:
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


@distill.command()
@stage(TrainOptions, Recipe)
def train(options: TrainOptions, recipe: Recipe) -> Made:
    """Trains a LoRA adapter on rows, with the loss on completions only."""
    _need_training()
    from anabranch.distill.train import train

    named = _named(recipe, options)
    return _manifest(train(_prepared(options), options.rows, options.held_out, options.out, named, _notes()))


@distill.command()
@stage(PreferOptions, PreferenceRecipe)
def prefer(options: PreferOptions, recipe: PreferenceRecipe) -> Made:
    """Goes on training an adapter on pairs of a better and a worse plan (DPO)."""
    _need_training()
    from anabranch.distill.preference import prefer

    files = (options.adapter, options.pairs, options.held_out, options.out)
    return _manifest(prefer(_prepared(options), *files, _named(recipe, options), _notes()))


@distill.command()
@stage(ReinforceOptions, Reinforcement)
def reinforce(options: ReinforceOptions, recipe: Reinforcement) -> Made:
    """Reinforces an adapter by what its own plans find in a corpus."""
    _need_training()
    from anabranch.distill.reinforce import reinforce
    from anabranch.distill.rewards import reward_named

    how, reward = _named(recipe, options), reward_named(options.reward)
    where: dict[str, Any] = {"decomposer": options.decomposer, "reward": reward, "notes": _notes()}
    return _manifest(reinforce(_prepared(options), options.adapter, options, options.out, options.solver, how, **where))


@distill.command()
@stage(ExportOptions)
def export(options: ExportOptions) -> Made:
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


def _need_training() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers", "peft") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"training needs {', '.join(missing)}; install with: pip install 'anabranch[train]'")


def _named(recipe: R, options: Trained) -> R:
    return replace(recipe, base=options.base_name or options.base)


def _prepared(options: Trained) -> Path:
    from anabranch.agents.local import prepare

    return prepare(options.base)


def _notes() -> dict[str, str]:
    from anabranch.agents import prompts

    return {"prompts": prompts.version()}


def _manifest(out: Path) -> Made:
    made: Made = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return made
