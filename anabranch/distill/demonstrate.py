"""The stage `demonstrate`: teachers write plans from worked solutions, questions about passages, and short answers.

Plans are rationale-conditioned: a teacher sees the human solution with its results hidden (`teacher`). People's plans
need no teacher and join in `plan_rows` and `build`.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from anabranch.agents import prompts
from anabranch.batch.chat import Model, answered, elsewhere, name_of, spent
from anabranch.batch.files import read_jsonl, read_rows, write_jsonl, write_manifest
from anabranch.batch.jobs import Job, Sampling, write_jobs
from anabranch.codecs import encode_lines
from anabranch.config import Price
from anabranch.distill import datasets, sources, teacher
from anabranch.distill.catalogues import shipped
from anabranch.distill.datasets import Skipped
from anabranch.distill.records import Demonstration
from anabranch.distill.render import as_messages
from anabranch.errors import ConfigurationError

QUIZ = Sampling(n=2, temperature=0.5, max_tokens=250, seed=1)
CHAT = Sampling(max_tokens=200)


async def demonstrate(
    data: Path,
    work: Path,
    teachers: Sequence[Model],
    *,
    samples: int = 4,
    limit: int | None = None,
    price: Price | None = None,
    replies: Path | None = None,
) -> dict[str, Any]:
    """Asks the teachers; a run that was stopped goes on where it was.

    Args:
        data: folder of the data sets.
        work: folder for the replies, `plans.jsonl` and `demonstrate.json`.
        teachers: models' names or chat models: all write plans, the first one everything else, too. A single
            `batch:NAME` is asked elsewhere.
        samples: plans that each draws for a question.
        limit: only so many rows of each kind.
        price: of the teachers' tokens.
        replies: to the prompts in `work/teacher_requests.jsonl`, which a call for `batch:NAME` without them writes.

    Returns:
        The manifest, which is also in `work/demonstrate.json`.

    Raises:
        ConfigurationError: `batch:NAME` is not the only teacher.
        DocumentError: a data set or `replies` cannot be read.
        MissingReplyError: a prompt has no reply in `replies`.
        EndpointError: a teacher failed; what it wrote before is kept.
        BackendError: a file cannot be written.
    """
    if len(teachers) > 1 and any(map(elsewhere, teachers)):
        raise ConfigurationError("batch:NAME is a teacher by itself; run the stage once for each teacher")
    inputs, skipped = sources.check(data), Skipped()
    rows = list(sources.gsm8k_rows(data, limit, skipped))
    plans = [Job(id=str(row["id"]), messages=teacher.step_prompt(row["question"], steps)) for row, steps, _ in rows]
    draws = Sampling(n=samples, temperature=0.6, top_p=0.95, max_tokens=400, seed=1)
    asked = {f"plans-{_slug(name_of(model))}": (model, plans, draws) for model in teachers}
    asked["quiz"] = teachers[0], _quizzes(data, limit, skipped), QUIZ
    asked["chat"] = teachers[0], _chat(data, limit), CHAT
    if any(map(elsewhere, teachers)) and replies is None:
        batches = [(jobs, sampling) for _, jobs, sampling in asked.values()]
        return {"requests": write_jobs(work / "teacher_requests.jsonl", batches, name_of(teachers[0]))}
    took = {}
    for name, (model, jobs, sampling) in asked.items():
        out = work / f"teacher_{name}.jsonl"
        got = await answered(jobs, out, model, role="teacher", sampling=sampling, replies=replies)
        took[name] = {**spent(got, price), "sampling": sampling.fields}
    candidates = list(plan_rows(data, work, limit))
    manifest = {
        "stage": "demonstrate",
        "teachers": [name_of(model) for model in teachers],
        "prompts": prompts.version(),
        "instructions": teacher.version(),
        "limit": limit,
        "inputs": inputs,
        "took": took,
        "plans": write_jsonl(work / "plans.jsonl", candidates),
        "questions_with_plans": len({row["id"] for row in candidates}),
        "left_out": skipped.described,
    }
    write_manifest(work / "demonstrate.json", manifest)
    return manifest


def plan_rows(data: Path, work: Path, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The plans one by one, as `screen` takes them: the best of all samples, repaired; each sample; a person's."""
    tool = shipped("calculator").tools["calculator"]
    replies = teachers_replies(work)
    for row, steps, split in sources.gsm8k_rows(data, limit):
        drawn = replies.get(str(row["id"]), [])
        best, _ = teacher.demonstration(row, steps, [text for _, text in drawn], split)
        made = [] if best is None else [("repaired", encode_lines(best.plan({"calculator": tool})))]
        read = ((source, teacher.read_lines(text, len(steps))) for source, text in drawn)
        made += [(source, _lines(texts, tool)) for source, texts in read if texts]
        if row.get("sub_questions"):
            made.append(("human", _lines([datasets.to_slots(str(text)) for text in row["sub_questions"]], tool)))
        unique = {plan: source for source, plan in reversed(made)}
        for sample, (plan, source) in enumerate(reversed(unique.items())):
            yield {"id": str(row["id"]), "sample": sample, "plan": plan, "source": source}


def taught(
    data: Path, work: Path, limit: int | None = None, skipped: Skipped | None = None, given: Path | None = None
) -> tuple[list[Demonstration], dict[str, int]]:
    """For each question the best plan of all teachers that passed the checks, and how often each fault kept one out.

    Args:
        data: folder of the data sets.
        work: folder of the teachers' replies.
        limit: only so many rows of each kind.
        skipped: gets the rows that are left out.
        given: plans of an earlier build (its `demonstrations.jsonl`), so that no teacher is needed.

    Raises:
        DocumentError: replies or plans cannot be read.
    """
    replies = teachers_replies(work)
    for id_, text in _given(given, skipped):
        replies.setdefault(id_, []).append(("given", text))
    faults: dict[str, int] = {}
    made = []
    for row, steps, split in sources.gsm8k_rows(data, limit, skipped):
        texts = [text for _, text in replies.get(str(row["id"]), [])]
        plan, wrong = teacher.demonstration(row, steps, texts, split)
        if plan and teacher.repeats(step.text for step in plan.steps):
            plan, wrong = None, [*wrong, "a sub-question is asked again"]
        if plan:
            made.append(plan)
        for fault in set(wrong):
            faults[fault] = faults.get(fault, 0) + 1
    return made, faults


def teachers_replies(work: Path) -> dict[str, list[tuple[str, str]]]:
    """All teachers' samples by question, each with the teacher's name in its file."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(work.glob("teacher_plans*.jsonl")):
        source = path.stem.removeprefix("teacher_plans").lstrip("-") or "teacher"
        for row in read_jsonl(path):
            found.setdefault(row["id"], []).extend((source, text) for text in row["texts"])
    return found


def _given(path: Path | None, skipped: Skipped | None) -> Iterator[tuple[str, str]]:
    """Plans that were kept by row id, as a teacher would have written them."""
    if path is None:
        return
    noted = skipped if skipped is not None else Skipped()
    for row in read_rows(path, {"id": (str, int), "steps": list}, noted.reasons):
        said = [step.get("text") if isinstance(step, dict) else step for step in row["steps"]]
        texts = [text for text in said if isinstance(text, str)]
        if texts and len(texts) == len(said):
            yield str(row["id"]), teacher.numbered(texts)
        else:
            noted.add("a given plan whose steps are no texts", row)


def _lines(texts: Sequence[str], tool: str) -> str:
    return "\n".join(f"{number} [{tool}] {text}" for number, text in enumerate(texts, 1))


def _quizzes(data: Path, limit: int | None, skipped: Skipped) -> list[Job]:
    shown = sources.passages(data, limit, skipped)
    return [Job(id=f"quiz/{n}", messages=teacher.quiz_prompt(p["title"], p["text"])) for n, p in enumerate(shown)]


def _chat(data: Path, limit: int | None) -> list[Job]:
    jobs = []
    for number, (kind, text) in enumerate(sources.chat_questions(data, limit)):
        messages = prompts.direct_messages(text) if kind == "direct" else prompts.step_messages(text)
        jobs.append(Job(id=f"chat/{number}", messages=as_messages(messages)))
    return jobs


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name.partition("#")[2] or name).strip("-")
