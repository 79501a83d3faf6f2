"""The stage `draw`: a decomposer's own plans, several for each question, to be screened and learnt from.

A preference stage learns most from what the student itself would write, so its plans keep the prompt that they were
drawn with, and pairs are made over that prompt.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from anabranch.agents import prompts
from anabranch.batch.chat import answered, elsewhere, name_of, spent
from anabranch.batch.files import digest, write_jsonl, write_manifest
from anabranch.batch.jobs import Job, Replies, Sampling, write_jobs
from anabranch.codecs import LineGrammar
from anabranch.config import Price
from anabranch.distill.catalogues import shipped
from anabranch.distill.datasets import Skipped
from anabranch.distill.options import DrawOptions
from anabranch.distill.records import MAX_SUB_QUESTIONS
from anabranch.distill.render import as_messages
from anabranch.distill.screen import TOOLS, read_questions
from anabranch.errors import ConfigurationError

logger = logging.getLogger(__name__)

PLAN_TOKENS = 320


async def draw(how: DrawOptions) -> dict[str, Any]:
    """Draws plans; a run that was stopped goes on where it was.

    Args:
        how: how to draw for what. `drawn_plans.jsonl` (what `screen` takes), the replies, and `draw.json` go into
            `how.work`.

    Returns:
        The manifest, which is also in `work/draw.json`.

    Raises:
        ConfigurationError: an unknown tool, or no question can be used.
        DocumentError: a file cannot be read.
        MissingReplyError: a prompt has no reply in `replies`.
        EndpointError: the decomposer failed; what it wrote before is kept.
        BackendError: a file cannot be written.
    """
    work, decomposer, price = how.work, how.decomposer, Price.read(how.price)
    sampling = Sampling.of(how.samples, how.temperature, PLAN_TOKENS, how.seed)
    skipped = Skipped()
    jobs = _jobs(how, skipped)
    if elsewhere(decomposer) and how.replies is None:
        file = work / "decomposer_requests.jsonl"
        return {"requests": write_jobs(file, [(jobs, sampling)], name_of(decomposer))}
    out = work / "decomposer_drawn.jsonl"
    drawn = await answered(jobs, out, decomposer, role="decomposer", sampling=sampling, replies=how.replies)
    kept = write_jsonl(work / "drawn_plans.jsonl", _plans(jobs, drawn, name_of(decomposer), how))
    manifest = {
        "stage": "draw",
        "decomposer": name_of(decomposer),
        "prompts": prompts.version(),
        "settings": {
            **{name: getattr(how, name) for name in ("samples", "temperature", "tools", "examples", "grammar", "seed")},
            "price": price and price.model_dump(),
        },
        "inputs": {"questions": digest(how.questions)},
        "decomposer_took": spent(drawn, price),
        "questions": len(jobs),
        "plans": kept,
        "repeated": sum(len(reply.texts) for reply in drawn) - kept,
        "left_out": skipped.described,
    }
    write_manifest(work / "draw.json", manifest)
    return manifest


def _jobs(how: DrawOptions, skipped: Skipped) -> list[Job]:
    if unknown := [name for name in how.tools if name not in TOOLS]:
        raise ConfigurationError(f"unknown tool {unknown[0]!r}; plans are drawn with {', '.join(TOOLS)}")
    asked = list(read_questions(how.questions, skipped.reasons).values())[: how.limit]
    if not asked:
        raise ConfigurationError(
            f"there is no question in {how.questions}; it wants id, question and answer in each line"
        )
    return [plan_job(q.id, q.question, how.tools, examples=how.examples, grammar=how.grammar) for q in asked]


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


def _plans(jobs: Sequence[Job], replies: Sequence[Replies], source: str, how: DrawOptions) -> Iterator[dict[str, Any]]:
    """Each plan of a question once, in the order they were drawn."""
    tools = {} if how.examples else {"tools": how.tools}
    for job, reply in zip(jobs, replies, strict=True):
        for sample, text in enumerate(dict.fromkeys(text.strip() for text in reply.texts)):
            yield {"id": job.id, "sample": sample, "source": source, "plan": text, "messages": job.messages, **tools}
