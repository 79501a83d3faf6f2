"""The command `anabranch distill reinforce`. Light: what it does is in `distilling` and imported when it runs."""

from typing import Annotated, Any

import typer

from anabranch.cli.parameters import Debug, Quiet, takes
from anabranch.cli.stages import MODEL, Base, BaseName, Out, stage
from anabranch.distill.recipes import Reinforcement


@takes(Reinforcement, environment=False)
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
    replay: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Rows of the adapter's first training to keep learning.", show_default=False),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Reinforces an adapter by what its own plans find in a corpus."""
    with stage(debug=debug, quiet=quiet):
        from anabranch.cli import distilling

        distilling.reinforce(ctx.params)
