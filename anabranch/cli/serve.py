"""The commands of `anabranch serve`. Light: each body is in a module of its own and imported when the command runs."""

import inspect
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from anabranch.cli.failures import guarded, quiet_libraries
from anabranch.cli.options import Options
from anabranch.cli.parameters import Debug, Otel, takes
from anabranch.serving.options import Access, Limits, Listening

serve = typer.Typer(
    name="serve",
    help="Serves the planner over HTTP (app) or as an MCP server (mcp), or a distilled decomposer (decomposer).",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@serve.command()
@takes(Options, without=("review",))
@takes(Listening, environment=False)
@takes(Access, environment=False)
@takes(Limits, environment=False)
def app(
    ctx: typer.Context,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN", help="Origin whose web pages may call the server. Repeatable.", show_default=False
        ),
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(
            "--threads",
            "--checkpoints",
            metavar="FILE",
            help="SQLite file, or postgresql://..., that keeps the page's conversations and documents, and plans "
            "which wait for tools of clients. "
            "[default: the memory of this process]",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Processes that answer, each with models, tools and a part of the limits. More than one need "
            "--threads.",
        ),
    ] = 1,
    a2a: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address at which other agents reach this server: they ask it by A2A.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Serve the page at / as well.")] = True,
    otel: Otel = False,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Serves plans, an OpenAI-compatible API whose model `anabranch` is the whole planner, and a page to ask it."""
    with guarded(debug=debug):
        options = Options.of(ctx.params)
        from anabranch.cli import serving

        serving.run_app(options, ctx.params, worker=partial(_worker, options, ctx.params))


def _worker(options: Options, values: dict[str, Any], folder: Path) -> Any:
    """The app of one of several workers that share a folder, in its process; what is wrong is told there.

    Raises:
        SystemExit: there is none.
    """
    quiet_libraries(debug=values["debug"])
    try:
        with guarded(debug=values["debug"]):
            from anabranch.cli import serving

            return serving.build_worker(options, values, folder)
    except typer.Exit as error:
        raise SystemExit(error.exit_code) from error


@serve.command()
@takes(Options, without=("review",))
@takes(Listening, defaults={"port": 8081}, environment=False)
@takes(Access, without=("max_images",), environment=False)
@takes(Limits, environment=False)
def mcp(
    ctx: typer.Context,
    transport: Annotated[str, typer.Option(metavar="NAME", help="stdio, or http (streamable HTTP).")] = "stdio",
    otel: Otel = False,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Serves the tools `plan` and `ask` over the Model Context Protocol."""
    with guarded(debug=debug):
        options = Options.of(ctx.params)
        from anabranch.cli import serving

        serving.run_mcp(options, ctx.params)


@serve.command()
@takes(Listening, defaults={"port": 8000}, environment=False)
def decomposer(
    ctx: typer.Context,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- VLLM_ARGUMENTS]", help="Passed on to vLLM as they are.", show_default=False),
    ] = None,
    adapter: Annotated[
        str,
        typer.Option(metavar="NAME", help="An adapter of this package, or the folder of one or of merged weights."),
    ] = "decomposer-1.5b",
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Hub id or folder of the base model. [default: what the adapter was trained on]",
            show_default=False,
        ),
    ] = None,
    lora: Annotated[
        bool, typer.Option("--lora", help="Serve the adapter beside its base instead of merging it (slower).")
    ] = False,
    engines: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Engines that share the GPU: with a small model, 4 write more than twice the plans of one.",
        ),
    ] = 1,
    python: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Interpreter of the environment that has vLLM. [default: this one]",
            envvar="ANABRANCH_VLLM_PYTHON",
            show_default=False,
        ),
    ] = None,
    start_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Seconds that vLLM may take to start.")
    ] = 900.0,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Serves a distilled decomposer with vLLM, and starts it again when it crashes."""
    with guarded(debug=debug):
        from anabranch.cli import serving_vllm

        serving_vllm.run(ctx.params)


def defaults() -> dict[str, Any]:
    """The options of `serve app` as they are where none is given."""
    parameters = inspect.signature(app).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
