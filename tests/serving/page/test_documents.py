"""Documents that are added to a conversation."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langgraph.store.memory import InMemoryStore

from anabranch.errors import DocumentError, OverloadError
from anabranch.serving.door import DoorRules
from anabranch.serving.page import documents, routes
from anabranch.serving.page.documents import Shelf
from anabranch.serving.page.kept_documents import KeptDocuments
from anabranch.tools import document_search
from anabranch.tools.static_embeddings import StaticEmbeddings
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import plan_json
from tests.serving import live
from tests.serving.conftest import Serve
from tests.serving.page.client import Client, of_type

served, socket = pytest.mark.loopback, pytest.mark.enable_socket
PEOPLE = b"# The lighthouse\n\nThe lighthouse of Skerry Point was built by Ottoline Marsh."
PLAN = plan_json(("search", "Who built the lighthouse of Skerry Point?", []))


def reads(prompt: str) -> str:
    """A solver that finds the builder where she is named."""
    return "Ottoline Marsh" if "Ottoline Marsh" in prompt else "NOT FOUND"


@served
@socket
def test_what_is_added_is_searched_in_its_conversation_alone(serve: Serve) -> None:
    model = ScriptedChatModel(script=live.always(PLAN))
    client = Client(serve(live.parts(model, reads, tools=[])))
    reply = client.put("people.md", PEOPLE)
    assert reply.json() == {"documents": ["people.md"], "notes": []}
    (answer,) = of_type(client.run(question="Who built the lighthouse?"), "answer")
    assert answer["answer"] == "Ottoline Marsh"
    assert answer["sources"][0]["source"] == "people.md"
    assert "documents that the user added" in model.prompts[0]
    assert client.show()["documents"] == ["people.md"]

    other = Client(str(client.http.base_url))
    other.run(question="Who built the lighthouse?")
    assert "documents that the user added" not in model.prompts[-1]

    gone = client.http.delete("/page/documents", params={"name": "people.md"})
    assert gone.json() == {"documents": []}


@served
@socket
@pytest.mark.parametrize(("embeddings", "status"), [(None, "not_found"), (StaticEmbeddings, "answered")])
def test_what_is_added_is_found_by_its_meaning_where_there_are_embeddings(
    serve: Serve, embeddings: Any, status: str
) -> None:
    def reads(prompt: str) -> str:
        return "Karin Westerlund" if "Westerlund" in prompt else "NOT FOUND"

    plan = plan_json(("search", "Who is the boss?", []))
    client = Client(serve(live.parts(plan, reads, tools=[]), embeddings=embeddings and embeddings()))
    assert client.put("firm.md", b"Since 2016 it has been led by Karin Westerlund.").status_code == 200
    (answer,) = of_type(client.run(question="Who is the boss of this firm, after all?"), "answer")
    assert answer["status"] == status


@served
@socket
def test_what_is_added_is_searched_together_with_the_servers_documents(serve: Serve) -> None:
    def reads(prompt: str) -> str:
        if "Sub-questions and their answers:" in prompt:
            return "Ottoline Marsh, and Sund"
        asked = prompt.rpartition("Question:")[2]
        return next((name for name in ("Ottoline Marsh", "Sund") if name in prompt and name not in asked), "NOT FOUND")

    plan = plan_json(("search", "Who built the lighthouse of Skerry Point?", []), ("search", "Where is the ferry?", []))
    own = document_search([Document("The ferry is at Sund.", metadata={"source": "ferry.md"})], description="Ferries.")
    model = ScriptedChatModel(script=live.always(plan))
    client = Client(serve(live.parts(model, reads, tools=[own])))
    assert client.http.get("/page/settings").json()["uploads"] == "search"
    client.put("people.md", PEOPLE)
    (answer,) = of_type(client.run(question="Who built the lighthouse, and where is the ferry?"), "answer")
    assert (answer["status"], {each["source"] for each in answer["sources"]}) == ("answered", {"people.md", "ferry.md"})
    assert "search: Ferries; also facts of the documents that the user added." in model.prompts[0]


@served
@socket
def test_the_search_has_another_name_beside_the_servers_own(serve: Serve) -> None:
    client = Client(serve())
    assert client.http.get("/page/settings").json()["uploads"] == "search_uploads"
    assert client.put("people.md", PEOPLE).status_code == 200
    assert of_type(client.run(question=live.QUESTION), "answer")[0]["answer"] == live.ANSWER


@served
@socket
@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("notes.exe", b"MZ", "notes.exe cannot be used: its kind '.exe' is not known"),
        ("notes.txt", b"", "notes.txt cannot be used"),
        ("notes.pdf", b"no pdf at all", "notes.pdf"),
        (".hidden", b"x", "no name that a file can have"),
        ("x" * 300 + ".txt", b"x", "no name that a file can have"),
        ("..", b"x", "no name that a file can have"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_read_is_refused_with_its_reason(serve: Serve, name: str, data: bytes, says: str) -> None:
    client = Client(serve())
    reply = client.put(name, data)
    assert reply.status_code == 400
    message = reply.json()["error"]["message"]
    assert says in message
    assert "/tmp" not in message
    assert client.show()["documents"] == []


@served
@socket
def test_a_name_with_a_path_names_a_file(serve: Serve) -> None:
    client = Client(serve())
    assert client.put("../../etc/cron.d/notes.txt", b"some text").json()["documents"] == ["notes.txt"]


@served
@socket
def test_a_document_may_be_larger_than_other_bodies_but_not_than_it_may(serve: Serve) -> None:
    client = Client(serve(rules=DoorRules(max_body=1_000)))
    assert client.put("notes.txt", b"word " * 1_000).status_code == 200
    assert client.http.post("/page/runs", json={"question": "x" * 2_000}).status_code == 413
    large = client.put("large.txt", b"x" * (documents.MAX_BYTES + 1))
    assert large.status_code == 413
    assert f"{documents.MAX_BYTES:,} bytes" in large.json()["error"]["message"]
    assert routes.DOCUMENTS == "/page/documents"


@served
@socket
def test_what_looks_like_half_a_character_reaches_the_reader_as_it_is(serve: Serve) -> None:
    client = Client(serve(live.parts(PLAN, reads, tools=[])))
    client.put("notes.txt", rb"Skerry Point: \ud800 is how its lighthouse is written. Ottoline Marsh built it.")
    (answer,) = of_type(client.run(question="Who built it?"), "answer")
    assert r"\ud800" in answer["sources"][0]["text"]


async def test_limits_of_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENTS", 2)
    monkeypatch.setattr(documents, "MAX_CHARS", 100)
    shelf = Shelf("search")
    await shelf.put("a", "1.txt", b"one word")
    with pytest.raises(DocumentError, match="characters together"):
        await shelf.put("a", "2.txt", b"word " * 30)
    await shelf.put("a", "2.txt", b"two words")
    with pytest.raises(DocumentError, match="takes 2 documents"):
        await shelf.put("a", "3.txt", b"three words")
    await shelf.put("a", "2.txt", b"in its place")
    assert shelf.names("a") == ["1.txt", "2.txt"]


async def test_the_documents_that_were_used_longest_ago_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_ALL_CHARS", 60)
    shelf = Shelf("search")
    for thread in ("a", "b"):
        await shelf.put(thread, "1.txt", b"twenty-two characters.")
    assert shelf.tool("a")
    await shelf.put("c", "1.txt", b"twenty-two characters.")
    assert [bool(shelf.tool(thread)) for thread in "abc"] == [True, False, True]


@served
@socket
def test_documents_outlive_the_process(serve: Serve, tmp_path: Path) -> None:
    parts, file = live.parts(live.always(PLAN), reads, tools=[]), str(tmp_path / "threads.sqlite")
    client = Client(serve(parts, threads=file))
    client.put("people.md", PEOPLE)
    client.put("other.txt", b"Nothing of the kind.")
    later = Client(serve(parts, threads=file))
    later.http.headers["Anabranch-Thread"] = client.thread
    (answer,) = of_type(later.run(question="Who built the lighthouse?"), "answer")
    assert answer["sources"][0]["source"] == "people.md"
    assert later.show()["documents"] == ["people.md", "other.txt"]

    # What one process changes, the other knows.
    later.http.delete("/page/documents", params={"name": "people.md"})
    assert client.show()["documents"] == ["other.txt"]
    (answer,) = of_type(client.run(question="Who built the lighthouse?"), "answer")
    assert answer["status"] == "not_found"
    client.put("other.txt", PEOPLE)
    (answer,) = of_type(later.run(question="Who built the lighthouse?"), "answer")
    assert answer["sources"][0]["source"] == "other.txt"

    assert client.http.delete("/page/thread").status_code == 204
    assert later.show()["documents"] == []
    with closing(sqlite3.connect(file)) as database:
        kept = [prefix for (prefix,) in database.execute("SELECT prefix FROM store")]
    assert not [prefix for prefix in kept if "document" in prefix]


async def test_kept_documents_come_again_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_ALL_CHARS", 60)
    shelf = Shelf("search")
    shelf.kept = KeptDocuments(InMemoryStore())
    for thread in "abcd":
        await shelf.put(thread, "1.txt", b"twenty-two characters.")
    assert shelf.tool("a") is None
    await shelf.fetch("a")
    assert shelf.tool("a")


async def test_so_much_is_kept_for_so_long() -> None:
    kept = KeptDocuments(InMemoryStore(), most_chars=200)
    (first,) = (await kept.keep("a", {"1.txt": [Document("x" * 120)]}, {})).values()
    await kept.keep("b", {"1.txt": [Document("x" * 120)]}, {})
    assert await kept.find(first) is None
    brief = KeptDocuments(InMemoryStore(), seconds=0.01)
    await brief.keep("a", {"1.txt": [Document("x")]}, {})
    await asyncio.sleep(0.05)
    assert await brief.names("a") == {}


async def test_so_many_are_read_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(documents, "MAX_WAITING", 0)
    with pytest.raises(OverloadError, match="being read"):
        await Shelf("search").put("a", "1.txt", b"one word")


async def test_of_documents_that_come_at_the_same_time_none_is_lost(tmp_path: Path) -> None:
    store, shelves = InMemoryStore(), [Shelf("search", tmp_path), Shelf("search", tmp_path)]
    for shelf in shelves:
        shelf.kept = KeptDocuments(store)
    await asyncio.gather(*(shelf.put("a", f"{n}.txt", b"some words") for n, shelf in enumerate(shelves * 3)))
    await shelves[0].fetch("a")
    assert sorted(shelves[0].names("a")) == [f"{n}.txt" for n in range(6)]
