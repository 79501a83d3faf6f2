"""What the commands of `anabranch distill` share: options, and how a stage runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from anabranch.cli.failures import guarded, quiet_libraries

MODEL = "local, http://host:8000/v1#MODEL, openai:MODEL or PROVIDER:MODEL"
Work = Annotated[str, typer.Option(metavar="FOLDER", help="Where what the stages make is kept.")]
ASKED = f"{MODEL}, or batch:NAME to write the prompts to a file, to be answered elsewhere"
Data = Annotated[str, typer.Option(metavar="FOLDER", help="The data sets' folder.")]
Replies = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="What batch:NAME answered to the prompts, elsewhere.", show_default=False),
]
Limit = Annotated[int | None, typer.Option(metavar="N", help="Only so many rows of each kind.", show_default=False)]
Price = Annotated[
    str, typer.Option(metavar="IN,OUT", help="The model's price, $ per million tokens.", show_default=False)
]
Base = Annotated[str, typer.Option(metavar="MODEL", help="Hub id or folder of the base model.")]
BaseName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What the adapter calls its base. [default: --base]", show_default=False),
]
Out = Annotated[str, typer.Option(metavar="FOLDER", help="Folder of the adapter and its manifest.")]
HeldOut = Annotated[str, typer.Option(metavar="FILE", help="JSON lines for the held-out loss.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Makes it repeatable.")]


@contextmanager
def stage(*, debug: bool, quiet: bool) -> Iterator[None]:
    """A stage at work: its errors are told in one line, with its progress above."""
    with guarded(debug=debug) as guard:
        quiet_libraries(debug=debug)
        guard.hint = "run the same command again to go on"
        from anabranch.cli.distilling import progress_shown

        with progress_shown(quiet=quiet):
            yield
