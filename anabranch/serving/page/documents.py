"""Documents that people drop onto the page: searched in their thread, and kept as threads are."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakValueDictionary

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.tools import BaseTool

from anabranch.bounds import MAX_TITLE_CHARS
from anabranch.errors import ConfigurationError, DocumentError, OverloadError
from anabranch.locks import held_among
from anabranch.serving.page.kept_documents import KeptDocuments
from anabranch.tools import document_search, load_documents
from anabranch.tools.catalogue import first_sentence
from anabranch.tools.readers import SUFFIXES, clean
from anabranch.tools.search import DESCRIPTION as ANY_DOCUMENTS
from anabranch.tools.search import DocumentSearch, joint_search

MAX_BYTES = 10 * 2**20
"""Largest document."""
MAX_DOCUMENTS = 20
"""Most documents of a thread."""
MAX_CHARS = 20_000_000
"""Most characters of a thread's documents."""
MAX_ALL_CHARS = 200_000_000
"""Most characters of the documents of all threads in memory; beyond that, those of the thread that was used longest ago
go, and come again from where they are kept, if they are."""
MAX_READING = 2
"""Documents that are read at the same time."""
MAX_WAITING = 16
DESCRIPTION = """Looks up facts in the documents that the user added to this conversation.
Ask for one fact at a time, in words the documents would use: names, places, dates."""


@dataclass
class Pile:
    """The documents of a thread.

    Attributes:
        files: their pages by the file's name.
        tool: searches them; None if there are none.
        keys: where they are kept, by the file's name.
    """

    files: dict[str, list[Document]] = field(default_factory=dict)
    tool: BaseTool | None = None
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def chars(self) -> int:
        """Characters of all of them."""
        return sum(map(_chars, self.files.values()))


class Shelf:
    """The documents of all threads.

    Args:
        tool: name of the tool that searches them.
        locks: a folder in which several processes that keep the same documents lock those that they change.
        embeddings: find passages by their meaning, too; None finds them by their words alone.
        beside: the server's own search, if it has one: then one tool searches both, under its name. Which of two
            searches has the answer is not for a plan to guess.

    Attributes:
        name: name of the tool.
        kept: keeps them beyond this process; None if nothing does.
    """

    def __init__(
        self,
        tool: str,
        locks: Path | None = None,
        embeddings: Embeddings | None = None,
        beside: DocumentSearch | None = None,
    ) -> None:
        self.name = tool if beside is None else beside.name
        self.kept: KeptDocuments | None = None
        self._beside = beside
        self._locks = locks
        self._embeddings = embeddings
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._piles: dict[str, Pile] = {}
        self._reading = asyncio.Semaphore(MAX_READING)
        self._waiting = 0

    async def fetch(self, thread: str) -> None:
        """Takes a thread's documents into memory, as they are kept.

        Raises:
            BackendError: they cannot be had.
        """
        if self.kept is None:
            return
        keys, pile = await self.kept.names(thread), self._used(thread)
        if keys == pile.keys:
            return
        files = {}
        for name, key in keys.items():
            pages = pile.files[name] if pile.keys.get(name) == key else await self.kept.find(key)
            if pages is not None:
                files[name] = pages
        self._hold(thread, replace(await self._piled(files), keys=keys))

    def names(self, thread: str) -> list[str]:
        """Names of a thread's documents."""
        return list(self._used(thread).files)

    def tool(self, thread: str) -> BaseTool | None:
        """The tool that searches a thread's documents; None if it has none."""
        return self._used(thread).tool

    async def put(self, thread: str, name: str, data: bytes) -> list[str]:
        """Adds a document to a thread, in place of an earlier one of the same name.

        Returns:
            What could not be read of it.

        Raises:
            DocumentError: it cannot be read, or is more than a thread may have.
            OverloadError: too many documents are being read.
            BackendError: it cannot be kept.
        """
        name = _named(name)
        if self._waiting >= MAX_WAITING:
            raise OverloadError("too many documents are being read; try again", retry_after=2)
        self._waiting += 1
        try:
            async with self._reading:
                pages, notes = await asyncio.to_thread(_read, name, data)
                async with self._alone(thread):
                    await self._add(thread, name, pages)
        finally:
            self._waiting -= 1
        return notes

    async def _add(self, thread: str, name: str, pages: list[Document]) -> None:
        await self.fetch(thread)
        files = {**self._used(thread).files, name: pages}
        if len(files) > MAX_DOCUMENTS:
            raise DocumentError(f"a conversation takes {MAX_DOCUMENTS} documents; remove one first")
        if sum(map(_chars, files.values())) > MAX_CHARS:
            raise DocumentError(f"the documents have more than {MAX_CHARS:,} characters together; remove one first")
        await self._change(thread, files, name)

    async def remove(self, thread: str, name: str) -> None:
        """Takes a document away from a thread.

        Raises:
            BackendError: what is kept cannot be changed.
        """
        async with self._alone(thread):
            await self.fetch(thread)
            files = {other: pages for other, pages in self._used(thread).files.items() if other != name}
            await self._change(thread, files, name)

    async def drop(self, thread: str) -> None:
        """Takes all documents away from a thread.

        Raises:
            BackendError: what is kept cannot be changed.
        """
        self._piles.pop(thread, None)
        if self.kept:
            await self.kept.forget(thread)

    @asynccontextmanager
    async def _alone(self, thread: str) -> AsyncIterator[None]:
        """Holds the documents of a thread, so that of two that come at the same time none is lost."""
        async with self._changing.setdefault(thread, asyncio.Lock()), held_among(self._locks, f"documents {thread}"):
            yield

    async def _change(self, thread: str, files: dict[str, list[Document]], changed: str) -> None:
        """Has other documents for a thread, of which one is not as it was."""
        pile = await self._piled(files)
        if self.kept:
            known = {name: key for name, key in self._used(thread).keys.items() if name != changed}
            pile = replace(pile, keys=await self.kept.keep(thread, files, known))
        self._hold(thread, pile)

    def _hold(self, thread: str, pile: Pile) -> None:
        """Has the pile of a thread in memory, and makes room for it."""
        self._piles[thread] = pile
        while len(self._piles) > 1 and sum(each.chars for each in self._piles.values()) > MAX_ALL_CHARS:
            del self._piles[next(iter(self._piles))]

    async def _piled(self, files: Mapping[str, list[Document]]) -> Pile:
        pages = [page for pages in files.values() for page in pages]
        if not pages:
            return Pile()
        tool = await asyncio.to_thread(
            document_search, pages, name=self.name, description=DESCRIPTION, embeddings=self._embeddings
        )
        if beside := self._beside:
            tool = joint_search(tool, beside, name=self.name, description=_of_both(beside.description))
        return Pile(dict(files), tool)

    def _used(self, thread: str) -> Pile:
        """The pile of a thread, which is now the one that was used last."""
        pile = self._piles.pop(thread, Pile())
        if pile.files:
            self._piles[thread] = pile
        return pile


def _of_both(description: str) -> str:
    """What is told of a search in the server's documents that has the user's, too."""
    if description == ANY_DOCUMENTS:
        return description
    # Decomposers are shown the first sentence.
    first = first_sentence(description).rstrip(".")
    return f"{first}; also facts of the documents that the user added.\n{description}"


def _chars(pages: list[Document]) -> int:
    return sum(len(page.page_content) for page in pages)


def _named(name: str) -> str:
    """The name of a file that a browser tells, as one that is written to a folder.

    Raises:
        ConfigurationError: it is none.
    """
    bare = " ".join(clean(name.replace("\\", "/").rpartition("/")[2]).split())
    if not bare or bare.startswith(".") or len(bare.encode()) > MAX_TITLE_CHARS:
        raise ConfigurationError(
            f"a document has no name that a file can have; give it one, such as notes{SUFFIXES[0]}"
        )
    return bare


def _read(name: str, data: bytes) -> tuple[list[Document], list[str]]:
    with tempfile.TemporaryDirectory(prefix="anabranch-page-") as folder:
        path = Path(folder) / name
        try:
            path.write_bytes(data)
            report = load_documents(path, max_bytes=MAX_BYTES)
        except DocumentError as error:
            # Without the folder, which is none of the reader's.
            raise DocumentError(str(error).replace(f"{folder}/", "")) from error
        except OSError as error:
            raise DocumentError(f"{name} cannot be used: {error.strerror or 'there is no room for it'}") from error
    if not any(page.page_content.strip() for page in report.documents):
        raise DocumentError(f"{name} cannot be used: there is no text in it")
    return report.documents, [note for _, note in report.notes]
