"""The commands and their options. Everything heavy is imported in the bodies: `--help` should be instant."""

from pathlib import Path
from typing import Annotated, Any

import typer

from anabranch import __version__
from anabranch.bounds import MAX_NAME_CHARS
from anabranch.characters import written_name
from anabranch.cli import streams
from anabranch.cli.distill import distill
from anabranch.cli.evaluate import evaluate
from anabranch.cli.failures import Guard, complain, guarded, leave, quiet_libraries
from anabranch.cli.options import Options
from anabranch.cli.parameters import Debug, Otel, Question, Quiet, takes, takes_those_of
from anabranch.cli.serve import serve
from anabranch.errors import ConfigurationError
from anabranch.serving.options import Listening

app = typer.Typer(
    name="anabranch",
    help="Splits a question into sub-questions, answers them, and brings the answers back together.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(serve)
app.add_typer(evaluate)
app.add_typer(distill)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    """Splits a question into sub-questions, answers them, and brings the answers back together."""
    if version:
        typer.echo(f"anabranch {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit


@app.command()
@takes(Options, also={"step_timeout": "--timeout"})
def ask(
    ctx: typer.Context,
    question: Question = None,
    thread: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Keep the run under this name: a killed run goes on where it was.", show_default=False
        ),
    ] = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="What keeps threads: an SQLite file, or postgresql://HOST/DATABASE (pip: anabranch[postgres]).",
            show_default=False,
        ),
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Drop what the thread has unfinished.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print answer, plan, answers and usage as JSON.")] = False,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help='Answer each line of a JSONL file: {"id": ..., "question": ...}.', show_default=False
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where --batch writes. [default: FILE.answers.jsonl]", show_default=False),
    ] = None,
    concurrency: Annotated[int, typer.Option(metavar="N", help="Questions of --batch answered at a time.")] = 4,
    quiet: Quiet = False,
    otel: Otel = False,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Answers a question: plans, runs the plan, and prints the answer."""
    with guarded(debug=debug) as guard:
        quiet_libraries(debug=debug)
        # What typer reads is in its context, with the options of the planner.
        values = ctx.params
        if batch is not None:
            _batch(values, guard)
        else:
            _ask(values, _given(ctx), guard)


@app.command()
@takes_those_of(ask, without=("question", "restart", "as_json", "batch", "out", "concurrency"))
def chat(ctx: typer.Context, **_: Any) -> None:
    """Answers what is typed or piped in, line by line, as a conversation; --thread keeps it."""
    with guarded(debug=ctx.params["debug"]) as guard:
        quiet_libraries(debug=ctx.params["debug"])
        _watched(ctx.params, _given(ctx), None, guard, chat=True)


@app.command()
@takes(Options, without=("protocol", "max_replans", "step_timeout", "grounded", "review", "price"))
def plan(
    ctx: typer.Context,
    question: Question = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print the plan as a Mermaid flowchart.")] = False,
    quiet: Quiet = False,
    otel: Otel = False,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Prints the plan for a question, without answering it."""
    with guarded(debug=debug):
        quiet_libraries(debug=debug)
        if as_json and mermaid:
            raise ConfigurationError("--json and --mermaid exclude each other; choose one")
        options = Options.of(ctx.params)
        from anabranch.cli.terminal import read_question

        streams.need_output()
        checked = read_question(question or "")
        form = "json" if as_json else "mermaid" if mermaid else "lines"
        from anabranch.cli.views import opened_view

        with opened_view(quiet=quiet) as view:
            view.status("starting")
            # LangChain: a second, which is why the status line comes first.
            from anabranch.cli import planning

            planning.run(checked, options, view, form=form)


@app.command()
@takes(Options, without=("docs", "review"))
@takes(Listening, only=("port",), defaults={"port": 0}, environment=False)
def demo(
    ctx: typer.Context,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    otel: Otel = False,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Opens a page in the browser where example documents can be asked, by default with the embedded models."""
    with guarded(debug=debug):
        quiet_libraries(debug=debug)
        from anabranch.cli import demonstration

        demonstration.run(ctx.params)


def _given(ctx: typer.Context) -> set[str]:
    return {name for name in ctx.params if "COMMANDLINE" in str(ctx.get_parameter_source(name))}


def _ask(values: dict[str, Any], given: set[str], guard: Guard) -> None:
    question, thread = values["question"], values["thread"]
    if values["out"] is not None:
        raise ConfigurationError("--out belongs to --batch; name the file of questions with --batch FILE.jsonl")
    if thread is None and values["restart"]:
        raise ConfigurationError("--restart needs --thread NAME")
    if question is None and thread is None:
        raise ConfigurationError('there is no question; write: anabranch ask "your question"')
    from anabranch.cli.terminal import read_question

    _watched(values, given, None if question is None else read_question(question), guard)


def _watched(
    values: dict[str, Any], given: set[str], question: str | None, guard: Guard, *, chat: bool = False
) -> None:
    """Runs `ask` or `chat` with a view of what is going on."""
    options = Options.of(values)
    thread, file = values["thread"], values["checkpoints"]
    if thread is None and file is not None:
        raise ConfigurationError("--checkpoints needs --thread NAME")
    if thread is not None and not thread.strip():
        raise ConfigurationError("--thread needs a name")
    if thread is not None and len(thread) > MAX_NAME_CHARS:
        raise ConfigurationError(f"the name after --thread is too long; {MAX_NAME_CHARS} characters is the most")
    from anabranch.cli.terminal import need_terminal
    from anabranch.cli.views import opened_view

    streams.need_output()
    if options.review:
        need_terminal("--review")
    with opened_view(quiet=values["quiet"]) as view:
        view.status("starting")
        # LangGraph: a second, which is why the status line comes first.
        from anabranch.cli import ask as asking
        from anabranch.cli import chat as chatting

        request = asking.Ask(
            question=question,
            options=options,
            given=given,
            thread=None if thread is None else written_name(thread),
            checkpoints=file,
            restart=values.get("restart", False),
            as_json=values.get("as_json", False),
        )
        (chatting if chat else asking).run(request, view, guard)


def _batch(values: dict[str, Any], guard: Guard) -> None:
    options = Options.of(values)
    misplaced = [name for name in ("question", "thread", "checkpoints", "restart", "review", "as_json") if values[name]]
    if misplaced:
        name = {"question": "a question", "as_json": "--json"}.get(misplaced[0], f"--{misplaced[0]}")
        raise ConfigurationError(f"--batch and {name} exclude each other; leave one out")
    if values["concurrency"] < 1:
        raise ConfigurationError(f"--concurrency is {values['concurrency']}; it must be at least 1")
    from anabranch.cli import batch

    out = None if values["out"] is None else Path(values["out"])
    concurrency, quiet = values["concurrency"], values["quiet"]
    batch.run(Path(values["batch"]), out, options, concurrency=concurrency, quiet=quiet, guard=guard)


def main() -> None:
    """Entry point of the `anabranch` command."""
    streams.prepare()
    try:
        code = app(prog_name="anabranch", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        leave(streams.ended_by_signal())
    except OSError:
        # Help that nobody reads to its end, or that there is no room for.
        leave(1)
    except Exception as error:
        # typer's usage errors, whose class moved between its versions.
        if not hasattr(error, "format_message"):
            raise
        complain(f"error: {error.format_message()} (see anabranch --help)")
        leave(int(getattr(error, "exit_code", 2)))
    # typer gives 130 for whatever interrupts it outside of our own commands.
    leave(streams.ended_by_signal() if code == streams.INTERRUPTED else code if isinstance(code, int) else 0)
