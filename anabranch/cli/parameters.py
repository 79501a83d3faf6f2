"""From declared options to parameters as typer reads them, and those that several commands take. Light."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, replace
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import typer

from anabranch.cli.failures import complain, guarded
from anabranch.options import Declared, declared

Question = Annotated[
    str | None,
    typer.Argument(metavar="QUESTION", help="The question; - reads it from standard input.", show_default=False),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and warnings.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no usage line.")]
Command = Callable[..., None]


def _trace(ctx: typer.Context, wanted: bool) -> bool:
    """Switches tracing on for the time of the command."""
    if wanted:
        with guarded(debug=False):
            from anabranch.tracing import start_tracing

            ctx.find_root().call_on_close(start_tracing(complain))
    return wanted


Otel = Annotated[
    bool,
    typer.Option(
        "--otel",
        help="Send traces by OpenTelemetry to OTEL_EXPORTER_OTLP_ENDPOINT (pip: anabranch[otel]).",
        envvar="ANABRANCH_OTEL",
        callback=_trace,
    ),
]


def takes(
    kind: type[Any],
    *,
    only: Collection[str] = (),
    without: Collection[str] = (),
    also: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    environment: bool = True,
    ranges: bool = False,
) -> Callable[[Command], Command]:
    """Gives a command, which takes `ctx` and any keywords, the options that a dataclass declares.

    Args:
        kind: the dataclass.
        only: names of the options to take; all of them if empty.
        without: names of options to leave out.
        also: second words for some of them.
        defaults: those of this command that are not the declared ones.
        environment: whether variables of the environment set them, too.
        ranges: whether the help tells the ranges of numbers.
    """
    wanted = [each for each in declared(kind) if (not only or each.name in only) and each.name not in without]
    wanted = [replace(each, default=(defaults or {}).get(each.name, each.default)) for each in wanted]
    given = [_parameter(each, (also or {}).get(each.name), environment=environment, ranges=ranges) for each in wanted]

    def give(command: Command) -> Command:
        own = [each for each in inspect.signature(command).parameters.values() if each.kind != Parameter.VAR_KEYWORD]
        first = [each for each in own if each.default is Parameter.empty]
        return _with(command, [*first, *given, *(each for each in own if each not in first)])

    return give


def takes_those_of(other: Command, *, without: Collection[str]) -> Callable[[Command], Command]:
    """Gives a command, which takes `ctx` and any keywords, the parameters of another one, but for some."""
    kept = [each for each in inspect.signature(other).parameters.values() if each.name not in without]
    return lambda command: _with(command, kept)


def _with(command: Command, parameters: list[Parameter]) -> Command:
    taker: Any = command
    named = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in parameters]
    taker.__signature__ = inspect.Signature(named, return_annotation=None)
    taker.__annotations__ = {each.name: each.annotation for each in named} | {"return": None}
    return command


def _parameter(option: Declared, also: str | None, *, environment: bool, ranges: bool) -> Parameter:
    about = option.about
    word = f"{option.flag}/--no-{option.flag[2:]}" if option.default is True else option.flag
    words = [word, *([also] if also else [])]
    text = f"{about.help} Repeatable." if option.many else about.help
    told = typer.Option(
        *words,
        metavar=about.metavar or None,
        help=f"{text} [default: {about.shown}]" if about.shown else text,
        envvar=option.variable if environment and not option.many else None,
        show_default=option.default not in (None, "", ()),
        min=about.least if ranges else None,
        max=about.most if ranges else None,
    )
    # What is given becomes a path where the options are made of it.
    kind = str if option.choices or option.kind is Path else option.kind
    default = Parameter.empty if option.default is MISSING else None if option.many else option.default
    if option.many:
        kind = list[str]
    if default is None:
        kind = kind | None
    return Parameter(option.name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, told])
