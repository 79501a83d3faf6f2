"""Runs the stages, each as soon as what it needs is there: `python -m benchmarks.results.schedule --out FOLDER`.

`FOLDER/state.json` says where everything stands, `FOLDER/log/STAGE` holds what a stage printed, and files in
`FOLDER/ctl` control the run (`touch` is enough):

    ev-NAME      opens a gate that stages wait for (with --by-hand)
    kill-STAGE   stops it: trainings with SIGINT, all else with SIGTERM; the second time with SIGKILL
    skip-STAGE   does not start it; what needs it goes on
    retry-STAGE  starts it again once it is over (after a server, also its adapters: l_...)

It ends when nothing is left that could start, and stops its servers then, unless it is told to --stay. Started again
with the same FOLDER it goes on: what was done stays done, what failed is tried again, servers are started again.
`python -m benchmarks.results.status FOLDER` shows the state.
"""

import argparse
import contextlib
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from benchmarks.results.settings import add_options, read_settings
from benchmarks.results.stage import GATE, Stage
from benchmarks.results.stages import all_stages

OVER = ("done", "failed", "killed", "skipped")
PATIENCE_S = 10.0


@dataclass
class Standing:
    """Where a stage stands.

    Attributes:
        state: waiting, running, starting (a server), done, failed, killed or skipped.
        began: seconds from the start of the schedule; None before.
        ended: as `began`; of a server, when it was up.
    """

    state: str = "waiting"
    began: int | None = None
    ended: int | None = None


class Schedule:
    """Stages, their processes and where they stand."""

    def __init__(self, stages: Sequence[Stage], folder: Path) -> None:
        """Takes up what an earlier run in the folder has done.

        Args:
            stages: in the order in which they are started when several could be.
            folder: for `state.json`, `log/` and `ctl/`.

        Raises:
            ValueError: two stages of one name, a need that no stage is called, or needs in a circle.
        """
        self.stages = {stage.name: stage for stage in stages}
        _check(stages)
        self.folder, self.log, self.control = folder, folder / "log", folder / "ctl"
        for each in (self.log, self.control):
            each.mkdir(parents=True, exist_ok=True)
        self.standings = {name: Standing() for name in self.stages}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._began = time.time()
        self._resume()

    def _resume(self) -> None:
        path = self.folder / "state.json"
        if not path.exists():
            return
        kept = json.loads(path.read_text(encoding="utf-8"))
        self._began -= kept["now"]
        for name, row in kept["stages"].items():
            stage = self.stages.get(name)
            stays = row["state"] == "done" and stage and not stage.health and not stage.again
            if stage and (stays or row["state"] == "skipped"):
                self.standings[name] = Standing(**row)

    def run(self, *, stay: bool = False) -> None:
        """Runs until nothing is left that could start (or for ever), then stops what still runs: the servers.

        Raises:
            RuntimeError: another schedule runs in the folder.
        """
        signal.signal(signal.SIGTERM, _leave)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # by a shell that started this in the background
            signal.signal(signal.SIGINT, signal.default_int_handler)  # stages would ignore it, too
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RuntimeError(f"a schedule runs in {self.folder} already; give another --out") from None
            try:
                while self.step() or stay:
                    time.sleep(0.3)
            finally:
                self.stop()

    def step(self) -> bool:
        """Looks at each stage once; whether anything is left to wait for."""
        for stage in self.stages.values():
            self._control(stage)
            standing = self.standings[stage.name]
            if standing.state == "waiting" and all(self._met(need) for need in stage.needs):
                self._start(stage)
            elif stage.name in self._processes:
                self._look(stage)
        self._save()
        return any(s.state in ("running", "starting") for s in self.standings.values()) or any(
            standing.state == "waiting" and all(self._met(need) or need.startswith(GATE) for need in stage.needs)
            for stage, standing in zip(self.stages.values(), self.standings.values(), strict=True)
        )

    def stop(self) -> None:
        """Stops all processes, and waits for them."""
        for name in self._alive():
            self._signal(self.stages[name])
        deadline = time.monotonic() + PATIENCE_S
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        for name in self._alive():
            _send(self._processes[name], signal.SIGKILL)
            self._processes[name].wait()
        for name, standing in self.standings.items():
            if standing.state in ("running", "starting"):
                self._turn(name, "killed")
        self._save()

    def _alive(self) -> list[str]:
        return [name for name, process in self._processes.items() if process.poll() is None]

    def _met(self, need: str) -> bool:
        if need.startswith(GATE):
            return (self.control / f"ev-{need.removeprefix(GATE)}").exists()
        if need.endswith("?"):
            name = need.removesuffix("?")
            return self.standings[name].state in OVER or self._hopeless(name)
        return self.standings[need].state in ("done", "skipped")

    def _hopeless(self, name: str) -> bool:
        """Whether a stage waits for one that failed or was killed."""
        if self.standings[name].state != "waiting":
            return False
        plain = [need for need in self.stages[name].needs if not need.endswith("?") and not need.startswith(GATE)]
        return any(self.standings[need].state in ("failed", "killed") or self._hopeless(need) for need in plain)

    def _control(self, stage: Stage) -> None:
        """Does what the files for a stage say, and takes them away. One that does not apply yet waits."""
        standing = self.standings[stage.name]
        skip, retry, kill = (self.control / f"{verb}-{stage.name}" for verb in ("skip", "retry", "kill"))
        process = self._processes.get(stage.name)
        alive = process is not None and process.poll() is None
        if standing.state == "waiting" and skip.exists():
            skip.unlink()
            self._turn(stage.name, "skipped")
        elif alive and kill.exists():
            kill.unlink()
            if standing.state == "killed":
                _send(self._processes[stage.name], signal.SIGKILL)
            else:
                self._signal(stage)
                self._turn(stage.name, "killed")
        elif standing.state in OVER and not alive and retry.exists():
            retry.unlink()
            self._processes.pop(stage.name, None)
            self.standings[stage.name] = Standing()

    def _start(self, stage: Stage) -> None:
        standing = self.standings[stage.name]
        standing.began, standing.ended = self._now(), None
        with (self.log / stage.name).open("wb") as log:
            log.write(f"$ {stage.shown}\n".encode())
            log.flush()
            try:
                self._processes[stage.name] = subprocess.Popen(
                    stage.command,
                    cwd=stage.folder,
                    env={**os.environ, **stage.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                log.write(f"{error}\n".encode())
                self._turn(stage.name, "failed")
                return
        self._turn(stage.name, "starting" if stage.health else "running")

    def _look(self, stage: Stage) -> None:
        """Notes what has become of a process."""
        standing, code = self.standings[stage.name], self._processes[stage.name].poll()
        if code is not None:
            if standing.state in ("running", "starting") or (stage.health and standing.state == "done"):
                if code:
                    self._note(stage.name, f"ended with status {code}" if code > 0 else f"ended by signal {-code}")
                self._turn(stage.name, "done" if code == 0 and not stage.health else "failed")
        elif standing.state == "starting" and _healthy(stage.health):
            self._turn(stage.name, "done")
        elif standing.state in ("running", "starting") and self._now() - (standing.began or 0) > stage.seconds:
            _send(self._processes[stage.name], signal.SIGKILL)
            self._note(stage.name, f"killed after {stage.seconds:.0f} s")
            self._turn(stage.name, "failed")

    def _signal(self, stage: Stage) -> None:
        _send(self._processes[stage.name], signal.SIGINT if stage.interrupt else signal.SIGTERM)

    def _note(self, name: str, text: str) -> None:
        """Adds to a stage's log."""
        with (self.log / name).open("a", encoding="utf-8") as log:
            log.write(f"\n{text}\n")

    def _turn(self, name: str, state: str) -> None:
        standing = self.standings[name]
        standing.state = state
        if state in OVER:
            standing.ended = self._now()
        print(f"{self._now():6} s  {name}: {state}", flush=True)

    def _now(self) -> int:
        return round(time.time() - self._began)

    def _save(self) -> None:
        rows = {name: asdict(standing) for name, standing in self.standings.items()}
        part = self.folder / "state.json.part"
        part.write_text(json.dumps({"now": self._now(), "stages": rows}), encoding="utf-8")
        part.replace(self.folder / "state.json")


def _check(stages: Sequence[Stage]) -> None:
    names = [stage.name for stage in stages]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two stages are called {', '.join(sorted(twice))}; give each a name of its own")
    needs = {s.name: {n.removesuffix("?") for n in s.needs if not n.startswith(GATE)} for s in stages}
    for name, wanted in needs.items():
        if unknown := wanted - set(names):
            raise ValueError(f"{name} needs {', '.join(sorted(unknown))}, which no stage is called")
    while free := [name for name, wanted in needs.items() if not wanted & set(needs)]:
        for name in free:
            del needs[name]
    if needs:
        raise ValueError(f"these stages need one another in a circle: {', '.join(needs)}")


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except (OSError, http.client.HTTPException):
        return False


def _send(process: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    """To the process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, sign)


def _listed(wanted: Sequence[Stage]) -> str:
    wide = max(len(stage.name) for stage in wanted)
    return "\n".join(f"{s.name:{wide}}  {' '.join(s.needs) or '-'}" for s in wanted)


def main() -> None:
    """Lists the stages, or runs them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the stages and what each needs")
    parser.add_argument("--commands", action="store_true", help="print the stages' commands")
    parser.add_argument("--stay", action="store_true", help="never end, and keep the servers up")
    add_options(parser)
    arguments = parser.parse_args()
    settings = read_settings(arguments)
    wanted = all_stages(settings)
    if arguments.list:
        print(_listed(wanted))
        return
    if arguments.commands:
        print("\n".join(f"# {stage.name}\n{stage.shown}" for stage in wanted))
        return
    schedule = Schedule(wanted, settings.out)
    try:
        schedule.run(stay=arguments.stay)
    except RuntimeError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on")
    bad = [name for name, standing in schedule.standings.items() if standing.state not in ("done", "skipped")]
    if bad:
        sys.exit(f"not done: {', '.join(bad)}; see {schedule.log}, then start the same command again")


def _leave(number: int, _frame: FrameType | None) -> None:
    """So that nothing is left running."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
