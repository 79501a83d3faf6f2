"""Runs groups of `anabranch eval` commands against OpenAI-compatible servers.

    python -m benchmarks.results.evaluations --data DATA/eval --out OUT/ev --groups base,d135

`--a`, `--b` and `--c` are the servers of the 1.5B, 135M and 0.5B models and their adapters, `--d` is that of the 1.5B
adapters. Each command has a folder OUT/GROUP/NAME (records.jsonl, report.json, command.txt, log.txt). A command that
fails or runs out of time leaves the others; what it has is reported all the same, which takes some seconds after
--seconds. Ends with OUT/GROUP.json and OUT/GROUP.tgz (GROUP.2.tgz, ... past 10 MB), which `tables.py` reads. Run again
with the same --out it goes on.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.results import archives
from benchmarks.results.groups import GROUPS, NO_TOOLS, SERVER, Run

REPO = Path(__file__).resolve().parents[2]
FEW_THREADS = {
    # Some libraries import JAX, and JAX takes three quarters of the GPU's memory.
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
LEAST_SECONDS = 3
REPORT_SECONDS = 60
UNWELL_SHARE = 0.1
"""Share of questions for which a server was away from which a run counts as failed."""


@dataclass
class Result:
    """What has become of a command.

    Attributes:
        group: its group.
        name: its run.
        state: `ok`, or what went wrong: `exit N`, `out of time`, `no time left`, `server failed ...`.
        seconds: how long it took.
        rows: what its report says of each system.
    """

    group: str
    name: str
    state: str
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def show(self) -> None:
        """Prints it."""
        lines = [f"{self.group}/{self.name}: {self.state}, {self.seconds:.0f} s"]
        for row in self.rows:
            score = "-" if row["score"] is None else f"{row['score']:.1f} ± {row['se'] or 0:.1f}"
            costs = [
                f"{part[:3]} {v['input']:.0f}+{v['output']:.0f}" for part, v in row["tokens"].items() if v["calls"]
            ]
            flags = " ".join(f"{name}:{count}" for name, count in row["flags"].items())
            lines.append(f"    {row['system']:58} n={row['n']:<5} {score:13} {', '.join(costs):34} {flags}")
            lines += [f"        {row['error'][:200]}"] if row["error"] else []
        print("\n".join(lines), flush=True)


def model(arguments: argparse.Namespace, name: str, more: str = "") -> str:
    """How the command line names a model: `LABEL=[WRITER:]http://.../v1#NAME`, the label with `more` at its end."""
    writer, _, served = name.rpartition("-")
    address = getattr(arguments, SERVER.get(served, "c"))
    distilled = re.fullmatch(r"(d|kept)(135|05|15)[a-z]*", served)
    writer = writer or ("lines" if distilled else "")
    return f"{name}{more}={writer + ':' if writer else ''}{address}#{served}"


def command(arguments: argparse.Namespace, run: Run, out: Path) -> list[str]:
    """The options of `anabranch` for a run."""
    words = ["eval", "--task", run.task.name, "--data", str(arguments.data / run.task.file)]
    words += [word for system in run.systems for word in ("--system", system)]
    words += [word for name in run.solvers for word in ("--solver", model(arguments, name))]
    more = NO_TOOLS if run.no_tools else ""
    words += [word for name in run.decomposers for word in ("--decomposer", model(arguments, name, more))]
    words += ["--tool", "none"] if run.no_tools else []
    limits = [limit for limit in (run.limit, arguments.limit) if limit]
    words += ["--limit", str(min(limits))] if limits else []
    words += ["--max-tokens", str(arguments.max_tokens), "--seed", "0"]
    return [*words, "--concurrency", str(run.concurrency or arguments.concurrency), "--out", str(out), "-q"]


def carry_out(arguments: argparse.Namespace, group: str, run: Run, deadline: float) -> Result:
    """Runs one command to its end or to the deadline, then makes sure that there is a report."""
    out: Path = arguments.out / group / run.name
    words = command(arguments, run, out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "command.txt").write_text(shlex.join(["anabranch", *words]) + "\n", encoding="utf-8")
    started = time.monotonic()
    if deadline - started < LEAST_SECONDS:
        return Result(group, run.name, "no time left")
    environment = {**os.environ, **FEW_THREADS, "ANABRANCH_CACHE_DIR": str(arguments.out / "home")}
    with (out / "log.txt").open("a", encoding="utf-8") as log:
        state = _to_its_end(words, environment, log.fileno(), deadline)
        seconds = round(time.monotonic() - started, 1)
        if state != "ok" and (out / "records.jsonl").exists():
            again = [sys.executable, "-m", "anabranch.cli", "eval", "report", str(out)]
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    again, cwd=REPO, stdout=log, stderr=log, env=environment, timeout=REPORT_SECONDS, check=False
                )
    rows = reported(out)
    if state == "ok" and (lost := [row for row in rows if row["flags"].get("unwell", 0) > UNWELL_SHARE * row["n"]]):
        state = f"server failed ({', '.join(row['system'] for row in lost)}); the same command asks again"
    return Result(group, run.name, state, seconds, rows)


def _to_its_end(words: Sequence[str], environment: Mapping[str, str], log: int, deadline: float) -> str:
    line = [sys.executable, "-m", "anabranch.cli", *words]
    process = subprocess.Popen(
        line, cwd=REPO, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
    )
    try:
        code = process.wait(deadline - time.monotonic())
    except subprocess.TimeoutExpired:
        for sign, patience in ((signal.SIGINT, 8), (signal.SIGKILL, 5)):
            with contextlib.suppress(subprocess.TimeoutExpired, ProcessLookupError):
                os.killpg(process.pid, sign)
                process.wait(patience)
                break
        return "out of time"
    return "ok" if code == 0 else f"exit {code}"


def reported(out: Path) -> list[dict[str, Any]]:
    """What a run's report says of each system; nothing where there is no report."""
    try:
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [_row(report["metric"], system) for system in report["systems"]]


def _row(metric: str, system: Mapping[str, Any]) -> dict[str, Any]:
    found, n = system["metrics"].get(metric) or {}, system["n"]
    errors = [record["error"] for record in system["records"] if record.get("error")]
    tokens = {
        part: {kind: system["tokens"][part][kind] / max(n, 1) for kind in ("calls", "input", "output")}
        for part in ("decomposing", "solving")
    }
    return {
        "system": system["label"],
        "n": n,
        "score": found.get("value"),
        "se": found.get("error"),
        "tokens": tokens,
        "flags": system.get("flags") or {},
        "error": errors[0] if errors else None,
    }


def carry_out_all(arguments: argparse.Namespace, wanted: Sequence[tuple[str, Run]]) -> list[Result]:
    """Runs commands, some at a time; those that measure times after all others, for which some time is kept."""
    started, lock = time.monotonic(), threading.Lock()
    reserved = min(60.0, 0.15 * arguments.seconds) if any(run.last for _, run in wanted) else 0.0
    results: list[Result] = []

    def one(group: str, run: Run) -> None:
        end = started + arguments.seconds - (0.0 if run.last else reserved)
        try:
            result = carry_out(arguments, group, run, end)
        except Exception as error:  # one command that fails leaves the others
            result = Result(group, run.name, f"{type(error).__name__}: {error}")
        with lock:
            results.append(result)
            result.show()

    for last in (False, True):
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            for done in [pool.submit(one, group, run) for group, run in wanted if run.last is last]:
                done.result()
    return results


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--out", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--groups", type=lambda text: text.split(","), default=["base"], help=",".join(GROUPS))
    parser.add_argument("--only", default="", help="regular expression that GROUP/NAME must match somewhere")
    parser.add_argument("--skip", default="", help="one that it must not")
    parser.add_argument("--limit", type=int, help="most questions of each command")
    parser.add_argument("--seconds", type=float, default=540.0, help="for all groups together")
    parser.add_argument("--jobs", type=int, default=12, help="commands at a time")
    parser.add_argument("--concurrency", type=int, default=96, help="questions at a time in each command")
    parser.add_argument("--max-tokens", type=int, default=512)
    for name, port in (("a", 8001), ("b", 8002), ("c", 8003), ("d", 8004)):
        parser.add_argument(f"--{name}", default=f"http://127.0.0.1:{port}/v1")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.groups if name not in GROUPS]:
        parser.error(f"unknown group {unknown[0]!r}; there are {', '.join(GROUPS)}")
    return arguments


def _wanted(arguments: argparse.Namespace, name: str) -> bool:
    return bool(re.search(arguments.only, name)) and not (arguments.skip and re.search(arguments.skip, name))


def main() -> None:
    """Runs the groups; the exit status is 1 if a command did not come to its end."""
    arguments = parse()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # by a shell that started this in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # commands would ignore it, too
    started = time.monotonic()
    runs = [(group, run) for group in arguments.groups for run in GROUPS[group]()]
    results = carry_out_all(arguments, [(g, run) for g, run in runs if _wanted(arguments, f"{g}/{run.name}")])
    for group in arguments.groups:
        if (arguments.out / group).is_dir():
            mine = [asdict(result) for result in results if result.group == group]
            (arguments.out / f"{group}.json").write_text(json.dumps(mine, indent=1), encoding="utf-8")
            sizes = [
                f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in archives.write(arguments.out / group)
            ]
            print(", ".join(sizes), flush=True)
    bad = [f"{result.group}/{result.name}: {result.state}" for result in results if result.state != "ok"]
    ended = f"{len(results) - len(bad)} of {len(results)} commands came to their end"
    print(f"{ended} in {time.monotonic() - started:.0f} s", *bad, sep="\n    ")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
