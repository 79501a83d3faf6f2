"""Makes the data of the stages: `python -m benchmarks.results.prepare SOURCE OUT --teacher http://host:8000/v1#MODEL`.

SOURCE holds the data sets, one JSON object a line, with the fields `id`, `question`, `answer` and, where a data set has
them, `context`, `sub_questions` and `meta`: those that `anabranch distill demonstrate` reads for training, and
gsm8k_main_test, gsm8k_socratic_test, drop_dev, strategyqa_dev, bamboogle, hotpotqa_reflexion100_ctx and
llmcompiler_parallelqa for tests. The teacher's replies may come from elsewhere: `--replies FOLDER` has teacher_*.jsonl;
or no teacher is needed: `--plans distill_data/gsm8k_plans.jsonl.gz`.
Needs anabranch; runs on a processor, some minutes (and as long as the teacher takes). The same SOURCE, replies and seed
give the same files. Started again, it does not build anew what is in `--work`.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.results.settings import MORE, SHARDS

REPO = Path(__file__).resolve().parents[2]
SEED = 5
AGAIN = "w3_again"
"""The same demonstrations with other catalogues, and other written ones."""
LEFT_OUT = {
    "w3": (),
    AGAIN: (),
    MORE: (),
    "w3_math": ("strategyqa", "musique", "written_other"),
    "w3_other": ("gsm8k", "written_sum"),
}
"""Folders of decomposer rows, and the sources that each leaves out."""
VARIED: dict[str, tuple[object, ...]] = {AGAIN: ("--seed", 2), MORE: ("--seed", 3, "--written", 20000)}
SOLUTIONS = {"se_math": "gsm8k_main_train.jsonl", "se_other": "strategyqa_train.jsonl"}
TESTS = ("gsm8k_socratic_test", "strategyqa_dev", "bamboogle", "hotpotqa_reflexion100_ctx", "llmcompiler_parallelqa")
TRAIN = "gsm8k_main_train.jsonl"
TUNE_ROWS = 500
"""The last rows of GSM8K's training file, on which settings are chosen."""
DROP_ROWS = 500
SHARD_ROWS = 350
"""Questions of each part of those that plans are drawn for."""
OTHERS = 2
"""Paragraphs beside those that a question of the reading task needs."""
PROMPTS = 4160


def lines(path: Path) -> list[str]:
    """The lines of a file that are not blank."""
    with path.open(encoding="utf-8") as file:
        return [line for line in file if line.strip()]


class Cutter:
    """Writes parts of files, always the same ones."""

    def __init__(self, out: Path, tiny: int) -> None:
        """For a folder; `tiny` is the most rows of a file, 0 for all."""
        self.out, self.tiny, self._random = out, tiny, Random(SEED)

    def put(self, name: str, rows: Sequence[str]) -> None:
        """Writes a file."""
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = rows[: self.tiny] if self.tiny else rows
        path.write_text("".join(kept), encoding="utf-8")
        print(f"{name}: {len(kept)} rows", flush=True)

    def some(self, rows: Sequence[str], most: int) -> list[str]:
        """So many rows by chance."""
        return self._random.sample(rows, min(most, len(rows)))


def anabranch(*words: object) -> None:
    """Runs one of anabranch's commands."""
    run("anabranch.cli", *words)


def run(module: str, *words: object) -> None:
    """Runs a module of the project; the program ends where that fails."""
    line = [sys.executable, "-m", module, *map(str, words)]
    print("$", *line[1:], flush=True)
    if code := subprocess.run(line, cwd=REPO, check=False).returncode:
        sys.exit(f"{module} ended with status {code}; see above, then start the same command again")


def build(source: Path, work: Path, replies: Path | None, plans: Path | None) -> None:
    """Runs `anabranch distill build` and `solutions` where they have not been, with a teacher's replies or plans."""
    for name, left_out in LEFT_OUT.items():
        folder = work / name
        if (folder / "build.json").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(replies.glob("teacher_*.jsonl")) if replies else ():
            if path.parent != folder:
                shutil.copyfile(path, folder / path.name)
        options: list[object] = [word for each in left_out for word in ("--leave-out", each)]
        options += ["--plans", plans] if plans else []
        options += VARIED.get(name, ())
        anabranch("distill", "build", "--data", source, "--work", folder, *options, "-q")
    for name, file in SOLUTIONS.items():
        if not (work / name / "solutions.json").exists():
            anabranch("distill", "solutions", "--questions", source / file, "--work", work / name, "-q")


def cut(source: Path, work: Path, cutter: Cutter) -> None:
    """Writes the rows to train on, and the questions of the later stages."""
    again = lines(work / AGAIN / "decomposer_train.jsonl")
    cutter.put("w3/decomposer_twice_train.jsonl", [*lines(work / "w3" / "decomposer_train.jsonl"), *again])
    for name in LEFT_OUT:
        cutter.put(f"{name}/decomposer_train.jsonl", lines(work / name / "decomposer_train.jsonl"))
        if name == MORE:
            continue
        tune = cutter.some(lines(work / name / "decomposer_tune.jsonl"), 300)
        cutter.put(f"{name}/decomposer_tune_small.jsonl", tune)
    routes = lines(work / "w3" / "routes_test.jsonl")
    cutter.put("w3/routes_test.jsonl", routes)
    cutter.put("w3/routes_test_small.jsonl", routes[:3])
    cutter.put("w3/solver_train.jsonl", lines(work / "w3" / "solver_train.jsonl"))
    tune = lines(work / "w3" / "solver_tune.jsonl")
    cutter.put("w3/solver_tune_small.jsonl", cutter.some(tune, 300))
    cutter.put("w3/solver_tune.jsonl", tune)
    for name in SOLUTIONS:
        tune = lines(work / name / "se_a_tune.jsonl")
        cutter.put(f"{name}/se_a.jsonl", lines(work / name / "se_a.jsonl"))
        cutter.put(f"{name}/se_a_tune.jsonl", tune)
        cutter.put(f"{name}/se_a_tune_small.jsonl", cutter.some(tune, 200))
    rows = lines(source / TRAIN)
    train, tune = rows[:-TUNE_ROWS], rows[-TUNE_ROWS:]
    drawn = cutter.some(train, SHARD_ROWS * len(SHARDS))
    for number in range(len(SHARDS)):
        cutter.put(f"gsm8k_draw_{number}.jsonl", drawn[number :: len(SHARDS)])
    cutter.put("gsm8k_se.jsonl", cutter.some(train, 3000) + tune[-100:])


def tests(source: Path, out: Path) -> None:
    """Writes the files that `evaluations.py` reads."""
    out.mkdir(parents=True, exist_ok=True)
    for name in TESTS:
        shutil.copyfile(source / f"{name}.jsonl", out / f"{name}.jsonl")
    rows = lines(source / "drop_dev.jsonl")
    order = list(range(len(rows)))
    Random(0).shuffle(order)  # as `anabranch eval --limit 500` chooses
    chosen = [rows[place] for place in sorted(order[:DROP_ROWS])]
    (out / f"drop_dev_{DROP_ROWS}.jsonl").write_text("".join(chosen), encoding="utf-8")
    reading = [
        json.dumps(_read(json.loads(line))) + "\n" for line in lines(source / "hotpotqa_hipporag_train100_ctx.jsonl")
    ]
    (out / "hotpotqa_reading_tune.jsonl").write_text("".join(reading), encoding="utf-8")
    shutil.copyfile(source / "hotpotqa_hipporag_train100_ctx.jsonl", out / "hotpotqa_lookups_tune.jsonl")
    (out / "gsm8k_tune.jsonl").write_text("".join(lines(source / TRAIN)[-TUNE_ROWS:]), encoding="utf-8")


def _read(row: dict[str, Any]) -> dict[str, Any]:
    """A question after the paragraphs that it needs and some others, as one text."""
    needed = {title for title, _ in row["meta"]["supporting_facts"]}
    others = [part["title"] for part in row["context"] if part["title"] not in needed][:OTHERS]
    shown = [part for part in row["context"] if part["title"] in needed or part["title"] in others]
    context = "\n\n".join(f"{part['title']}: {part['text']}" for part in shown)
    return {**{name: row[name] for name in ("id", "source", "question", "answer")}, "context": context}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of the data sets")
    parser.add_argument("out", type=Path, help="folder for what the stages read")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--teacher", help="model that writes plans, as `anabranch distill demonstrate` takes it")
    whose.add_argument("--plans", type=Path, help="plans of an earlier build, by row id; then no teacher is needed")
    whose.add_argument("--replies", type=Path, help="folder of a teacher's replies")
    parser.add_argument("--work", type=Path, help="what `anabranch distill` makes; OUT/work where none is given")
    parser.add_argument("--tiny", type=int, default=0, metavar="N", help="only N rows of each file, to try it out")
    arguments = parser.parse_args()
    needed = [
        TRAIN,
        "gsm8k_main_test.jsonl",
        "drop_dev.jsonl",
        "strategyqa_train.jsonl",
        "hotpotqa_hipporag_train100_ctx.jsonl",
        *(f"{n}.jsonl" for n in TESTS),
    ]
    if missing := [name for name in needed if not (arguments.source / name).exists()]:
        parser.error(f"{arguments.source} lacks {', '.join(missing)}")
    if arguments.replies and not list(arguments.replies.glob("teacher_*.jsonl")):
        parser.error(f"{arguments.replies} holds no teacher_*.jsonl; `anabranch distill demonstrate` writes them")
    return arguments


def main() -> None:
    """Makes everything."""
    arguments = parse()
    source, out = arguments.source.resolve(), arguments.out.resolve()
    work = (arguments.work or out / "work").resolve()
    replies = None if arguments.plans else (arguments.replies or work / "w3").resolve()
    if arguments.teacher:
        teacher = ("--teacher", arguments.teacher, "-q")
        anabranch("distill", "demonstrate", "--data", source, "--work", replies, *teacher)
    build(source, work, replies, arguments.plans and arguments.plans.resolve())
    cut(source, work, Cutter(out, arguments.tiny))
    tests(source, out / "eval")
    asked = (source / "gsm8k_main_test.jsonl", source / TRAIN)
    run("benchmarks.serving.render", out / "prompts.json", "--data", *asked, "-n", PROMPTS)


if __name__ == "__main__":
    main()
