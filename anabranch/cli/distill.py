"""The commands of `anabranch distill`. Light: what they do is in `distilling` and imported when a command runs."""

from typing import Annotated, Any

import typer

from anabranch.cli.options import Options
from anabranch.cli.parameters import Debug, Quiet, takes
from anabranch.cli.reinforcement import reinforce
from anabranch.cli.scoring import score
from anabranch.cli.stages import (
    ASKED,
    MODEL,
    Base,
    BaseName,
    Data,
    HeldOut,
    Limit,
    Out,
    Price,
    Replies,
    Seed,
    Work,
    stage,
)
from anabranch.distill.recipes import LAYERS, PreferenceRecipe, Recipe

distill = typer.Typer(
    name="distill",
    help="Distils a decomposer: stages that each go on where they stopped.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
distill.add_typer(score)


@distill.command()
def demonstrate(
    ctx: typer.Context,
    data: Data,
    work: Work,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL", help=f"Model that writes plans: {ASKED}. Repeatable. [default: local]", show_default=False
        ),
    ] = None,
    replies: Replies = None,
    samples: Annotated[int, typer.Option(metavar="N", min=1, help="Plans to draw for each question.")] = 4,
    limit: Limit = None,
    price: Price = "",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Asks a teacher for plans from worked solutions, and for short questions and answers."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.demonstrate(ctx.params)


@distill.command()
def build(
    ctx: typer.Context,
    data: Data,
    work: Work,
    seed: Seed = 1,
    written: Annotated[int, typer.Option(metavar="N", min=0, help="Demonstrations written from templates.")] = 5000,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Source that the decomposer is not trained on: gsm8k, strategyqa, musique, written_sum or "
            "written_other. Repeatable.",
            show_default=False,
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Source that it is trained on besides: qdmr (human plans over databases). Repeatable.",
            show_default=False,
        ),
    ] = None,
    plans: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Plans of an earlier build, by row id (JSON lines, also .gz): no teacher is needed.",
            show_default=False,
        ),
    ] = None,
    limit: Limit = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Builds training, tuning and test rows from data sets and the teacher's replies."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.build(ctx.params)


@distill.command()
def read(
    ctx: typer.Context,
    data: Data,
    work: Work,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help=f"Model that writes pages and questions: {MODEL}.", show_default=False),
    ] = None,
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="Questions about made-up pages.")] = 44_000,
    seed: Seed = 1,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Writes rows that teach a small solver to read answers out of passages."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.read(ctx.params)


@distill.command()
def solutions(
    ctx: typer.Context,
    questions: Annotated[
        list[str], typer.Option(metavar="FILE", help="JSON lines: id, question, answer, [meta.steps]. Repeatable.")
    ],
    work: Work,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help=f"Model that solves the questions, too: {MODEL}.", show_default=False),
    ] = None,
    limit: Limit = None,
    price: Price = "",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Writes rows that distil a solver: the data's own worked solutions, and a teacher's."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.solutions(ctx.params)


@distill.command()
def draw(
    ctx: typer.Context,
    questions: Annotated[str, typer.Option(metavar="FILE", help="JSON lines: id, question, answer.")],
    work: Work,
    decomposer: Annotated[str, typer.Option(metavar="MODEL", help=f"Model that writes plans: {ASKED}.")] = "local",
    replies: Replies = None,
    samples: Annotated[int, typer.Option(metavar="N", min=1, help="Plans to draw for each question.")] = 4,
    temperature: Annotated[float, typer.Option(metavar="X", min=0, help="Of several plans; one is greedy.")] = 0.8,
    tool: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Tool to plan with, or none. Repeatable. [default: calculator]", show_default=False
        ),
    ] = None,
    examples: Annotated[bool, typer.Option("--examples", help="Show worked examples, to an untrained model.")] = False,
    grammar: Annotated[bool, typer.Option(help="Hold plans to the grammar, which slows a busy server.")] = True,
    limit: Limit = None,
    seed: Seed = 1,
    price: Price = "",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draws a decomposer's own plans for questions, to screen and to learn from."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.draw(ctx.params)


@distill.command()
@takes(Options, only=("protocol",), environment=False)
def screen(
    ctx: typer.Context,
    questions: Annotated[str, typer.Option(metavar="FILE", help="JSON lines: id, question, answer, meta.steps.")],
    work: Work,
    plans: Annotated[
        str | None, typer.Option(metavar="FILE", help="JSON lines: id, sample, plan (as lines).", show_default=False)
    ] = None,
    screened: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="An earlier screened.jsonl (also .gz) in place of plans and solver.",
            show_default=False,
        ),
    ] = None,
    solver: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help=f"Model that answers: {ASKED}. Left out, it is batch:solver.",
            show_default=False,
        ),
    ] = None,
    replies: Replies = None,
    samples: Annotated[int, typer.Option(metavar="N", min=1, help="The solver's answers along each plan.")] = 1,
    alone: Annotated[int, typer.Option(metavar="N", min=0, help="Its answers without a plan.")] = 4,
    temperature: Annotated[float, typer.Option(metavar="X", min=0, help="Of several answers; one is greedy.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Most tokens of an answer.")] = 512,
    plans_kept: Annotated[int, typer.Option(metavar="N", min=1, help="Most right plans of a question to keep.")] = 2,
    pairs: Annotated[int, typer.Option(metavar="N", min=0, help="Most pairs of a question.")] = 2,
    margin: Annotated[
        float, typer.Option(metavar="X", min=0, help="How much more often right a pair's better plan is.")
    ] = 0.5,
    direct: Annotated[bool, typer.Option(help="Teach when not to plan.")] = True,
    direct_least: Annotated[
        float, typer.Option(metavar="X", help="Share right that the solver must reach without a plan for that.")
    ] = 0.5,
    held_out: Annotated[float, typer.Option(metavar="X", min=0, max=1, help="Share of questions held out.")] = 0.05,
    seed: Seed = 1,
    price: Price = "",
    quiet: Quiet = False,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Tries plans with a solver: sorts them into sets to train on, negatives, preference pairs, and DIRECT."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.screen(ctx.params)


@distill.command()
@takes(Recipe, environment=False)
def train(
    ctx: typer.Context,
    rows: Annotated[str, typer.Option(metavar="FILE", help="JSON lines: messages, completion.")],
    held_out: HeldOut,
    out: Out,
    base: Base = "HuggingFaceTB/SmolLM2-135M-Instruct",
    base_name: BaseName = None,
    layers: Annotated[str, typer.Option(metavar="NAMES", help="Linear layers that get an adapter.")] = ",".join(LAYERS),
    quiet: Quiet = False,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Trains a LoRA adapter on rows, with the loss on completions only."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.train(ctx.params)


@distill.command()
@takes(PreferenceRecipe, environment=False)
def prefer(
    ctx: typer.Context,
    adapter: Annotated[str, typer.Option(metavar="FOLDER", help="The adapter to go on with; also the reference.")],
    pairs: Annotated[str, typer.Option(metavar="FILE", help="JSON lines: messages, chosen, rejected.")],
    held_out: HeldOut,
    out: Out,
    base: Base = "HuggingFaceTB/SmolLM2-135M-Instruct",
    base_name: BaseName = None,
    quiet: Quiet = False,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Goes on training an adapter on pairs of a better and a worse plan (DPO)."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.prefer(ctx.params)


distill.command()(reinforce)


@distill.command()
def export(
    ctx: typer.Context,
    adapter: Annotated[str, typer.Option(metavar="FOLDER", help="The trained adapter.")],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Folder to write to; must not exist.")],
    base: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Hub id or folder. [default: what the adapter names]", show_default=False),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="merged (vLLM, transformers), or gguf (llama.cpp, Ollama).")
    ] = "merged",
    weights: Annotated[str, typer.Option(metavar="NAME", help="Of a GGUF file: f16, q8_0 or f32.")] = "q8_0",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Merges an adapter into its base, for servers that take whole models."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.export(ctx.params)
