"""The schedule behind docs/lab/notebook.md, on stages that are trivial commands."""

import argparse
import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks.results.evaluations import command
from benchmarks.results.groups import BAMBOOGLE, Run
from benchmarks.results.measured import PLANNERS
from benchmarks.results.schedule import Schedule
from benchmarks.results.settings import ON_A_GPU, add_options, read_settings
from benchmarks.results.stage import Stage
from benchmarks.results.stages import all_stages


def stage(name: str, script: str, *needs: str, seconds: float = 60) -> Stage:
    return Stage(name, needs, (sys.executable, "-S", "-c", script), seconds=seconds)


def states(schedule: Schedule) -> dict[str, str]:
    return {name: standing.state for name, standing in schedule.standings.items()}


def test_stages_run_once_what_they_need_is_there(tmp_path: Path) -> None:
    note = f"open({str(tmp_path / 'order')!r}, 'a').write"
    stages = [
        stage("last", f"{note}('last ')", "first", "broken?"),
        stage("first", f"{note}('first ')"),
        stage("broken", "raise SystemExit(3)"),
        stage("behind", f"{note}('never')", "broken"),
        stage("slow", "import time; time.sleep(60)", seconds=0.5),
    ]
    schedule = Schedule(stages, tmp_path / "run")
    schedule.run()
    assert states(schedule) == {
        "last": "done",
        "first": "done",
        "broken": "failed",
        "behind": "waiting",
        "slow": "failed",
    }
    assert (tmp_path / "order").read_text() == "first last "
    assert "ended with status 3" in (schedule.log / "broken").read_text()
    assert json.loads((schedule.folder / "state.json").read_text())["stages"]["first"]["state"] == "done"


def test_a_schedule_that_is_started_again_goes_on(tmp_path: Path) -> None:
    done = tmp_path / "done"
    stages = [
        stage("kept", f"open({str(done)!r}, 'x')"),  # a second time fails
        stage("mended", "raise SystemExit(1)", "kept"),
    ]
    Schedule(stages, tmp_path / "run").run()
    again = Schedule([stages[0], stage("mended", "pass", "kept")], tmp_path / "run")
    again.run()
    assert states(again) == {"kept": "done", "mended": "done"}


def test_files_control_it(tmp_path: Path) -> None:
    stages = [
        stage("gated", "pass", "ev:go"),
        stage("left_out", "raise SystemExit(1)"),
        stage("long", "import time; time.sleep(60)"),
    ]
    schedule = Schedule(stages, tmp_path)
    (schedule.control / "skip-left_out").touch()
    schedule.step()
    assert states(schedule) == {"gated": "waiting", "left_out": "skipped", "long": "running"}
    (schedule.control / "kill-long").touch()
    (schedule.control / "ev-go").touch()
    schedule.run()
    assert states(schedule) == {"gated": "done", "left_out": "skipped", "long": "killed"}


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ([stage("a", ""), stage("a", "")], "two stages"),
        ([stage("a", "", "b")], "no stage is called"),
        ([stage("a", "", "b?"), stage("b", "", "a")], "circle"),
    ],
)
def test_stages_that_cannot_be_are_refused(stages: list[Stage], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=problem):
        Schedule(stages, tmp_path)


@pytest.mark.parametrize("options", [[], ["--dry"], ["--by-hand"], ["--gpus", "4"]])
def test_the_stages_of_the_run_fit_together(options: list[str], tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    settings = read_settings(parser.parse_args(options))
    stages = Schedule(all_stages(settings), tmp_path).stages
    names = set(stages)
    assert all(str(settings.out) in stage.shown for name, stage in stages.items() if name.startswith(("ev_", "speed")))
    speeds = [stage.command for name, stage in stages.items() if name.startswith("speed")]
    assert {command[command.index("--out") + 1] for command in speeds} <= {str(settings.out / "bench")}
    assert {"d135", "d15", "d15p", "srvA", "ev_base", "ev_d15p"} <= names
    places = {stage.environment.get("CUDA_VISIBLE_DEVICES") for stage in stages.values() if stage.health}
    assert places == ({"0", "1", "2", "3"} if settings.gpus > 1 else {None})
    assert ("srvF" in names) == (settings.gpus > 1)
    ports = {server.port for server in settings.servers}
    asked = {int(port) for stage in stages.values() for port in re.findall(r"127\.0\.0\.1:(\d+)/v1", stage.shown)}
    assert asked <= ports, "nobody asks a server that is left out"
    if not settings.dry:  # nothing that is measured runs beside the evaluations' servers, or beside another one
        assert "servers_off?" in stages["go1"].needs
        assert [f"speed{n}?" in stages[f"go{n + 1}"].needs for n in range(1, len(speeds))] == [True] * (len(speeds) - 1)


def test_servers_are_started_as_the_product_starts_them() -> None:
    from anabranch.serving import vllm  # which a bare machine that runs the schedule cannot import

    assert ON_A_GPU == vllm.ON_A_GPU


@pytest.mark.parametrize("no_tools", [False, True])
def test_plans_for_the_solver_alone_are_told_apart(no_tools: bool, tmp_path: Path) -> None:
    servers = dict.fromkeys("abcd", "http://127.0.0.1:1/v1")
    arguments = argparse.Namespace(data=tmp_path, limit=None, max_tokens=9, concurrency=1, **servers)
    words = command(arguments, Run("a", BAMBOOGLE, ("static",), decomposers=("d15",), no_tools=no_tools), tmp_path)
    assert ("--tool none" in " ".join(words)) == no_tools
    label = words[words.index("--decomposer") + 1].partition("=")[0]
    assert label == ("d15-no-tools" if no_tools else "d15")
    assert label in PLANNERS
