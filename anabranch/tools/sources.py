"""What a tool gave, as the sources of an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document

from anabranch.bounds import fits, shorten
from anabranch.characters import whole_data
from anabranch.plan import Source
from anabranch.tools.terms import STOP_WORDS, tokenize

MAX_EXCERPT_CHARS = 1_000
MAX_SHARED_CHARS = 10_000
MAX_SOURCES = 100
"""Most passages of one tool's result that are kept as sources."""


def sources_of(
    text: str, artifact: Any = None, *, sub_question: int, tool: str, arguments: Mapping[str, Any]
) -> tuple[Source, ...]:
    """The passages of a tool's artifact, if it is documents, as LangChain's retriever tools give; else its result.

    Args:
        text: the result as text.
        artifact: the artifact of the tool message.
        sub_question: id of the sub-question that the tool was called for.
        tool: the tool's name.
        arguments: what it was called with.
    """
    found = artifact if isinstance(artifact, list | tuple) else [artifact]
    passages = [passage for passage in found if isinstance(passage, Document)]
    # Every source has them, so long ones are only told.
    named = dict(arguments) if fits(arguments, MAX_SHARED_CHARS) else dict.fromkeys(list(arguments)[:20], "[…]")
    shared: dict[str, Any] = {"sub_question": sub_question, "tool": tool, "arguments": named}
    if not passages:
        return (Source(text=_excerpt(text), **shared),)
    told = (whole_data({"text": _excerpt(p.page_content), **_place(p.metadata)}) for p in passages[:MAX_SOURCES])
    return tuple(Source(**place, **shared) for place in told)


def _place(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Where a passage stands, as our search and LangChain's loaders say it."""
    source = metadata.get("source") or metadata.get("url") or metadata.get("file_path") or ""
    page = metadata.get("page_label", metadata.get("page"))
    return {
        "source": shorten(str(source), MAX_EXCERPT_CHARS),
        "title": _text(metadata.get("title")),
        "page": page if isinstance(page, int | str) and page != "" else None,
        "section": _text(metadata.get("section")),
    }


def _text(value: Any) -> str | None:
    return shorten(str(value), MAX_EXCERPT_CHARS) if value else None


def _excerpt(text: str) -> str:
    text = text.strip()
    return text if len(text) <= MAX_EXCERPT_CHARS else text[:MAX_EXCERPT_CHARS].rstrip() + " […]"


def behind(answer: str, sources: Sequence[Source]) -> list[Source]:
    """The sources that share the most words with an answer; all, if none shares any."""
    if len(sources) < 2:
        return list(sources)
    wanted = _words(answer)
    shared = [len(wanted & _words(source.text)) for source in sources]
    most = max(shared, default=0)
    return [source for source, share in zip(sources, shared, strict=True) if share == most]


def _words(text: str) -> set[str]:
    return set(tokenize(text)) - STOP_WORDS
