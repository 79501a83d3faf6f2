"""The stages from data sets to training rows: what the teacher is asked, and what is built from its replies."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from anabranch.agents import prompts
from anabranch.codecs import line_pattern
from anabranch.distill import datasets, solving, teacher, templates
from anabranch.distill import vocabulary as words
from anabranch.distill.batch import Job, run_jobs
from anabranch.distill.catalogues import random_offer
from anabranch.distill.datasets import Skipped
from anabranch.distill.records import Demonstration, read_jsonl, write_jsonl
from anabranch.distill.render import as_messages, training_rows, wanted_tools
from anabranch.plan import fill, slots

GSM8K = "gsm8k_main_train.jsonl"
STRATEGYQA = "strategyqa_train.jsonl"
MUSIQUE = "musique_hipporag_train100_ctx.jsonl"
HOTPOTQA = "hotpotqa_hipporag_train100_ctx.jsonl"

MAX_SUB_QUESTIONS = 8
PASSES = 3
"""How often each demonstration is shown, each time with another tool catalogue."""

Passage = Mapping[str, str]


def gsm8k_rows(
    data: Path, limit: int | None = None
) -> Iterator[tuple[dict[str, Any], list[datasets.Calculation], str]]:
    """Rows whose solution can be used, with its steps, and `train` or `tune`."""
    rows = list(read_jsonl(data / GSM8K))
    start = len(rows) - datasets.GSM8K_TUNE
    for number, row in enumerate(rows if limit is None else [*rows[:limit], *rows[start : start + limit]]):
        steps = datasets.calculations(row)
        split = "train" if (number < start if limit is None else number < limit) else "tune"
        if steps:
            yield row, steps, split


def passages(data: Path, limit: int | None = None) -> list[Passage]:
    """The paragraphs of the training questions, each once."""
    found: dict[str, Passage] = {}
    for name in (MUSIQUE, HOTPOTQA):
        for row in read_jsonl(data / name):
            for paragraph in row["context"]:
                found.setdefault(paragraph["text"], {"title": paragraph["title"], "text": paragraph["text"]})
    kept = [p for p in found.values() if len(p["text"].split()) >= 25]
    return kept[:limit]


def chat_questions(data: Path, limit: int | None = None) -> list[tuple[str, str]]:
    """Questions for direct answers, and facts for short ones."""
    random = Random(11)  # noqa: S311
    direct = dict.fromkeys(words.CHAT)
    direct.update(dict.fromkeys(d.question for d in templates.written(random, 4000) if d.source == "written_task"))
    facts: dict[str, None] = {}
    for demonstration in datasets.strategyqa(read_jsonl(data / STRATEGYQA)):
        facts.update({step.text: None for step in demonstration.steps if not slots(step.text)})
    asked = [("direct", text) for text in direct][:300] + [("step", text) for text in list(facts)[:1200]]
    return asked if limit is None else [*asked[:limit], *asked[-limit:]]


async def teach(
    data: Path, work: Path, *, url: str, model: str, samples: int = 4, limit: int | None = None
) -> dict[str, int]:
    """Asks the teacher for everything; a second run goes on where the first one stopped.

    Args:
        data: folder of the data sets.
        work: folder for the replies.
        url: the teacher's address, up to `/v1`.
        model: its name there.
        samples: plans to draw for each question.
        limit: only so many rows of each kind.

    Returns:
        Tokens read and written.
    """
    plans = [
        Job(id=str(r["id"]), messages=teacher.step_prompt(r["question"], s)) for r, s, _ in gsm8k_rows(data, limit)
    ]
    quizzes = [
        Job(id=f"quiz/{n}", messages=teacher.quiz_prompt(p["title"], p["text"]))
        for n, p in enumerate(passages(data, limit))
    ]
    chat = []
    for number, (kind, text) in enumerate(chat_questions(data, limit)):
        messages = prompts.direct_messages(text) if kind == "direct" else prompts.step_messages(text)
        chat.append(Job(id=f"chat/{number}", messages=as_messages(messages)))
    replies = await run_jobs(
        plans,
        work / "teacher_plans.jsonl",
        url=url,
        model=model,
        n=samples,
        temperature=0.6,
        top_p=0.95,
        max_tokens=400,
        seed=1,
    )
    replies += await run_jobs(
        quizzes, work / "teacher_quiz.jsonl", url=url, model=model, n=2, temperature=0.5, max_tokens=250, seed=1
    )
    replies += await run_jobs(chat, work / "teacher_chat.jsonl", url=url, model=model, temperature=0, max_tokens=200)
    return {"input": sum(r.input_tokens for r in replies), "output": sum(r.output_tokens for r in replies)}


def build(data: Path, work: Path, *, seed: int = 1, written: int = 5000, limit: int | None = None) -> dict[str, Any]:
    """Turns data sets and the teacher's replies into rows for training, tuning and tests; returns counts.

    Args:
        data: folder of the data sets.
        work: folder of the teacher's replies; the rows go there, too.
        seed: source of chance.
        written: written demonstrations a pass.
        limit: as for `teach`.
    """
    random = Random(seed)  # noqa: S311
    skipped = Skipped()
    plans, faults = taught(data, work, limit)
    train = [d for d in plans if d.split == "train"]
    tune = [d for d in plans if d.split == "tune"]
    strategy = list(datasets.strategyqa(read_jsonl(data / STRATEGYQA), skipped))[:limit]
    chains = list(datasets.musique(read_jsonl(data / MUSIQUE), skipped))[:limit]
    unseen = [*tune[:400], *strategy[-60:], *templates.written(Random(seed + 1000), min(written, 400))]  # noqa: S311
    shown: list[Demonstration] = []
    for number in range(PASSES):
        more = [d.model_copy(update={"id": f"{number}-{d.id}"}) for d in templates.written(random, written)]
        shown += [*train, *strategy[:-60], *chains, *chains, *more]
    counts: dict[str, Any] = {
        "plans": len(train),
        "tune_plans": len(tune),
        "strategyqa": len(strategy),
        "musique": len(chains),
        "written": written * PASSES,
        "teacher_faults": faults,
        "skipped": skipped.counts,
    }
    counts["decomposer_train"] = write_jsonl(work / "decomposer_train.jsonl", training_rows(shown, random))
    counts["decomposer_tune"] = write_jsonl(work / "decomposer_tune.jsonl", training_rows(unseen, Random(seed + 1)))  # noqa: S311
    counts["routes_test"] = write_jsonl(work / "routes_test.jsonl", route_rows(unseen, Random(seed + 2)))  # noqa: S311
    counts |= _build_solver(data, work, plans, Random(seed + 3), written, limit)  # noqa: S311
    write_jsonl(work / "demonstrations.jsonl", (_without_question(d) for d in plans))
    (work / "counts.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    return counts


def taught(data: Path, work: Path, limit: int | None = None) -> tuple[list[Demonstration], dict[str, int]]:
    """The teacher's plans that passed the checks, and how often each fault kept one out."""
    replies = {row["id"]: row["texts"] for row in read_jsonl(work / "teacher_plans.jsonl")}
    faults: dict[str, int] = {}
    made = []
    for row, steps, split in gsm8k_rows(data, limit):
        plan, wrong = teacher.demonstration(row, steps, replies.get(str(row["id"]), []), split)
        if plan:
            made.append(plan)
        for fault in set(wrong):
            faults[fault] = faults.get(fault, 0) + 1
    return made, faults


def route_rows(demonstrations: Iterable[Demonstration], random: Random) -> Iterator[dict[str, Any]]:
    """Prompts with catalogues that training never shows, and the plans that fit them."""
    for demonstration in demonstrations:
        offer = random_offer(random, wanted_tools(demonstration, random), held_out=True)
        routes = [card.name for card in offer.cards]
        yield {
            "id": demonstration.id,
            "source": demonstration.source,
            "messages": as_messages(prompts.lines_messages(demonstration.question, offer.cards)),
            "routes": routes,
            "pattern": line_pattern(routes, MAX_SUB_QUESTIONS),
            "plan": demonstration.plan(offer.tools).model_dump(),
        }


def _build_solver(
    data: Path, work: Path, plans: Sequence[Demonstration], random: Random, written: int, limit: int | None
) -> dict[str, int]:
    made = list(templates.written(random, written))
    unseen = list(templates.written(Random(77), max(10, written // 20)))  # noqa: S311
    # Which of two numbers is larger takes a small model many examples.
    compared = [d for d in templates.written(random, written * 5) if d.source == "written_comparison"]
    pool = passages(data)
    pairs = _reading_pairs(data, work, limit)
    cut = len(pairs) - max(1, len(pairs) // 20)
    arguments = list(solving.argument_rows((p for p in plans if p.split == "train"), random))
    train = [
        *random.sample(arguments, min(len(arguments), 8000)),
        *solving.argument_rows(made, random),
        *solving.step_rows([*made, *compared]),
        *solving.reading_rows(random.sample(pairs[:cut], min(cut, 9000)), pool, random),
        *solving.chat_rows(_chat_replies(data, work, limit)),
    ]
    tune = [
        *list(solving.argument_rows((p for p in plans if p.split == "tune"), random))[:300],
        *solving.argument_rows(unseen, random),
        *solving.step_rows(unseen),
        *list(solving.reading_rows(pairs[cut:], pool, random))[:300],
    ]
    return {
        "reading_pairs": len(pairs),
        "solver_train": write_jsonl(work / "solver_train.jsonl", train),
        "solver_tune": write_jsonl(work / "solver_tune.jsonl", tune),
    }


def _reading_pairs(data: Path, work: Path, limit: int | None) -> list[tuple[str, str, Passage]]:
    """Questions with answers and the passage they are in: from the teacher, and MuSiQue's own."""
    found: list[tuple[str, str, Passage]] = []
    for row in read_jsonl(data / MUSIQUE):
        meta, context = row["meta"], row["context"]
        answers = dict(enumerate(meta["sub_answers"], 1))
        for text, answer, place in zip(row["sub_questions"], meta["sub_answers"], meta["support"], strict=False):
            question = datasets.as_question(text)
            if question and answer in context[place]["text"]:
                filled = fill(question, answers)
                found.append((filled, answer, {k: context[place][k] for k in ("title", "text")}))
    replies = {row["id"]: row["texts"] for row in read_jsonl(work / "teacher_quiz.jsonl")}
    for number, passage in enumerate(passages(data, limit)):
        pairs: dict[str, str] = {}
        for reply in replies.get(f"quiz/{number}", []):
            pairs.update(teacher.quiz(reply, passage["title"], passage["text"]))
        found += [(question, answer, passage) for question, answer in pairs.items()]
    return found


def _chat_replies(data: Path, work: Path, limit: int | None) -> Iterator[tuple[str, str, str]]:
    replies = {row["id"]: row["texts"][0] for row in read_jsonl(work / "teacher_chat.jsonl")}
    for number, (kind, text) in enumerate(chat_questions(data, limit)):
        if f"chat/{number}" in replies:
            yield kind, text, replies[f"chat/{number}"]


def _without_question(demonstration: Demonstration) -> dict[str, Any]:
    steps = [{"text": step.text, "expression": step.expression} for step in demonstration.steps]
    return {"id": demonstration.id, "split": demonstration.split, "steps": steps}
