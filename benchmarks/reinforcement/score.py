"""Scores decomposers, and one search alone, over the corpus of a file; differences are paired by question.

    python -m benchmarks.reinforcement.score pooled_*.jsonl --solver http://host:8001/v1#NAME --out scores.jsonl \
        --system before=http://host:8000/v1#before --system after=http://host:8000/v1#after --system search=8

Static plans, greedy, no replanning. A file's corpus is the union of its paragraphs. A run that was stopped goes on
after the last whole file; another `--out` is needed where other adapters have the same names.
"""

import argparse
import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from langchain_core.documents import Document
from langchain_core.tools import StructuredTool, ToolException

from anabranch.batch.chat import opened
from anabranch.batch.examples import Example, Paragraph, search_over
from anabranch.batch.jobs import Job, Sampling
from anabranch.distill.drawing import PLAN_TOKENS
from anabranch.distill.environment import Asking, Environment, corpus, read_questions
from anabranch.distill.rewards import Outcome, found_and_answered
from anabranch.evals import prompts
from anabranch.grading import exact_match, token_f1
from anabranch.replies import final_answer
from benchmarks.reinforcement.questions import HINT

Record = dict[str, Any]
COLUMNS = ("f1", "em", "last_f1", "recall", "passages", "steps", "no_plan", "reward")


def scored(outcome: Outcome) -> Record:
    """The columns of one question."""
    return {
        "f1": outcome.f1,
        "em": float(exact_match(outcome.answer, outcome.example.answers)),
        "last_f1": outcome.last_f1,
        "recall": outcome.recall or 0.0,
        "passages": len(outcome.found),
        "steps": outcome.steps,
        "no_plan": float(outcome.plan is None),
        "reward": found_and_answered(outcome),
    }


async def planned(example: Example, ask: Any, environment: Environment) -> Record:
    """A greedy plan, run."""
    job = Job(id=example.id, messages=environment.prompt(example.question))
    replies = await ask(job, Sampling(max_tokens=PLAN_TOKENS))
    outcome = await environment.run(example, replies.texts[0], finished=replies.finished[0])
    return {**scored(outcome), "plan": replies.texts[0], "answer": outcome.answer, "found": list(outcome.found)}


async def searched(example: Example, ask: Any, tool: StructuredTool) -> Record:
    """One search for the question as it is, and one call that reads what it finds."""
    assert tool.func is not None
    bare = example.question.removesuffix(HINT).strip()
    try:
        found: Sequence[Document] = tool.func(bare)[1]
    except ToolException:
        found = []
    shown = [Paragraph(title=each.metadata["title"], text=each.page_content) for each in found]
    messages = prompts.unguided_messages(prompts.with_passages(example.question, shown))
    roles = {"system": "system", "human": "user"}
    job = Job(id=example.id, messages=[{"role": roles[m.type], "content": str(m.text)} for m in messages])
    answer = final_answer((await ask(job, Sampling(max_tokens=512))).texts[0])
    titles = {passage.title for passage in shown}
    recall = len(titles.intersection(example.supporting)) / max(1, len(set(example.supporting)))
    f1 = token_f1(answer, example.answers)
    em = float(exact_match(answer, example.answers))
    return {"f1": f1, "em": em, "last_f1": f1, "recall": recall, "passages": len(shown), "steps": 0, "answer": answer}


def told(records: Mapping[str, Sequence[Record]], first: str) -> str:
    """A table: means, and paired differences to the first system with their standard errors."""
    lines = [" | ".join(["system", "n", *COLUMNS])]
    for name, rows in records.items():
        means = [fmean(row.get(c, 0.0) for row in rows) for c in COLUMNS]
        lines.append(" | ".join([name, str(len(rows)), *(f"{mean:.4f}" for mean in means)]))
    base = {row["id"]: row for row in records[first]}
    for name, rows in records.items():
        if name == first:
            continue
        gaps = {
            c: [row.get(c, 0.0) - base[row["id"]].get(c, 0.0) for row in rows if row["id"] in base] for c in COLUMNS
        }
        shown = [f"{fmean(gap):+.4f} (se {stdev(gap) / math.sqrt(len(gap)):.4f})" for gap in gaps.values()]
        lines.append(" | ".join([f"{name} - {first}", str(len(rows)), *shown]))
    return "\n".join(lines)


async def on_file(
    path: Path, systems: Mapping[str, str], asks: Mapping[str, Any], solving: tuple[Any, Asking], limit: int | None
) -> dict[str, list[Record]]:
    """All systems on one file's questions, over its corpus."""
    asked = read_questions([path])
    passages = corpus([], asked)
    hinted = [as_asked(example) for example in asked][:limit]
    environment = Environment(solving[1], search_over(passages))

    async def one(name: str, where: str) -> tuple[str, list[Record]]:
        if where.isdigit():
            tool = search_over(passages, int(where))
            assert isinstance(tool, StructuredTool)
            rows = [searched(each, solving[0], tool) for each in hinted]
        else:
            rows = [planned(each, asks[name], environment) for each in hinted]
        found = await asyncio.gather(*rows)
        return name, [{"id": each.id, **row} for each, row in zip(hinted, found, strict=True)]

    return dict(await asyncio.gather(*(one(name, where) for name, where in systems.items())))


async def run(arguments: argparse.Namespace) -> None:
    """Scores all systems on all files."""
    systems = dict(system.split("=", 1) for system in arguments.system)
    kept: dict[str, dict[str, list[Record]]] = {}
    async with AsyncExitStack() as stack:
        solve, _, concurrency = await stack.enter_async_context(opened(arguments.solver, "solver"))
        asks = {
            name: (await stack.enter_async_context(opened(where, "decomposer")))[0]
            for name, where in systems.items()
            if not where.isdigit()
        }
        before = earlier(arguments.out)
        for path in arguments.data:
            found = before.get(path.stem, {})
            if set(systems) - set(found):
                found = await on_file(path, systems, asks, (solve, Asking(solve, concurrency)), arguments.limit)
                keep(arguments.out, path.stem, found)
            kept[path.stem] = found
            print(f"## {path.stem}\n{told(found, next(iter(systems)))}", flush=True)
    together = {
        name: [{**row, "id": f"{stem}/{row['id']}"} for stem, found in kept.items() for row in found[name]]
        for name in systems
    }
    print(f"## together\n{told(together, next(iter(systems)))}", flush=True)


def keep(path: Path, stem: str, found: Mapping[str, Sequence[Record]]) -> None:
    """Adds what all systems did on one file, as a whole."""
    rows = [{"set": stem, "system": name, **row} for name, rows in found.items() for row in rows]
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    partial = path.with_suffix(".part")
    partial.write_text(before + "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    partial.replace(path)


def earlier(path: Path) -> dict[str, dict[str, list[Record]]]:
    """What an earlier run kept, by file and system; nothing where there was none."""
    found: dict[str, dict[str, list[Record]]] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.setdefault(row.pop("set"), {}).setdefault(row.pop("system"), []).append(row)
    return found


def as_asked(example: Example) -> Example:
    """The question as `anabranch eval` asks it: with the form of the answer."""
    return example.model_copy(update={"question": f"{example.question} {HINT}"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--solver", required=True)
    parser.add_argument("--system", action="append", required=True, metavar="NAME=ADDRESS, or NAME=K for one search")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
