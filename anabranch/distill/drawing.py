"""The stage `draw`: a decomposer's own plans, several for each question, to be screened and learnt from.

A preference stage learns most from what the student itself would write, so its plans keep the prompt that they were
drawn with, and pairs are made over that prompt.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anabranch.agents import prompts
from anabranch.batch.chat import Model, answered, elsewhere, name_of, spent
from anabranch.batch.files import digest, write_jsonl, write_manifest
from anabranch.batch.jobs import Job, Replies, Sampling, write_jobs
from anabranch.codecs import LineGrammar
from anabranch.config import Price
from anabranch.distill.catalogues import shipped
from anabranch.distill.datasets import Skipped
from anabranch.distill.records import MAX_SUB_QUESTIONS
from anabranch.distill.render import as_messages
from anabranch.distill.screen import TOOLS, read_questions
from anabranch.errors import ConfigurationError

logger = logging.getLogger(__name__)

PLAN_TOKENS = 320


@dataclass(frozen=True)
class Drawing:
    """How to draw.

    Attributes:
        samples: plans for each question.
        temperature: of the samples; a single one is greedy.
        tools: the library's own tools in the catalogue.
        examples: whether the prompt has worked examples, for a model that was not trained on the codec.
        grammar: whether a model that can be is held to the grammar. A busy server writes about twice as many plans
            without it, and screening leaves out what is none.
        seed: makes it repeatable, as far as the model's server does.
        price: of the decomposer's tokens.
    """

    samples: int = 4
    temperature: float = 0.8
    tools: tuple[str, ...] = ("calculator",)
    examples: bool = False
    grammar: bool = True
    seed: int = 1
    price: Price | None = None

    @property
    def sampling(self) -> Sampling:
        """Greedy for one sample, else at the temperature."""
        if self.samples == 1:
            return Sampling(max_tokens=PLAN_TOKENS)
        return Sampling(self.samples, self.temperature, PLAN_TOKENS, top_p=0.95, seed=self.seed)


async def draw(
    questions: Path,
    work: Path,
    decomposer: Model,
    how: Drawing,
    *,
    limit: int | None = None,
    replies: Path | None = None,
) -> dict[str, Any]:
    """Draws plans; a run that was stopped goes on where it was.

    Args:
        questions: JSON lines with `id`, `question` and `answer`.
        work: folder for `drawn_plans.jsonl` (what `screen` takes), the replies, and `draw.json`.
        decomposer: who writes the plans; `batch:NAME` to have them written elsewhere.
        how: how to draw.
        limit: only so many questions.
        replies: to the prompts in `work/decomposer_requests.jsonl`, which a call for `batch:NAME` without them writes.

    Returns:
        The manifest, which is also in `work/draw.json`.

    Raises:
        ConfigurationError: an unknown tool, or no question can be used.
        DocumentError: a file cannot be read.
        MissingReplyError: a prompt has no reply in `replies`.
        EndpointError: the decomposer failed; what it wrote before is kept.
        BackendError: a file cannot be written.
    """
    if unknown := [name for name in how.tools if name not in TOOLS]:
        raise ConfigurationError(f"unknown tool {unknown[0]!r}; plans are drawn with {', '.join(TOOLS)}")
    skipped = Skipped()
    asked = list(read_questions(questions, skipped.reasons).values())[:limit]
    if not asked:
        raise ConfigurationError(f"there is no question in {questions}; it wants id, question and answer in each line")
    jobs = [plan_job(q.id, q.question, how.tools, examples=how.examples, grammar=how.grammar) for q in asked]
    if elsewhere(decomposer) and replies is None:
        file = work / "decomposer_requests.jsonl"
        return {"requests": write_jobs(file, [(jobs, how.sampling)], name_of(decomposer))}
    drawn = await answered(
        jobs, work / "decomposer_drawn.jsonl", decomposer, role="decomposer", sampling=how.sampling, replies=replies
    )
    kept = write_jsonl(work / "drawn_plans.jsonl", _plans(jobs, drawn, name_of(decomposer), how))
    manifest = {
        "stage": "draw",
        "decomposer": name_of(decomposer),
        "prompts": prompts.version(),
        "settings": {**asdict(how), "price": how.price.model_dump() if how.price else None},
        "inputs": {"questions": digest(questions)},
        "decomposer_took": spent(drawn, how.price),
        "questions": len(asked),
        "plans": kept,
        "repeated": sum(len(reply.texts) for reply in drawn) - kept,
        "left_out": skipped.described,
    }
    write_manifest(work / "draw.json", manifest)
    return manifest


def plan_job(id_: str, question: str, tools: Sequence[str], *, examples: bool = False, grammar: bool = True) -> Job:
    """The prompt for a plan over some of the library's own tools.

    Args:
        id_: of the job.
        question: what to plan for.
        tools: their names.
        examples: whether it has worked examples.
        grammar: whether the reply is held to the grammar.
    """
    cards = shipped(*tools).cards
    messages = as_messages(prompts.lines_messages(question, cards, examples=examples))
    pattern = LineGrammar([card.name for card in cards], MAX_SUB_QUESTIONS).pattern if grammar else None
    return Job(id=id_, messages=messages, pattern=pattern)


def _plans(jobs: Sequence[Job], replies: Sequence[Replies], source: str, how: Drawing) -> Iterator[Mapping[str, Any]]:
    """Each plan of a question once, in the order they were drawn."""
    tools = {} if how.examples else {"tools": how.tools}
    for job, reply in zip(jobs, replies, strict=True):
        for sample, text in enumerate(dict.fromkeys(text.strip() for text in reply.texts)):
            yield {"id": job.id, "sample": sample, "source": source, "plan": text, "messages": job.messages, **tools}
