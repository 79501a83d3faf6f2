"""Documents as they are named on the command line."""

from pathlib import Path

import pytest

from anabranch.folders import Folder, by_name


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "handbook").mkdir()
    (tmp_path / "a=b").mkdir()
    (tmp_path / "old: and new").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("handbook", Folder("handbook")),
        ("nowhere", Folder("nowhere")),
        ("nowhere:8", Folder("nowhere:8")),
        ("a=b", Folder("a=b")),
        ("hr=handbook", Folder("handbook", "hr")),
        ("hr=nowhere", Folder("nowhere", "hr")),
        ("hr=handbook:The rules: travel, leave.", Folder("handbook", "hr", "The rules: travel, leave.")),
        ("hr=nowhere:The rules.", Folder("nowhere", "hr", "The rules.")),
        ("hr=old: and new", Folder("old: and new", "hr")),
        ("hr=old: and new: All rules.", Folder("old: and new", "hr", "All rules.")),
        ("not a name=handbook", Folder("not a name=handbook")),
        ("=handbook", Folder("=handbook")),
        ("hr=", Folder("hr=")),
        ("hr=\0", Folder("\0", "hr")),
        ("hr=" + "x" * 10_000, Folder("x" * 10_000, "hr")),
    ],
)
def test_reads_paths_with_and_without_names(text: str, read: Folder) -> None:
    assert Folder.of(text) == read


def test_the_same_name_is_one_search() -> None:
    found = by_name(["hr=handbook:Rules.", "handbook", "hr=a=b", "a=b"])
    assert {name: [each.path for each in folders] for name, folders in found.items()} == {
        "hr": ["handbook", "a=b"],
        "search": ["handbook", "a=b"],
    }


def test_absolute_texts_read_as_the_same_from_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["handbook", "hr=handbook", "hr=handbook:Rules: all.", "~/x"]
    absolute = [Folder.of(text).absolute() for text in texts]
    monkeypatch.chdir("/")
    read = [Folder.of(text) for text in absolute]
    assert read[2] == Folder(str(folder / "handbook"), "hr", "Rules: all.")
    assert [each.absolute() for each in read] == absolute
