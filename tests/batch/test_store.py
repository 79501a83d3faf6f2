"""Kept replies: by content, whole after a restart, and never another request's."""

from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from anabranch.agents.reply import whole
from anabranch.batch.store import ReplyStore, canonical, key_of, request_body
from anabranch.errors import ConfigurationError, EndpointError

MESSAGES = [SystemMessage("s"), HumanMessage("q")]


def test_a_body_is_a_chat_completions() -> None:
    call = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "7"}])
    arguments = {"max_tokens": 5, "seed": None, "extra_body": {"structured_outputs": {"regex": "a"}}}
    body = request_body("m", [*MESSAGES, call, ToolMessage("2", tool_call_id="7")], ["\n"], arguments)
    assert body["messages"][:2] == [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    assert body["messages"][2]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert body["messages"][3] == {"role": "tool", "tool_call_id": "7", "content": "2"}
    assert {key: body[key] for key in body if key != "messages"} == {
        "model": "m",
        "max_tokens": 5,
        "structured_outputs": {"regex": "a"},
        "stop": ["\n"],
    }


def test_the_key_is_of_the_content() -> None:
    body = request_body("m", MESSAGES, None, {"a": 1, "b": 2})
    assert key_of(body) == key_of(request_body("m", MESSAGES, None, {"b": 2, "a": 1}))
    others = [
        request_body("n", MESSAGES, None, {"a": 1, "b": 2}),
        request_body("m", MESSAGES[:1], None, {"a": 1, "b": 2}),
        request_body("m", MESSAGES, ["x"], {"a": 1, "b": 2}),
        request_body("m", MESSAGES, None, {"a": 1}),
    ]
    assert len({key_of(body), *map(key_of, others)}) == 5
    assert canonical(body).startswith('{"a":1,"b":2,"messages"')


def test_replies_survive_and_refusals_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cache.sqlite"
    store = ReplyStore(path)
    used = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    message = AIMessage("é", usage_metadata=used, response_metadata={"finish_reason": "length"})
    store.keep("k", {"model": "m"}, message, 1.5)
    store.keep_refusal("r", {"model": "m"}, "too long")
    store.close()
    again = ReplyStore(path)
    found = again.find("k")
    assert found is not None
    assert (found.message.text, found.message.usage_metadata, found.seconds) == ("é", used, 1.5)
    assert found.message.response_metadata == {"finish_reason": "length"}
    assert [again.has(key) for key in ("k", "r", "x")] == [True, True, False]
    assert again.find("x") is None
    with pytest.raises(EndpointError, match="too long"):
        again.find("r")
    again.close()


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes, which are long enough not to be taken for an empty database " * 20)
    with pytest.raises(ConfigurationError, match="name another --cache"):
        ReplyStore(path)
    assert path.read_text().startswith("my notes")


def test_half_characters_do_not_reach_the_files() -> None:
    assert whole(AIMessage("a\ud83d\ude00b\ud800c")).content == "a😀b\ufffdc"
    fine = AIMessage("fine 😀")
    assert whole(fine) is fine
