"""One evaluation, from its options to its records."""

import hashlib
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from langchain_core.tools import BaseTool

from anabranch import __version__
from anabranch.agents.models import RoleModel
from anabranch.batch.examples import Example, choose, file_hash, read_examples
from anabranch.batch.store import ReplyStore
from anabranch.characters import written_path
from anabranch.config import Price
from anabranch.errors import BackendError, ConfigurationError
from anabranch.evals.catalogue import Prices, SystemSpec, build, cross, prompts_version
from anabranch.evals.engine import Engine, Entrant, Progress
from anabranch.evals.hub import fetch
from anabranch.evals.models import Models, served_name
from anabranch.evals.records import Described, Manifest, RunFolder
from anabranch.evals.systems import corpus_of
from anabranch.evals.tasks import find_task
from anabranch.evals.tasks.task import Task

LIBRARIES = ("langgraph", "langchain-core", "langchain-openai", "langchain", "torch", "pydantic")


@dataclass(frozen=True)
class Setup:
    """What to evaluate.

    Attributes:
        out: the run's folder.
        task: the task's name.
        data: file of questions; None to take them from the hub.
        systems: names of systems, see `catalogue.FORMS`.
        solvers: models that answer, see `models.ModelSpec`.
        decomposers: models that plan.
        limit: most questions; None for all.
        seed: which questions, and the resampling of intervals.
        concurrency: questions at a time.
        max_tokens: most tokens of a reply.
        max_sub_questions: most sub-questions in a plan.
        price: what a solver costs.
        decomposer_price: what a decomposer costs.
        cache: file of replies; the run's own if None.
        one_corpus: each question is searched over the paragraphs of all questions in the file.
    """

    out: Path
    task: str = "own"
    data: Path | None = None
    systems: Sequence[str] = ("direct", "cot", "unguided", "static")
    solvers: Sequence[str] = ("local",)
    decomposers: Sequence[str] = ("local",)
    limit: int | None = None
    seed: int = 0
    concurrency: int = 8
    max_tokens: int = 1024
    max_sub_questions: int = 8
    price: Price | None = None
    decomposer_price: Price | None = None
    cache: Path | None = None
    one_corpus: bool = False


@dataclass(frozen=True)
class Prepared:
    """A run that can start: its folder, manifest, questions, systems, models, and the corpus of all questions."""

    setup: Setup
    task: Task
    folder: RunFolder
    manifest: Manifest
    examples: Sequence[Example]
    entrants: Sequence[Entrant]
    tools: Sequence[BaseTool]
    store: ReplyStore
    corpus: BaseTool | None = None


def prepare(setup: Setup, tools: Sequence[BaseTool], *, progress: Callable[[str], None]) -> Prepared:
    """Reads the questions, opens the models, and makes or joins the run's folder.

    Args:
        setup: what to evaluate.
        tools: tools for all questions.
        progress: told what is happening.

    Raises:
        UserError: an option, a system, a file of questions or a folder that will not do.
        BackendError: a model that cannot be opened.
    """
    task, specs = find_task(setup.task), cross(setup.systems, setup.decomposers, setup.solvers)
    path = setup.data or fetch(task, setup.out / "data.jsonl")
    reading, folder = read_examples(path), RunFolder(setup.out)
    examples = choose(reading.examples, setup.limit, setup.seed)
    settings: dict[str, object] = {
        "hint": task.hint,
        "tools": [tool.name for tool in tools],
        "max_tokens": setup.max_tokens,
        "max_sub_questions": setup.max_sub_questions,
        **({"one_corpus": True} if setup.one_corpus else {}),
    }
    corpus = corpus_of(reading.examples) if setup.one_corpus else None
    store = ReplyStore(setup.cache or folder.cache)
    try:
        entrants = _open_all(specs, Models(store, setup.max_tokens, progress), setup, settings)
        systems = tuple(entrant.system for entrant in entrants)
        manifest = _manifest(setup, path, reading.problems, systems, settings)
        manifest = folder.open(manifest, examples)
        return Prepared(setup, task, folder, manifest, examples, entrants, tools, store, corpus)
    except BaseException:
        store.close()
        raise


def _manifest(
    setup: Setup, path: Path, problems: Sequence[str], systems: tuple[Described, ...], settings: dict[str, object]
) -> Manifest:
    return Manifest(
        task=setup.task,
        data=written_path(path.name),
        data_hash=file_hash(path),
        seed=setup.seed,
        limit=setup.limit,
        problems=tuple(problems),
        systems=systems,
        settings=settings,
        versions=versions(),
    )


async def go(run: Prepared, on_progress: Callable[[Progress], None]) -> Progress:
    """Answers what has no record yet, and writes the prompts that a batch has to answer.

    Raises:
        BackendError: too many failures in a row.
    """
    with run.store.at_work(run.folder.requests), run.folder.appending() as file:
        engine = Engine(run.task, run.tools, file, run.setup.concurrency, on_progress, run.corpus)
        progress = await engine.run(run.entrants, run.examples, run.folder.records())
    if progress.waiting and not run.store.wanted:
        raise BackendError("questions wait for a batch, but no prompt was noted; run again with --debug")
    return progress


def versions() -> dict[str, str]:
    """Of the package, its prompts, Python and the libraries that are installed."""
    found = {"anabranch": __version__, "prompts": prompts_version(), "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _open_all(specs: Sequence[SystemSpec], models: Models, setup: Setup, settings: dict[str, object]) -> list[Entrant]:
    prices, entrants = Prices(setup.price, setup.decomposer_price), []
    for spec in specs:
        system = build(spec, models, prices, max_sub_questions=setup.max_sub_questions)
        entrants.append(Entrant(_describe(spec, models, settings), system))
    return entrants


def _describe(spec: SystemSpec, models: Models, settings: dict[str, object]) -> Described:
    solver = models.open(spec.solver, "solver")
    decomposer = models.open(spec.decomposer, "decomposer") if spec.decomposer else None
    served = [served_name(model) if model else None for model in (solver, decomposer)]
    writer = spec.decomposer.writer if spec.decomposer else ""
    made_of = [
        spec.name,
        *served,
        writer,
        settings,
        prompts_version(),
        *(["small"] if spec.solver.writer == "small" else []),
    ]
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
    return Described(
        name=spec.name,
        label=spec.label,
        fingerprint=digest,
        solver=served[0] or "unknown",
        decomposer=served[1],
        price=_pair(solver),
        decomposer_price=_pair(decomposer),
    )


def _pair(model: RoleModel | None) -> tuple[float, float] | None:
    return (model.price.input, model.price.output) if model and model.price else None


def check(setup: Setup) -> None:
    """Refuses what can be seen to be wrong before anything is read.

    Raises:
        ConfigurationError: a limit out of range, or no system, solver or decomposer.
    """
    for name in ("limit", "concurrency", "max_tokens", "max_sub_questions"):
        value = getattr(setup, name)
        if value is not None and value < 1:
            raise ConfigurationError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")
    cross(setup.systems, setup.decomposers, setup.solvers)
