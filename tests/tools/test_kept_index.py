import os
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from anabranch.errors import ConfigurationError, DocumentError
from anabranch.tools import kept_index as module
from anabranch.tools import passage_index, reading
from anabranch.tools.documents import load_documents, split_passages
from anabranch.tools.kept_index import kept_index
from anabranch.tools.passage_index import PassageIndex
from anabranch.tools.search import document_search
from tests.tools.files import write_pdf


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "ferry.md").write_text(
        "# The ferry\n\nThe ferry was founded by Ingrid Vale.\n\n## Fares\n\nIt costs 3 euros."
    )
    write_pdf(folder / "bridge.pdf", ["The bridge was built in 1911.", "It was painted green."], title="Bridge")
    return folder


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of documents for which an index was made."""
    seen: list[Path] = []
    known = load_documents

    def load(paths: Sequence[str | Path], **options: object) -> object:
        seen.extend(map(Path, paths))
        return known(paths, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "load_documents", load)
    return seen


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that the reading process was asked for."""
    seen: list[str] = []
    known = reading.Reading._read_apart

    def apart(self: reading.Reading, process: object, path: Path, data: bytes) -> object:
        seen.append(path.name)
        return known(self, process, path, data)  # type: ignore[arg-type]

    monkeypatch.setattr(reading.Reading, "_read_apart", apart)
    return seen


def test_a_kept_index_finds_what_a_new_one_finds(documents: Path, tmp_path: Path, made: list[Path]) -> None:
    new = document_search(documents)
    first = document_search(documents, keep=tmp_path / "kept")
    second = document_search(documents, keep=tmp_path / "kept")
    assert made == [documents]
    for query in ("Who founded the ferry?", "When was the bridge built?", "green", "euros"):
        assert first.invoke(query) == second.invoke(query) == new.invoke(query)
    call = {"type": "tool_call", "id": "1", "name": "search", "args": {"query": "painted"}}
    assert second.invoke(call).artifact == new.invoke(call).artifact


def test_what_has_changed_is_read_again_and_nothing_else(documents: Path, tmp_path: Path, read: list[str]) -> None:
    kept_index([documents], tmp_path / "kept")
    write_pdf(documents / "tower.pdf", ["The tower is 40 metres high."], title="Tower")
    assert "40 metres" in kept_index([documents], tmp_path / "kept").search("tower high", 1)[0].page_content
    assert read == ["bridge.pdf", "tower.pdf"]
    (documents / "ferry.md").write_text("# The ferry\n\nThe ferry has sunk.")
    (documents / "tower.pdf").unlink()
    index = kept_index([documents], tmp_path / "kept")
    assert "sunk" in index.search("ferry", 1)[0].page_content
    assert not index.search("tower", 1)
    assert read == ["bridge.pdf", "tower.pdf"]


def test_a_file_of_the_same_size_that_is_newer_has_changed(documents: Path, tmp_path: Path) -> None:
    kept_index([documents], tmp_path / "kept")
    file = documents / "ferry.md"
    text, time = file.read_text(), file.stat().st_mtime_ns
    file.write_text(text.replace("Vale", "Dale"))
    os.utime(file, ns=(time + 1_000_000, time + 1_000_000))
    assert "Dale" in kept_index([documents], tmp_path / "kept").search("founded", 1)[0].page_content


def test_one_index_of_each_set_of_documents_is_kept_for_its_owner(documents: Path, tmp_path: Path) -> None:
    for state in range(3):
        (documents / "ferry.md").write_text("The ferry sails." * (state + 1))
        kept_index([documents], tmp_path / "kept")
    kept_index([documents / "ferry.md"], tmp_path / "kept")
    places = list((tmp_path / "kept").iterdir())
    assert len(places) == 2
    assert all(len([path for path in place.iterdir() if path.is_dir()]) == 1 for place in places)
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["cut", "gone", "nonsense"])
def test_a_damaged_index_is_made_again(documents: Path, tmp_path: Path, made: list[Path], damage: str) -> None:
    kept_index([documents], tmp_path / "kept")
    for file in [path for path in (tmp_path / "kept").rglob("*") if path.is_file() and path.name != "readings.sqlite"]:
        if damage == "cut":
            file.write_bytes(file.read_bytes()[:-3])
        elif damage == "gone":
            file.unlink()
        else:
            file.write_bytes(b"\x00" * file.stat().st_size)
    assert "1911" in kept_index([documents], tmp_path / "kept").search("bridge built", 1)[0].page_content
    assert len(made) == 2


def test_what_was_only_touched_is_not_read_again(documents: Path, tmp_path: Path, read: list[str]) -> None:
    kept_index([documents], tmp_path / "kept")
    os.utime(documents / "bridge.pdf", (1, 1))
    assert "1911" in kept_index([documents], tmp_path / "kept").search("bridge built", 1)[0].page_content
    assert read == ["bridge.pdf"]


def test_damaged_readings_cost_only_the_reading(documents: Path, tmp_path: Path, read: list[str]) -> None:
    kept_index([documents], tmp_path / "kept")
    database = next((tmp_path / "kept").rglob("readings.sqlite"))
    database.write_bytes(b"this is no database" * 500)
    os.utime(documents / "bridge.pdf", (1, 1))
    assert "1911" in kept_index([documents], tmp_path / "kept").search("bridge built", 1)[0].page_content
    assert read == ["bridge.pdf", "bridge.pdf"]
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(database).execute("SELECT * FROM readings")


def test_a_folder_that_cannot_be_written_is_told_and_survived(documents: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file is here")
    told: list[str] = []
    index = kept_index([documents], tmp_path / "kept", tell=told.append)
    assert "1911" in index.search("bridge built", 1)[0].page_content
    assert len(told) == 1
    assert "made again at each start" in told[0]


def test_what_could_not_be_read_is_told_at_each_start(documents: Path, tmp_path: Path) -> None:
    (documents / "photo.png").write_bytes(b"png")
    told: list[str] = []
    kept_index([documents], tmp_path / "kept", tell=told.append)
    kept_index([documents], tmp_path / "kept", tell=told.append)
    assert len(told) == 2
    assert told[0] == told[1]
    assert "photo.png" in told[0]


def test_missing_documents_and_loaded_ones_are_refused(documents: Path, tmp_path: Path) -> None:
    kept_index([documents], tmp_path / "kept")
    for file in documents.iterdir():
        file.unlink()
    with pytest.raises(DocumentError, match="is empty"):
        kept_index([documents], tmp_path / "kept")
    with pytest.raises(DocumentError, match="check the path"):
        kept_index([tmp_path / "nowhere"], tmp_path / "kept")
    (documents / "a.md").write_text("text")
    loaded = load_documents([documents]).documents
    with pytest.raises(ConfigurationError, match="files and folders"):
        document_search(loaded, keep=tmp_path / "kept")


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["a.md", "b.txt", "c/d.md", "c/e.txt"]),
        st.one_of(
            st.none(), st.lists(st.sampled_from(["ferry", "bridge", "tower", "euros"]), min_size=1, max_size=300)
        ),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=10, deadline=None)
@given(st.lists(EDITS, min_size=1, max_size=4))
def test_after_any_changes_it_finds_what_a_new_index_finds(rounds: list[list[tuple[str, list[str] | None]]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, kept = Path(name) / "documents", Path(name) / "kept"
        (folder / "c").mkdir(parents=True)
        (folder / "z.md").write_text("The ferry sails.")
        for edits in rounds:
            for file, words in edits:
                if words is None:
                    (folder / file).unlink(missing_ok=True)
                else:
                    (folder / file).write_text(" ".join(words))
            updated, new = kept_index([folder], kept), PassageIndex(split_passages(load_documents(folder).documents))
            for query in ("ferry", "the bridge and the tower", "euros ferry", "nothing of this"):
                assert updated.search(query, 100) == new.search(query, 100)


def test_only_changed_files_are_read_and_split(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed: list[str] = []
    known = passage_index.indexed_terms

    def terms(passage: Document) -> list[str]:
        indexed.append(passage.metadata["source"])
        return known(passage)

    monkeypatch.setattr(passage_index, "indexed_terms", terms)
    kept_index([documents], tmp_path / "kept")
    assert sorted(set(indexed)) == ["bridge.pdf", "ferry.md"]
    indexed.clear()
    (documents / "tower.txt").write_text("The tower is 40 metres high.")
    kept_index([documents], tmp_path / "kept")
    assert indexed == ["tower.txt"]


def test_a_folder_that_is_given_twice_is_there_twice(documents: Path, tmp_path: Path) -> None:
    for _ in range(2):
        index = kept_index([documents, documents], tmp_path / "kept")
        assert len(index.search("founded", 9)) == 2
        (documents / "more.md").write_text("More.")
