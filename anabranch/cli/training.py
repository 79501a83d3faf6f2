"""The commands of `anabranch distill` that train. Light: bodies import what they need."""

import json
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from anabranch.cli.parameters import Debug, Quiet, takes
from anabranch.cli.stages import at_work, tell
from anabranch.distill.options import MODEL
from anabranch.distill.recipes import LAYERS, PreferenceRecipe, Recipe, Reinforcement
from anabranch.errors import MissingExtraError
from anabranch.options import OptionSet

R = TypeVar("R", bound=OptionSet)
Base = Annotated[str, typer.Option(metavar="MODEL", help="Hub id or folder of the base model.")]
BaseName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What the adapter calls its base. [default: --base]", show_default=False),
]
Out = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the adapter and its manifest.")]
HeldOut = Annotated[Path, typer.Option(metavar="FILE", help="JSON lines for the held-out loss.")]
SMALL = "HuggingFaceTB/SmolLM2-135M-Instruct"


@takes(Recipe, environment=False)
def train(
    rows: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines: messages, completion.")],
    held_out: HeldOut,
    out: Out,
    base: Base = SMALL,
    base_name: BaseName = None,
    layers: Annotated[str, typer.Option(metavar="NAMES", help="Linear layers that get an adapter.")] = ",".join(LAYERS),
    quiet: Quiet = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Trains a LoRA adapter on rows, with the loss on completions only."""
    with at_work(debug=debug, quiet=quiet):
        _need_training()
        from anabranch.distill.train import train

        named = tuple(name.strip() for name in layers.split(",") if name.strip())
        recipe = _recipe(Recipe, {**given, "layers": named}, base_name or base)
        _tell_manifest(train(_prepared(base), rows, held_out, out, recipe, _notes()))


@takes(PreferenceRecipe, environment=False)
def prefer(
    adapter: Annotated[Path, typer.Option(metavar="FOLDER", help="The adapter to go on with; also the reference.")],
    pairs: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines: messages, chosen, rejected.")],
    held_out: HeldOut,
    out: Out,
    base: Base = SMALL,
    base_name: BaseName = None,
    quiet: Quiet = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Goes on training an adapter on pairs of a better and a worse plan (DPO)."""
    with at_work(debug=debug, quiet=quiet):
        _need_training()
        from anabranch.distill.preference import prefer

        recipe = _recipe(PreferenceRecipe, given, base_name or base)
        _tell_manifest(prefer(_prepared(base), adapter, pairs, held_out, out, recipe, _notes()))


@takes(Reinforcement, environment=False)
def reinforce(
    adapter: Annotated[Path, typer.Option(metavar="FOLDER", help="The adapter to go on from.")],
    questions: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="JSON lines: question, answer, [context: paragraphs], [meta.supporting_facts]. Repeatable.",
        ),
    ],
    tune: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Such questions to choose the round by, never a test. Repeatable."),
    ],
    out: Out,
    solver: Annotated[str, typer.Option(metavar="MODEL", help=f"Who answers sub-questions: {MODEL}.")] = "local",
    decomposer: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="vLLM server that draws the plans, up to /v1, with LoRA updating. [default: draw in this process]",
            show_default=False,
        ),
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="JSON lines: title, text. Repeatable. [default: the questions' paragraphs]",
            show_default=False,
        ),
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="Function that gives an outcome's reward. [default: recall and F1, less a little for each step]",
            show_default=False,
        ),
    ] = None,
    base: Base = SMALL,
    base_name: BaseName = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rows of the adapter's first training to keep learning.", show_default=False),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Reinforces an adapter by what its own plans find in a corpus."""
    with at_work(debug=debug, quiet=quiet):
        _need_training()
        from anabranch.distill.reinforce import Inputs, reinforce
        from anabranch.distill.rewards import reward_named

        how, valued = _recipe(Reinforcement, given, base_name or base), reward_named(reward)
        inputs = Inputs(tuple(questions), tuple(tune), tuple(corpus or ()), replay)
        where: dict[str, Any] = {"decomposer": decomposer, "reward": valued, "notes": _notes()}
        _tell_manifest(reinforce(_prepared(base), adapter, inputs, out, solver, how, **where))


def _need_training() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers", "peft") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"training needs {', '.join(missing)}; install with: pip install 'anabranch[train]'")


def _recipe(kind: type[R], given: Mapping[str, Any], base: str) -> R:
    make: Any = kind
    recipe: R = make(**given, base=base)
    recipe.check(attrgetter("flag"))
    return recipe


def _prepared(base: str) -> Path:
    from anabranch.agents.local import prepare

    return prepare(base)


def _notes() -> dict[str, str]:
    from anabranch.agents import prompts

    return {"prompts": prompts.version()}


def _tell_manifest(out: Path) -> None:
    tell(json.loads((out / "manifest.json").read_text(encoding="utf-8")))
