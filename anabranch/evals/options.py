"""The options of `anabranch eval`, each declared once. Light: the command line imports it for `--help`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from anabranch.options import DecomposerPrice, MostSubQuestions, Option, OptionSet, SolverPrice, ToolNames

_MODELS = "[LABEL=]MODEL, with MODEL as for ask, or batch:NAME to write prompts out for a batch"


@dataclass(frozen=True, kw_only=True)
class ReportOptions(OptionSet):
    """How a run is reported."""

    baseline: Annotated[
        str | None, Option("System that the others are compared with.", metavar="NAME", shown="cot")
    ] = None
    paper_grading: Annotated[bool, Option("Add the lenient grades of the paper's released code.")] = False


@dataclass(frozen=True, kw_only=True)
class EvalOptions(ReportOptions):
    """What is evaluated on what, besides how it is reported."""

    tool: ToolNames = ()
    price: SolverPrice = ""
    decomposer_price: DecomposerPrice = ""
    max_sub_questions: MostSubQuestions = 8
    task: Annotated[
        str,
        Option(
            "gsm8k, drop, bamboogle, strategyqa, hotpotqa, 2wiki, musique, parallelqa, own for your --data, or "
            "toolplans: plans alone, over the --tools that the requests of --data need.",
            metavar="NAME",
        ),
    ] = "own"
    data: Annotated[
        Path | None,
        Option(
            'JSON lines: {"question": ..., "answer": ..., "context": ...}. Left out, the hub is asked.', metavar="FILE"
        ),
    ] = None
    system: Annotated[
        tuple[str, ...],
        Option(
            "direct, cot, cot:SAMPLES (majority), rag:PASSAGES (direct, after a search of that size), ircot and "
            "self-ask (look up and reason in turns), unguided (the guided prompt without a plan), program, react "
            "(LangChain's create_agent; :tool_first has it begin with a tool call), middleware (the same with "
            "PlannerMiddleware; :stop where the planner's answer is the agent's), two-stage, "
            "static[:PROTOCOL], dynamic[:PROTOCOL], human[:PROTOCOL] (plans of people in the data); PROTOCOL is "
            "auto, guided, per_node or program; :always plans without the gate, :sequential answers one sub-question "
            "at a time.",
            metavar="NAME",
            shown="direct, cot, unguided, static",
        ),
    ] = ("direct", "cot", "unguided", "static")
    solver: Annotated[
        tuple[str, ...],
        Option(
            f"Models that answer: {_MODELS}; small: before one that is too small to join answers.",
            metavar="MODEL",
            shown="local",
        ),
    ] = ("local",)
    decomposer: Annotated[
        tuple[str, ...],
        Option(
            "Models that plan; lines: for a distilled one on a server, examples: for one that is shown worked "
            "examples.",
            metavar="MODEL",
            shown="local; the first solver where local is not installed",
        ),
    ] = ("local",)
    one_corpus: Annotated[bool, Option("Search the paragraphs of all questions in --data, not only a question's.")] = (
        False
    )
    tools: Annotated[
        Path | None,
        Option(
            'toolplans: a JSON list of tools: {"name": ..., "description": ..., "parameters": ...}.', metavar="FILE"
        ),
    ] = None
    retrieve: Annotated[
        int, Option("toolplans: show only the N tools that fit a request; 0 shows all.", metavar="N", least=0)
    ] = 16
    right_tools: Annotated[
        bool,
        Option("toolplans: the right tools are always among those shown.", "In place of those that fit least."),
    ] = False
    split: Annotated[str, Option("toolplans: the rows of --data to take.", metavar="NAME")] = "test"
    limit: Annotated[int | None, Option("Most questions, chosen by --seed.", metavar="N", least=1)] = None
    seed: Annotated[int, Option("Chooses questions, and resamples intervals.", metavar="N")] = 0
    out: Annotated[Path, Option("The run's folder; an unfinished run goes on.", metavar="FOLDER")] = Path("eval")
    cache: Annotated[
        Path | None, Option("SQLite file of models' replies.", metavar="FILE", shown="cache.sqlite in --out")
    ] = None
    concurrency: Annotated[int, Option("Questions at a time.", metavar="N", least=1)] = 8
    max_tokens: Annotated[int, Option("Most tokens of a reply.", metavar="N", least=1)] = 1024
