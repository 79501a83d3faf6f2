"""The targets by name, with texts to begin with and pieces to put in."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from benchmarks.fuzz import plans, texts


class Target(NamedTuple):
    """What is fuzzed.

    Attributes:
        run: raises whatever must not be raised.
        seeds: inputs to begin with.
        pieces: what its inputs are made of.
    """

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    pieces: Sequence[bytes]


def _text(run: Callable[[str], None]) -> Callable[[bytes], None]:
    # Half characters come from JSON, so they must be able to come from here.
    return lambda data: run(data.decode("utf-8", "surrogateescape"))


_COMMON = ["\n", " ", "\x00", "\u2028", "\ufeff", "\x1e", "\t", "\r\n", " a?"]
_WORDS = r"\n é 漢字 😀 1 2 12 {1} {{1}} \" ' - ."


def _pieces(words: str) -> list[bytes]:
    return [piece.encode() for piece in [*_COMMON, *f"{_WORDS} {words}".split()]]


_LINES = (
    b"1 [solve] a?\n2 [search after 1] b {1}?",
    b"DIRECT",
    b"3 [mcp:files/read] of {1} and {2}?\n4 [solve] c {3}?",
    b"13 [solve] {12}?",
)
_LINE_PIECES = _pieces("[solve] [search] [search after 1] [ ] { } 3 [ 13 DONE a?")
_JSON = (
    b'{"sub_questions": [{"id": 1, "text": "a?", "route": "solve", "depends_on": []}]}',
    b"[]",
    b'{"steps": ["a?"]}',
    b"""[{'question': "a 'b'?", 'tool': None, "id": "Q1", "needs": "1, 2",}]""",
)
_JSON_PIECES = _pieces(
    r"""{ } [ ] : , null true -1 1e999 // /* */ ```json \ud83d \u0000 None "id": "text": "route": "depends_on": 'id'
    "sub_questions": "question" "tool" "messages": "content": "role": "user" "assistant" "tool_calls": "choices":
    "delta": "message": "usage": "error": "function": "arguments": "index": "asked": "answers":"""
)
_REPLY = (
    b"<think>So.</think>\nAnswer: **Paris**.",
    b"The sum is \\boxed{12}.\n\nFinal answer: 12",
    b"REPLAN: the year is missing",
    b"NOT FOUND",
    b'```json\n{"a": [1, 2]}\n```',
)
_REPLY_PIECES = _pieces(
    r"""<think> </think> <reasoning> </reasoning> Answer: Final answer: final ** REPLAN: replan NOT FOUND ``` ~~~
    \boxed{
    } $ \text{ - # . : { [ // /* < </ <thi"""
)
_EXPRESSION = (
    b"$1,234.50 * 3 =",
    b"20% of 50",
    b"max(1, 2) ^ 2!",
    "5 × (3 − 2)".encode(),
    b"{1} / {2}\x1e1,200 km",
    b"What is {1} + {2}?\x1e[1, 2]",
)
_EXPRESSION_PIECES = _pieces(
    """sqrt( log( round( factorial( sum([ ]) ( ) ** ^ ! % of // e9 99999999999999999999999999999999 $ € , + * / 1/3 pi x
    what is ? million km 10⁻⁶ == < 0x1 _ 1e400 abs( min("""
)
_HTML = (
    b"<!doctype html><title>T</title><h1>A</h1><p>Text<sup>2</sup><table><tr><th>a<th>b<tr><td>1<td>2</table>",
    b'<meta charset="iso-8859-2"><p hidden>x</p><div style="display: none">y</div><!-- c -->',
)
_HTML_PIECES = _pieces(
    """< > /> </ <!-- --> <table> <tr> <td> <th> <h1> </h1> <p> <div> </div> <script> <title> <select> <svg> <template>
    <?xml charset= &amp; &#x hidden style= <sup> <br> <b> </table>"""
)
_MARKDOWN = (
    b"---\ntitle: T\n---\n# A\n\nText.\n\n| a | b |\n|--|--|\n| 1 | 2 |\n",
    b"A\n===\n\n> q\n- l\n    code\n```\nx\n```",
)
_MARKDOWN_PIECES = _pieces("# ## --- === | |--| > 1. ``` ~~~ [a]: <!-- title: *")
_CSV = (
    b"Name;Role\nAnn;Lead\nBob;Cook\nCy;Pilot\nDi;Cook\nEd;Cook\n",
    b'sep=,\n"a","b"\n1,2\n',
    b"a\tb\n1\t2\n",
)
_CSV_PIECES = _pieces(""", ; | "" sep= 1.5 % $ #""")
_DATA = (b'{"a": {"b": [1, {"c": null}]}}', b'[{"a": 1}, {"a": 2}]', b'{"a": 1}\n{"b": 2}\n')
_WORD = (
    b'<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
    b'<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Title</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r>'
    b"<w:t>a</w:t></w:r></w:p></w:tc></w:tr></w:tbl><w:sdt><w:sdtContent><w:p/></w:sdtContent></w:sdt></w:body>"
    b"</w:document>",
)
_WORD_PIECES = _pieces(
    """<w:p> </w:p> <w:t> </w:t> <w:tbl> <w:tr> <w:tc> <w:sdt> <w:ins> <w:del> /> <!DOCTYPE <w:br/> <w:tab/> <w:r>
    </w:r> </w:tc> </w:tr> </w:tbl> &#0; &amp;"""
)
_PDF = (
    b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    b"2 0 obj\n<< /Type /Pages /Kids [4 0 R] /Count 1 >>\nendobj\n"
    b"3 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n"
    b"4 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R\n"
    b"/Resources << /Font << /F1 3 0 R >> >> >>\nendobj\n"
    b"5 0 obj\n<< /Length 34 >>\nstream\nBT /F1 12 Tf 72 720 Td (x) Tj ET\nendstream\nendobj\n"
    b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n9\n%%EOF\n",
)
_PDF_PIECES = _pieces(
    """obj endobj stream endstream << >> /Type /Kids R /Catalog xref trailer [ ( ) ] /Filter /FlateDecode /Length
    /Parent /Encrypt startxref %%EOF Tj Td BT ET /Contents"""
)
_REQUEST = (
    b'{"model": "m", "messages": [{"role": "user", "content": "a?"}], "stream": true}',
    b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a?"}]}, {"role": "assistant",'
    b'"tool_calls": [{"id": "call_1_0a0b0c0d", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, '
    b'{"role": "tool", "tool_call_id": "call_1_0a0b0c0d", "content": "b"}]}',
    b'{"question": "a?", "tools": [{"name": "f", "description": "d"}],'
    b'"asked": [{"id": 1, "text": "b?", "route": "f"}]}',
)
_SERVER = (
    b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}',
    b'{"error": {"message": "no", "code": 429}, "usage": {"prompt_tokens": 1, "prompt_tokens_details": {}}}',
    b'{"choices": [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}}]}',
)

TARGETS = {
    "lines": Target(_text(plans.lines), _LINES, _LINE_PIECES),
    "json": Target(_text(plans.json), _JSON, _JSON_PIECES),
    "grammar": Target(_text(plans.grammar), _LINES, _LINE_PIECES),
    "amend": Target(_text(plans.amend), _LINES, _LINE_PIECES),
    "reply": Target(_text(texts.reply), _REPLY, _REPLY_PIECES),
    "expression": Target(_text(texts.expression), _EXPRESSION, _EXPRESSION_PIECES),
    "html": Target(partial(texts.document, ".html"), _HTML, _HTML_PIECES),
    "markdown": Target(partial(texts.document, ".md"), _MARKDOWN, _MARKDOWN_PIECES),
    "text": Target(partial(texts.document, ".txt"), _MARKDOWN, _HTML_PIECES),
    "csv": Target(partial(texts.document, ".csv"), _CSV, _CSV_PIECES),
    "data": Target(partial(texts.document, ".json"), _DATA, _JSON_PIECES),
    "data_lines": Target(partial(texts.document, ".jsonl"), _DATA, _JSON_PIECES),
    "word": Target(texts.word_document, _WORD, _WORD_PIECES),
    "pdf": Target(partial(texts.document, ".pdf"), _PDF, _PDF_PIECES),
    "request": Target(texts.request, _REQUEST, _JSON_PIECES),
    "server": Target(texts.server_reply, _SERVER, _JSON_PIECES),
}
