"""The command `anabranch distill reinforce`. Light: what it does is in `distilling` and imported when it runs."""

from typing import Annotated

import typer

from anabranch.cli.parameters import Debug, Quiet
from anabranch.cli.stages import MODEL, Base, BaseName, BatchTokens, MaxTokens, Out, Recompute, Seed, stage


def reinforce(
    ctx: typer.Context,
    adapter: Annotated[str, typer.Option(metavar="FOLDER", help="The adapter to go on from.")],
    questions: Annotated[
        list[str],
        typer.Option(
            metavar="FILE",
            help="JSON lines: question, answer, [context: paragraphs], [meta.supporting_facts]. Repeatable.",
        ),
    ],
    tune: Annotated[
        list[str], typer.Option(metavar="FILE", help="Such questions to choose the round by, never a test. Repeatable.")
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
        list[str] | None,
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
    base: Base = "HuggingFaceTB/SmolLM2-135M-Instruct",
    base_name: BaseName = None,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Steps there are.")] = 60,
    questions_a_round: Annotated[int, typer.Option(metavar="N", min=1, help="Questions drawn for in a round.")] = 64,
    samples: Annotated[int, typer.Option(metavar="N", min=2, help="Plans for each of them.")] = 8,
    temperature: Annotated[float, typer.Option(metavar="X", min=0.01, help="At which plans are drawn.")] = 1.0,
    plan_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Most tokens of a plan.")] = 320,
    passages: Annotated[int, typer.Option(metavar="N", min=1, help="Passages that a look-up returns.")] = 4,
    replay: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Rows of the adapter's first training to keep learning.", show_default=False),
    ] = None,
    replay_rows: Annotated[int, typer.Option(metavar="N", min=0, help="Of these in each step.")] = 8,
    replay_weight: Annotated[float, typer.Option(metavar="X", min=0, help="Of their loss.")] = 0.1,
    kl: Annotated[float, typer.Option(metavar="X", min=0, help="How dear it is to leave the first adapter.")] = 0.0,
    learning_rate: Annotated[float, typer.Option(metavar="X", min=0, help="The same in all rounds.")] = 8e-5,
    clip: Annotated[float, typer.Option(metavar="X", min=0, help="Largest norm of a step's gradient.")] = 1.0,
    evaluate_every: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds between two tunings.")] = 5,
    batch_tokens: BatchTokens = 16_384,
    max_tokens: MaxTokens = 1_536,
    max_seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="No round begins after so long.", show_default=False)
    ] = None,
    recompute: Recompute = False,
    seed: Seed = 1,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Reinforces an adapter by what its own plans find in a corpus."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.reinforce(ctx.params)
