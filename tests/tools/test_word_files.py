from pathlib import Path

import pytest
from docx import Document
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from anabranch.errors import DocumentError
from anabranch.tools import word_files
from anabranch.tools.readers import read
from anabranch.tools.word_files import read_docx


def test_reads_headings_paragraphs_and_tables_in_order(tmp_path: Path) -> None:
    document = Document()
    document.core_properties.title = "Ferry guide"
    document.add_heading("Fares", 1)
    document.add_paragraph("A ticket costs ").add_run("5 euros.").bold = True
    document.add_paragraph("About 10").add_run("6").font.superscript = True
    table = document.add_table(rows=0, cols=2)
    for cells in [("Class", "Price"), ("First", "9"), ("", "")]:
        for cell, text in zip(table.add_row().cells, cells, strict=True):
            cell.text = text
    document.add_heading("Times", 2)
    document.add_paragraph("Every hour.")
    document.save(str(tmp_path / "a.docx"))
    title, text, headings = read_docx((tmp_path / "a.docx").read_bytes())
    assert title == "Ferry guide"
    assert text.split("\n\n") == [
        "Fares",
        "A ticket costs 5 euros.",
        "About 10⁶",
        "Class | Price\nFirst | 9",
        "Times",
        "Every hour.",
    ]
    assert [(h.level, h.title) for h in headings] == [(1, "Fares"), (2, "Times")]


def test_rows_of_a_large_table_have_the_names_of_their_columns(tmp_path: Path) -> None:
    document = Document()
    table = document.add_table(rows=0, cols=2)
    for cells in [("Class", "Price"), *((f"Class {n}", str(n)) for n in range(9))]:
        for cell, text in zip(table.add_row().cells, cells, strict=True):
            cell.text = text
    document.save(str(tmp_path / "a.docx"))
    assert read_docx((tmp_path / "a.docx").read_bytes())[1].split("\n\n")[:2] == [
        "Class: Class 0; Price: 0",
        "Class: Class 1; Price: 1",
    ]


def test_tracked_changes_and_content_controls(tmp_path: Path) -> None:
    document = Document()
    paragraph = document.add_paragraph("Built in ")
    run = "<w:r><w:{0} xml:space='preserve'>{1}</w:{0}></w:r>"
    for kind, inner in (("del", run.format("delText", "1931")), ("ins", run.format("t", "1932"))):
        paragraph._p.append(parse_xml(f"<w:{kind} {nsdecls('w')} w:id='1' w:author='x'>{inner}</w:{kind}>"))
    control = f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p>{run.format('t', 'Inside.')}</w:p></w:sdtContent></w:sdt>"
    document.element.body.insert(1, parse_xml(control))
    document.save(str(tmp_path / "a.docx"))
    assert read_docx((tmp_path / "a.docx").read_bytes())[1] == "Built in 1932\n\nInside."


def test_breaks_tabs_and_moved_blocks_are_read(tmp_path: Path) -> None:
    document = Document()
    paragraph = document.add_paragraph()
    paragraph.add_run("Pier\tOpens\nEast\t9")
    run = "<w:r><w:t>{}</w:t></w:r>"
    hyphen = f"<w:r {nsdecls('w')}><w:t>ferry</w:t><w:noBreakHyphen/><w:t>house</w:t></w:r>"
    document.add_paragraph()._p.append(parse_xml(hyphen))
    moved = "".join(
        f"<w:{kind}><w:p>{run.format(text)}</w:p></w:{kind}>"
        for kind, text in (("moveFrom", "Old."), ("moveTo", "New."))
    )
    for block in parse_xml(f"<w:body {nsdecls('w')}>{moved}</w:body>"):
        document.element.body.insert(len(document.element.body) - 1, block)
    cell = document.add_table(rows=1, cols=1).cell(0, 0)
    cell.text = "One line"
    cell.add_paragraph("and another")
    document.save(str(tmp_path / "a.docx"))
    text = read(tmp_path / "a.docx").pages[0].text
    assert text.split("\n\n") == ["Pier\tOpens\nEast\t9", "ferry-house", "New.", "One line and another"]


@pytest.mark.parametrize(
    ("style", "level"),
    [("<w:name w:val='heading 3'/>", 3), ("<w:name w:val='Abschnitt'/><w:pPr><w:outlineLvl w:val='1'/></w:pPr>", 2)],
)
def test_headings_are_known_by_their_style_in_any_language(tmp_path: Path, style: str, level: int) -> None:
    document = Document()
    made = parse_xml(f"<w:style {nsdecls('w')} w:type='paragraph' w:styleId='Own'>{style}</w:style>")
    document.styles.element.append(made)
    paragraph = document.add_paragraph("Fahrpreise")
    paragraph._p.get_or_add_pPr().append(parse_xml(f"<w:pStyle {nsdecls('w')} w:val='Own'/>"))
    document.save(str(tmp_path / "a.docx"))
    title, _, headings = read_docx((tmp_path / "a.docx").read_bytes())
    assert [(heading.level, heading.title) for heading in headings] == [(level, "Fahrpreise")]
    assert title == "Fahrpreise"


def test_a_document_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = Document()
    document.add_paragraph("again " * 100_000)
    document.save(str(tmp_path / "a.docx"))
    data = (tmp_path / "a.docx").read_bytes()
    monkeypatch.setattr(word_files, "_MAX_UNPACKED", 500_000)
    assert len(data) < 100_000
    with pytest.raises(DocumentError, match="it unpacks to more than 500 MiB"):
        read_docx(data)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 damaged"])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.docx").write_bytes(data)
    with pytest.raises(DocumentError, match="not a readable Word document"):
        read_docx((tmp_path / "a.docx").read_bytes())
