"""The commands of `anabranch distill` that train. Light: bodies import what they need."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from anabranch.cli.stages import stage
from anabranch.distill.options import PreferOptions, ReinforceOptions, Trained, TrainOptions
from anabranch.distill.recipes import PreferenceRecipe, Recipe, Reinforcement
from anabranch.errors import MissingExtraError

Made = dict[str, Any]
R = TypeVar("R", Recipe, PreferenceRecipe, Reinforcement)


@stage(TrainOptions, Recipe)
def train(options: TrainOptions, recipe: Recipe) -> Made:
    """Trains a LoRA adapter on rows, with the loss on completions only."""
    _need_training()
    from anabranch.distill.train import train

    named = _named(recipe, options)
    return _manifest(train(_prepared(options), options.rows, options.held_out, options.out, named, _notes()))


@stage(PreferOptions, PreferenceRecipe)
def prefer(options: PreferOptions, recipe: PreferenceRecipe) -> Made:
    """Goes on training an adapter on pairs of a better and a worse plan (DPO)."""
    _need_training()
    from anabranch.distill.preference import prefer

    files = (options.adapter, options.pairs, options.held_out, options.out)
    return _manifest(prefer(_prepared(options), *files, _named(recipe, options), _notes()))


@stage(ReinforceOptions, Reinforcement)
def reinforce(options: ReinforceOptions, recipe: Reinforcement) -> Made:
    """Reinforces an adapter by what its own plans find in a corpus."""
    _need_training()
    from anabranch.distill.reinforce import reinforce
    from anabranch.distill.rewards import reward_named

    how, reward = _named(recipe, options), reward_named(options.reward)
    where: dict[str, Any] = {"decomposer": options.decomposer, "reward": reward, "notes": _notes()}
    return _manifest(reinforce(_prepared(options), options.adapter, options, options.out, options.solver, how, **where))


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
