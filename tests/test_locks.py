"""Files that several processes share: one works, the others are told who, and a full disk stops before it costs."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from anabranch.cli.batch import Answers, Item
from anabranch.errors import ConfigurationError, StorageError
from anabranch.evals.records import Record, RunFolder
from anabranch.locks import held

HOLD = """
import sys, time
from pathlib import Path
from anabranch.locks import held
with held(Path(sys.argv[1]), "x"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_named_and_its_hold_ends_when_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    words = rf"process {process.pid} on .*, since 2.*or name another --out"
    with pytest.raises(StorageError, match=words) as caught, held(path, "name another --out"):
        pass
    assert str(path) in str(caught.value)
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    with pytest.raises(StorageError, match="another process"), held(link, "x"):
        pass
    process.kill()
    process.communicate()
    with held(path, "x"):
        assert not path.exists()
    with held(path, "x"):
        pass


def test_parts_of_a_file_are_held_apart(tmp_path: Path) -> None:
    path = tmp_path / "threads.sqlite"
    words = r"at work on .* \(a\)"
    with (
        held(path, "x", part="a"),
        held(path, "x", part="b"),
        pytest.raises(StorageError, match=words),
        held(path, "x", part="a"),
    ):
        pass


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match="name another --out"),
        held(tmp_path / "file" / "a", "name another --out"),
    ):
        pass


@pytest.mark.parametrize("what", ["hold", "answers", "records"])
def test_a_full_disk_stops_at_once_and_loses_nothing(tmp_path: Path, what: str) -> None:
    """In a process of its own: a limit on the size of files cannot be taken back."""
    process = subprocess.run(
        [sys.executable, "-c", f"from tests.test_locks import on_a_full_disk; on_a_full_disk({what!r})"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "make room and run the same command again" in process.stdout, process.stderr
    if what == "answers":
        with Answers(tmp_path / "a.jsonl") as answers:  # the half line is taken away
            assert answers.has(Item(0, "q0"))
            answers.add(Item(9, "q9"), {"question": "q9", "error": None})
        assert all(json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines())
    if what == "records":
        assert ("f", "0") in RunFolder(tmp_path).records()


def on_a_full_disk(what: str) -> None:
    limit = 10 if what == "hold" else 700
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    here = Path.cwd()
    try:
        if what == "hold":
            with held(here / "a.jsonl", "x"):
                pass
        elif what == "answers":
            with Answers(here / "a.jsonl") as answers:
                for number in range(100):
                    answers.add(Item(number, f"q{number}"), {"question": f"q{number}", "error": None})
        else:
            file = RunFolder(here).appending()
            for number in range(100):
                file.add(Record(system="s", fingerprint="f", id=str(number)).line)
    except StorageError as error:
        print(error)  # noqa: T201 - for the test's process
