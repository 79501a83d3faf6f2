import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.errors import DocumentError
from anabranch.tools.readers import Page, decode, read
from tests.tools.files import write_encrypted_pdf, write_pdf

TEXT = "Füße, naïve, Ω, 東京, москва"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_decodes_unicode(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize(("mark", "encoding"), [(codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")])
def test_decodes_by_byte_order_mark(mark: bytes, encoding: str) -> None:
    assert decode(mark + TEXT.encode(encoding)) == TEXT


def test_decodes_western_code_pages() -> None:
    assert decode("Füße “quoted” – 5 €".encode("cp1252")) == "Füße “quoted” – 5 €"
    assert decode(b"caf\xe9 \x81" + b" and more" * 9).startswith("café \x81 and")


@pytest.mark.parametrize("data", [b"\x7fELF\0\0", b"\x89PNG\r\n\x1a\n\0\0", bytes(range(1, 32)) * 9, b"\xff\xfea"])
def test_refuses_binary_data(data: bytes) -> None:
    with pytest.raises(DocumentError, match=r"binary|damaged"):
        decode(data)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
def test_decodes_what_utf8_encodes(text: str) -> None:
    assert decode(text.encode()).lstrip("\ufeff") == text.lstrip("\ufeff")


@given(st.binary(max_size=200))
def test_decodes_or_refuses_any_bytes(data: bytes) -> None:
    try:
        decode(data)
    except DocumentError:
        return


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
    assert text.split("\n\n") == ["Craigslist", "First\nline & more.", "one", "two", "Opened 1931", "Length 342 m"]


@pytest.mark.parametrize("data", [b"http://example.com/page", b"notes.html", b"no tag at all", b"<p>unclosed <b>x"])
def test_html_without_markup_is_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(data)
    assert read(path).pages[0].text


def test_html_declares_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes('<meta charset="koi8-r"><p>москва</p>'.encode("koi8-r"))
    assert read(path).pages[0].text == "москва"
    path.write_bytes('<meta charset="no-such-code"><p>Füße</p>'.encode())
    assert read(path).pages[0].text == "Füße"


def test_deeply_nested_html_is_read(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<div>" * 3000 + "deep" + "</div>" * 3000)
    assert read(path).pages[0].text == "deep"


def test_pdf_is_read_by_page(tmp_path: Path) -> None:
    content = read(write_pdf(tmp_path / "report.pdf", ["First page.", "", "Third page."], title="A report"))
    assert content.title == "A report"
    assert content.pages == [Page("First page.", 1), Page("Third page.", 3)]
    assert read(write_pdf(tmp_path / "plain.PDF", ["x"])).title == "plain"


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
    for name in ("a.docx", "a", "a.txt.bak"):
        with pytest.raises(DocumentError, match=r"use one of: \.txt, \.md, \.pdf, \.html, \.htm"):
            read(tmp_path / name)


def test_missing_file_is_a_document_error(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="cannot be read"):
        read(tmp_path / "missing.txt")
