import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from anabranch.errors import DocumentError
from anabranch.tools import readers
from anabranch.tools.readers import Page, Read, clean, file_name, read
from tests.tools.files import write_encrypted_pdf, write_pdf


def test_titles(tmp_path: Path) -> None:
    files = {
        "plain.txt": ("Only text.", "plain"),
        "heading.md": ("intro\n\n## The  *Ferry* ##\n\n# Other", "The *Ferry*"),
        "none.md": ("#hashtag\n\ntext", "none"),
        "page.html": ("<title>\n A\n page </title><p>x</p>", "A page"),
        "untitled.HTM": ("<p>x</p>", "untitled"),
    }
    for name, (text, title) in files.items():
        path = tmp_path / name
        path.write_text(text)
        assert read(path).title == title


HTML = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html><html><head><title>Title</title><style>p {}</style><meta name="x" content="meta"></head>
<body><nav hidden>secret</nav><h1>Craigs<b>list</b></h1><!-- comment --><p>First<br>line &amp; more.</p>
<script>script()</script><template>template</template><ul><li>one</li><li>two</li></ul>
<table><tr><th>Opened</th><td>1931</td></tr><tr><th>Length</th><td>342 m</td></tr></table></body></html>"""


def test_html_gives_visible_text_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(HTML)
    text = read(path).pages[0].text
    assert text.split("\n\n") == ["Craigslist", "First\nline & more.", "one", "two", "Opened: 1931", "Length: 342 m"]


@pytest.mark.parametrize("data", [b"http://example.com/page", b"notes.html", b"no tag at all", b"<p>unclosed <b>x"])
def test_html_without_markup_is_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(data)
    assert read(path).pages[0].text


def test_pdf_is_read_by_page(tmp_path: Path) -> None:
    content = read(write_pdf(tmp_path / "report.pdf", ["First page.", "", "Third page."], title="A report"))
    assert content.title == "A report"
    assert content.pages == [Page("First page.", 1), Page("Third page.", 3)]
    assert read(write_pdf(tmp_path / "plain.PDF", ["x"])).title == "plain"


def test_a_bad_page_of_a_pdf_costs_no_other(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "report.pdf", ["First page.", "Second page.", "Third page."])
    damaged = re.sub(rb"/Length (\d+)(?= >>\nstream\n[^\n]*Second)", rb"/Length \1 /Filter /Odd", path.read_bytes())
    path.write_bytes(damaged)
    content = read(path)
    assert content.pages == [Page("First page.", 1), Page("Third page.", 3)]
    assert content.notes == ("page 2 cannot be read (NotImplementedError)",)


def test_a_pdf_without_its_end_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "report.pdf", ["First page.", "Second page."])
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"trailer")])
    content = read(path)
    assert [page.text for page in content.pages] == ["First page.", "Second page."]
    assert content.notes == ("its end is damaged, so pages may be missing",)


def test_pages_that_may_be_scans_are_noted(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "report.pdf", ["First page.", "", ""])
    data = path.read_bytes()
    last = data.rindex(b"/Font <<")
    path.write_bytes(data[:last] + b"/XObject" + data[last + 5 :])
    assert read(path).notes == ("page 3 has no text (a scan?)",)


def test_invisible_characters_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("The light\u00ad\nhouse and the sig\u00adnal\u200b tower", encoding="utf-8")
    assert read(path).pages[0].text == "The lighthouse and the signal tower"


def test_text_has_no_lone_surrogates(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(r'{"name": "x\ud800y", "sign": "\ud83d\udea2"}')
    assert read(path).pages[0].text == "name: x\ufffdy; sign: 🚢"
    assert clean("a\ud83d\udea2b") == "a🚢b"


def test_names_that_are_not_utf8_become_text() -> None:
    assert file_name("café.txt") == "café.txt"
    assert file_name(os.fsdecode(b"Z\xc3\xbcrich/caf\xe9.txt")) == "Zürich/café.txt"


def test_data_and_tables_are_read(tmp_path: Path) -> None:
    files = {
        "a.csv": ("Name;Role\nIda;Pilot", "Name: Ida; Role: Pilot"),
        "a.tsv": ("Name\tRole\nIda, P.\tPilot", "Name: Ida, P.; Role: Pilot"),
        "a.json": ('{"name": "Ida"}', "name: Ida"),
        "a.jsonl": ('{"name": "Ida"}\noops', "name: Ida"),
    }
    for name, (text, expected) in files.items():
        (tmp_path / name).write_text(text)
        assert [page.text for page in read(tmp_path / name).pages] == [expected]
    assert read(tmp_path / "a.jsonl").notes == ("line 2 is not valid JSON",)


def test_a_reader_that_fails_costs_its_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_data: bytes) -> Read:
        raise RecursionError

    monkeypatch.setitem(readers._READERS, ".txt", broken)
    with pytest.raises(DocumentError, match=r"not a readable \.txt file \(RecursionError\)"):
        read(tmp_path / "a.txt", b"Text.")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "it takes too much memory to read; split it"),
        (PermissionError(13, "Permission denied"), r"it cannot be read \(Permission denied\)"),
    ],
)
def test_what_keeps_a_file_from_being_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def failing(_data: bytes) -> Read:
        raise error

    monkeypatch.setitem(readers._READERS, ".txt", failing)
    with pytest.raises(DocumentError, match=told):
        read(tmp_path / "a.txt", b"Text.")


def test_a_text_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_DOCUMENT_CHARS", 10)
    with pytest.raises(DocumentError, match="its text has 11 characters, more than 10; split it"):
        read(tmp_path / "a.txt", b"Eleven char")
    assert read(tmp_path / "a.txt", b"Ten chars.").pages == [Page("Ten chars.")]


def test_a_pdf_that_takes_too_long_is_read_in_part_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_pdf(tmp_path / "a.pdf", ["One.", "Two.", "Three."])
    times = iter([0.0, 1.0, 50.0])
    monkeypatch.setattr("anabranch.tools.pdf_files.time", SimpleNamespace(monotonic=lambda: next(times)))
    content = read(path)
    assert content.pages == [Page("One.", 1)]
    assert content.notes == ("pages 2 to 3 are left out: reading took more than 45 s; split it",)


def test_pdf_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"no text in it \(a scan\?\)"):
        read(write_pdf(tmp_path / "scan.pdf", [""]))


def test_encrypted_pdf(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(DocumentError, match="encrypted"):
        read(write_encrypted_pdf(tmp_path / "locked.pdf", "password"))
    assert read(write_encrypted_pdf(tmp_path / "open.pdf", "")).pages == [Page("secret", 1)]


@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.4", b"not a pdf", b"%PDF-1.4\nxref\n0 1\ntrailer\n<<>>\n%%EOF", b"\0" * 99]
)
def test_damaged_pdf_is_refused_quietly(tmp_path: Path, data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "damaged.pdf"
    path.write_bytes(data)
    with pytest.raises(DocumentError, match="not a readable PDF"):
        read(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("cut", range(50, 700, 50))
def test_a_pdf_cut_short_is_read_or_refused(tmp_path: Path, cut: int) -> None:
    path = write_pdf(tmp_path / "cut.pdf", ["First page.", "Second page."])
    path.write_bytes(path.read_bytes()[:cut])
    try:
        assert read(path).pages
    except DocumentError:
        return


@pytest.mark.parametrize("text", ["", " \n\t\n", "\ufeff"])
def test_empty_files_are_refused(tmp_path: Path, text: str) -> None:
    for suffix in ("txt", "md", "html"):
        path = tmp_path / f"empty.{suffix}"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DocumentError, match="no text in it"):
            read(path)


def test_unknown_kinds_are_refused(tmp_path: Path) -> None:
    for name in ("a.odt", "a", "a.txt.bak"):
        with pytest.raises(DocumentError, match=r"use one of: \.txt, \.md, \.pdf, \.html, \.htm"):
            read(tmp_path / name)


def test_missing_file_is_a_document_error(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="cannot be read"):
        read(tmp_path / "missing.txt")
