"""One evaluation, from its options to its records."""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from langchain_core.tools import BaseTool

from anabranch import __version__
from anabranch.agents.models import RoleModel
from anabranch.batch.examples import Example, Reading, choose, file_hash, read_examples
from anabranch.batch.store import ReplyStore
from anabranch.characters import written_path
from anabranch.config import Price
from anabranch.errors import BackendError
from anabranch.evals.catalogue import Prices, SystemSpec, build, cross, prompts_version
from anabranch.evals.engine import Engine, Entrant, Progress
from anabranch.evals.models import Models, served_name
from anabranch.evals.options import EvalOptions
from anabranch.evals.records import Described, Manifest, RunFolder
from anabranch.evals.systems import corpus_of
from anabranch.evals.tasks import find_task, questions
from anabranch.evals.tasks.task import Task
from anabranch.tools.passage_index import PassageIndex

LIBRARIES = ("langgraph", "langchain-core", "langchain-openai", "langchain", "xllamacpp", "torch", "pydantic")


@dataclass(frozen=True)
class Prepared:
    """A run that can start: its folder, manifest, questions, systems, models, and the corpus of all questions."""

    options: EvalOptions
    task: Task
    folder: RunFolder
    manifest: Manifest
    examples: Sequence[Example]
    entrants: Sequence[Entrant]
    tools: Sequence[BaseTool]
    store: ReplyStore
    corpus: PassageIndex | None = None


def prepare(options: EvalOptions, tools: Sequence[BaseTool], *, progress: Callable[[str], None]) -> Prepared:
    """Reads the questions, opens the models, and makes or joins the run's folder.

    Args:
        options: what to evaluate.
        tools: tools for all questions.
        progress: told what is happening.

    Raises:
        UserError: an option, a system, a file of questions or a folder that will not do.
        BackendError: a model that cannot be opened.
    """
    task, specs = find_task(options.task), cross(options.system, options.decomposer, options.solver)
    path = options.data or questions(task, options.out / "data.jsonl")
    reading = read_examples(path)
    settings: dict[str, object] = {
        "hint": task.hint,
        "tools": [tool.name for tool in tools],
        "max_tokens": options.max_tokens,
        "max_sub_questions": options.max_sub_questions,
        **({"one_corpus": True} if options.one_corpus else {}),
    }
    return opened(
        options,
        task,
        path,
        Reading(choose(reading.examples, options.limit, options.seed), reading.problems),
        settings,
        lambda models: _open_all(specs, models, options, settings),
        tools=tools,
        corpus=corpus_of(reading.examples) if options.one_corpus else None,
        progress=progress,
    )


def opened(
    options: EvalOptions,
    task: Task,
    data: Path,
    reading: Reading,
    settings: Mapping[str, object],
    open_all: Callable[[Models], Sequence[Entrant]],
    *,
    tools: Sequence[BaseTool] = (),
    corpus: PassageIndex | None = None,
    progress: Callable[[str], None],
) -> Prepared:
    """Opens the models, and makes or joins the run's folder.

    Args:
        options: what to evaluate.
        task: how it is graded.
        data: file of the questions.
        reading: the questions that were chosen, and the problems of the file.
        settings: what all systems share.
        open_all: makes the systems.
        tools: tools for all questions.
        corpus: the paragraphs of all questions.
        progress: told what is happening.

    Raises:
        UserError: a folder that will not do.
        BackendError: a model that cannot be opened.
    """
    folder = RunFolder(options.out)
    store = ReplyStore(options.cache or folder.cache)
    try:
        entrants = open_all(Models(store, options.max_tokens, progress))
        manifest = Manifest(
            task=task.name,
            data=written_path(data.name),
            data_hash=file_hash(data),
            seed=options.seed,
            limit=options.limit,
            problems=tuple(reading.problems),
            systems=tuple(entrant.system for entrant in entrants),
            settings=settings,
            versions=versions(),
        )
        manifest = folder.open(manifest, reading.examples)
        return Prepared(options, task, folder, manifest, reading.examples, entrants, tools, store, corpus)
    except BaseException:
        store.close()
        raise


async def go(run: Prepared, on_progress: Callable[[Progress], None]) -> Progress:
    """Answers what has no record yet, and writes the prompts that a batch has to answer.

    Raises:
        BackendError: too many failures in a row.
    """
    with run.store.at_work(run.folder.requests), run.folder.appending() as file:
        engine = Engine(run.task, run.tools, file, run.options.concurrency, on_progress, run.corpus)
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


def _open_all(
    specs: Sequence[SystemSpec], models: Models, options: EvalOptions, settings: Mapping[str, object]
) -> list[Entrant]:
    prices, entrants = Prices(Price.read(options.price), Price.read(options.decomposer_price)), []
    for spec in specs:
        system = build(spec, models, prices, max_sub_questions=options.max_sub_questions)
        entrants.append(Entrant(_describe(spec, models, settings), system))
    return entrants


def fingerprint(*made_of: object) -> str:
    """A hash of what a system is made of."""
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def _describe(spec: SystemSpec, models: Models, settings: Mapping[str, object]) -> Described:
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
    return Described(
        name=spec.name,
        label=spec.label,
        fingerprint=fingerprint(*made_of),
        solver=served[0] or "unknown",
        decomposer=served[1],
        price=_pair(solver),
        decomposer_price=_pair(decomposer),
    )


def _pair(model: RoleModel | None) -> tuple[float, float] | None:
    return (model.price.input, model.price.output) if model and model.price else None


def check(options: EvalOptions) -> None:
    """Refuses what can be seen to be wrong before anything is read.

    Raises:
        ConfigurationError: an unknown task, or no system, solver or decomposer.
    """
    find_task(options.task)
    cross(options.system, options.decomposer, options.solver)
