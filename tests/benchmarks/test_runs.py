"""The shell files of `runs/`: each runs to its end with programs that do nothing, and no option is unknown."""

import json
import os
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

from anabranch.cli.commands import app

ROOT = Path(__file__).parents[2]
PROGRAMS = ("anabranch", "python", "curl", "shuf")
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
    called = commands(script, arguments, tmp_path)
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
