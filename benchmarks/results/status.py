"""Shows where a schedule stands: `python -m benchmarks.results.status FOLDER [STAGE ...] [--wait SECONDS]`.

A line for each state, then the ends of the logs of what runs, of what failed, and of the stages named. With `--wait` it
first waits until the stages named are over, a stage fails, or the time is up.
"""

import argparse
import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmarks.results.schedule import OVER

LINES = {"failed": 12, "running": 2, "starting": 2}
"""How much of a log is shown, by state."""
LINES_NAMED = 14
WIDTH = 230


def read(folder: Path) -> dict[str, Any]:
    """What the scheduler wrote last: `now`, in seconds, and `stages`."""
    found: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return found


def wait(folder: Path, names: Collection[str], seconds: float) -> None:
    """Waits until the stages are over, another one fails, or the time is up."""
    end, failed = time.monotonic() + seconds, _failed(read(folder))
    while time.monotonic() < end:
        stages = read(folder)["stages"]
        if all(stages[name]["state"] in OVER for name in names if name in stages):
            return
        if new := _failed({"stages": stages}) - failed:
            print(f"failed: {', '.join(sorted(new))}")
            return
        time.sleep(0.5)


def _failed(state: dict[str, Any]) -> set[str]:
    return {name for name, row in state["stages"].items() if row["state"] == "failed"}


def overview(state: dict[str, Any]) -> str:
    """A line for each state: the stages, with their first and last second."""
    lines: dict[str, list[str]] = {}
    for name, row in state["stages"].items():
        ended = "" if row["ended"] is None else row["ended"]
        shown = name if row["began"] is None else f"{name}({row['began']}-{ended})"
        lines.setdefault(row["state"], []).append(shown)
    return "\n".join([f"{state['now']} s", *(f"{name}: {' '.join(names)}" for name, names in lines.items())])


def tail(folder: Path, name: str, lines: int) -> str:
    """The last lines of a stage's log; empty where it has none."""
    path = folder / "log" / name
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    kept = [line[-WIDTH:] for line in text.splitlines() if line.strip()]
    return "\n".join(kept[-lines:])


def main() -> None:
    """Prints the state once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("stages", nargs="*")
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    if not (folder / "state.json").exists():
        parser.error(f"{folder} holds no state.json; give the --out folder of benchmarks.results.schedule")
    state = read(folder)
    if unknown := [name for name in arguments.stages if name not in state["stages"]]:
        parser.error(f"no stage is called {unknown[0]}; there are {', '.join(state['stages'])}")
    if arguments.wait:
        wait(folder, arguments.stages or list(state["stages"]), arguments.wait)
        state = read(folder)
    print(overview(state))
    for name, row in state["stages"].items():
        lines = LINES_NAMED if name in arguments.stages else LINES.get(row["state"], 0)
        # What a scored stage printed is its result.
        lines = lines or (2 if name.startswith("routes") and row["state"] == "done" else 0)
        if lines and (text := tail(folder, name, lines)):
            print(f"--- {name} [{row['state']}]\n{text}")


if __name__ == "__main__":
    main()
