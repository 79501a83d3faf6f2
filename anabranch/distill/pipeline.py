"""The stage `build`: training, tuning and test rows from data sets, templates and the teachers' replies."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from anabranch.agents import prompts
from anabranch.batch.files import digest, read_jsonl, write_jsonl, write_manifest
from anabranch.distill import datasets, solving, sources, teacher, templates
from anabranch.distill.catalogues import random_offer
from anabranch.distill.datasets import Skipped
from anabranch.distill.demonstrate import taught
from anabranch.distill.records import Demonstration
from anabranch.distill.render import as_messages, training_rows, wanted_tools
from anabranch.distill.sources import MUSIQUE, QDMR, STRATEGYQA, Passage, passages, rows_of
from anabranch.errors import ConfigurationError

PASSES = 3
"""How often each demonstration is shown, each time with another tool catalogue."""


SOURCES = ("gsm8k", "strategyqa", "musique", "written_sum", "written_other")
"""Where demonstrations come from; of the written ones, the sums have a name of their own."""
OPTIONAL = ("qdmr",)
"""Sources that are taken only where they are asked for: QDMR's plans divide finer than a planner should."""


def build(
    data: Path,
    work: Path,
    *,
    seed: int = 1,
    written: int = 5000,
    limit: int | None = None,
    leave_out: Sequence[str] = (),
    include: Sequence[str] = (),
    given: Path | None = None,
) -> dict[str, Any]:
    """Turns data sets and the teachers' replies into rows for training, tuning and tests.

    Args:
        data: folder of the data sets.
        work: folder of the teacher's replies; the rows go there, too.
        seed: source of chance.
        written: written demonstrations a pass.
        limit: as for `demonstrate`.
        leave_out: sources (of `SOURCES`) that the decomposer is not trained on; its route test and the solver's rows
            have all of them.
        include: sources (of `OPTIONAL`) that it is trained on besides.
        given: plans of an earlier build (its `demonstrations.jsonl`, also as `.gz`), to repeat it without a teacher.

    Returns:
        The manifest with the counts, which is also in `work/build.json`.

    Raises:
        ConfigurationError: an unknown source is to be left out or included.
        DocumentError: there is no data set, or replies that cannot be read.
        BackendError: a file cannot be written.
    """
    for names, known, what in ((leave_out, SOURCES, "leave out"), (include, OPTIONAL, "include")):
        if unknown := [name for name in names if name not in known]:
            raise ConfigurationError(f"unknown source {unknown[0]!r} to {what}; use: {', '.join(known)}")
    random, inputs = Random(seed), sources.check(data)  # noqa: S311
    skipped = Skipped()
    plans, faults = taught(data, work, limit, skipped, given)
    strategy = list(datasets.strategyqa(rows_of(data, STRATEGYQA, skipped), skipped))[:limit]
    chains = list(datasets.musique(rows_of(data, MUSIQUE, skipped), skipped))[:limit]
    more = list(datasets.qdmr(rows_of(data, QDMR, skipped), skipped))[:limit] if "qdmr" in include else []
    shown, unseen = _divided(plans, strategy, chains, random, written=written, seed=seed)
    counts: dict[str, Any] = {
        "plans": sum(d.split == "train" for d in plans),
        "tune_plans": sum(d.split == "tune" for d in plans),
        "strategyqa": len(strategy),
        "musique": len(chains),
        "written": written * PASSES,
        **({"qdmr": len(more)} if include else {}),
        "teacher_faults": faults,
    }
    pool = passages(data)
    shown += more * PASSES
    for name, demonstrations, chance in (("train", shown, random), ("tune", unseen, Random(seed + 1))):  # noqa: S311
        taken = (d for d in demonstrations if _source(d) not in leave_out)
        path = work / f"decomposer_{name}.jsonl"
        counts[f"decomposer_{name}"] = write_jsonl(path, training_rows(taken, chance, pool))
    counts["routes_test"] = write_jsonl(work / "routes_test.jsonl", route_rows(unseen, Random(seed + 2)))  # noqa: S311
    counts |= _build_solver(data, work, plans, Random(seed + 3), written, limit)  # noqa: S311
    write_jsonl(work / "demonstrations.jsonl", (_without_question(d) for d in plans))
    manifest = {
        "stage": "build",
        "prompts": prompts.version(),
        "seed": seed,
        "limit": limit,
        "without": sorted(leave_out),
        "inputs": inputs
        | ({given.name: digest(given)} if given else {})
        | ({QDMR: digest(data / QDMR)} if more else {}),
        **counts,
        "left_out": skipped.described,
    }
    write_manifest(work / "build.json", manifest)
    return manifest


def _divided(
    plans: Sequence[Demonstration],
    strategy: Sequence[Demonstration],
    chains: Sequence[Demonstration],
    random: Random,
    *,
    written: int,
    seed: int,
) -> tuple[list[Demonstration], list[Demonstration]]:
    """Demonstrations to train on, in passes, and those that are held out; with written ones in both."""
    train, tune = ([d for d in plans if d.split == split] for split in ("train", "tune"))
    kept = len(strategy) - min(60, len(strategy) // 10)
    unseen = [*tune[:400], *strategy[kept:], *templates.written(Random(seed + 1000), min(written, 400))]  # noqa: S311
    shown: list[Demonstration] = []
    for number in range(PASSES):
        more = [d.model_copy(update={"id": f"{number}-{d.id}"}) for d in templates.written(random, written)]
        shown += [*train, *strategy[:kept], *chains, *chains, *more]
    return shown, unseen


def _source(demonstration: Demonstration) -> str:
    source = demonstration.source
    return "written_other" if source.startswith("written_") and source not in SOURCES else source


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
    for row in rows_of(data, MUSIQUE):
        found += datasets.musique_readings(row)
    replies = {row["id"]: row["texts"] for row in _replies(work / "teacher_quiz.jsonl")}
    for number, passage in enumerate(passages(data, limit)):
        pairs: dict[str, str] = {}
        for reply in replies.get(f"quiz/{number}", []):
            pairs.update(teacher.quiz(reply, passage["title"], passage["text"]))
        found += [(question, answer, passage) for question, answer in pairs.items()]
    return found


def _chat_replies(data: Path, work: Path, limit: int | None) -> Iterator[tuple[str, str, str]]:
    replies = {row["id"]: row["texts"][0] for row in _replies(work / "teacher_chat.jsonl")}
    for number, (kind, text) in enumerate(sources.chat_questions(data, limit)):
        if f"chat/{number}" in replies:
            yield kind, text, replies[f"chat/{number}"]


def _replies(path: Path) -> Iterator[dict[str, Any]]:
    """A teacher's replies, if one was asked."""
    return read_jsonl(path) if path.is_file() else iter(())


def _without_question(demonstration: Demonstration) -> dict[str, Any]:
    steps = [{"text": step.text, "expression": step.expression} for step in demonstration.steps]
    return {"id": demonstration.id, "split": demonstration.split, "steps": steps}
