"""Passages found by meaning: any embeddings beside the words, and what happens where they fail."""

import errno
import logging
import math
import threading
import time
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.tools import BaseTool

from anabranch.errors import ConfigurationError, MissingExtraError, NotFoundError
from anabranch.tools import document_search, embedder
from anabranch.tools.embedder import Embedder, embeddings_of
from anabranch.tools.kept_index import kept_index
from anabranch.tools.static_embeddings import StaticEmbeddings

GROUPS = [
    {"boss", "led", "head", "chief", "director"},
    {"holiday", "leave", "vacation"},
    {"car", "vehicle", "driven"},
    {"phone", "telephone"},
]
PASSAGES = [
    Document("Since 2016 it has been led by Karin Westerlund.", metadata={"source": "people"}),
    Document("Everyone has 26 days of annual leave.", metadata={"source": "leave"}),
    Document("0.32 euros are paid for each kilometre driven.", metadata={"source": "travel"}),
    Document("The canteen is open from 11:30.", metadata={"source": "canteen"}),
]


class Groups(Embeddings):
    """Small and exact: a number for each group of words of the same meaning."""

    def __init__(self, model: str = "groups") -> None:
        self.model = model
        self.texts: list[str] = []
        self.fails: Exception | None = None
        self.slow: threading.Event | None = None

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        if self.slow:
            self.slow.wait(60)
        if self.fails:
            raise self.fails
        words = set(text.lower().replace("?", "").replace(".", "").split())
        return [float(len(words & group)) for group in GROUPS]


def sources(tool: BaseTool, query: str) -> list[str]:
    call = {"type": "tool_call", "id": "1", "name": "search", "args": {"query": query}}
    try:
        return [passage.metadata["source"] for passage in tool.invoke(call).artifact]
    except NotFoundError:
        return []


def test_what_shares_no_word_is_found_by_its_meaning() -> None:
    tool = document_search(PASSAGES, k=1, embeddings=Groups())
    assert sources(tool, "Who is the boss?") == ["people"]
    assert sources(tool, "vacation") == ["leave"]
    assert sources(document_search(PASSAGES, k=1), "Who is the boss?") == []


def test_words_still_count() -> None:
    tool = document_search(PASSAGES, k=2, embeddings=Groups())
    assert sorted(sources(tool, "When is the canteen open for the boss?")) == ["canteen", "people"]
    assert sources(tool, "canteen") == ["canteen"]  # says nothing to the embeddings: found by its word alone


def test_one_passage_is_found_whatever_is_asked() -> None:
    assert sources(document_search(PASSAGES[:1], embeddings=Groups()), "boss") == ["people"]


@pytest.mark.parametrize("wrong", [RuntimeError("no such host"), MemoryError(), KeyError("data")])
def test_embeddings_that_fail_leave_the_words(
    wrong: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Groups()
    tool = document_search(PASSAGES, k=1, embeddings=model)
    model.fails = wrong
    with caplog.at_level(logging.WARNING):
        assert sources(tool, "When is the canteen open for the boss?") == ["canteen"]
        assert sources(tool, "canteen") == ["canteen"]
    assert len(caplog.messages) == 1
    assert "found by words alone" in caplog.messages[0]
    model.fails = None
    assert sources(tool, "boss") == []  # still resting
    monkeypatch.setattr(time, "monotonic", lambda: math.inf)
    assert sources(tool, "boss") == ["people"]


def test_embeddings_that_hang_are_not_waited_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder, "QUERY_SECONDS", 0.2)
    model = Groups()
    tool = document_search(PASSAGES, k=1, embeddings=model)
    model.slow = threading.Event()
    assert sources(tool, "canteen") == ["canteen"]
    assert "no answer within 0.2 s" in caplog.messages[0]
    model.slow.set()


@pytest.mark.parametrize("given", [[[math.nan] * 4] * 4, [[1.0]], "text", [[1.0, 2.0], [1.0], [], []], None])
def test_embeddings_that_are_none_leave_the_words(given: object, caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(Groups):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return given  # type: ignore[return-value]

    assert sources(document_search(PASSAGES, k=1, embeddings=Wrong()), "canteen") == ["canteen"]
    assert "found by words alone until the next start" in caplog.messages[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    for passage in PASSAGES:
        (made / f"{passage.metadata['source']}.txt").write_text(passage.page_content)
    return made


def test_embeddings_are_kept_and_only_those_of_changed_files_made_again(folder: Path, tmp_path: Path) -> None:
    def opened(model: Groups) -> list[str]:
        found = kept_index([folder], tmp_path / "kept", embedder=Embedder(model)).search("boss", 1)
        return [passage.metadata["source"] for passage in found]

    first = Groups()
    assert opened(first) == ["people.txt"]
    assert len(first.texts) == 4
    second = Groups()
    assert opened(second) == ["people.txt"]
    assert second.texts == []
    (folder / "people.txt").write_text("Nobody is named here.")
    (folder / "zoo.txt").write_text("The chief keeper is Ada Brook.")
    third = Groups()
    assert opened(third) == ["zoo.txt"]
    assert len(third.texts) == 2
    (folder / "zoo.txt").unlink()
    assert opened(Groups()) != ["zoo.txt"]
    other = Groups("another model")
    opened(other)
    assert len(other.texts) == 4


def test_an_index_without_embeddings_gets_them_when_they_can_be_had(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = Groups()
    model.fails = RuntimeError("the server is away")
    index = kept_index([folder], tmp_path / "kept", embedder=Embedder(model))
    assert index.search("canteen", 1)
    assert "the server is away" in caplog.messages[0]
    model.fails = None
    index = kept_index([folder], tmp_path / "kept", embedder=Embedder(model))
    assert index.search("boss", 1)[0].metadata["source"] == "people.txt"


def test_a_failure_while_documents_change_costs_only_the_embeddings(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept_index([folder], tmp_path / "kept", embedder=Embedder(Groups()))
    (folder / "zoo.txt").write_text("The chief keeper is Ada Brook.")
    model = Groups()
    model.fails = RuntimeError("the server is away")
    index = kept_index([folder], tmp_path / "kept", embedder=Embedder(model))
    assert index.search("keeper", 1)[0].metadata["source"] == "zoo.txt", "what is new is found by its words"
    assert "passages are found by words alone until the next start" in caplog.text
    model.fails = None
    index = kept_index([folder], tmp_path / "kept", embedder=Embedder(model))
    assert index.search("boss", 2)[0].metadata["source"] in ("people.txt", "zoo.txt")


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_embeddings_that_cannot_be_written_are_used_all_the_same(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anabranch.tools.kept_index.save_vectors", full)
    index = kept_index([folder], tmp_path / "kept", embedder=Embedder(Groups()))
    assert index.search("boss", 1)[0].metadata["source"] == "people.txt"
    assert "the embeddings are not kept (No space left on device)" in caplog.text
    assert not list((tmp_path / "kept").rglob("vectors-*.npy"))


def test_embeddings_that_cannot_be_written_leave_the_index_kept(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_index([folder], tmp_path / "kept", embedder=Embedder(Groups()))
    (folder / "zoo.txt").write_text("The chief keeper is Ada Brook.")
    monkeypatch.setattr("anabranch.tools.kept_index.save_vectors", full)
    index = kept_index([folder], tmp_path / "kept", embedder=Embedder(Groups()))
    assert index.search("keeper", 1)[0].metadata["source"] == "zoo.txt"
    assert "the index is not kept" not in caplog.text
    assert "the embeddings are not kept (No space left on device)" in caplog.text


def test_damaged_embeddings_are_made_again(folder: Path, tmp_path: Path) -> None:
    kept_index([folder], tmp_path / "kept", embedder=Embedder(Groups()))
    file = next((tmp_path / "kept").rglob("vectors-*.npy"))
    file.write_bytes(file.read_bytes()[:-8])
    model = Groups()
    assert kept_index([folder], tmp_path / "kept", embedder=Embedder(model)).search("boss", 1)
    assert len(model.texts) == 4


def test_static_embeddings_know_what_words_mean() -> None:
    tool = document_search(PASSAGES, k=1, embeddings="static")
    assert sources(tool, "How much vacation do I get?") == ["leave"]
    assert sources(tool, "When may I eat at midday?") == ["canteen"]
    model = StaticEmbeddings()
    assert model.embed_documents([""]) == [[0.0] * 256]
    assert math.isclose(sum(number**2 for number in model.embed_query("a bridge")), 1, rel_tol=1e-4)


def test_names_of_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert "text-embedding-3-small" in Embedder("openai:text-embedding-3-small").name
    served = Embedder("http://localhost:1/v1#bge-m3").name
    assert "bge-m3" in served
    assert "localhost" in served
    for name in ("", "words", "http://localhost:1/v1", "nobody:nothing"):
        with pytest.raises((ConfigurationError, MissingExtraError)):
            embeddings_of(name)
