"""How many ordinary questions about documents are answered rightly: `python -m benchmarks.questions [--solver MODEL]`.

Five sets of a few files each, in the style of real ones, and about twenty questions on each: facts (`fact`), questions
that need several of them (`hops`), questions that the documents do not answer (`absent`), and greetings and thanks
(`talk`). No prompt, no training and no rule was tuned on the sets `town` and `shop` (`--split held_out`).

An answer is right if it is short enough to be one and says one of the accepted strings, numbers compared by value;
where the documents do not answer, if it says that nothing was found; to a greeting, if nothing was looked up.
`--gguf FILE` serves a model with xllamacpp for the while, as the solver. `--loose` lets the solver answer from what it
knows, too (`grounded=False`).
"""

import argparse
import asyncio
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from anabranch import calculator, create_planner, document_search
from anabranch.agents.models import RoleModel, resolve_model
from benchmarks.conversations import serve

FOLDER = Path(__file__).parent
MAX_WORDS = 60
"""A longer text is no answer to these questions, even if the right words are somewhere in it."""
Row = Mapping[str, Any]

_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_NOTHING = re.compile(
    r"not found|no answer was found"
    r"|\b(?:not|n't|no)\b.{0,40}\b(?:mention|contain|provide|state|specif|say|said|inform|list|given)",
    re.IGNORECASE | re.DOTALL,
)


def rows(split: str = "all", sets: Iterable[str] = ()) -> list[Row]:
    """The questions of a split, `tuning` or `held_out`, or `all`; of some sets only, if any are named."""
    found = [json.loads(line) for line in (FOLDER / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    chosen = set(sets)
    return [row for row in found if split in ("all", row["split"]) and (not chosen or row["set"] in chosen)]


def right(row: Row, answer: str, status: str, looked_up: bool) -> bool:
    """Whether a question was answered as it should be.

    Args:
        row: the question.
        answer: the planner's answer.
        status: how it ended.
        looked_up: whether there was a plan.
    """
    nothing = status == "not_found" or bool(_NOTHING.search(answer))
    if row["kind"] == "absent":
        return nothing
    said = tokens(answer)
    if nothing or len(answer.split()) > MAX_WORDS or (row["kind"] == "talk" and looked_up):
        return False
    return any(holds(said, tokens(accepted)) for accepted in row["accept"])


def tokens(text: str) -> list[str]:
    """Words and numbers; numbers by their value."""
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text.casefold())
    return [f"{float(token):g}" if token[0].isdigit() else token for token in _TOKEN.findall(plain)]


def holds(said: list[str], wanted: list[str]) -> bool:
    """Whether a text says what is wanted, both in tokens."""
    return any(said[start : start + len(wanted)] == wanted for start in range(len(said) - len(wanted) + 1))


async def answered(planner: Any, row: Row) -> dict[str, Any]:
    """A question with its answer, whether it is right, and how it came about."""
    began = time.monotonic()
    try:
        result = await planner.ainvoke({"messages": [("human", row["question"])]})
    except Exception as error:
        return {**row, "answer": f"{type(error).__name__}: {error}", "right": False, "status": "raised", "seconds": 0.0}
    plan, answers = result["plan"], result["answers"]
    steps = [
        f"[{each.route}] {answers[each.id].question} -> {answers[each.id].text or answers[each.id].error}"
        for each in plan.sub_questions
        if each.id in answers
    ]
    return {
        **row,
        "answer": result["answer"],
        "status": result["status"],
        "right": right(row, result["answer"], result["status"], bool(plan.sub_questions)),
        "steps": steps,
        "seconds": round(time.monotonic() - began, 2),
    }


def table(found: list[dict[str, Any]]) -> str:
    """How many are right, by set and by kind."""
    kinds = list(dict.fromkeys(row["kind"] for row in found))
    good: dict[str, Counter[str]] = defaultdict(Counter)
    all_: dict[str, Counter[str]] = defaultdict(Counter)
    for row in found:
        for name in (row["set"], row["split"], "all"):
            for kind in (row["kind"], "all"):
                good[name][kind] += bool(row["right"])
                all_[name][kind] += 1
    lines = ["".join([f"{'':10}", *(f"{kind:>12}" for kind in [*kinds, "all"])])]
    order = sorted(all_, key=lambda name: (name in ("tuning", "held_out", "all"), name == "all"))
    for name in order:
        cells = (f"{good[name][kind]:>5} of {all_[name][kind]:<3}" for kind in [*kinds, "all"])
        lines.append("".join([f"{name:10}", *(f"{cell:>12}" for cell in cells)]))
    share = good["all"]["all"] / all_["all"]["all"]
    lines.append(f"right {share:.1%}, {sum(row['seconds'] for row in found) / len(found):.1f} s each")
    return "\n".join(lines)


async def measure(arguments: argparse.Namespace, solver: RoleModel) -> list[dict[str, Any]]:
    """Answers all questions, a set after the other."""
    chosen = rows(arguments.split, arguments.sets)
    found: list[dict[str, Any]] = []
    slot = asyncio.Semaphore(arguments.concurrency)
    for name in dict.fromkeys(row["set"] for row in chosen):
        planner = create_planner(
            decomposer=arguments.decomposer,
            solver=solver,
            tools=[calculator(), document_search(FOLDER / "sets" / name)],
            grounded=not arguments.loose,
        )

        async def one(row: Row, planner: Any = planner) -> dict[str, Any]:
            async with slot:
                return await answered(planner, row)

        found += await asyncio.gather(*(one(row) for row in chosen if row["set"] == name))
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decomposer", default="local", help="names as for anabranch ask")
    parser.add_argument("--solver", default="local", help="names as for anabranch ask")
    parser.add_argument("--gguf", type=Path, help="a GGUF file to serve as the solver")
    parser.add_argument("--threads", type=int, default=2, help="of --gguf")
    parser.add_argument("--split", choices=["tuning", "held_out", "all"], default="all")
    parser.add_argument("--sets", nargs="*", default=[], help="only these sets")
    parser.add_argument("--small", action="store_true", help="treat the solver as an in-process model is treated")
    parser.add_argument("--loose", action="store_true", help="let the solver answer from what it knows, too")
    parser.add_argument("--concurrency", type=int, default=1, help="questions at the same time")
    parser.add_argument("--out", type=Path, help="file for answers and steps, one question a line")
    parser.add_argument("--verbose", action="store_true", help="show what went wrong; of the tuning split only")
    arguments = parser.parse_args()
    server, spec = serve(arguments.gguf, arguments.threads) if arguments.gguf else (None, arguments.solver)
    solver = resolve_model(spec)
    found = asyncio.run(measure(arguments, replace(solver, small=True) if arguments.small else solver))
    if arguments.out:
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in found)
        arguments.out.write_text(text, encoding="utf-8")
    for row in found if arguments.verbose else ():
        if not row["right"] and row["split"] == "tuning":
            print(f"{row['id']}: {row['question']} -> {row['answer']!r} ({'; '.join(row.get('steps', []))})")
    print(table(found))
    del server


if __name__ == "__main__":
    main()
