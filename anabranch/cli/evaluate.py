"""The commands of `anabranch eval`. Light: what they do is in `evaluation` and imported when a command runs."""

from typing import Annotated, Any

import typer

from anabranch.cli.failures import guarded, quiet_libraries
from anabranch.cli.options import Options
from anabranch.cli.parameters import Debug, Quiet, takes
from anabranch.errors import ConfigurationError

_MODELS = "[LABEL=]MODEL, with MODEL as for ask, or batch:NAME to write prompts out for a batch"
Task = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="gsm8k, drop, bamboogle, strategyqa, hotpotqa, 2wiki, musique, parallelqa, own for your --data, or "
        "toolplans: plans alone, over the --tools that the requests of --data need.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help='JSON lines: {"question": ..., "answer": ..., "context": ...}. Left out, the hub is asked.',
        show_default=False,
    ),
]
System = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="direct, cot, cot:SAMPLES (majority), unguided (the guided prompt without a plan), program, react, "
        "two-stage, static[:PROTOCOL], dynamic[:PROTOCOL], human[:PROTOCOL] (plans of people in the data); "
        "PROTOCOL is auto, guided, per_node or program; :always plans without the gate, :sequential answers one "
        "sub-question at a time. Repeatable. "
        "[default: direct, cot, unguided, static]",
        show_default=False,
    ),
]
Solver = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL",
        help=f"Models that answer: {_MODELS}; small: before one that is too small to join answers. Repeatable. "
        "[default: local]",
        show_default=False,
    ),
]
Decomposer = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL",
        help="Models that plan; lines: for a distilled one on a server, examples: for one that is shown worked "
        "examples. Repeatable. [default: local; the first solver where local is not installed]",
        show_default=False,
    ),
]
OneCorpus = Annotated[
    bool,
    typer.Option("--one-corpus", help="Search the paragraphs of all questions in --data, not only a question's."),
]
Tools = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help='toolplans: a JSON list of tools: {"name": ..., "description": ..., "parameters": ...}.',
        show_default=False,
    ),
]
Retrieve = Annotated[
    int, typer.Option(metavar="N", help="toolplans: show only the N tools that fit a request; 0 shows all.")
]
RightTools = Annotated[
    bool, typer.Option("--right-tools", help="toolplans: the right tools are always among those shown.")
]
Split = Annotated[str, typer.Option(metavar="NAME", help="toolplans: the rows of --data to take.")]
Limit = Annotated[int | None, typer.Option(metavar="N", help="Most questions, chosen by --seed.", show_default=False)]
Seed = Annotated[int, typer.Option(metavar="N", help="Chooses questions, and resamples intervals.")]
Out = Annotated[str, typer.Option(metavar="FOLDER", help="The run's folder; an unfinished run goes on.")]
Cache = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="SQLite file of models' replies. [default: cache.sqlite in --out]", show_default=False
    ),
]
Concurrency = Annotated[int, typer.Option(metavar="N", help="Questions at a time.")]
MaxTokens = Annotated[int, typer.Option(metavar="N", help="Most tokens of a reply.")]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="System that the others are compared with. [default: cot]", show_default=False),
]
PaperGrading = Annotated[
    bool, typer.Option("--paper-grading", help="Add the lenient grades of the paper's released code.")
]
evaluate = typer.Typer(
    name="eval",
    help="Runs planners and baselines on questions, and reports accuracy and total cost.",
    rich_markup_mode=None,
    invoke_without_command=True,
)


@evaluate.callback()
@takes(Options, only=("max_sub_questions", "tool", "price", "decomposer_price"), environment=False)
def run(
    ctx: typer.Context,
    task: Task = "own",
    data: Data = None,
    system: System = None,
    solver: Solver = None,
    decomposer: Decomposer = None,
    one_corpus: OneCorpus = False,
    tools: Tools = None,
    retrieve: Retrieve = 16,
    right_tools: RightTools = False,
    split: Split = "test",
    limit: Limit = None,
    seed: Seed = 0,
    out: Out = "eval",
    cache: Cache = None,
    concurrency: Concurrency = 8,
    max_tokens: MaxTokens = 1024,
    baseline: Baseline = None,
    paper_grading: PaperGrading = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **_: Any,
) -> None:
    """Runs systems on questions and writes report.html, report.md and report.json into --out."""
    if ctx.invoked_subcommand is not None:
        return
    with guarded(debug=debug) as guard:
        quiet_libraries(debug=debug)
        if task == "own" and data is None:
            raise ConfigurationError("name a --task, or your own questions with --data FILE.jsonl")
        from anabranch.cli import evaluation

        evaluation.run(ctx.params, guard)


@evaluate.command()
def report(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The run's folder.")],
    baseline: Baseline = None,
    paper_grading: PaperGrading = False,
    debug: Debug = False,
) -> None:
    """Writes the report of a run again, from what is recorded."""
    with guarded(debug=debug):
        quiet_libraries(debug=debug)
        from anabranch.cli import evaluation

        evaluation.report(folder, baseline=baseline, paper_grading=paper_grading)


@evaluate.command("import")
def import_(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The run's folder.")],
    replies: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Replies to requests.jsonl, in OpenAI's batch format.")
    ],
    cache: Annotated[
        str | None, typer.Option(metavar="FILE", help="The run's --cache, if it has one.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Takes in the replies of a batch; then run the same `anabranch eval` command again."""
    with guarded(debug=debug):
        quiet_libraries(debug=debug)
        from anabranch.cli import evaluation

        evaluation.import_replies(folder, replies, cache)
