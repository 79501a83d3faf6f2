"""Documents of conversations that outlive the server's process, where its threads are kept."""

from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document
from langgraph.store.base import BaseStore
from pydantic import BaseModel, ConfigDict

from anabranch.serving.kept import Kept

KEEP_SECONDS = 30 * 24 * 3_600.0
"""Seconds for which documents are kept after the last one was added to, or taken from, their conversation."""
MAX_KEPT_CHARS = 1_000_000_000
"""Most characters of documents that one process keeps; the oldest go first."""


class KeptPage(BaseModel):
    """A page of a document."""

    text: str
    metadata: dict[str, Any] = {}


class KeptFile(BaseModel):
    """A document, read."""

    pages: list[KeptPage]


class KeptNames(BaseModel):
    """The documents of a conversation: where each is kept, by its name."""

    model_config = ConfigDict(frozen=True)

    keys: Mapping[str, str] = {}


class KeptDocuments:
    """Keeps documents in a store, each once.

    Args:
        store: where.
        seconds: for how long.
        most_chars: most characters of them that one process keeps.
    """

    def __init__(self, store: BaseStore, *, seconds: float = KEEP_SECONDS, most_chars: int = MAX_KEPT_CHARS) -> None:
        self._names = Kept("documents", KeptNames, store, seconds=seconds)
        self._files = Kept("document_pages", KeptFile, store, seconds=seconds, most_chars=most_chars)

    async def names(self, thread: str) -> Mapping[str, str]:
        """Where each of a thread's documents is kept, by its name.

        Raises:
            BackendError: the store cannot be read.
        """
        found = await self._names.find(thread)
        return found.keys if found else {}

    async def find(self, key: str) -> list[Document] | None:
        """The pages of a document; None if it is not kept any more.

        Raises:
            BackendError: the store cannot be read.
        """
        if (found := await self._files.find(key)) is None:
            return None
        return [Document(page.text, metadata=page.metadata) for page in found.pages]

    async def keep(self, thread: str, files: Mapping[str, list[Document]], known: Mapping[str, str]) -> dict[str, str]:
        """Keeps the documents of a thread, in place of those that are kept; gives where each is.

        Args:
            thread: the thread.
            files: their pages by name.
            known: where those are that have not changed.

        Raises:
            BackendError: the store cannot be written to.
        """
        keys = {name: known.get(name) or await self._files.keep(_as_kept(pages)) for name, pages in files.items()}
        before = await self.names(thread)
        await self._names.keep(KeptNames(keys=keys), thread)
        for key in set(before.values()) - set(keys.values()):
            await self._files.forget(key)
        return keys

    async def forget(self, thread: str) -> None:
        """Forgets the documents of a thread.

        Raises:
            BackendError: the store cannot be written to.
        """
        for key in (await self.names(thread)).values():
            await self._files.forget(key)
        await self._names.forget(thread)


def _as_kept(pages: list[Document]) -> KeptFile:
    return KeptFile(pages=[KeptPage(text=page.page_content, metadata=page.metadata) for page in pages])
