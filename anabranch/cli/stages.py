"""What the commands of `anabranch distill` share: how a stage gets its options, runs, and tells what it made. Light."""

import json
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import typer

from anabranch.cli.failures import guarded, quiet_libraries
from anabranch.cli.parameters import Command, Debug, Quiet, takes
from anabranch.options import OptionSet

Made = dict[str, Any]
Running = Coroutine[Any, Any, Made]


def stage(*kinds: type[OptionSet]) -> Callable[[Callable[..., Made | Running]], Command]:
    """Makes a command of a function from a stage's options to its manifest, which it prints as JSON.

    Args:
        kinds: the dataclasses of the options, of which the function takes one each.
    """

    def give(run: Callable[..., Made | Running]) -> Command:
        def command(ctx: typer.Context, quiet: Quiet = False, debug: Debug = False, **_: Any) -> None:
            with _at_work(debug=debug, quiet=quiet):
                _tell(run(*(kind.of(ctx.params, attrgetter("flag")) for kind in kinds)))

        command.__name__, command.__doc__ = run.__name__, run.__doc__
        for kind in reversed(kinds):
            command = takes(kind, environment=False, ranges=True)(command)
        return command

    return give


def _tell(made: Made | Running) -> None:
    """Prints what a stage made, after it ran if it is still to."""
    if isinstance(made, Coroutine):
        import asyncio

        made = asyncio.run(made)
    typer.echo(json.dumps(made, ensure_ascii=False))


@contextmanager
def _at_work(*, debug: bool, quiet: bool) -> Iterator[None]:
    """A stage at work: its errors are told in one line, with its progress above."""
    with guarded(debug=debug) as guard:
        quiet_libraries(debug=debug)
        guard.hint = "run the same command again to go on"
        with _progress_shown(quiet=quiet):
            yield


@contextmanager
def _progress_shown(*, quiet: bool) -> Iterator[None]:
    """Shows what the stages log on standard error."""
    loggers = [] if quiet else [logging.getLogger(f"anabranch.{name}") for name in ("distill", "batch")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
