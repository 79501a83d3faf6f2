"""Turns evaluations into the tables of docs/lab/notebook.md: `python -m benchmarks.results.tables FOLDER [--out FILE]`.

FOLDER holds GROUP.tgz, GROUP.2.tgz, ... of `evaluations.py` (unpacked into FOLDER/unpacked first) or
GROUP/NAME/report.json.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import archives
from benchmarks.results.groups import NO_TOOLS, STUDENTS
from benchmarks.results.measured import PLANNERS, SOLVERS, Row, Runs, versus, with_error

TASKS = {
    "gsm8k": "GSM8K",
    "drop": "DROP",
    "strategyqa": "StrategyQA",
    "bamboogle": "Bamboogle",
    "hotpotqa": "HotpotQA",
    "parallelqa": "ParallelQA",
}
TOKENS = ("tokens of planning (in + out)", "tokens of solving (in + out)")
TEXT = ("how", "plans of", "solver", "task", "system")
"""Columns that are not numbers."""
SOLVER = ("qwen15",)
GENERAL = tuple(name for name in PLANNERS if (name or "").removesuffix(NO_TOOLS) not in ("d05m", "d05x"))
"""Who plans, without the students of one domain alone."""


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """In Markdown."""
    lines = [f"| {' | '.join(head)} |", "|" + "|".join("---" if name in TEXT else "---:" for name in head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def section_a(runs: Runs) -> Iterator[str]:
    """(a) The paper's table 1 at this size: solver qwen15"""
    systems = ("direct", "cot", "unguided", "cot:3", "two-stage", "static:guided", "human:guided")
    for task in ("gsm8k", "drop", "strategyqa", "bamboogle"):
        rows = runs.take(task, systems, SOLVER, decomposers=GENERAL)
        if not rows:
            continue
        base, form, first = runs.one(task, "cot", "qwen15"), runs.one(task, "unguided", "qwen15"), rows[0]
        second = [name for name in ("lenient", "em") if name in first.metrics and name != first.metric][:1]
        head = ["how", "n", f"{first.metric}, %", *(f"{name}, %" for name in second), "to cot, points"]
        body = [
            [
                *(r.name, r.n, r.score(), *(r.score(name) for name in second)),
                *(versus(r, base), versus(r, form), *r.costs(), r.odd()),
            ]
            for r in rows
        ]
        head += ["to unguided", *TOKENS, "odd"]
        yield f"**{TASKS[task]}**\n\n" + table(head, body)


def section_b(runs: Runs) -> Iterator[str]:
    """(b) The whole plan at once (static) against layer by layer (dynamic), each sub-question by itself"""
    cases = (("gsm8k", ("static:per_node", "dynamic"), "steps"), ("hotpotqa", ("static", "dynamic"), "hotpotqa"))
    for task, systems, group in cases:
        rows = [row for row in runs.take(task, systems, SOLVER, group=group) if row.decomposer]
        if not rows:
            continue
        others = [runs.one(task, "cot", "qwen15")]
        if task == "gsm8k":
            planners = dict.fromkeys(row.decomposer for row in rows)
            others += [runs.one(task, "static:guided", "qwen15", name) for name in planners]
        body: list[list[object]] = []
        for other in others:
            if other is not None:
                ids = [id_ for id_ in rows[0].scores if id_ in other.scores]
                total = other.tokens("input", "output")
                body.append([other.name, len(ids), other.score_on(ids), "-", *other.costs(), total])
        static = {row.decomposer: row for row in rows if row.system != "dynamic"}
        for row in rows:
            difference = versus(row, static.get(row.decomposer))
            body.append([row.name, row.n, row.score(), difference, *row.costs(), row.tokens("input", "output")])
        head = ["how", "n", "score, %", "dynamic to static, points", *TOKENS, "tokens, all"]
        yield f"**{TASKS[task]}** ({rows[0].metric}, %)\n\n" + table(head, body)


def section_c(runs: Runs) -> Iterator[str]:
    """(c) Across domains, as the paper's table 3: a distilled decomposer with an untrained solver, against a distilled solver"""  # noqa: E501
    students = [name + more for more in (NO_TOOLS, "") for name in ("d05", "d05m", "d05x")]
    solvers, untrained = ("s05t", "s05a", "s05x"), ("qwen05", "qwen15")
    for task in ("gsm8k", "strategyqa", "hotpotqa"):
        rows = runs.take(task, ("cot", "direct"), (*solvers, *untrained))
        rows += runs.take(task, ("static:guided", "static"), untrained, decomposers=students)
        rows += runs.take(task, ("static:guided",), solvers, decomposers=students)
        if not rows:
            continue
        body: list[list[object]] = []
        for row in rows:
            own, small = runs.one(task, "cot", row.solver), runs.one(task, "cot", "qwen05")
            differences = (versus(row, own), versus(row, small))
            body.append([row.solver, row.name, row.n, row.score(), *differences, *row.costs(), row.odd()])
        head = ["solver", "how", "n", "score, %", "to its own cot", "to cot of qwen05", *TOKENS, "odd"]
        yield f"**{TASKS[task]}** ({rows[0].metric}, %)\n\n" + table(head, body)


def section_d(runs: Runs) -> Iterator[str]:
    """(d) Decomposers by solvers, GSM8K, strict; in brackets the paired difference to no plan (cot)"""
    rows = runs.take("gsm8k", ("static:guided", "cot", "static", "direct"))
    runs.forget()
    solvers = [name for name in SOLVERS if not name.startswith("s05") and any(row.solver == name for row in rows)]
    body = []
    for planner in GENERAL:
        cells = [_cell(runs, planner, solver) for solver in solvers]
        if any(cell != "-" for cell in cells):
            body.append([planner or "no plan (cot)", *cells])
    if body:
        yield table(["plans of", *solvers], body)


def _cell(runs: Runs, planner: str | None, solver: str) -> str:
    base = runs.one("gsm8k", "cot", solver.removeprefix("small-"))
    if planner is None:
        return "-" if base is None else base.score()
    row = runs.one("gsm8k", "static" if solver.startswith("small-") else "static:guided", solver, planner)
    return "-" if row is None else f"{row.score()} ({versus(row, base)})"


def section_e(runs: Runs) -> Iterator[str]:
    """(e) When to plan: always, where the decomposer chose to, or never, with what it costs"""
    students = [name + more for name in STUDENTS for more in ("", NO_TOOLS)]
    for task in ("gsm8k", "strategyqa", "drop"):
        rows = runs.take(task, ("cot", "unguided", "cot:3"), SOLVER)
        rows += runs.take(task, ("static:guided",), SOLVER, decomposers=students)
        if len(rows) < 2:
            continue
        bases = [runs.one(task, "cot", "qwen15"), runs.one(task, "unguided", "qwen15")]
        bases += [runs.one(task, "cot:3", "qwen15"), runs.one(task, "static:guided", "qwen15", "d15")]
        head = ["how", "n", "planned, %", "score, %", "to cot", "to unguided", "to cot:3", "to d15"]
        head += ["tokens, all", "tokens written"]
        body: list[list[object]] = []
        for row in rows:
            differences = [versus(row, base) for base in bases]
            costs = (row.tokens("input", "output"), row.tokens("output"))
            body.append([row.name, row.n, row.plan("planned"), row.score(), *differences, *costs])
        yield f"**{TASKS[task]}** ({rows[0].metric}, %)\n\n" + table(head, body)


def section_f(runs: Runs) -> Iterator[str]:
    """(f) Multi-hop questions with retrieval: HotpotQA, the paragraphs of each question, four passages a search"""
    rows = runs.take("hotpotqa", solvers=("qwen15", "small-s135"))
    if not rows:
        return
    base = runs.one("hotpotqa", "cot", "qwen15")
    metrics = {"f1": "F1, %", "em": "EM, %", "recall": "recall of supporting passages, %"}
    body = [
        [r.name, r.solver, r.n, *(r.score(name) for name in metrics), versus(r, base), *r.costs(), r.odd()]
        for r in rows
    ]
    yield table(["how", "solver", "n", *metrics.values(), "to cot (F1)", *TOKENS, "odd"], body)


def section_g(runs: Runs) -> Iterator[str]:
    """(g) ParallelQA: independent sub-questions at the same time, or one after the other"""
    rows = runs.take("parallelqa")
    if not rows:
        return
    base = runs.one("parallelqa", "cot", "qwen15")
    head = ["how", "n", "EM, %", "within 5 %, %", "to cot (EM)", "median seconds", "95th percentile"]
    body: list[list[object]] = []
    for row in rows:
        times = [f"{row.seconds[name]:.2f}" for name in ("median", "p95")] if row.seconds else ["-", "-"]
        plans = (row.plan("sub_questions"), row.plan("critical_path", 2))
        scores = (row.score("em"), row.score("near"), versus(row, base))
        body.append([row.name, row.n, *scores, *times, *plans, *row.costs()])
    yield table([*head, "sub-questions", "longest chain / all", *TOKENS], body)
    sequential = {row.decomposer: row for row in rows if row.system == "static:per_node:sequential"}
    pairs = [
        (r, sequential[r.decomposer]) for r in rows if r.system == "static:per_node" and r.decomposer in sequential
    ]
    if pairs:
        head = ["plans of", "questions", "same plan", "seconds, parallel", "seconds, sequential"]
        head += ["times faster (sums)", "times faster (mean of questions)"]
        yield "On the questions with the same plan of two or more sub-questions in both runs:\n\n" + table(
            head, [_speed(*pair) for pair in pairs]
        )


def _speed(parallel: Row, sequential: Row) -> list[object]:
    """How much faster a row is than one after the other, on questions whose plans are the same."""
    left, right = parallel.records(), sequential.records()
    both = [id_ for id_ in left if id_ in right]
    same = [
        id_
        for id_ in both
        if len(_shape(left[id_])) > 1
        and _shape(left[id_]) == _shape(right[id_])
        and left[id_]["seconds"]
        and right[id_]["seconds"]
    ]
    ratios = [right[id_]["seconds"] / left[id_]["seconds"] for id_ in same]
    sums = [sum(side[id_]["seconds"] for id_ in same) for side in (left, right)]
    means = [f"{seconds / max(len(same), 1):.2f}" for seconds in sums]
    faster = f"{sums[1] / sums[0]:.2f}" if same and sums[0] else "-"
    return [parallel.decomposer, len(both), len(same), *means, faster, with_error(ratios)]


def _shape(record: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["text"], step["route"]) for step in (record.get("plan") or {}).get("sub_questions", [])]


def section_h(runs: Runs) -> Iterator[str]:
    """Plans: validity, size, parallelism, redundancy, leakage, agreement with people's"""
    figures = {
        "planned": "planned, %",
        "valid": "valid at once, %",
        "sub_questions": "sub-questions",
        "critical_path": "longest chain / all",
        "redundant": "redundant, %",
        "leaking": "leaking, %",
        "agreement": "agreement with people, F1 %",
        "same_length": "as many, %",
        "routes": "routes of that kind, %",
    }
    body: list[list[object]] = []
    for task, name in TASKS.items():
        for row in runs.take(task, solvers=SOLVER):
            if row.plans:
                cells = [row.plan(f, 2 if f in ("sub_questions", "critical_path") else 1) for f in figures]
                body.append([name, row.name, row.n, *cells])
    if body:
        yield table(["task", "how", "n", *figures.values()], body)


def section_t(runs: Runs) -> Iterator[str]:
    """(t) What was chosen by: rows of training sets that nothing was trained on"""
    titles = {
        "gsm8k (tune)": "The last 500 rows of GSM8K's training file",
        "hotpotqa (reading)": "HotpotQA's training file, each question after its paragraphs",
        "hotpotqa (lookups)": "The same with a search tool",
    }
    for task, title in titles.items():
        rows = runs.take(task, solvers=SOLVER)
        base = runs.one(task, "unguided", "qwen15")
        if rows:
            body = [[r.name, r.n, r.score(), versus(r, base), *r.costs(), r.odd()] for r in rows]
            yield f"**{title}** ({rows[0].metric}, %)\n\n" + table(
                ["how", "n", "score, %", "to unguided", *TOKENS, "odd"], body
            )


SECTIONS: dict[str, Callable[[Runs], Iterator[str]]] = {
    "a": section_a,
    "b": section_b,
    "c": section_c,
    "d": section_d,
    "e": section_e,
    "f": section_f,
    "g": section_g,
    "h": section_h,
    "t": section_t,
}


def written(runs: Runs, names: Sequence[str]) -> str:
    """The sections, each with the commands behind it, and what is not finished."""
    parts = []
    for name in names:
        section = SECTIONS[name]
        found = "\n\n".join(section(runs)) or "Nothing was run."
        parts.append(f"## {section.__doc__}\n\n{found}\n\n{runs.commands()}")
    missing = [
        f"{row.label} on {row.task}: {row.missing} of {row.n + row.missing} questions"
        for row in runs.rows
        if row.missing
    ]
    parts.append(f"Not finished: {'; '.join(missing) or 'nothing'}.")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Prints the tables, or writes them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sections", default=",".join(SECTIONS))
    arguments = parser.parse_args()
    names = arguments.sections.split(",")
    if unknown := [name for name in names if name not in SECTIONS]:
        parser.error(f"unknown section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    text = written(Runs(archives.unpack(arguments.folder)), names)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
