"""The search tool: BM25 over documents, or any LangChain retriever."""

import logging
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.documents import Document
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field

from anabranch.errors import ConfigurationError, DocumentError
from anabranch.tools.documents import load_documents, split_passages

if TYPE_CHECKING:
    from langchain_core.retrievers import BaseRetriever

logger = logging.getLogger(__name__)

DESCRIPTION = """Looks up facts in the documents and returns the passages that fit a query best.
Ask for one fact at a time, in words the documents would use: names, places, dates."""

Found = tuple[str, list[Document]]


class SearchInput(BaseModel):
    """What the search takes."""

    query: str = Field(description="what to look up: a short question or a few keywords")


def document_search(
    documents: str | Path | Iterable[str | Path | Document], *, k: int = 4, description: str = DESCRIPTION
) -> BaseTool:
    """A tool that finds passages in documents by their words (BM25).

    Args:
        documents: files, folders, or documents that are already loaded; they are divided into passages.
        k: most passages to return.
        description: what the planner is told of the tool; name what the documents are about.

    Raises:
        ConfigurationError: `k` is less than 1.
        DocumentError: there is nothing to search in.
    """
    if k < 1:
        raise ConfigurationError(f"k={k} returns nothing; use 1 or more")
    index = PassageIndex(split_passages(_loaded(documents)))
    return _tool(lambda query: _found(query, index.search(query, k)), None, "search", description)


def retriever_search(
    retriever: "BaseRetriever", *, k: int | None = None, name: str = "search", description: str = DESCRIPTION
) -> BaseTool:
    """A tool that finds passages with any LangChain retriever.

    Args:
        retriever: where to look.
        k: most passages to return; None for all that the retriever returns.
        name: the tool's name.
        description: what the planner is told of the tool.
    """

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
        texts = (f"{p.metadata.get('title') or ''}\n{p.page_content}" for p in self._passages)
        terms = [tokenize(text, single_characters=True) for text in texts]
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
        scores = self._index.get_scores(terms).tolist()
        best = sorted(range(len(self._passages)), key=lambda i: (-scores[i], i))[:k]
        return [self._passages[i] for i in best if scores[i] > 0]


def tokenize(text: str, *, single_characters: bool = False) -> list[str]:
    """Terms of a text: lower case, without accents, plurals and thousands separators.

    Scripts without spaces between words give pairs of neighbouring characters.

    Args:
        text: in any script.
        single_characters: also give their single characters; an index needs them for queries of one character.
    """
    text = text.casefold()
    if not text.isascii():
        text = re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text))
        text = unicodedata.normalize("NFC", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    terms: list[str] = []
    for match in _TERM.finditer(text):
        run = match[0]
        if match.lastgroup == "word":
            terms.append(_singular(run))
            continue
        terms += [run[i : i + 2] for i in range(len(run) - 1)]
        if single_characters or len(run) == 1:
            terms += run
    return terms


_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    r"\uf900-\ufaff\U00020000-\U0003ffff"
)
# The vowel signs of Indian scripts and of Arabic are no `\w`, yet belong to their word.
_MARK = r"[\u064b-\u065f\u0900-\u0963\u0966-\u0dff]"
_TERM = re.compile(rf"(?P<word>[^\W_{_UNSPACED}]+(?:{_MARK}+[^\W_{_UNSPACED}]*)*)|(?P<unspaced>[{_UNSPACED}]+)")


def _singular(word: str) -> str:
    """Without the commonest English plural endings (Harman's S stemmer, 1991)."""
    if len(word) < 4 or not word.isascii() or not word.endswith("s") or word.endswith(("us", "ss", "is")):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word[:-1]


_FUNCTION_WORDS = """
a about after also an and any are as at be been before but by can could did do does during each for from had has have
he her his how i if in into is it its itself many me more most much my no not of on or our she should so some such than
that the their them then there these they this those to too under until was we were what when where which while who
whom whose why will with would you your s t
"""
STOP_WORDS = frozenset(map(_singular, _FUNCTION_WORDS.split()))
"""Words of a query that tell nothing, unless it has no others; in the form that `tokenize` gives them."""


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
        if report.skipped:
            logger.warning("%s", report.summary())
        loaded += report.documents
    return loaded


def _found(query: str, passages: list[Document]) -> Found:
    if not passages:
        shown = " ".join(query.split())[:200]
        raise ToolException(f"no passage found for: {shown}; try other words for it, or fewer")
    return "\n\n".join(f"[{n}] {_label(p)}: {p.page_content.strip()}" for n, p in enumerate(passages, 1)), passages


def _label(passage: Document) -> str:
    source = str(passage.metadata.get("source") or passage.metadata.get("title") or "document")
    page = passage.metadata.get("page")
    return f"{source}, page {page}" if page is not None else source


def _tool(search: object, asearch: object, name: str, description: str) -> BaseTool:
    return StructuredTool.from_function(
        func=search,  # type: ignore[arg-type]
        coroutine=asearch,  # type: ignore[arg-type]
        name=name,
        description=description,
        args_schema=SearchInput,
        response_format="content_and_artifact",
    )
