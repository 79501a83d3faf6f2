"""The options of the stages of `anabranch distill`, each declared once. Light: the command line imports it.

A stage is a function of its options, and its command takes them as they are declared. Those that train are told how by
a recipe besides (see `recipes`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from anabranch.distill.recipes import Seed
from anabranch.options import LOCAL_MODEL, HowPlansRun, Option, OptionSet

if TYPE_CHECKING:
    from anabranch.batch.chat import Model
else:
    # Python may give a chat model; the command line reads a name, and imports no LangChain for it.
    Model = str

MODEL = "local, http://host:8000/v1#MODEL, openai:MODEL or PROVIDER:MODEL"
ASKED = f"{MODEL}, or batch:NAME to write the prompts to a file, to be answered elsewhere"
Data = Annotated[Path, Option("The data sets' folder.", metavar="FOLDER")]
OwnData = Annotated[
    tuple[str, ...],
    Option(
        "A data set out of a file of yours, such as gsm8k=MINE.jsonl (also strategyqa, musique, hotpotqa, qdmr, "
        "2wiki), or from the Hugging Face hub: gsm8k=hub, musique=hub.",
        metavar="NAME=FILE",
    ),
]
Work = Annotated[Path, Option("Where what the stages make is kept.", metavar="FOLDER")]
AnswersElsewhere = Annotated[
    Path | None,
    Option(
        "What batch:NAME answered to the prompts, elsewhere.",
        "A stage for `batch:NAME` without them writes the prompts to `work/..._requests.jsonl`.",
        metavar="FILE",
    ),
]
Limit = Annotated[int | None, Option("Only so many rows of each kind.", metavar="N")]
TokenPrice = Annotated[str, Option("The model's price, $ per million tokens.", metavar="IN,OUT")]
StartingAdapter = Annotated[
    Path, Option("The adapter to go on from.", "It is the reference of preferences, too.", metavar="FOLDER")
]
PlansEach = Annotated[
    int, Option("Plans to draw for each question.", "By each model that writes plans.", metavar="N", least=1)
]


@dataclass(frozen=True, kw_only=True)
class DemonstrateOptions(OptionSet):
    """What `demonstrate` is told."""

    data: Data = Path()
    source: OwnData = ()
    work: Work
    teacher: Annotated[
        tuple[Model, ...],
        Option(
            f"Model that writes plans: {ASKED}.",
            "All write plans, the first one everything else, too; `batch:NAME` is a teacher by itself.",
            metavar="MODEL",
            shown="local",
        ),
    ] = ("local",)
    replies: AnswersElsewhere = None
    samples: PlansEach = 4
    limit: Limit = None
    price: TokenPrice = ""


@dataclass(frozen=True, kw_only=True)
class BuildOptions(OptionSet):
    """What `build` is told."""

    data: Data = Path()
    source: OwnData = ()
    work: Work
    seed: Seed = 1
    written: Annotated[
        int, Option("Demonstrations written from templates.", "For each pass over them.", metavar="N", least=0)
    ] = 5000
    leave_out: Annotated[
        tuple[str, ...],
        Option(
            "Source that the decomposer is not trained on: gsm8k, strategyqa, musique, written_sum or written_other.",
            "Its route test and the solver's rows have all of them.",
            metavar="SOURCE",
        ),
    ] = ()
    include: Annotated[
        tuple[str, ...],
        Option("Source that it is trained on besides: qdmr (human plans over databases).", metavar="SOURCE"),
    ] = ()
    plans: Annotated[
        Path | None,
        Option("Plans of an earlier build, by row id (JSON lines, also .gz): no teacher is needed.", metavar="FILE"),
    ] = None
    limit: Limit = None


@dataclass(frozen=True, kw_only=True)
class ReadOptions(OptionSet):
    """What `read` is told."""

    data: Data = Path()
    source: OwnData = ()
    work: Work
    teacher: Annotated[
        Model | None,
        Option(
            f"Model that writes pages and questions: {MODEL}.",
            "None: rows over made-up pages and the data sets' paragraphs alone.",
            metavar="MODEL",
        ),
    ] = None
    rows: Annotated[int, Option("Questions about made-up pages.", metavar="N", least=1)] = 44_000
    seed: Seed = 1


@dataclass(frozen=True, kw_only=True)
class SolutionsOptions(OptionSet):
    """What `solutions` is told."""

    questions: Annotated[
        tuple[Path, ...],
        Option(
            "JSON lines: id, question, answer, [meta.steps].",
            "Questions with a context, and rows of a test split, are left out.",
            metavar="FILE",
        ),
    ]
    work: Work
    teacher: Annotated[Model | None, Option(f"Model that solves the questions, too: {MODEL}.", metavar="MODEL")] = None
    limit: Limit = None
    price: TokenPrice = ""


@dataclass(frozen=True, kw_only=True)
class DrawOptions(OptionSet):
    """What `draw` is told."""

    questions: Annotated[Path, Option("JSON lines: id, question, answer.", metavar="FILE")]
    work: Work
    decomposer: Annotated[Model, Option(f"Model that writes plans: {ASKED}.", metavar="MODEL")] = "local"
    replies: AnswersElsewhere = None
    samples: PlansEach = 4
    temperature: Annotated[float, Option("Of several plans; one is greedy.", metavar="X", least=0)] = 0.8
    tool: Annotated[
        tuple[str, ...],
        Option("Tool to plan with, or none.", "Of the library's own.", metavar="NAME", shown="calculator"),
    ] = ("calculator",)
    examples: Annotated[bool, Option("Show worked examples, to an untrained model.")] = False
    grammar: Annotated[
        bool,
        Option(
            "Hold plans to the grammar, which slows a busy server.",
            "It writes about twice as many plans without, and screening leaves out what is none.",
        ),
    ] = True
    limit: Limit = None
    seed: Seed = 1
    price: TokenPrice = ""

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools in the catalogue."""
        return tuple(name for name in self.tool if name != "none")


@dataclass(frozen=True, kw_only=True)
class Selection(OptionSet):
    """What to take of the plans that were screened."""

    plans_kept: Annotated[int, Option("Most right plans of a question to keep.", "In S_D-R.", metavar="N", least=1)] = 2
    pairs: Annotated[
        int,
        Option(
            "Most pairs of a question.",
            "Those with DIRECT and with a plan that repeats itself are not counted.",
            metavar="N",
            least=0,
        ),
    ] = 2
    margin: Annotated[
        float, Option("How much more often right a pair's better plan is.", "At least.", metavar="X", least=0)
    ] = 0.5
    direct: Annotated[
        bool,
        Option("Teach when not to plan.", "DIRECT comes into S_D-R and pairs where the solver alone does as well."),
    ] = True
    direct_least: Annotated[
        float, Option("Share right that the solver must reach without a plan for that.", metavar="X")
    ] = 0.5
    held_out: Annotated[
        float,
        Option("Share of questions held out.", "In files of their own.", metavar="X", least=0, most=1),
    ] = 0.05
    seed: Seed = 1


@dataclass(frozen=True, kw_only=True)
class _Priced(OptionSet):
    price: TokenPrice = ""


@dataclass(frozen=True, kw_only=True)
class ScreenOptions(Selection, _Priced):
    """What `screen` is told, besides what `Selection` says.

    Of the values of `protocol`, `auto` guides here unless the solver is the in-process model.
    """

    questions: Annotated[Path, Option("JSON lines: id, question, answer, meta.steps.", metavar="FILE")]
    work: Work
    protocol: HowPlansRun = "auto"
    plans: Annotated[
        Path | None,
        Option("JSON lines: id, sample, plan (as lines).", "`messages`: the prompt, if it had one.", metavar="FILE"),
    ] = None
    screened: Annotated[
        Path | None,
        Option("An earlier screened.jsonl (also .gz) in place of plans and solver.", metavar="FILE"),
    ] = None
    solver: Annotated[
        Model | None,
        Option(f"Model that answers: {ASKED}. Left out, it is batch:solver.", metavar="MODEL"),
    ] = None
    replies: AnswersElsewhere = None
    samples: Annotated[int, Option("The solver's answers along each plan.", metavar="N", least=1)] = 1
    alone: Annotated[
        int, Option("Its answers without a plan.", "0 leaves out when not to plan.", metavar="N", least=0)
    ] = 4
    temperature: Annotated[float, Option("Of several answers; one is greedy.", metavar="X", least=0)] = 0.7
    max_tokens: Annotated[int, Option("Most tokens of an answer.", metavar="N", least=1)] = 512


@dataclass(frozen=True, kw_only=True)
class Trained(OptionSet):
    """What all stages that train are told."""

    out: Annotated[Path, Option("Folder of the adapter and its manifest.", metavar="FOLDER")]
    base: Annotated[str, Option("Hub id or folder of the base model.", metavar="MODEL")] = LOCAL_MODEL
    base_name: Annotated[str | None, Option("What the adapter calls its base.", metavar="NAME", shown="--base")] = None


@dataclass(frozen=True, kw_only=True)
class _HeldOut(Trained):
    held_out: Annotated[Path, Option("JSON lines for the held-out loss.", metavar="FILE")]


@dataclass(frozen=True, kw_only=True)
class TrainOptions(_HeldOut):
    """What `train` is told, besides a `Recipe`."""

    rows: Annotated[Path, Option("JSON lines: messages, completion.", metavar="FILE")]


@dataclass(frozen=True, kw_only=True)
class PreferOptions(_HeldOut):
    """What `prefer` is told, besides a `PreferenceRecipe`."""

    adapter: StartingAdapter
    pairs: Annotated[Path, Option("JSON lines: messages, chosen, rejected.", metavar="FILE")]


@dataclass(frozen=True, kw_only=True)
class Inputs(OptionSet):
    """The files of a reinforcement."""

    questions: Annotated[
        tuple[Path, ...],
        Option("JSON lines: question, answer, [context: paragraphs], [meta.supporting_facts].", metavar="FILE"),
    ]
    tune: Annotated[tuple[Path, ...], Option("Such questions to choose the round by, never a test.", metavar="FILE")]
    corpus: Annotated[
        tuple[Path, ...], Option("JSON lines: title, text.", metavar="FILE", shown="the questions' paragraphs")
    ] = ()
    replay: Annotated[Path | None, Option("Rows of the adapter's first training to keep learning.", metavar="FILE")] = (
        None
    )
    requests: Annotated[
        tuple[Path, ...], Option("Training rows over tools, whose completions are the right plans.", metavar="FILE")
    ] = ()
    tune_requests: Annotated[tuple[Path, ...], Option("Such rows to choose the round by, too.", metavar="FILE")] = ()


@dataclass(frozen=True, kw_only=True)
class ReinforceOptions(Inputs, Trained):
    """What `reinforce` is told, besides a `Reinforcement`."""

    adapter: StartingAdapter
    solver: Annotated[Model, Option(f"Who answers sub-questions: {MODEL}.", metavar="MODEL")] = "local"
    decomposer: Annotated[
        str | None,
        Option(
            "vLLM server that draws the plans, up to /v1, with LoRA updating.",
            metavar="URL",
            shown="draw in this process",
        ),
    ] = None
    reward: Annotated[
        str | None,
        Option(
            "Function that gives an outcome's reward.",
            metavar="MODULE:NAME",
            shown="recall and F1, less a little for each step",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ExportOptions(OptionSet):
    """What `export` is told."""

    adapter: Annotated[Path, Option("The trained adapter.", metavar="FOLDER")]
    out: Annotated[Path, Option("Folder to write to; must not exist.", metavar="FOLDER")]
    base: Annotated[str | None, Option("Hub id or folder.", metavar="MODEL", shown="what the adapter names")] = None
    format: Annotated[
        Literal["merged", "gguf"], Option("merged (vLLM, transformers), or gguf (llama.cpp, Ollama).", metavar="NAME")
    ] = "merged"
    weights: Annotated[str, Option("Of a GGUF file: f16, q8_0 or f32.", metavar="NAME")] = "q8_0"


@dataclass(frozen=True, kw_only=True)
class ScorePlansOptions(OptionSet):
    """What `score plans` is told."""

    data: Annotated[Path, Option("GSM8K rows.", metavar="FILE")]
    out: Work
    name: Annotated[str, Option("Of the row in the table, and of the files.", metavar="NAME")]
    decomposer: Annotated[
        str | None, Option("Who plans, or demonstrations.jsonl.", metavar="MODEL", shown="nobody")
    ] = None
    solver: Annotated[Model, Option(f"Who answers: {MODEL}.", metavar="MODEL")] = "local"
    examples: Annotated[bool, Option("Show the decomposer worked examples.")] = False
    limit: Annotated[int | None, Option("The first N rows, or the last if negative.", metavar="N")] = None


@dataclass(frozen=True, kw_only=True)
class ScoreRoutesOptions(OptionSet):
    """What `score routes` is told."""

    rows: Annotated[Path, Option("routes_test.jsonl of build.", metavar="FILE")]
    out: Work
    decomposer: Annotated[Model, Option(f"Who plans: {MODEL}.", metavar="MODEL")] = "local"


@dataclass(frozen=True, kw_only=True)
class ScoreSolverOptions(OptionSet):
    """What `score solver` is told."""

    rows: Annotated[Path, Option("solver_tune.jsonl of build.", metavar="FILE")]
    out: Work
    solver: Annotated[Model, Option(f"Who answers: {MODEL}.", metavar="MODEL")] = "local"
