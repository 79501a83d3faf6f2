"""Models behind addresses: connections are kept, and belong to the event loop that opened them."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from anabranch.agents.endpoint import CONNECT_SECONDS, EndpointChatModel, timeouts
from anabranch.agents.models import RoleModel, call, resolve_model
from anabranch.agents.structured import structured_arguments
from anabranch.config import Price
from anabranch.errors import EndpointError
from anabranch.graphs.planner import create_planner
from tests.fakes import ScriptedChatModel
from tests.openai_server import Die, Drip, OpenAIServer

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda _: "two words", keep_alive=True) as running:
        yield running


def options(server: OpenAIServer) -> dict[str, Any]:
    return {
        "model": "m",
        "base_url": server.url,
        "api_key": SecretStr("k"),
        "use_responses_api": False,
        "max_retries": 0,
        "timeout": timeouts(5),
    }


async def ask(model: ChatOpenAI) -> str:
    return (await model.ainvoke("Q?")).text


async def test_connections_are_kept(server: OpenAIServer) -> None:
    model = EndpointChatModel(**options(server))
    for _ in range(5):
        await ask(model)
    assert len(server.connections) == 1
    await asyncio.gather(*(ask(model) for _ in range(3)))
    assert len(server.connections) <= 3
    await model.aclose()
    await model.aclose()
    await ask(model)  # opens another
    await model.aclose()


async def test_many_calls_at_a_time_have_a_connection_each(server: OpenAIServer) -> None:
    model = EndpointChatModel(**options(server))
    server.delay = 0.5
    await asyncio.gather(*(ask(model) for _ in range(40)))
    opened = len(server.connections)
    assert opened == 40
    await ask(model)
    assert len(server.connections) == opened
    await model.aclose()
    assert not model._of_loop


# In processes of their own: a loop that ends leaves its connections to be collected, with a warning that is off by
# default and would fail some later test.
TWO_LOOPS = """
import asyncio, sys
from langchain_openai import ChatOpenAI
from anabranch.agents.endpoint import EndpointChatModel
kind = {"ours": EndpointChatModel, "theirs": ChatOpenAI}[sys.argv[2]]
model = kind(model="m", base_url=sys.argv[1], api_key="k", use_responses_api=False, max_retries=0, timeout=5)
async def twice():
    return [(await model.ainvoke("Q?")).text for _ in range(2)]
print(asyncio.run(twice()), asyncio.run(twice()))
if sys.argv[2] == "ours":
    assert len(model._of_loop) == 1, "loops that have ended are forgotten"
"""
BACKGROUND_AND_OTHERS = """
import asyncio, sys
from anabranch import create_planner
planner = create_planner(decomposer=sys.argv[1], solver=sys.argv[1], gate=lambda _: False)
question = {"messages": [("user", "Q?")]}
for _ in range(2):
    print(planner.invoke(question)["answer"], asyncio.run(planner.ainvoke(question))["answer"])
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_each_loop_has_its_own(server: OpenAIServer) -> None:
    done = run(TWO_LOOPS, server.url, "ours")
    assert done.stdout == "['two words', 'two words'] ['two words', 'two words']\n", done.stderr
    assert len(server.connections) == 2


def test_why_there_is_a_class_for_that(server: OpenAIServer) -> None:
    """Once this fails, ChatOpenAI will do, and EndpointChatModel can go."""
    assert "Event loop is closed" in run(TWO_LOOPS, server.url, "theirs").stderr


def test_the_background_loop_and_others_side_by_side(server: OpenAIServer) -> None:
    done = run(BACKGROUND_AND_OTHERS, f"{server.url}#m")
    assert done.stdout == "two words two words\n" * 2, done.stderr
    assert len(server.connections) == 3  # one of the background loop, one of each other


async def test_what_is_streamed_is_counted(server: OpenAIServer) -> None:
    price = Price(input=1, output=10)
    model = resolve_model(f"{server.url}#m", price=price)
    planner = create_planner(decomposer=ScriptedChatModel(script=[]), solver=model, gate=lambda _: False)
    pieces: list[str] = []
    result: dict[str, Any] = {}
    parts: Any = planner.astream({"messages": [("user", "Q?")]}, stream_mode=["messages", "values"])
    async for mode, data in parts:
        if mode == "messages":
            pieces.append(data[0].text)
        else:
            result = data
    assert server.requests[0]["stream"] is True
    assert "".join(pieces).startswith("two words")
    used = result["usage"]["solver"]
    assert used.output_tokens == 2
    assert used.usd == price.of(used)
    await model.chat.aclose()  # type: ignore[attr-defined]


async def test_a_stream_that_breaks_off_is_an_error() -> None:
    with OpenAIServer(lambda _: Die("one two three four")) as server:
        model = RoleModel(EndpointChatModel(**options(server)))
        pieces = []

        async def read() -> None:
            async for chunk in model.chat.astream("Q?"):
                pieces.append(chunk.text)  # noqa: PERF401

        with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|connection"):
            await read()
        assert "".join(pieces).startswith("one two")


def test_the_time_to_connect_is_short() -> None:
    limits = timeouts(120)
    assert (limits.connect, limits.read) == (CONNECT_SECONDS, 120)


async def test_json_that_is_cut_off_is_a_reply() -> None:
    with OpenAIServer(lambda _: {"content": '{"a": "b', "finish_reason": "length"}) as server:
        model = RoleModel(EndpointChatModel(**options(server)))
        arguments = structured_arguments(model.chat, {"type": "object", "properties": {"a": {"type": "string"}}})
        message = await call(model, [HumanMessage("Q?")], role="solver", runnable=model.chat.bind(**arguments))
        await model.chat.aclose()  # type: ignore[attr-defined]
        assert "response_format" in server.requests[0]
    assert (message.text, message.response_metadata["finish_reason"]) == ('{"a": "b', "length")
    assert message.usage_metadata
    assert message.usage_metadata["output_tokens"] > 0


# A user's own ChatOpenAI

OWN_ON_TWO_LOOPS = """
import asyncio, sys
from langchain_openai import ChatOpenAI
from anabranch import create_planner
chat = ChatOpenAI(model="m", base_url=sys.argv[1], api_key="k", max_retries=0, timeout=5)
planner = create_planner(decomposer=chat, solver=chat, gate=lambda _: False)
question = {"messages": [("user", "Q?")]}
for _ in range(2):
    print(planner.invoke(question)["answer"], asyncio.run(planner.ainvoke(question))["answer"])
"""


def test_a_users_own_model_works_on_more_than_one_loop(server: OpenAIServer) -> None:
    done = run(OWN_ON_TWO_LOOPS, server.url)
    assert done.stdout == "two words two words\n" * 2, done.stderr


def test_a_users_own_model_keeps_its_settings() -> None:
    own = ChatOpenAI(model="m", api_key=SecretStr("k"), temperature=0.3, max_retries=7, tags=["mine"])
    used: Any = resolve_model(own).chat
    assert isinstance(used, EndpointChatModel)
    assert (used.temperature, used.max_retries, used.tags) == (0.3, 7, ["mine"])
    assert used.root_async_client is own.root_async_client
    assert used._get_ls_params() == own._get_ls_params()
    assert used.stream_chunk_timeout is None


def test_a_model_with_a_client_of_its_own_is_left() -> None:
    class Mine(ChatOpenAI):
        pass

    key = SecretStr("k")
    for own in (Mine(model="m", api_key=key), ChatOpenAI(model="m", api_key=key, openai_proxy="http://127.0.0.1:1")):
        assert resolve_model(own).chat is own


async def test_a_users_own_models_replies_are_put_right_and_bounded() -> None:
    call_: dict[str, Any] = {"id": 7, "function": {"name": "t", "arguments": {"a": 1}}}
    replies: list[Any] = [
        {"tool_calls": [call_], "finish_reason": "tool_calls"},
        Drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" " * 2**21, 0.0),
    ]
    with OpenAIServer(lambda _: replies.pop(0)) as server:
        own = ChatOpenAI(**{**options(server), "base_url": server.url.replace("//", "//mill:word@")})
        model = resolve_model(own)
        assert "word" not in repr(model.chat)
        reply = await call(model, [HumanMessage("Q?")], role="solver")
        assert reply.tool_calls[0]["args"] == {"a": 1}
        with pytest.raises(EndpointError, match="more than 16,777,216 bytes"):
            await call(model, [HumanMessage("Q?")], role="solver")
        assert server.headers[0]["Accept-Encoding"] == "identity"
        assert server.headers[0]["Authorization"] == "Basic bWlsbDp3b3Jk"
        await model.chat.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", ["", "mine"])
async def test_no_key_is_sent_but_the_one_that_is_meant(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("ANABRANCH_API_KEY", key)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "of-an-administrator")
    with OpenAIServer(lambda _request: "Paris") as server:
        chat: Any = resolve_model(f"{server.url}#m").chat
        with suppress(TypeError):  # the client asks for a key where there is none
            await chat.ainvoke("Where?")
        with suppress(TypeError):
            _ = [chunk async for chunk in chat.astream("Where?")]
        await chat.aclose()
    sent = [{name.lower(): value for name, value in headers.items()}.get("authorization") for headers in server.headers]
    assert sent == ([f"Bearer {key}"] * 2 if key else [])
