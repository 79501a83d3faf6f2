import asyncio
import logging
import random
from pathlib import Path

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import ToolException

from anabranch.errors import ConfigurationError, DocumentError, NotFoundError
from anabranch.tools.catalogue import Catalogue
from anabranch.tools.passage_index import PassageIndex
from anabranch.tools.readers import SUFFIXES
from anabranch.tools.search import document_search, joint_search, retriever_search
from tests.tools.files import write_pdf

VALLEY = Path(__file__).parents[2] / "examples" / "documents"
SCRIPTS = [
    Document("Москва стоит на реке Москве. Мосты ведут через реку.", metadata={"source": "ru"}),
    Document("東京タワーは1958年に建てられました。高さは333メートルです。", metadata={"source": "ja"}),
    Document("长江是中国最长的河流,全长6300公里。", metadata={"source": "zh"}),
    Document("서울은 대한민국의 수도이다. 한강이 흐른다.", metadata={"source": "ko"}),
    Document("Die Brücke in Zürich kostete 1,234 Franken.", metadata={"source": "de"}),
    Document("गंगा भारत की सबसे लंबी नदी है।", metadata={"source": "hi"}),
    Document("แม่น้ำเจ้าพระยาไหลผ่านกรุงเทพ", metadata={"source": "th"}),
    Document("يمر نهر النيل عبر القاهرة.", metadata={"source": "ar"}),
    Document("Two bridges cross the creek.", metadata={"source": "en"}),
]


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("Who founded the Hollin Quay ferry?", "hollin-quay-ferry.md"),
        ("Where was Marta Ostrander born?", "marta-ostrander.md"),
        ("How high is the lighthouse of Kestrel Hythe?", "kestrel-hythe.txt"),
        ("Which engineer designed the Aldous Bridge?", "aldous-bridge.html"),
        ("When was Ingrid Vale born?", "ingrid-vale.md"),
        ("How high is the Brackwater dam?", "brackwater.txt"),
        ("arches of the Thornlea viaduct", "valley-railway.html"),
        ("OTTERS", "river-selwyn.md"),
    ],
)
def test_finds_the_passage_in_the_example_documents(query: str, source: str) -> None:
    assert document_search(VALLEY).invoke(query).startswith(f"[1] {source}: ")


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("москва", "ru"),
        ("МОСТЫ", "ru"),
        ("東京タワー", "ja"),
        ("東", "ja"),
        ("1958", "ja"),
        ("タワーの高さ", "ja"),
        ("长江有多长", "zh"),
        ("한강", "ko"),
        ("zurich bruecke brucke", "de"),
        ("cost of 1234", "de"),
        ("नदी", "hi"),
        ("กรุงเทพ", "th"),
        ("النيل", "ar"),
        ("bridge", "en"),
        ("the creek's bridge", "en"),
    ],
)
def test_finds_words_of_any_script(query: str, source: str) -> None:
    assert document_search(SCRIPTS, k=1).invoke(query).startswith(f"[1] {source}: ")


def test_stop_words_do_not_match_unless_there_is_nothing_else() -> None:
    tool = document_search([Document("The Who played in it."), Document("A band was in the hall.")])
    with pytest.raises(ToolException, match="no passage found for: What was it that was not there"):
        document_search([Document("What was it?")]).invoke("What was it that was not there, xyzzy?")
    assert tool.invoke("The Who").startswith("[1] document: The Who")


@pytest.mark.parametrize("query", ["xyzzy", "", "?!", "\0"])
def test_nothing_found_is_a_failed_look_up(query: str) -> None:
    with pytest.raises(ToolException, match="no passage found for: "):
        document_search(SCRIPTS).invoke({"query": query})


def test_numbers_the_passages_with_their_sources(tmp_path: Path) -> None:
    write_pdf(tmp_path / "report.pdf", ["The ferry began in 1874.", "The ferry ended in 1931."])
    (tmp_path / "note.txt").write_text("No ferry today.")
    tool = document_search(tmp_path, k=2)
    assert tool.invoke("When did the ferry end, 1931?") == (
        "[1] report.pdf, page 2: The ferry ended in 1931.\n\n[2] note.txt: No ferry today."
    )


def test_gives_the_documents_as_artifact() -> None:
    call = {"type": "tool_call", "id": "1", "name": "search", "args": {"query": "bridges"}}
    message = document_search(SCRIPTS).invoke(call)
    assert isinstance(message, ToolMessage)
    assert [d.metadata["source"] for d in message.artifact] == ["en"]


def test_titles_count(tmp_path: Path) -> None:
    (tmp_path / "craigslist.md").write_text("It was founded in 1995.")
    (tmp_path / "other.md").write_text("Something else was founded in 1996.")
    assert document_search(tmp_path, k=1).invoke("When was Craigslist founded?").startswith("[1] craigslist.md: ")


def test_k_limits_the_passages() -> None:
    documents = [Document(f"river number {n}") for n in range(20)]
    assert document_search(documents, k=3).invoke("river").count("river") == 3
    assert document_search(documents).invoke("river").count("river") == 4
    with pytest.raises(ConfigurationError, match="k=0"):
        document_search(documents, k=0)


@pytest.mark.parametrize("documents", [[], [Document("")], [Document("...")]])
def test_refuses_to_search_in_nothing(documents: list[Document]) -> None:
    with pytest.raises(DocumentError):
        document_search(documents)


def test_mixes_paths_and_documents(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("A ferry.")
    tool = document_search([tmp_path / "note.txt", Document("A bridge.", metadata={"source": "x"})])
    assert tool.invoke("ferry").startswith("[1] note.txt")
    assert tool.invoke("bridge").startswith("[1] x")


def test_tells_what_was_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "note.txt").write_text("A ferry.")
    (tmp_path / "image.png").write_bytes(b"\0")
    document_search(tmp_path)
    assert caplog.messages == ["1 file read, 1 skipped (image.png: its kind '.png' is not known; "
                               f"use one of: {', '.join(SUFFIXES)})"]  # fmt: skip


def test_is_quiet(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    document_search(SCRIPTS).invoke("bridge")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


async def test_works_beside_other_calls() -> None:
    tool = document_search(VALLEY)
    answers = await asyncio.gather(*(tool.ainvoke({"query": "ferry"}) for _ in range(20)))
    assert set(answers) == {tool.invoke("ferry")}


def test_names_make_two_searches_of_one_planner(tmp_path: Path) -> None:
    tools = [document_search(SCRIPTS, name="search_handbook"), document_search(SCRIPTS, name="faq")]
    assert list(Catalogue(tools)) == ["search_handbook", "faq"]
    for name in ("two words", "", "solve"):
        with pytest.raises(ConfigurationError, match="cannot be a route"):
            document_search(SCRIPTS, name=name)
        with pytest.raises(ConfigurationError, match="cannot be a route"):
            retriever_search(Fixed(documents=SCRIPTS), name=name)


def test_passages_are_shown_under_their_headings(tmp_path: Path) -> None:
    filler = "Nothing else is written here for a long while. " * 9
    text = f"# Guide\n\n{filler}\n\n## Ferry\n\n{filler}\n\n### Fares\n\n{filler}\n\nDogs travel free.\n\n{filler}\n"
    (tmp_path / "guide.md").write_text(text)
    found, passages = document_search(tmp_path, k=1).func("Do dogs travel free?")  # type: ignore[misc]
    assert passages[0].metadata == {
        "source": "guide.md",
        "title": "Guide",
        "page": None,
        "section": "Guide > Ferry > Fares",
    }
    assert found.startswith("[1] guide.md: Guide > Ferry")
    assert found.count("Fares") == 1


def test_words_of_headings_are_found_under_them(tmp_path: Path) -> None:
    rows = "\n".join(f"| Town {n} | {n} crowns |" for n in range(200))
    (tmp_path / "a.md").write_text(
        f"# Fares\n\n## Night ferry\n\n| Town | Price |\n|---|---|\n{rows}\n\n## Day\n\nFree."
    )
    passage = document_search(tmp_path, k=1).invoke("price of the night ferry to town 150")
    assert "Fares > Night ferry" in passage
    assert "Town: Town 150; Price: 150 crowns" in passage


class Fixed(BaseRetriever):
    documents: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [d for d in self.documents if query in d.page_content]


async def test_wraps_any_retriever() -> None:
    tool = retriever_search(Fixed(documents=SCRIPTS), k=1, name="lookup", description="Looks it up. Well.")
    assert (tool.name, tool.description) == ("lookup", "Looks it up. Well.")
    assert tool.invoke("Two") == "[1] en: Two bridges cross the creek."
    assert await tool.ainvoke("Two") == "[1] en: Two bridges cross the creek."
    with pytest.raises(ToolException, match="no passage found"):
        tool.invoke("xyzzy")
    with pytest.raises(ToolException, match="no passage found"):
        await tool.ainvoke("xyzzy")


def test_the_best_are_those_of_a_whole_sort() -> None:
    chance = random.Random(3)
    words = ["ferry", "bridge", "tower", "harbour", "museum"]
    passages = [Document(" ".join(chance.choices(words, k=chance.randint(1, 9)))) for _ in range(200)]
    index = PassageIndex(passages)
    everything = index.search("bridge tower", len(passages))
    for k in (1, 2, 7, 150, 1000):
        assert index.search("bridge tower", k) == everything[:k]
    assert not any({"bridge", "tower"}.isdisjoint(passage.page_content.split()) for passage in everything)
    assert len(everything) == sum(not {"bridge", "tower"}.isdisjoint(p.page_content.split()) for p in passages)
    # Of passages that fit as well, the earlier ones come first.
    same = PassageIndex([Document("a ferry", metadata={"source": str(n)}) for n in range(9)] + [Document("a bridge")])
    assert [passage.metadata["source"] for passage in same.search("ferry", 3)] == ["0", "1", "2"]


def test_the_passages_of_two_searches_take_turns() -> None:
    first = document_search([Document(f"The ferry is red. {n}", metadata={"source": f"a{n}"}) for n in range(9)], k=5)
    second = document_search([Document("The ferry is old.", metadata={"source": "b"})])
    joint = joint_search(first, second, name="both", description="Both.")
    found = joint.invoke({"args": {"query": "ferry"}, "name": "both", "type": "tool_call", "id": "1"}).artifact
    assert [each.metadata["source"][0] for each in found] == ["a", "b", "a", "a", "a", "a"]
    with pytest.raises(NotFoundError):
        joint.invoke({"query": "lighthouse"})
