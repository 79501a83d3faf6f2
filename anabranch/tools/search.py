"""The search tool: BM25 over documents, or any LangChain retriever."""

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.documents import Document
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field

from anabranch.errors import ConfigurationError, DocumentError, NotFoundError
from anabranch.headings import inset_passage
from anabranch.tools.catalogue import check_name
from anabranch.tools.documents import load_documents, split_passages
from anabranch.tools.readers import clean
from anabranch.tools.terms import STOP_WORDS, tokenize

if TYPE_CHECKING:
    from langchain_core.retrievers import BaseRetriever

logger = logging.getLogger(__name__)

DESCRIPTION = """Looks up facts in the documents and returns the passages that fit a query best.
Ask for one fact at a time, in words the documents would use: names, places, dates."""

Found = tuple[str, list[Document]]


class NoPassageError(NotFoundError, ToolException):
    """No passage fits a query."""


class SearchInput(BaseModel):
    """What the search takes."""

    query: str = Field(description="what to look up: a short question or a few keywords")


def document_search(
    documents: str | Path | Iterable[str | Path | Document],
    *,
    k: int = 4,
    name: str = "search",
    description: str = DESCRIPTION,
) -> BaseTool:
    """A tool that finds passages in documents by their words (BM25).

    The passages are the artifact of the tool's message, too, each with the metadata source, title, page and section.

    Args:
        documents: files, folders, or documents that are already loaded; they are divided into passages.
        k: most passages to return.
        name: the tool's name; two such tools in one planner need two names.
        description: what the planner is told of the tool; name what the documents are about.

    Raises:
        ConfigurationError: `k` is less than 1, or the name cannot be a route.
        DocumentError: there is nothing to search in.
    """
    if k < 1:
        raise ConfigurationError(f"k={k} returns nothing; use 1 or more")
    check_name(name)
    index = PassageIndex(split_passages(_loaded(documents)))
    return _tool(lambda query: _found(query, index.search(query, k)), None, name, description)


def retriever_search(
    retriever: "BaseRetriever", *, k: int | None = None, name: str = "search", description: str = DESCRIPTION
) -> BaseTool:
    """A tool that finds passages with any LangChain retriever.

    Args:
        retriever: where to look.
        k: most passages to return; None for all that the retriever returns.
        name: the tool's name.
        description: what the planner is told of the tool.

    Raises:
        ConfigurationError: the name cannot be a route.
    """
    check_name(name)

    def search(query: str) -> Found:
        return _found(query, retriever.invoke(query)[:k])

    async def asearch(query: str) -> Found:
        return _found(query, (await retriever.ainvoke(query))[:k])

    return _tool(search, asearch, name, description)


class PassageIndex:
    """A BM25 index of passages.

    Source: https://github.com/xhluca/bm25s (Lucene's variant of BM25, its default).

    Raises:
        DocumentError: no passage has a word in it.
    """

    def __init__(self, passages: Sequence[Document]) -> None:
        # Importing it takes 250 to 400 ms (numpy), so programs that search nothing do not pay for it.
        with _without_jax():
            from bm25s import BM25

        # On import it sets its own logger to DEBUG, which programs with logging set up would get to see.
        logging.getLogger("bm25s").setLevel(logging.WARNING)
        self._passages = list(passages)
        terms = [tokenize(_indexed(passage), indexing=True) for passage in self._passages]
        if not any(terms):
            raise DocumentError("there is no text to search in; give documents with words in them")
        self._index = BM25()
        self._index.index(terms, show_progress=False)

    def search(self, query: str, k: int) -> list[Document]:
        """The `k` passages that fit best, best first; none that shares no word with the query."""
        terms = tokenize(query)
        terms = [t for t in terms if t not in STOP_WORDS] or terms
        terms = [t for t in terms if t in self._index.vocab_dict]
        if not terms:
            return []
        scores = self._index.get_scores(terms)
        # Only the best are sorted: of 100,000 passages, sorting all takes fifty times as long as scoring them.
        ranked = scores.copy()
        cut = max(len(ranked) - k, 0)
        ranked.partition(cut)
        places = ((scores >= ranked[cut]) & (scores > 0)).nonzero()[0].tolist()
        best = sorted(places, key=lambda place: (-scores[place], place))[:k]
        return [self._passages[place] for place in best]


@contextmanager
def _without_jax() -> Iterator[None]:
    """Keeps an import from seeing JAX. On import bm25s runs an operation of it, which takes three quarters of a GPU."""
    hidden = "jax" not in sys.modules
    if hidden:
        sys.modules["jax"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            sys.modules.pop("jax", None)


def _loaded(documents: str | Path | Iterable[str | Path | Document]) -> list[Document]:
    items = [documents] if isinstance(documents, str | Path) else list(documents)
    loaded = [item for item in items if isinstance(item, Document)]
    paths = [item for item in items if not isinstance(item, Document)]
    if paths or not items:
        report = load_documents(paths)
        if not report.complete:
            logger.warning("%s", report.summary())
        loaded += report.documents
    return loaded


def _found(query: str, passages: list[Document]) -> Found:
    if not passages:
        asked = " ".join(clean(query).split())[:200]
        raise NoPassageError(f"no passage found for: {asked}; try other words for it, or fewer")
    return shown(passages), passages


def shown(passages: Iterable[Document]) -> str:
    """Passages as a tool's result, numbered, each with its file."""
    return clean("\n\n".join(f"[{n}] {_label(p)}: {_readable(p)}" for n, p in enumerate(passages, 1)))


def _label(passage: Document) -> str:
    source = " ".join(str(passage.metadata.get("source") or passage.metadata.get("title") or "document").split())
    page = passage.metadata.get("page")
    return f"{source}, page {page}" if page is not None else source


def _readable(passage: Document) -> str:
    """The passage under its headings, as far as it does not begin with them itself."""
    text = inset_passage(passage.page_content.strip())
    context = " ".join(_context(passage).split())
    return f"{context}\n\n{text}" if context else text


def _indexed(passage: Document) -> str:
    return f"{passage.metadata.get('title') or ''}\n{_context(passage)}\n{passage.page_content}"


def _context(passage: Document) -> str:
    """The headings that a passage stands under and that are not at its own beginning."""
    section = str(passage.metadata.get("section") or "")
    if not section:
        return ""
    opening = {line.strip(" #>") for line in passage.page_content[:400].split("\n")[:6]}
    return " > ".join(title for title in section.split(" > ") if title not in opening)


def _tool(search: object, asearch: object, name: str, description: str) -> BaseTool:
    return StructuredTool.from_function(
        func=search,  # type: ignore[arg-type]
        coroutine=asearch,  # type: ignore[arg-type]
        name=name,
        description=description,
        args_schema=SearchInput,
        response_format="content_and_artifact",
    )
