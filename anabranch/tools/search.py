"""The search tool: BM25 over documents, with embeddings if wanted, or any LangChain retriever."""

import logging
from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field

from anabranch.errors import ConfigurationError, NotFoundError
from anabranch.headings import inset_passage
from anabranch.tools.catalogue import check_name
from anabranch.tools.documents import load_documents, split_passages
from anabranch.tools.embedder import Embedder
from anabranch.tools.kept_index import kept_index, with_embeddings
from anabranch.tools.passage_index import PassageIndex, context
from anabranch.tools.readers import clean

if TYPE_CHECKING:
    from langchain_core.retrievers import BaseRetriever

logger = logging.getLogger(__name__)

DESCRIPTION = """Looks up facts in the documents and returns the passages that fit a query best.
Ask for one fact at a time, in words the documents would use: names, places, dates."""

MAX_JOINT = 6
"""Most passages of two searches together."""
Found = tuple[str, list[Document]]


class NoPassageError(NotFoundError, ToolException):
    """No passage fits a query."""


class DocumentSearch(StructuredTool):
    """A search in documents that are indexed here.

    Attributes:
        passages: finds the passages that fit a query best.
    """

    passages: Callable[[str], list[Document]]


class SearchInput(BaseModel):
    """What the search takes."""

    query: str = Field(description="what to look up: a short question or a few keywords")


def document_search(
    documents: str | Path | Iterable[str | Path | Document],
    *,
    k: int = 4,
    name: str = "search",
    description: str = DESCRIPTION,
    keep: str | Path | None = None,
    embeddings: Embeddings | str | None = None,
) -> DocumentSearch:
    """A tool that finds passages in documents by their words (BM25), and by their meaning if embeddings are given.

    The passages are the artifact of the tool's message, too, each with the metadata source, title, page and section.

    Args:
        documents: files, folders, or documents that are already loaded; they are divided into passages.
        k: most passages to return.
        name: the tool's name; two such tools in one planner need two names.
        description: what the planner is told of the tool; name what the documents are about.
        keep: a folder in which the index is kept for the next start, and made again where a file has changed; for
            files and folders alone.
        embeddings: any LangChain embeddings, or a name: `static`, `http://host:8000/v1#MODEL`, `openai:MODEL`,
            `PROVIDER:MODEL`. Then `k` passages are found for every query. Where the embeddings fail or are slow,
            passages are found by their words, with a warning.

    Raises:
        ConfigurationError: `k` is less than 1, the name cannot be a route, loaded documents are to be kept, or the
            embeddings are not known.
        DocumentError: there is nothing to search in.
        MissingExtraError: the package that the embeddings need is not installed.
    """
    if k < 1:
        raise ConfigurationError(f"k={k} returns nothing; use 1 or more")
    check_name(name)
    embedder = None if embeddings is None else Embedder(embeddings)
    index = _new(documents, embedder) if keep is None else _kept(documents, keep, embedder)
    return index_search(index, k=k, name=name, description=description)


def index_search(
    index: PassageIndex, *, k: int = 4, name: str = "search", description: str = DESCRIPTION
) -> DocumentSearch:
    """A tool that finds passages of an index by their words.

    Args:
        index: the passages.
        k: most passages to return.
        name: the tool's name.
        description: what the planner is told of the tool.

    Raises:
        ConfigurationError: the name cannot be a route.
    """
    check_name(name)
    return _indexed(lambda query: index.search(query, k), name, description)


def joint_search(first: DocumentSearch, second: DocumentSearch, *, name: str, description: str) -> DocumentSearch:
    """A search in the documents of two, whose passages take turns, since scores of two indexes cannot be compared.

    Args:
        first: whose best passage comes first.
        second: the other.
        name: the tool's name.
        description: what the planner is told of the tool.
    """

    def passages(query: str) -> list[Document]:
        turns = zip_longest(first.passages(query), second.passages(query))
        return [passage for turn in turns for passage in turn if passage is not None][:MAX_JOINT]

    return _indexed(passages, name, description)


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


def _new(documents: str | Path | Iterable[str | Path | Document], embedder: Embedder | None) -> PassageIndex:
    index = PassageIndex(split_passages(_loaded(documents)))
    return with_embeddings(index, embedder, logger.warning) if embedder else index


def _kept(
    documents: str | Path | Iterable[str | Path | Document], folder: str | Path, embedder: Embedder | None
) -> PassageIndex:
    paths = [documents] if isinstance(documents, str | Path) else list(documents)
    if any(isinstance(path, Document) for path in paths):
        raise ConfigurationError("keep= is for files and folders; keep loaded documents yourself, or name their files")
    return kept_index([path for path in paths if not isinstance(path, Document)], folder, embedder=embedder)


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
    above = " ".join(context(passage).split())
    return f"{above}\n\n{text}" if above else text


def _indexed(passages: Callable[[str], list[Document]], name: str, description: str) -> DocumentSearch:
    return DocumentSearch(
        func=lambda query: _found(query, passages(query)),
        passages=passages,
        name=name,
        description=description,
        args_schema=SearchInput,
        response_format="content_and_artifact",
    )


def _tool(search: object, asearch: object, name: str, description: str) -> BaseTool:
    return StructuredTool.from_function(
        func=search,  # type: ignore[arg-type]
        coroutine=asearch,  # type: ignore[arg-type]
        name=name,
        description=description,
        args_schema=SearchInput,
        response_format="content_and_artifact",
    )
