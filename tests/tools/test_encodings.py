import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.errors import DocumentError
from anabranch.tools.encodings import decode, decode_html

TEXT = "Füße, naïve, Ω, 東京, москва"
UNDECLARED = {
    "windows-1252": ["Bake at 250 °C – then it’s “done”.", "La forêt de Grünau", "£5 · 25 °C"],
    "windows-1250": [
        "Dům byl postaven přes řeku v roce 1932.",
        "A ház 1932-ben épült, szép őszi időben, a vízgyűjtő fölött.",
    ],
    "windows-1251": ["Дом стоит на берегу реки."],
    "koi8-r": ["Дом стоит на берегу реки."],
    "windows-1253": ["Το σπίτι χτίστηκε το 1932 από τον μηχανικό."],
    "windows-1255": ["הבית נבנה בשנת 1932 על ידי המהנדס."],
    "windows-1256": ["بني البيت عام 1932 من قبل المهندس."],
    "gbk": ["这座房子建于1932年，全长六百米。"],
    "shift_jis": ["この家は1932年に建てられました。"],
    "euc-kr": ["서울에 있는 그 집은 1932년에 지어졌다."],
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_decodes_unicode(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize(("mark", "encoding"), [(codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")])
def test_decodes_by_byte_order_mark(mark: bytes, encoding: str) -> None:
    assert decode(mark + TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_decodes_utf_16_without_a_mark(encoding: str) -> None:
    assert decode("The house, Grünau".encode(encoding)) == "The house, Grünau"


@pytest.mark.parametrize(("encoding", "text"), [(e, text) for e, texts in UNDECLARED.items() for text in texts])
def test_detects_encodings(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("damage", [b"\xff", b"\xe9", b"\xc3", b"\0"])
def test_a_damaged_byte_costs_no_other(damage: bytes) -> None:
    text = decode("Grünau – naïve. ".encode() * 20 + damage + " Köln".encode())
    assert text.startswith("Grünau – naïve. Grünau")
    assert text.endswith(" Köln")


def test_undefined_bytes_of_a_code_page_cost_no_other() -> None:
    assert decode(b"caf\xe9 \x81 \x80" + b" and more" * 9).startswith("café � € and")


@pytest.mark.parametrize("data", [b"\x7fELF\0\0", b"\x89PNG\r\n\x1a\n\0\0", bytes(range(1, 32)) * 9, b"\xff\xfea"])
def test_refuses_binary_data(data: bytes) -> None:
    with pytest.raises(DocumentError, match=r"binary|damaged"):
        decode(data)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
def test_decodes_what_utf8_encodes(text: str) -> None:
    assert decode(text.encode()).lstrip("\ufeff") == text.lstrip("\ufeff")


@given(st.binary(max_size=200))
def test_decodes_or_refuses_any_bytes(data: bytes) -> None:
    for function in (decode, decode_html):
        try:
            function(data)
        except DocumentError:
            continue


@pytest.mark.parametrize(
    ("declaration", "encoding", "text"),
    [
        ('<meta charset="koi8-r">', "koi8-r", "река"),
        ("<META CHARSET = 'windows-1251'>", "windows-1251", "река"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-5">', "iso-8859-5", "река"),
        ('<?xml version="1.0" encoding="windows-1251"?>', "windows-1251", "река"),
        ("<meta charset=gb2312>", "gbk", "镕基"),
        ("<meta charset=iso-8859-1>", "windows-1252", "€ 9 – it’s"),
        ("<meta charset=us-ascii>", "windows-1252", "Grünau"),
        ("<meta charset=shift_jis>", "cp932", "髙①"),
        ("<meta charset=ks_c_5601-1987>", "cp949", "똠방"),
        ("<meta charset=utf-16>", "utf-8", "Grünau"),
        ('<meta name="description" content="on charset=koi8-r"><meta charset=utf-8>', "utf-8", "Grünau"),
        ('<meta name="description" content="on charset=koi8-r">', "utf-8", "Grünau"),
        ("<meta charset=no-such-code>", "utf-8", "Grünau"),
        ("<!-- <meta charset=koi8-r> --><meta charset=big5>", "big5", "長江"),
        ('<meta charset="windows-1252">', "utf-8", "Ł Ν"),
    ],
)
def test_declarations_mean_what_browsers_take_them_for(declaration: str, encoding: str, text: str) -> None:
    assert decode_html(declaration.encode() + text.encode(encoding)).endswith(text)
