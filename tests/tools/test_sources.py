from typing import Any

from langchain_core.documents import Document

from anabranch.plan import Source
from anabranch.tools.sources import MAX_EXCERPT_CHARS, sources_of

ASKED: dict[str, Any] = {"sub_question": 2, "tool": "search", "arguments": {"query": "leave"}}


def test_passages_keep_file_title_page_and_section() -> None:
    artifact = [
        Document(" Twenty days. ", metadata={"source": "leave.md", "title": "Leave", "section": "Holidays"}),
        Document("By train.", metadata={"source": "travel.pdf", "page": 3, "score": 0.5}),
    ]
    leave, travel = sources_of("[1] ...", artifact, **ASKED)
    assert leave == Source(
        sub_question=2, tool="search", source="leave.md", title="Leave", section="Holidays", text="Twenty days.",
        arguments={"query": "leave"},
    )  # fmt: skip
    assert (travel.page, travel.label, leave.label) == (3, "travel.pdf, page 3", "leave.md")


def test_what_is_no_document_is_the_result_itself() -> None:
    for artifact in (None, [], {"rows": 3}, [1, 2]):
        (source,) = sources_of("21 degrees", artifact, **ASKED)
        assert (source.text, source.source, source.label) == ("21 degrees", "", "search")


def test_long_passages_are_cut() -> None:
    (source,) = sources_of("x" * 5_000, **ASKED)
    assert len(source.text) <= MAX_EXCERPT_CHARS + 5
    assert source.text.endswith("[…]")
