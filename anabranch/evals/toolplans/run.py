"""Has decomposers plan for requests over a catalogue: a few at a time, resumable, also in batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from anabranch.agents.decomposer import Decomposer, PlanRequest, decompose
from anabranch.batch.examples import Example, Reading, choose, file_hash
from anabranch.codecs import decode_lines, encode_lines
from anabranch.config import Price
from anabranch.errors import ConfigurationError
from anabranch.evals.catalogue import prompts_version
from anabranch.evals.engine import Entrant
from anabranch.evals.models import Models, ModelSpec, served_name
from anabranch.evals.options import EvalOptions
from anabranch.evals.records import Described
from anabranch.evals.run import Prepared, fingerprint, opened
from anabranch.evals.systems import Case, Outcome
from anabranch.evals.tasks.task import Scores, Task
from anabranch.evals.toolplans.data import ToolRequest, ToolSet, read_requests, read_tools
from anabranch.evals.toolplans.scores import score
from anabranch.grading import tools_of
from anabranch.tools.catalogue import ToolCard
from anabranch.tools.retrieval import ToolIndex

NAME = "toolplans"


class Gold(BaseModel):
    """What plans are compared with; kept in the run's folder for later reports."""

    requests: tuple[ToolRequest, ...]
    names: Mapping[str, str]


def check(options: EvalOptions) -> None:
    """Refuses what can be seen to be wrong before anything is read.

    Raises:
        ConfigurationError: a file is not named, or two decomposers have one name.
    """
    _files(options)
    labels = [ModelSpec.of(name).label for name in dict.fromkeys(options.decomposer)]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise ConfigurationError(f"two decomposers are named {twice!r}; give them labels, such as small=batch:NAME")


def _files(options: EvalOptions) -> tuple[Path, Path]:
    if options.data is None or options.tools is None:
        raise ConfigurationError("--task toolplans needs requests and tools: --data FILE.jsonl --tools FILE.json")
    return options.data, options.tools


def prepare(options: EvalOptions, *, progress: Callable[[str], None]) -> Prepared:
    """Reads the files, opens the models, and makes or joins the run's folder.

    Raises:
        UserError: an option, a file or a folder that will not do.
        BackendError: a model that cannot be opened.
    """
    check(options)
    data, file = _files(options)
    requests, tools = read_requests(data, options.split), read_tools(file)
    examples = choose([_example(row) for row in requests.rows], options.limit, options.seed)
    chosen = {example.id for example in examples}
    gold = Gold(requests=tuple(row for row in requests.rows if row.id in chosen), names=tools.names)
    settings = {
        "retrieve": options.retrieve,
        "right_tools": options.right_tools,
        "tools": file_hash(file),
        "max_tokens": options.max_tokens,
        "max_sub_questions": options.max_sub_questions,
    }
    shown, price = _shown(options, gold.requests, tools), Price.read(options.decomposer_price)

    def open_all(models: Models) -> list[Entrant]:
        return [
            Entrant(
                _describe(spec, models, settings, price),
                Planning(models.open_decomposer(spec, price), shown, tools.names, options.max_sub_questions),
            )
            for spec in map(ModelSpec.of, dict.fromkeys(options.decomposer))
        ]

    reading = Reading(examples, [*requests.problems, *tools.problems])
    prepared = opened(options, _task(gold), data, reading, settings, open_all, progress=progress)
    (options.out / "gold.json").write_text(gold.model_dump_json(), encoding="utf-8")
    return prepared


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


def _shown(options: EvalOptions, requests: Sequence[ToolRequest], tools: ToolSet) -> dict[str, list[ToolCard]]:
    """The cards for each request, those that fit best first."""
    if not options.retrieve or options.retrieve >= len(tools.cards):
        return {request.id: list(tools.cards) for request in requests}
    index, shown = ToolIndex(tools.texts), {}
    for request in requests:
        places = index.find(request.question, options.retrieve)
        if options.right_tools:
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
    return Described(
        name=NAME,
        label=spec.label,
        fingerprint=fingerprint(NAME, served, spec.writer, settings, prompts_version()),
        solver="none",
        decomposer=served,
        decomposer_price=(price.input, price.output) if price else None,
    )
