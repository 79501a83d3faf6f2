"""The options that several commands take, as typer reads them. Light: imported for `--help`."""

import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any

import typer

_MODEL_HELP = "local, local:FOLDER, http://host:8000/v1[#MODEL], openai:MODEL or PROVIDER:MODEL"
Question = Annotated[
    str | None,
    typer.Argument(metavar="QUESTION", help="The question; - reads it from standard input.", show_default=False),
]
Decomposer = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help=f"Model that writes the plan: {_MODEL_HELP}. [default: local; the solver where local is not installed]",
        envvar="ANABRANCH_DECOMPOSER",
        show_default=False,
    ),
]
Solver = Annotated[
    str,
    typer.Option(metavar="MODEL", help="Model that answers; names as for --decomposer.", envvar="ANABRANCH_SOLVER"),
]
Tool = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="calculator, python, none, or MODULE:ATTRIBUTE of a tool or function, which imports that module. "
        "Repeatable. [default: calculator]",
        show_default=False,
    ),
]
Docs = Annotated[
    list[str] | None, typer.Option(metavar="PATH", help="File or folder to search in. Repeatable.", show_default=False)
]
Mode = Annotated[
    str, typer.Option(metavar="MODE", help="static: the whole plan at once; dynamic: step by step, given the answers.")
]
Protocol = Annotated[
    str, typer.Option(metavar="NAME", help="How plans run: auto, guided (one call) or per_node (one each).")
]
MaxSubQuestions = Annotated[int, typer.Option(metavar="N", help="Most sub-questions in a plan.")]
MaxReplans = Annotated[int, typer.Option(metavar="N", help="Most plans after the first.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", help="Seconds one sub-question may take.")]
Grounded = Annotated[
    bool, typer.Option("--grounded", help="Answer out of what tools look up, or say that it was not found.")
]
BudgetTokens = Annotated[
    int | None, typer.Option(metavar="N", help="Most tokens for one question.", show_default=False)
]
BudgetSeconds = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Most seconds for one question.", show_default=False),
]
CallTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Seconds one model call may take in all. [default: 300]",
        envvar="ANABRANCH_CALL_TIMEOUT",
        show_default=False,
    ),
]
MaxAnswerTokens = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Most tokens of one reply. [default: the model's own limit, else 16384]",
        envvar="ANABRANCH_MAX_ANSWER_TOKENS",
        show_default=False,
    ),
]
Price = Annotated[str, typer.Option(metavar="IN,OUT", help="Solver's price, $ per million tokens.", show_default=False)]
DecomposerPrice = Annotated[
    str, typer.Option(metavar="IN,OUT", help="Decomposer's price, $ per million tokens.", show_default=False)
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and warnings.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no usage line.")]


def with_options_of(
    command: Callable[..., None], *, without: Collection[str]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command, which takes `ctx` and any keywords, the parameters of another one, but for some."""
    signature = inspect.signature(command)
    kept = [parameter for name, parameter in signature.parameters.items() if name not in without]

    def give(other: Callable[..., None]) -> Callable[..., None]:
        taker: Any = other
        taker.__signature__ = signature.replace(parameters=kept)
        taker.__annotations__ = {parameter.name: parameter.annotation for parameter in kept} | {"return": None}
        return other

    return give
