"""Real files for the tests of document reading."""

from pathlib import Path


def write_pdf(path: Path, pages: list[str], title: str | None = None) -> Path:
    """Writes a small PDF with one line of text a page, byte by byte."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else ""
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    if title:
        objects.append(f"<< /Title ({title}) >>")
    data, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    info = f" /Info {len(objects)} 0 R" if title else ""
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    data += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R{info} >>\nstartxref\n{data.index('xref')}\n%%EOF\n"
    path.write_bytes(data.encode("latin-1"))
    return path


def write_encrypted_pdf(path: Path, password: str) -> Path:
    """Writes a PDF that opens with the password only."""
    from pypdf import PdfWriter

    writer = PdfWriter(clone_from=write_pdf(path, ["secret"]))
    writer.encrypt(password, algorithm="AES-256")
    with path.open("wb") as file:
        writer.write(file)
    return path
