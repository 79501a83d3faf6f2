import logging
import os
import sys
from pathlib import Path

import pytest

from anabranch.errors import DocumentError
from anabranch.tools import reading
from anabranch.tools.documents import load_documents, split_passages
from anabranch.tools.readers import read
from anabranch.tools.reading import Reading, contents
from anabranch.tools.search import document_search
from tests.tools.files import write_pdf

_WITH_FAULTS = """
import os, time
from anabranch.tools import reading_worker
known = reading_worker.read
def read(path, data):
    if path.name == "hangs.pdf":
        time.sleep(60)
    if path.name == "dies.pdf":
        os._exit(3)
    if path.name == "grows.pdf":
        return len(bytearray(4 << 30))
    print("this is no reply")
    return known(path, data)
reading_worker.read = read
"""


def test_the_process_reads_what_this_one_reads(tmp_path: Path) -> None:
    pdf = write_pdf(tmp_path / "a.pdf", ["Page one.", "Page two."], title="Two pages")
    large = tmp_path / "b.md"
    large.write_text("# Höhe\n\n" + "wörter " * 20_000)
    with Reading() as documents:
        assert documents.read(pdf) == read(pdf)
        assert documents.read(large) == read(large)


def test_a_file_whose_reader_hangs_or_dies_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = "main(int"
    monkeypatch.setattr(reading, "_START", reading._START.replace(marker, f"{_WITH_FAULTS}\n{marker}"))
    for name in ("dies.pdf", "good.pdf", "grows.pdf", "hangs.pdf", "last.pdf"):
        write_pdf(tmp_path / name, ["Page one."])
    report = load_documents(tmp_path, max_seconds=5)
    assert [path.name for path in report.loaded] == ["good.pdf", "last.pdf"]
    reasons = {path.name: reason for path, reason in report.skipped}
    assert reasons["dies.pdf"].startswith("its reader ended with exit code 3 (a file that is damaged")
    assert reasons["hangs.pdf"] == "it takes more than 5 s to read; split it, or save it as text"
    assert "memory" in reasons["grows.pdf"]


def test_where_there_can_be_no_process_files_are_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_pdf(tmp_path / "a.pdf", ["Page one."])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with caplog.at_level(logging.WARNING):
        assert len(load_documents(tmp_path).loaded) == 1
    assert "without limits" in caplog.text


def test_only_regular_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "null.txt").symlink_to("/dev/null")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    for name, reason in {"pipe.txt": "not a regular", "null.txt": "not a regular", "loop.txt": "broken link"}.items():
        with pytest.raises(DocumentError, match=reason):
            contents(tmp_path / name)
    # What a file is may change after it was looked at.
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    with pytest.raises(DocumentError, match="not a regular"):
        contents(tmp_path / "pipe.txt")
    with pytest.raises(DocumentError, match="cannot be read"):
        contents(tmp_path / "vanished.txt")


def test_files_that_grow_are_read_up_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"x" * 3_000_000)
    status = os.stat_result([33188, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    monkeypatch.setattr(os, "fstat", lambda _: status)
    with pytest.raises(DocumentError, match=r"more than 1\.0; split it"):
        contents(path, 2**20)


N = 200_000
ADVERSARIAL = {
    "heading.md": "# " + "word " * (N // 5) + "\n\n" + "A sentence. " * 20_000,
    "marks.md": "# " + "#" * N,
    "underlined.md": "x" * N + "\n===\n",
    "quotes.md": ">" * N,
    "links.md": "[" * N,
    "references.md": "[a]:b\n" * (N // 6),
    "comments.md": "<!--" * (N // 4),
    "table.md": "|a" * 1000 + "|\n" + "|-" * 1000 + "|\n" + "|b" * (N // 2),
    "front.md": "---\ntitle: a" + " " * N + "b\n---\nText.",
    "comments.html": "<p>Text." + "<!--" * (N // 4),
    "tags.html": "<p>Text." + "<a" * (N // 2),
    "open.html": "<p>Text." + "<meta content='" * (N // 15),
    "attributes.html": "<p " + " ".join(f"a{n}=1" for n in range(N // 7)) + ">Text.",
    "deep.html": "<div>" * (N // 5) + "Text.",
    "heading.html": "<h1>" + "x" * N + "</h1>" + "<p>A sentence." * 5_000,
    "spaces.txt": "x" + " \n" * (N // 2) + "x",
    "digits.txt": "1," * (N // 2),
    "broken.txt": "a-\n" * (N // 3),
    "word.txt": "ก-\n" + "x" * N,
    "header.csv": "x" * (N // 2) + ",b\n" + "1,2\n" * (N // 16),
    "columns.csv": ",".join(f"c{n}" for n in range(N // 8)) + "\n" + "1," * 1000 + "\n",
    "quotes.csv": '"' * N,
    "keys.json": '{"' + "k" * (N // 2) + '":[' + ",".join('{"a":1}' for _ in range(N // 32)) + "]}",
    "deep.json": "[" * N,
    "number.json": "[1" + "0" * N + ", 1e" + "9" * N + "]",
    "lines.jsonl": "x\n" * (N // 2),
}


def test_no_text_of_200_kb_takes_long(tmp_path: Path) -> None:
    for name, text in ADVERSARIAL.items():
        (tmp_path / name).write_text(text)
    report = load_documents(tmp_path, max_seconds=15)
    assert len(report.loaded) + len(report.skipped) == len(ADVERSARIAL)
    assert not [path.name for path, reason in report.skipped if "takes more than" in reason]
    assert {path.name for path, _ in report.skipped} <= {"comments.html", "deep.json", "lines.jsonl"}


@pytest.mark.parametrize("name", ["heading.md", "heading.html", "header.csv", "keys.json"])
def test_long_names_are_not_repeated_with_what_stands_below_them(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(ADVERSARIAL[name])
    passages = split_passages(load_documents(tmp_path).documents)
    assert all(len(str(passage.metadata)) < 3_000 for passage in passages)
    assert sum(len(passage.page_content) for passage in passages) < 15 * N
    assert document_search(passages).invoke({"query": "a sentence 1 2"})
