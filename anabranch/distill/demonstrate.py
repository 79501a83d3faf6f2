"""The stage `demonstrate`: teachers write plans from worked solutions, questions about passages, and short answers.

Plans are rationale-conditioned: a teacher sees the human solution with its results hidden (`teacher`). People's plans
need no teacher and join in `plan_rows` and `build`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from anabranch.agents import prompts
from anabranch.batch.chat import Model, answered, elsewhere, name_of, spent
from anabranch.batch.files import read_jsonl, read_rows, write_jsonl, write_manifest
from anabranch.batch.jobs import Job, Sampling, write_jobs
from anabranch.codecs import encode_lines
from anabranch.config import Price
from anabranch.distill import datasets, teacher
from anabranch.distill.catalogues import shipped
from anabranch.distill.datasets import Skipped, Solved
from anabranch.distill.options import DemonstrateOptions
from anabranch.distill.records import Demonstration
from anabranch.distill.render import as_messages, plan_over
from anabranch.distill.sources import GSM8K, STRATEGYQA, Sources, chat_questions
from anabranch.errors import ConfigurationError

QUIZ = Sampling(n=2, temperature=0.5, max_tokens=250, seed=1)
CHAT = Sampling(max_tokens=200)
TeachersReplies = dict[str, list[tuple[str, str]]]
"""By question: teachers' names with what each wrote."""


async def demonstrate(how: DemonstrateOptions) -> dict[str, Any]:
    """Asks the teachers; a run that was stopped goes on where it was.

    Args:
        how: whom to ask about what. The replies, `plans.jsonl` and `demonstrate.json` go into `how.work`.

    Returns:
        The manifest, which is also in `work/demonstrate.json`.

    Raises:
        ConfigurationError: `batch:NAME` is not the only teacher.
        DocumentError: a data set or `replies` cannot be read.
        MissingReplyError: a prompt has no reply in `replies`.
        EndpointError: a teacher failed; what it wrote before is kept.
        BackendError: a file cannot be written.
    """
    work, teachers, price = how.work, how.teacher, Price.read(how.price)
    if len(teachers) > 1 and any(map(elsewhere, teachers)):
        raise ConfigurationError("batch:NAME is a teacher by itself; run the stage once for each teacher")
    sources, skipped = Sources(how.data, how.source, work), Skipped()
    solved = list(datasets.solved(sources.rows(GSM8K, skipped), how.limit, skipped))
    asked = _asked(sources, solved, how, skipped)
    if elsewhere(teachers[0]) and how.replies is None:
        batches = [(jobs, sampling) for _, jobs, sampling in asked.values()]
        return {"requests": write_jobs(work / "teacher_requests.jsonl", batches, name_of(teachers[0]))}
    took = {}
    for name, (model, jobs, sampling) in asked.items():
        out = work / f"teacher_{name}.jsonl"
        got = await answered(jobs, out, model, role="teacher", sampling=sampling, replies=how.replies)
        took[name] = {**spent(got, price), "sampling": sampling.fields}
    candidates = list(plan_rows(solved, teachers_replies(work)))
    manifest = {
        "stage": "demonstrate",
        "teachers": [name_of(model) for model in teachers],
        "prompts": prompts.version(),
        "instructions": teacher.version(),
        "limit": how.limit,
        "inputs": sources.inputs,
        "took": took,
        "plans": write_jsonl(work / "plans.jsonl", candidates),
        "questions_with_plans": len({row["id"] for row in candidates}),
        "left_out": skipped.described,
    }
    write_manifest(work / "demonstrate.json", manifest)
    return manifest


def _asked(
    sources: Sources, solved: Sequence[Solved], how: DemonstrateOptions, skipped: Skipped
) -> dict[str, tuple[Model, list[Job], Sampling]]:
    """By file: who is asked what, and how replies are drawn."""
    plans = [Job(id=str(row["id"]), messages=teacher.step_prompt(row["question"], steps)) for row, steps, _ in solved]
    draws = Sampling(n=how.samples, temperature=0.6, top_p=0.95, max_tokens=400, seed=1)
    shown = sources.passages(skipped)[: how.limit]
    quizzes = [Job(id=f"quiz/{n}", messages=teacher.quiz_prompt(p["title"], p["text"])) for n, p in enumerate(shown)]
    chat = []
    for number, (kind, text) in enumerate(chat_questions(datasets.strategyqa(sources.rows(STRATEGYQA)), how.limit)):
        messages = prompts.direct_messages(text) if kind == "direct" else prompts.step_messages(text)
        chat.append(Job(id=f"chat/{number}", messages=as_messages(messages)))
    return {
        **{f"plans-{_slug(name_of(model))}": (model, plans, draws) for model in how.teacher},
        "quiz": (how.teacher[0], quizzes, QUIZ),
        "chat": (how.teacher[0], chat, CHAT),
    }


def plan_rows(solved: Iterable[Solved], replies: TeachersReplies) -> Iterator[dict[str, Any]]:
    """The plans one by one, as `screen` takes them: the best of all samples, repaired; each sample; a person's."""
    tool = shipped("calculator").tools["calculator"]
    for row, steps, split in solved:
        drawn = replies.get(str(row["id"]), [])
        best, _ = teacher.demonstration(row, steps, [text for _, text in drawn], split)
        made = [] if best is None else [("repaired", encode_lines(plan_over(best, {"calculator": tool})))]
        read = ((source, teacher.read_lines(text, len(steps))) for source, text in drawn)
        made += [(source, _lines(texts, tool)) for source, texts in read if texts]
        if row.get("sub_questions"):
            made.append(("human", _lines([datasets.to_slots(str(text)) for text in row["sub_questions"]], tool)))
        unique = {plan: source for source, plan in reversed(made)}
        for sample, (plan, source) in enumerate(reversed(unique.items())):
            yield {"id": str(row["id"]), "sample": sample, "plan": plan, "source": source}


def taught(solved: Iterable[Solved], replies: TeachersReplies) -> tuple[list[Demonstration], dict[str, int]]:
    """For each question the best plan of all teachers that passed the checks, and how often each fault kept one out.

    Args:
        solved: the questions, with the steps of their solutions.
        replies: of `teachers_replies`.
    """
    faults: dict[str, int] = {}
    made = []
    for row, steps, split in solved:
        plan, wrong = teacher.demonstration(row, steps, [text for _, text in replies.get(str(row["id"]), [])], split)
        if plan and teacher.repeats(step.text for step in plan.steps):
            plan, wrong = None, [*wrong, "a sub-question is asked again"]
        if plan:
            made.append(plan)
        for fault in set(wrong):
            faults[fault] = faults.get(fault, 0) + 1
    return made, faults


def teachers_replies(work: Path, given: Path | None = None, skipped: Skipped | None = None) -> TeachersReplies:
    """All teachers' samples by question, each with the teacher's name in its file.

    Args:
        work: folder of their replies.
        given: plans of an earlier build (its `demonstrations.jsonl`), so that no teacher is needed.
        skipped: gets the given plans that are left out.

    Raises:
        DocumentError: replies or plans cannot be read.
    """
    found: TeachersReplies = {}
    for path in sorted(work.glob("teacher_plans*.jsonl")):
        source = path.stem.removeprefix("teacher_plans").lstrip("-") or "teacher"
        for row in read_jsonl(path):
            found.setdefault(row["id"], []).extend((source, text) for text in row["texts"])
    for id_, text in _given(given, skipped or Skipped()) if given else ():
        found.setdefault(id_, []).append(("given", text))
    return found


def _given(path: Path, skipped: Skipped) -> Iterator[tuple[str, str]]:
    """Plans that were kept by row id, as a teacher would have written them."""
    for row in read_rows(path, {"id": (str, int), "steps": list}, skipped.reasons):
        said = [step.get("text") if isinstance(step, dict) else step for step in row["steps"]]
        texts = [text for text in said if isinstance(text, str)]
        if texts and len(texts) == len(said):
            yield str(row["id"]), teacher.numbered(texts)
        else:
            skipped.add("a given plan whose steps are no texts", row)


def _lines(texts: Sequence[str], tool: str) -> str:
    return "\n".join(f"{number} [{tool}] {text}" for number, text in enumerate(texts, 1))


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name.partition("#")[2] or name).strip("-")
