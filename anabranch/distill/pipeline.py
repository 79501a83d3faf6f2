"""The stage `build`: training, tuning and test rows from data sets, templates and the teachers' replies.

The data sets are read once, and each row goes one way: it is read, becomes a demonstration (`datasets`, with a plan of
a teacher's by `teacher`), and that becomes rows for the decomposer (`render`) and for the solver (`solving`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from anabranch.agents import prompts
from anabranch.batch.files import digest, read_jsonl, write_jsonl, write_manifest
from anabranch.distill import datasets, solving, teacher, templates
from anabranch.distill.datasets import Skipped
from anabranch.distill.demonstrate import taught, teachers_replies
from anabranch.distill.options import BuildOptions
from anabranch.distill.records import Demonstration
from anabranch.distill.render import route_rows, training_rows
from anabranch.distill.sources import GSM8K, MUSIQUE, QDMR, STRATEGYQA, Passage, Sources, chat_questions
from anabranch.errors import ConfigurationError

PASSES = 3
"""How often each demonstration is shown, each time with another tool catalogue."""
SOURCES = ("gsm8k", "strategyqa", "musique", "written_sum", "written_other")
"""Where demonstrations come from; of the written ones, the sums have a name of their own."""
OPTIONAL = ("qdmr",)
"""Sources that are taken only where they are asked for: QDMR's plans divide finer than a planner should."""


@dataclass(frozen=True)
class Material:
    """What the data sets and the teachers' replies have.

    Attributes:
        plans: GSM8K's questions with a teacher's plans.
        strategy: StrategyQA's.
        chains: MuSiQue's.
        databases: QDMR's, where they are asked for.
        passages: paragraphs of the questions.
        readings: questions with answers and the passage that holds each.
        chat: questions that a teacher answered: kind, question, reply.
        faults: how often each fault kept out a teacher's plan.
    """

    plans: Sequence[Demonstration]
    strategy: Sequence[Demonstration]
    chains: Sequence[Demonstration]
    databases: Sequence[Demonstration]
    passages: Sequence[Passage]
    readings: Sequence[solving.Reading]
    chat: Sequence[tuple[str, str, str]]
    faults: dict[str, int] = field(default_factory=dict)


def build(how: BuildOptions) -> dict[str, Any]:
    """Turns data sets and the teachers' replies into rows for training, tuning and tests.

    Args:
        how: what to build of what. `how.work` is the folder of the teacher's replies; the rows go there, too.

    Returns:
        The manifest with the counts, which is also in `work/build.json`.

    Raises:
        ConfigurationError: an unknown source is to be left out or included.
        DocumentError: there is no data set, or replies that cannot be read.
        EndpointError: the hub cannot be reached.
        BackendError: a file cannot be written.
    """
    work, given = how.work, how.plans
    _check(how.leave_out, SOURCES, "leave out")
    _check(how.include, OPTIONAL, "include")
    sources, skipped = Sources(how.data, how.source, work), Skipped()
    found = _material(sources, how, skipped)
    more = {QDMR: digest(sources.paths[QDMR])} if found.databases else {}
    manifest = {
        "stage": "build",
        "prompts": prompts.version(),
        "seed": how.seed,
        "limit": how.limit,
        "without": sorted(how.leave_out),
        "inputs": sources.inputs | ({given.name: digest(given)} if given else {}) | more,
        "plans": sum(d.split == "train" for d in found.plans),
        "tune_plans": sum(d.split == "tune" for d in found.plans),
        "strategyqa": len(found.strategy),
        "musique": len(found.chains),
        "written": how.written * PASSES,
        **({"qdmr": len(found.databases)} if how.include else {}),
        "teacher_faults": found.faults,
        **_decomposer(found, how),
        **_solver(found, how),
        "left_out": skipped.described,
    }
    write_jsonl(work / "demonstrations.jsonl", map(_without_question, found.plans))
    write_manifest(work / "build.json", manifest)
    return manifest


def _check(names: Sequence[str], known: Sequence[str], what: str) -> None:
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError(f"unknown source {unknown[0]!r} to {what}; use: {', '.join(known)}")


def _material(sources: Sources, how: BuildOptions, skipped: Skipped) -> Material:
    work, limit = how.work, how.limit
    replies = teachers_replies(work, how.plans, skipped)
    plans, faults = taught(datasets.solved(sources.rows(GSM8K, skipped), limit, skipped), replies)
    strategy = list(datasets.strategyqa(sources.rows(STRATEGYQA, skipped), skipped))
    chains = sources.rows(MUSIQUE, skipped)
    readings = [reading for row in chains for reading in datasets.musique_readings(row)]
    passages = sources.passages()
    return Material(
        plans=plans,
        strategy=strategy[:limit],
        chains=list(datasets.musique(chains, skipped))[:limit],
        databases=list(datasets.qdmr(sources.rows(QDMR, skipped), skipped))[:limit] if "qdmr" in how.include else [],
        passages=passages,
        readings=[*readings, *_quizzed(work, passages[:limit])],
        chat=list(_answered(work, chat_questions(strategy, limit))),
        faults=faults,
    )


def _quizzed(work: Path, passages: Sequence[Passage]) -> Iterator[solving.Reading]:
    """A teacher's questions about passages."""
    replies = {row["id"]: row["texts"] for row in _replies(work / "teacher_quiz.jsonl")}
    for number, passage in enumerate(passages):
        pairs: dict[str, str] = {}
        for reply in replies.get(f"quiz/{number}", []):
            pairs.update(teacher.quiz(reply, passage["title"], passage["text"]))
        yield from ((question, answer, passage) for question, answer in pairs.items())


def _answered(work: Path, asked: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """A teacher's short answers."""
    replies = {row["id"]: row["texts"][0] for row in _replies(work / "teacher_chat.jsonl")}
    for number, (kind, text) in enumerate(asked):
        if f"chat/{number}" in replies:
            yield kind, text, replies[f"chat/{number}"]


def _replies(path: Path) -> Iterator[dict[str, Any]]:
    """A teacher's replies, if one was asked."""
    return read_jsonl(path) if path.is_file() else iter(())


def _decomposer(found: Material, how: BuildOptions) -> dict[str, int]:
    """Writes the decomposer's rows; returns their numbers."""
    work, written, seed = how.work, how.written, how.seed
    random = Random(seed)  # noqa: S311
    train, tune = ([d for d in found.plans if d.split == split] for split in ("train", "tune"))
    kept = len(found.strategy) - min(60, len(found.strategy) // 10)
    more = templates.written(Random(seed + 1000), min(written, 400))  # noqa: S311
    unseen = [*tune[:400], *found.strategy[kept:], *more]
    shown: list[Demonstration] = []
    for number in range(PASSES):
        made = [d.model_copy(update={"id": f"{number}-{d.id}"}) for d in templates.written(random, written)]
        shown += [*train, *found.strategy[:kept], *found.chains, *found.chains, *made]
    shown += [*found.databases] * PASSES
    counts = {}
    for name, demonstrations, chance in (("train", shown, random), ("tune", unseen, Random(seed + 1))):  # noqa: S311
        taken = [d for d in demonstrations if _domain(d.source) not in how.leave_out]
        rows = training_rows(taken, chance, found.passages)
        counts[f"decomposer_{name}"] = write_jsonl(work / f"decomposer_{name}.jsonl", rows)
    tested = route_rows(unseen, Random(seed + 2))  # noqa: S311
    return {**counts, "routes_test": write_jsonl(work / "routes_test.jsonl", tested)}


def _domain(source: str) -> str:
    return "written_other" if source.startswith("written_") and source not in SOURCES else source


def _solver(found: Material, how: BuildOptions) -> dict[str, int]:
    """Writes the solver's rows; returns their numbers."""
    work, written, random = how.work, how.written, Random(how.seed + 3)  # noqa: S311
    made = list(templates.written(random, written))
    unseen = list(templates.written(Random(77), max(10, written // 20)))  # noqa: S311
    # Which of two numbers is larger takes a small model many examples.
    compared = [d for d in templates.written(random, written * 5) if d.source == "written_comparison"]
    train, tune = ([d for d in found.plans if d.split == split] for split in ("train", "tune"))
    cut = max(0, len(found.readings) - max(1, len(found.readings) // 20))
    shown, held = found.readings[:cut], found.readings[cut:]
    arguments = list(solving.argument_rows(train, random))
    rows = [
        *random.sample(arguments, min(len(arguments), 8000)),
        *solving.argument_rows(made, random),
        *solving.step_rows([*made, *compared]),
        *solving.reading_rows(random.sample(shown, min(cut, 9000)), found.passages, random),
        *solving.chat_rows(found.chat),
    ]
    tuned = [
        *list(solving.argument_rows(tune, random))[:300],
        *solving.argument_rows(unseen, random),
        *solving.step_rows(unseen),
        *list(solving.reading_rows(held, found.passages, random))[:300],
    ]
    return {
        "reading_pairs": len(found.readings),
        "solver_train": write_jsonl(work / "solver_train.jsonl", rows),
        "solver_tune": write_jsonl(work / "solver_tune.jsonl", tuned),
    }


def _without_question(demonstration: Demonstration) -> dict[str, Any]:
    steps = [{"text": step.text, "expression": step.expression} for step in demonstration.steps]
    return {"id": demonstration.id, "split": demonstration.split, "steps": steps}
