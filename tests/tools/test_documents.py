import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from anabranch.characters import path_of
from anabranch.errors import DocumentError
from anabranch.tools.documents import LoadReport, ReadDocument, count_words, load_documents, split_passages
from anabranch.tools.outline import Heading
from tests.tools.files import write_encrypted_pdf, write_pdf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("Text of a.")
    (folder / "sub" / "b.md").write_text("# Title of b\n\nText of b.")
    write_pdf(folder / "c.pdf", ["Page one.", "Page two."])
    return folder


def test_loads_a_folder_with_all_below_it(folder: Path) -> None:
    report = load_documents(folder)
    assert [(d.metadata, d.page_content) for d in report.documents] == [
        ({"source": "a.txt", "title": "a", "page": None}, "Text of a."),
        ({"source": "c.pdf", "title": "c", "page": 1}, "Page one."),
        ({"source": "c.pdf", "title": "c", "page": 2}, "Page two."),
        ({"source": "sub/b.md", "title": "Title of b", "page": None}, "# Title of b\n\nText of b."),
    ]
    assert report.loaded == [folder / "a.txt", folder / "c.pdf", folder / "sub" / "b.md"]
    assert report.skipped == []
    assert report.summary() == "3 files read"


def test_loads_single_files_and_several_roots(folder: Path) -> None:
    assert [d.metadata["source"] for d in load_documents(str(folder / "a.txt")).documents] == ["a.txt"]
    report = load_documents([folder / "a.txt", folder / "sub", folder])
    assert [d.metadata["source"] for d in report.documents][:3] == ["a.txt", "sub/b.md", "docs/a.txt"]


def test_skips_and_reports_what_cannot_be_read(folder: Path) -> None:
    (folder / "image.png").write_bytes(b"\x89PNG\0")
    (folder / "binary.txt").write_bytes(b"\x7fELF\0\0")
    (folder / "empty.md").write_text("")
    (folder / "large.txt").write_text("word " * 1000)
    (folder / "damaged.pdf").write_bytes(b"not a pdf")
    pytest.importorskip("cryptography")
    write_encrypted_pdf(folder / "locked.pdf", "password")
    (folder / "broken.txt").symlink_to(folder / "nothing.txt")
    os.mkfifo(folder / "pipe.txt")
    report = load_documents(folder, max_bytes=4000)
    assert len(report.loaded) == 3
    reasons = {path.name: reason for path, reason in report.skipped}
    assert set(reasons) == {
        *("image.png", "binary.txt", "empty.md", "large.txt", "damaged.pdf", "locked.pdf", "broken.txt", "pipe.txt")
    }
    assert "kind '.png' is not known" in reasons["image.png"]
    assert "binary" in reasons["binary.txt"]
    assert "no text" in reasons["empty.md"]
    assert "MiB" in reasons["large.txt"]
    assert "not a readable PDF" in reasons["damaged.pdf"]
    assert "encrypted" in reasons["locked.pdf"]
    assert "broken link" in reasons["broken.txt"]
    assert "not a regular file" in reasons["pipe.txt"]
    assert report.summary().startswith("3 files read, 8 skipped (binary.txt: it is a binary file; ")
    assert report.summary().endswith("; and 5 more)")


@pytest.mark.parametrize("name", ["image.png", "binary.txt", "empty.md", "large.txt", "damaged.pdf"])
def test_a_file_given_by_itself_must_be_readable(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes({"large.txt": b"word " * 1000, "empty.md": b""}.get(name, b"\x7f\0"))
    with pytest.raises(DocumentError, match=rf"{name} cannot be used: "):
        load_documents(path, max_bytes=4000)


def test_an_unreadable_file_is_skipped(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (folder / "a.txt").chmod(0)
    assert "cannot be read" in load_documents(folder).skipped[0][1]


def test_missing_paths_empty_folders_and_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"there is no .*missing.*check the path"):
        load_documents(tmp_path / "missing")
    with pytest.raises(DocumentError, match=r"is empty; put \.txt, \.md"):
        load_documents(tmp_path)
    with pytest.raises(DocumentError, match="no documents are given"):
        load_documents([])
    (tmp_path / "a.png").write_bytes(b"\0")
    with pytest.raises(DocumentError, match=r"none of the 1 files .*a\.png: its kind"):
        load_documents(tmp_path)


def test_hidden_files_and_folders_are_left_out(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "x.txt").write_text("hidden")
    (folder / ".hidden.txt").write_text("hidden")
    report = load_documents(folder)
    assert len(report.loaded) == 3
    assert report.skipped == []


def test_a_hidden_folder_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / ".notes").mkdir()
    (tmp_path / ".notes" / "x.txt").write_text("text")
    assert len(load_documents(tmp_path / ".notes").loaded) == 1


def test_link_loops_end_and_links_are_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "sub" / "loop").symlink_to(folder, target_is_directory=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "d.txt").write_text("Text of d.")
    (folder / "link").symlink_to(outside, target_is_directory=True)
    report = load_documents(folder)
    assert [d.metadata["source"] for d in report.documents] == ["a.txt", "c.pdf", "c.pdf", "link/d.txt", "sub/b.md"]


def test_parts_that_cannot_be_read_are_noted(folder: Path) -> None:
    (folder / "d.jsonl").write_text('{"a": 1}\noops\n')
    report = load_documents(folder)
    assert report.notes == [(folder / "d.jsonl", "line 2 is not valid JSON")]
    assert not report.complete
    assert report.summary() == "4 files read, 1 read in part (d.jsonl: line 2 is not valid JSON)"


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    path.write_text("Text.")
    (tmp_path / "caf.png").write_text("x")
    report = load_documents(tmp_path)
    assert [d.metadata for d in report.documents] == [{"source": r"caf\xe9.txt", "title": "café", "page": None}]
    assert report.loaded == [path]
    assert (tmp_path / path_of(report.documents[0].metadata["source"])).read_text() == "Text."
    path.rename(path.with_suffix(".png"))
    with pytest.raises(DocumentError) as caught:
        load_documents(path.with_suffix(".png"))
    assert str(caught.value).encode()


def test_entries_that_cannot_be_looked_at_cost_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_file = Path.is_file

    def checked(path: Path) -> bool:
        if path.name == "c.pdf":
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", checked)
    report = load_documents(folder)
    assert [path.name for path in report.loaded] == ["a.txt", "b.md"]
    assert report.skipped == [(folder / "c.pdf", "it cannot be read (Permission denied)")]


def test_folders_that_cannot_be_listed_are_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def checked(path: str) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", checked)
    report = load_documents(folder)
    assert [path.name for path in report.loaded] == ["a.txt", "c.pdf"]
    assert report.skipped == [(folder / "sub", "it cannot be read (Permission denied)")]


def test_an_empty_report_says_so() -> None:
    assert LoadReport().summary() == "0 files read"


SENTENCES = [f"Sentence number {n} has exactly seven words." for n in range(200)]


def _split(text: str, words: int = 120, overlap: int = 25) -> list[str]:
    return [p.page_content for p in split_passages([Document(text)], words=words, overlap=overlap)]


def test_short_documents_stay_whole_and_keep_their_metadata() -> None:
    document = Document("One.\n\nTwo.", metadata={"source": "a.txt", "page": 3})
    assert split_passages([document]) == [document]
    assert split_passages([Document("  \n ")]) == []


def test_long_paragraphs_are_cut_between_sentences_with_overlap() -> None:
    passages = _split(" ".join(SENTENCES))
    assert all(90 <= count_words(p) <= 180 for p in passages)
    for before, after in itertools.pairwise(passages):
        assert before.endswith("words.")
        assert after.startswith(before[before.rindex("Sentence") :])


def test_paragraphs_are_kept_together_without_overlap() -> None:
    paragraphs = [" ".join(SENTENCES[n : n + 16]) for n in range(0, 160, 16)]
    passages = _split("\n\n".join(paragraphs))
    assert passages == paragraphs


def test_sentences_without_end_are_cut_between_words() -> None:
    passages = _split(" ".join(f"w{n}" for n in range(1000)))
    assert " ".join(passages).split() == [f"w{n}" for n in range(1000)]
    assert all(90 <= count_words(p) <= 180 for p in passages)


@pytest.mark.parametrize("text", ["漢字" * 2000, "これは文です。" * 400, "x" * 50_000, "กขค" * 2000])
def test_text_without_spaces_is_cut_too(text: str) -> None:
    passages = _split(text, overlap=0)
    assert "".join(passages) == text
    assert all(len(p) <= 5000 for p in passages)
    assert all(count_words(p) <= 180 for p in passages)


def test_counts_words_of_all_scripts() -> None:
    assert count_words("two words") == 2
    assert count_words("東京タワー") == 3
    assert count_words("") == 0


def _document(sections: int, words: int) -> ReadDocument:
    text, headings = "", []
    for n in range(sections):
        line = f"## Section {n}"
        headings.append(Heading(2, line, f"Section {n}"))
        text += f"{line}\n\n{f'word{n} ' * words}\n\n"
    return ReadDocument(page_content=text, headings=tuple(headings))


def test_passages_begin_with_sections_and_know_them() -> None:
    passages = split_passages([_document(6, 90)])
    assert [p.metadata["section"] for p in passages] == [f"Section {n}" for n in range(6)]
    assert all(p.page_content.startswith("## ") for p in passages)


def test_markdown_of_other_loaders_has_sections_too() -> None:
    text = _document(3, 90).page_content
    of_markdown, of_text = ([Document(text, metadata={"source": name})] for name in ("a.md", "a.py"))
    assert [p.metadata["section"] for p in split_passages(of_markdown)] == [f"Section {n}" for n in range(3)]
    assert not any("section" in p.metadata for p in split_passages(of_text))


def test_small_sections_share_a_passage_and_long_ones_have_several() -> None:
    assert len(split_passages([_document(20, 12)])) < 10
    passages = split_passages([_document(2, 400)])
    assert {p.metadata["section"] for p in passages} == {"Section 0", "Section 1"}
    assert not any(p.page_content.endswith(("Section 0", "Section 1")) for p in passages)


def test_rows_and_small_tables_stay_whole() -> None:
    rows = [f"Name: Person {n}. Jr.; Role: Cook. Or pilot! Or both; Since: 19{n:02}" for n in range(60)]
    passages = _split("\n\n".join(rows))
    assert len(passages) > 3
    assert [row for p in passages for row in p.split("\n\n")] == rows


@given(
    st.lists(st.sampled_from(["word", "end.", "漢字。", "\n\n", "\n", "!", "x" * 50]), max_size=400), st.integers(5, 60)
)
def test_splitting_loses_nothing(pieces: list[str], words: int) -> None:
    text = " ".join(pieces)
    assert "".join("".join(_split(text, words, overlap=0)).split()) == "".join(text.split())
