"""The benchmark of follow-up questions."""

from pathlib import Path

import pytest
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage

from anabranch.agents.conversation import Understood
from benchmarks.conversations import Replies, messages, right, rows
from tests.fakes import ScriptedChatModel


def test_each_conversation_has_a_name_of_its_own_and_ends_with_the_message() -> None:
    names = [row["id"] for row in rows("all")]
    assert len(names) == len(set(names))
    for row in rows("all"):
        assert isinstance(messages(row)[-2], AIMessage), row["id"]
        assert row.get("same") or row.get("must") or row["turn"] == "conversation", row["id"]


@pytest.mark.parametrize(
    ("question", "ok"),
    [("Is the Sorrel cabin warm?", True), ("Is the sorrel hut warm?", True), ("Is it warm?", False)],
)
def test_a_question_is_understood_if_it_has_the_words_that_it_must_have(question: str, ok: bool) -> None:
    row = {"asked": "Is it warm?", "must": [["cabin", "hut"], "Sorrel"], "turn": "question"}
    assert right(row, Understood("Is it warm?", question)) is ok
    assert not right({**row, "must_not": ["warm"]}, Understood("Is it warm?", question))


async def test_a_reply_is_asked_for_once_and_kept_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "replies.jsonl"
    try:
        set_llm_cache(Replies(file))
        chat = ScriptedChatModel(script=["one", "two"])
        assert [(await chat.ainvoke([HumanMessage(text)])).text for text in ("a", "a", "b")] == ["one", "one", "two"]
        set_llm_cache(Replies(file))
        assert (await ScriptedChatModel(script=[]).ainvoke([HumanMessage("b")])).text == "two"
    finally:
        set_llm_cache(None)
