"""The shell files of `runs/`: each runs to its end with programs that do nothing, and no option is unknown."""

import json
import os
import shlex
import subprocess
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

from anabranch.cli.commands import app

ROOT = Path(__file__).parents[2]
PROGRAMS = ("anabranch", "python", "curl", "shuf", "cp")
ALL = {
    "rows": (),
    "adapters": (),
    "evaluations": (),
    "serving": ("one", "four", "eight", "four_at_once", "lora", "python_front", "ngram", "not_compiled", "fp8"),
}


def commands(script: str, arguments: tuple[str, ...], folder: Path) -> list[list[str]]:
    """The commands that a script runs, in programs that only note down how they were called."""
    for program in PROGRAMS:
        path = folder / program
        # One write a line: a run may call several programs at the same time.
        path.write_text(f'#!/bin/bash\necho "$(printf "%q " {program} "$@")" >> {folder}/called\n')
        path.chmod(0o755)
    done = subprocess.run(
        ["bash", f"runs/{script}.sh", *arguments],
        cwd=ROOT,
        env={"PATH": f"{folder}:{os.environ['PATH']}", "OUT": str(folder / "out")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [shlex.split(line) for line in (folder / "called").read_text().splitlines()]


def parse(words: list[str]) -> None:
    """Reads the options of an `anabranch` command as the command itself does.

    Raises:
        UsageError: click's, for what it does not know.
    """
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    command.make_context("anabranch", list(words))


@pytest.mark.parametrize(("script", "arguments"), ALL.items())
def test_each_run_has_commands_that_there_are(script: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    check(commands(script, arguments, tmp_path))


def check(called: list[list[str]]) -> None:
    for program, *words in called:
        if program == "anabranch":
            parse(words)
        if program == "python" and words[0] == "-m" and not words[1].startswith("vllm"):
            assert find_spec(words[1]), words
        if program == "python" and words[0].endswith(".py"):
            assert (ROOT / words[0]).exists(), words
    assert [words for program, *words in called if program == "anabranch"]


def test_every_shipped_adapter_is_trained_with_the_flags_of_its_manifest(tmp_path: Path) -> None:
    called = commands("adapters", ("shipped",), tmp_path)
    trained = [words for words in called if words[:3] == ["anabranch", "distill", "train"]]
    flags = {
        Path(words[words.index("--out") + 1]).name: dict(zip(words[3::2], words[4::2], strict=False))
        for words in trained
    }
    package = ROOT / "packages/decomposer-1.5b/anabranch_decomposer_1_5b/decomposer-1.5b"
    small = [ROOT / "anabranch/adapters" / name for name in ("decomposer-135m", "solver-135m")]
    assert {folder.name for folder in (package, *small)} <= set(flags)
    for folder in (package, *small):
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        recipe = (manifest.get("stages") or [manifest])[-1]["recipe"]
        told = {
            name: float(flags[folder.name][f"--{name.replace('_', '-')}"])
            for name in ("learning_rate", "batch_tokens", "max_seconds")
        }
        assert told == pytest.approx({name: recipe[name] for name in told}, rel=0.01)
        assert flags[folder.name]["--base-name"] == recipe["base"]


def test_reinforcement_keeps_small_files_and_scores_every_adapter_at_once(tmp_path: Path) -> None:
    for name in ("s135", "r135", "r135_half", "r135_most", "r15", "r15_half", "r15_most"):
        folder = tmp_path / "out" / name
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_text(name)
    steps = ("rows", "weights", "servers", "r135", "r15", "between", "tuning", "score", "stop")
    called = commands("reinforce", steps, tmp_path)
    check(called)

    keep = tmp_path / "out" / "keep"
    assert {path.name.partition("_")[0] for path in keep.iterdir()} == {"r135.tgz.aa", "r15.tgz.aa", "scores"}
    assert len(list(keep.glob("scores_135_*.tgz"))) == len(list(keep.glob("scores_15_*.tgz"))) == 1
    with tarfile.open(keep / "r135.tgz.aa") as packed:
        assert packed.extractfile("r135/adapter_model.safetensors").read() == b"r135"  # type: ignore[union-attr]
    tests = [words for words in called if words[:3] == ["anabranch", "eval", "--task"]]
    asked = {tuple(word.partition("=")[0] for word in words if "=lines:" in word) for words in tests}
    assert asked == {("ships", "half", "most", "full", "supervised"), ("ships", "half", "most", "full")}
    shares = [words[-1] for words in called if "benchmarks.reinforcement.between" in words]
    assert shares == ["0.5", "0.7"] * 2


def test_reinforcement_packs_an_adapter_as_soon_as_it_is_there(tmp_path: Path) -> None:
    """What `anabranch` is here waits for the packed file of the adapter that it wrote, and fails without."""
    out = tmp_path / "out"
    work = f"""#!/bin/bash
        mkdir -p {out}/r15 && echo better > {out}/r15/adapter_model.safetensors
        for _ in $(seq 100); do [ -s {out}/keep/r15.tgz.aa ] && exit 3; sleep 0.1; done"""
    (tmp_path / "anabranch").write_text(work)
    (tmp_path / "anabranch").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OUT": str(out)}
    done = subprocess.run(["bash", "runs/reinforce.sh", "r15"], cwd=ROOT, env=environment, check=False)
    assert done.returncode == 3, "the status of the command is that of the step"
