"""The stage `solutions`: rows that distil a solver, on the questions that decomposers are distilled on.

A solver that is tuned on worked solutions is what a distilled decomposer is compared with (arXiv 2402.15000):
the data's own solutions (`se_a.jsonl`), or a teacher's, right or wrong (`se_t.jsonl`). Both answer the prompt that asks
a solver without a plan.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anabranch.agents import prompts
from anabranch.batch.chat import answered, name_of, spent
from anabranch.batch.files import Kinds, digest, read_rows, write_jsonl, write_manifest
from anabranch.batch.jobs import Job, Replies, Sampling
from anabranch.config import Price
from anabranch.distill import datasets
from anabranch.distill.datasets import Skipped
from anabranch.distill.options import SolutionsOptions
from anabranch.distill.render import as_messages
from anabranch.errors import ConfigurationError
from anabranch.grading import right_answer

HELD_OUT_SHARE = 0.05
MAX_TOKENS = 512
_FIELDS: Mapping[str, Kinds] = {"id": (str, int), "question": str, "answer": (str, int, float)}


@dataclass(frozen=True)
class Asked:
    """A question to distil a solver on.

    Attributes:
        job: its prompt.
        source: the data set it is from.
        answer: its right answer.
        solution: how the data works it out; empty where the data has the answer alone.
        tune: whether it is kept for tuning.
    """

    job: Job
    source: str
    answer: str
    solution: str
    tune: bool

    def row(self, completion: str) -> dict[str, Any]:
        """A row to train on."""
        return {"id": self.job.id, "source": self.source, "messages": self.job.messages, "completion": completion}

    @property
    def worked(self) -> str:
        """The data's own reply to the prompt."""
        return f"{self.solution}\nAnswer: {self.answer}".lstrip()


async def solutions(how: SolutionsOptions) -> dict[str, Any]:
    """Writes the rows; a run that was stopped goes on where it was.

    Args:
        how: which questions, and who solves them, too. `se_a.jsonl`, `se_t.jsonl`, their `_tune` files, the teacher's
            replies and `solutions.json` go into `how.work`.

    Returns:
        The manifest, which is also in `work/solutions.json`.

    Raises:
        DocumentError: a file cannot be read.
        ConfigurationError: no question can be used.
        EndpointError: the teacher failed; what it answered before is kept.
        BackendError: a file cannot be written.
    """
    skipped, questions, work, teacher = Skipped(), how.questions, how.work, how.teacher
    asked = read(questions, skipped, how.limit)
    if not asked:
        reasons = "; ".join(f"{count} are left out: {reason}" for reason, count in skipped.counts.items()) or "no rows"
        names = ", ".join(map(str, questions))
        raise ConfigurationError(f"no question of {names} can be used ({reasons}); give id, question and answer")
    counts = _written(work, "se_a", [(each, each.worked) for each in asked])
    took: dict[str, Any] = {}
    if teacher is not None:
        sampling = Sampling(max_tokens=MAX_TOKENS)
        jobs = [each.job for each in asked]
        out = work / "teacher_solutions.jsonl"
        replies = await answered(jobs, out, teacher, role="teacher", sampling=sampling)
        counts |= _written(work, "se_t", list(_taught(asked, replies, skipped)))
        right = sum(right_answer(reply.texts[0], each.answer) for each, reply in zip(asked, replies, strict=True))
        took = {
            "teacher": name_of(teacher),
            "teacher_took": spent(replies, Price.read(how.price)),
            "teacher_right": right,
        }
    manifest = {
        "stage": "solutions",
        "prompts": prompts.version(),
        "limit": how.limit,
        "inputs": {path.name: digest(path) for path in questions},
        "questions": len(asked),
        "with_a_worked_solution": sum(bool(each.solution) for each in asked),
        **took,
        "rows": counts,
        "left_out": skipped.described,
    }
    write_manifest(work / "solutions.json", manifest)
    return manifest


def read(questions: Sequence[Path], skipped: Skipped, limit: int | None = None) -> list[Asked]:
    """The questions of some files that need no context, each id once; the last ones of each file are for tuning.

    Raises:
        DocumentError: a file cannot be read.
    """
    found: dict[str, Asked] = {}
    for path in questions:
        kept: dict[str, Mapping[str, Any]] = {}
        for row in read_rows(path, _FIELDS, skipped.reasons):
            id_, reason = str(row["id"]), _unfit(row)
            if id_ in found or id_ in kept:
                reason = "an id that was there before"
            if reason:
                skipped.add(reason, row)
            else:
                kept[id_] = row
        start = len(kept) - _held_out(kept.values())
        made = [_asked(row, number >= start) for number, row in enumerate(kept.values())]
        train, tune = made[:start][:limit], made[start:][:limit]
        found |= {each.job.id: each for each in [*train, *tune]}
    return list(found.values())


def _unfit(row: Mapping[str, Any]) -> str:
    if row.get("split") in ("test", "dev"):
        return "of a split that is kept for tests"
    return "a question that needs its context" if row.get("context") else ""


def _held_out(rows: Collection[Mapping[str, Any]]) -> int:
    # Of GSM8K, the rows that decomposers are tuned on are kept from solvers, too.
    gsm8k = any(str(row.get("source")).startswith("gsm8k") for row in rows)
    return max(math.ceil(len(rows) * HELD_OUT_SHARE), min(datasets.GSM8K_TUNE, len(rows) // 10) if gsm8k else 0)


def _asked(row: Mapping[str, Any], tune: bool) -> Asked:
    question = " ".join(row["question"].split())
    job = Job(id=str(row["id"]), messages=as_messages(prompts.direct_messages(question)))
    source, answer = str(row.get("source") or ""), str(row["answer"]).strip()
    return Asked(job=job, source=source, answer=answer, solution=datasets.worked(row), tune=tune)


def _taught(asked: Sequence[Asked], replies: Sequence[Replies], skipped: Skipped) -> Iterator[tuple[Asked, str]]:
    for each, reply in zip(asked, replies, strict=True):
        if reply.finished[0] and reply.texts[0].strip():
            yield each, reply.texts[0].strip()
        else:
            skipped.add("a teacher's reply that is empty or was cut off", {"id": each.job.id})


def _written(work: Path, name: str, rows: Sequence[tuple[Asked, str]]) -> dict[str, int]:
    files = {name: False, f"{name}_tune": True}
    return {
        file: write_jsonl(work / f"{file}.jsonl", (each.row(text) for each, text in rows if each.tune == tune))
        for file, tune in files.items()
    }
