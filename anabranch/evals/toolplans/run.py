"""Has decomposers plan for requests over a catalogue: a few at a time, resumable, also in batches."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel

from anabranch.agents.decomposer import Decomposer, PlanRequest, decompose
from anabranch.batch.examples import Example, choose, file_hash
from anabranch.batch.store import ReplyStore
from anabranch.codecs import decode_lines, encode_lines
from anabranch.config import Price
from anabranch.errors import ConfigurationError
from anabranch.evals.catalogue import prompts_version
from anabranch.evals.engine import Engine, Entrant, Progress
from anabranch.evals.models import Models, ModelSpec, served_name
from anabranch.evals.records import Described, Manifest, RunFolder
from anabranch.evals.run import versions
from anabranch.evals.systems import Case, Outcome
from anabranch.evals.tasks.task import Scores, Task
from anabranch.evals.toolplans.data import ToolRequest, ToolSet, read_requests, read_tools
from anabranch.evals.toolplans.scores import score, tools_of
from anabranch.tools.catalogue import ToolCard
from anabranch.tools.retrieval import ToolIndex

NAME = "toolplans"


@dataclass(frozen=True)
class Setup:
    """What to evaluate.

    Attributes:
        out: the run's folder.
        data: file of requests, see `data.read_requests`.
        tools: file of tools, see `data.read_tools`.
        decomposers: models that plan, see `models.ModelSpec`.
        retrieve: how many tools a decomposer is shown, those that fit the request; 0 for all.
        right_tools: whether the right tools are always among those shown, in place of the last ones.
        split: rows of the data to take.
        limit: most requests; None for all.
        seed: which requests.
        concurrency: requests at a time.
        max_tokens: most tokens of a reply of a model that writes JSON.
        max_sub_questions: most calls in a plan.
        price: what a decomposer costs.
        cache: file of replies; the run's own if None.
    """

    out: Path
    data: Path
    tools: Path
    decomposers: Sequence[str] = ("local",)
    retrieve: int = 16
    right_tools: bool = False
    split: str = "test"
    limit: int | None = None
    seed: int = 0
    concurrency: int = 8
    max_tokens: int = 1024
    max_sub_questions: int = 8
    price: Price | None = None
    cache: Path | None = None


class Gold(BaseModel):
    """What plans are compared with; kept in the run's folder for later reports."""

    requests: tuple[ToolRequest, ...]
    names: Mapping[str, str]


@dataclass(frozen=True)
class Prepared:
    """A run that can start."""

    setup: Setup
    folder: RunFolder
    gold: Gold
    examples: Sequence[Example]
    entrants: Sequence[Entrant]
    store: ReplyStore
    problems: Sequence[str]


def prepare(setup: Setup, *, progress: Callable[[str], None]) -> Prepared:
    """Reads the files, opens the models, and makes or joins the run's folder.

    Raises:
        UserError: an option, a file or a folder that will not do.
        BackendError: a model that cannot be opened.
    """
    _check(setup)
    requests, tools = read_requests(setup.data, setup.split), read_tools(setup.tools)
    problems = [*requests.problems, *tools.problems]
    examples = choose([_example(row) for row in requests.rows], setup.limit, setup.seed)
    chosen = {example.id for example in examples}
    gold = Gold(requests=tuple(row for row in requests.rows if row.id in chosen), names=tools.names)
    shown = _shown(setup, gold.requests, tools)
    settings = {
        "retrieve": setup.retrieve,
        "right_tools": setup.right_tools,
        "tools": file_hash(setup.tools),
        "max_tokens": setup.max_tokens,
        "max_sub_questions": setup.max_sub_questions,
    }
    folder = RunFolder(setup.out)
    store = ReplyStore(setup.cache or folder.cache)
    try:
        models = Models(store, setup.max_tokens, progress)
        entrants = [
            Entrant(
                _describe(spec, models, settings, setup.price),
                Planning(models.open_decomposer(spec, setup.price), shown, tools.names, setup.max_sub_questions),
            )
            for spec in map(ModelSpec.of, dict.fromkeys(setup.decomposers))
        ]
        manifest = Manifest(
            task=NAME,
            data=setup.data.name,
            data_hash=file_hash(setup.data),
            seed=setup.seed,
            limit=setup.limit,
            problems=tuple(problems),
            systems=tuple(entrant.system for entrant in entrants),
            settings=settings,
            versions=versions(),
        )
        folder.open(manifest, examples)
        (setup.out / "gold.json").write_text(gold.model_dump_json(), encoding="utf-8")
        return Prepared(setup, folder, gold, examples, entrants, store, problems)
    except BaseException:
        store.close()
        raise


async def go(run: Prepared, on_progress: Callable[[Progress], None]) -> Progress:
    """Plans for the requests that have no record yet, and writes the prompts that a batch has to answer.

    Raises:
        BackendError: too many failures in a row.
    """
    with run.store.at_work(run.folder.requests), run.folder.appending() as file:
        engine = Engine(_task(run.gold), (), file, run.setup.concurrency, on_progress)
        return await engine.run(run.entrants, run.examples, run.folder.records())


@dataclass(frozen=True)
class Planning:
    """A decomposer as a system of the evaluation's engine: it plans and answers nothing.

    Attributes:
        decomposer: who plans.
        shown: the tools that it is shown, by the request's id.
        names: the tools' own names by route.
        max_sub_questions: most calls in a plan.
    """

    decomposer: Decomposer
    shown: Mapping[str, Sequence[ToolCard]]
    names: Mapping[str, str]
    max_sub_questions: int

    async def __call__(self, case: Case) -> Outcome:
        """Plans for one request."""
        cards = self.shown[case.example.id]
        case.retrieved += [self.names[card.name] for card in cards]
        request = PlanRequest(case.example.question, cards, max_sub_questions=self.max_sub_questions)
        draft = await decompose(self.decomposer, request)
        answer = ", ".join(tools_of(draft.plan, self.names)) or "no tool"
        return Outcome(encode_lines(draft.plan), answer, draft.plan, problems=(*draft.notes, *draft.problems))


def _shown(setup: Setup, requests: Sequence[ToolRequest], tools: ToolSet) -> dict[str, list[ToolCard]]:
    """The cards for each request, those that fit best first."""
    if not setup.retrieve or setup.retrieve >= len(tools.cards):
        return {request.id: list(tools.cards) for request in requests}
    index, shown = ToolIndex(tools.texts), {}
    for request in requests:
        places = index.find(request.question, setup.retrieve)
        if setup.right_tools:
            right = [place for place, text in enumerate(tools.texts) if text.name in request.tools]
            lacking = [place for place in right if place not in places]
            others = [place for place in places if place not in right]
            replaced = others[max(0, len(others) - len(lacking)) :] if lacking else []
            places = [*(place for place in places if place not in replaced), *lacking]
        shown[request.id] = [tools.cards[place] for place in places]
    return shown


def _example(row: ToolRequest) -> Example:
    return Example(id=row.id, question=row.question, answers=(", ".join(row.tools) or "no tool",))


def _task(gold: Gold) -> Task:
    """The engine's view of it: what it shows while a run is under way."""
    wanted = {request.id: request for request in gold.requests}

    def grade(answer: str, reply: str, example: Example) -> Scores:
        return {"nodes": score(decode_lines(reply), gold.names, wanted[example.id]).nodes}

    return Task(name=NAME, title="Plans over tools", metric="nodes", metrics=("nodes",), grade=grade)


def _describe(spec: ModelSpec, models: Models, settings: Mapping[str, object], price: Price | None) -> Described:
    served = served_name(models.open(spec, "decomposer", price))
    made_of = [NAME, served, spec.writer, settings, prompts_version()]
    return Described(
        name=NAME,
        label=spec.label,
        fingerprint=hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16],
        solver="none",
        decomposer=served,
        decomposer_price=(price.input, price.output) if price else None,
    )


def _check(setup: Setup) -> None:
    given = asdict(setup)
    for name, least in (("retrieve", 0), ("limit", 1), ("concurrency", 1), ("max_tokens", 1), ("max_sub_questions", 1)):
        if given[name] is not None and given[name] < least:
            raise ConfigurationError(f"--{name.replace('_', '-')} is {given[name]}; it must be at least {least}")
    labels = [ModelSpec.of(name).label for name in dict.fromkeys(setup.decomposers)]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise ConfigurationError(f"two decomposers are named {twice!r}; give them labels, such as small=batch:NAME")
