"""Limits of calls to servers: in total, from connecting to the last byte, whatever the server does meanwhile."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from anabranch.agents import listing
from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.models import RoleModel, call, resolve_model
from anabranch.config import Budget
from anabranch.errors import BudgetExceededError, CallTimeoutError, EndpointError
from anabranch.serving.health import Readiness
from anabranch.serving.service import Parts
from tests.openai_server import Drip, Hang, OpenAIServer, Reply

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
PROMPT = [HumanMessage("Who opened the mill?")]
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
TOKEN = {
    **CHUNK,
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "on and "}, "finish_reason": None}],
}
NEVER: dict[str, Reply] = {
    "silence": Hang(),
    "status line": Drip(b"HTTP/1.1 200 O", b"K"),
    "headers": Drip(b"HTTP/1.1 200 OK\r\n", b"X-Mill: 1\r\n", 0.03),
    "body": Drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n{", b" "),
    "comments": Drip(STREAM, b": wait\n\n"),
    "tokens": Drip(STREAM, b"data: " + json.dumps(TOKEN).encode() + b"\n\n"),
}


@pytest.fixture(params=sorted(NEVER))
def endless(request: pytest.FixtureRequest) -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda _request: NEVER[request.param]) as server:
        yield server


def served(server: OpenAIServer, *, streaming: bool) -> RoleModel:
    model = resolve_model(f"{server.url}#m")
    model.chat.disable_streaming = not streaming
    return model


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_call_ends_in_time_whatever_the_server_drips(endless: OpenAIServer, streaming: bool) -> None:
    model = served(endless, streaming=streaming)
    runnable = model.chat.bind(stream=True) if streaming else model.chat
    expected = pytest.raises(CallTimeoutError, match=r"within 0\.15 s")
    with booking(Ledger(budget=Budget(call_timeout=0.15))) as ledger, expected:
        await call(model, PROMPT, role="solver", runnable=runnable)
    assert ledger.total.estimated
    await model.chat.aclose()  # type: ignore[attr-defined]


async def test_a_budget_ends_a_call_and_its_retries(endless: OpenAIServer) -> None:
    model = served(endless, streaming=False)
    with booking(Ledger(budget=Budget(max_seconds=0.15))), pytest.raises(BudgetExceededError, match="max_seconds"):
        await call(model, PROMPT, role="solver")
    await model.chat.aclose()  # type: ignore[attr-defined]


async def test_a_retry_does_not_outlive_the_budget() -> None:
    with OpenAIServer(lambda _request: (503, {"error": {"message": "busy"}}, {"Retry-After": "20"})) as server:
        with booking(Ledger(budget=Budget(max_seconds=0.2))), pytest.raises(BudgetExceededError):
            await call(served(server, streaming=False), PROMPT, role="solver")
        assert len(server.requests) <= 1


@pytest.mark.parametrize(
    "drip",
    [
        Drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" " * 2**21, 0.0),
        Drip(STREAM, b": " + b"x" * 2**21 + b"\n\n", 0.0),
    ],
    ids=["body", "comments"],
)
async def test_a_reply_without_end_is_not_kept(drip: Drip) -> None:
    with OpenAIServer(lambda _request: drip) as server:
        model = resolve_model(f"{server.url}#m")
        model.chat.max_retries = 0  # type: ignore[attr-defined]
        with pytest.raises(EndpointError, match="more than 16,777,216 bytes"):
            await call(model, PROMPT, role="solver", runnable=model.chat.bind(timeout=5))
        await model.chat.aclose()  # type: ignore[attr-defined]


async def test_a_compressed_reply_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(b"0" * 2**24)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with OpenAIServer(lambda _request: Drip(head + bomb, b"")) as server:
        model = resolve_model(f"{server.url}#m")
        with pytest.raises(EndpointError, match="compresses its replies"):
            await call(model, PROMPT, role="solver")
        assert server.headers[0]["Accept-Encoding"] == "identity"
        await model.chat.aclose()  # type: ignore[attr-defined]


LISTINGS = {
    "headers": Drip(b"HTTP/1.1 200 OK\r\n", b"X-Mill: 1\r\n"),
    "body": Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n{", b" "),
}


@pytest.mark.parametrize("kind", sorted(LISTINGS))
async def test_asking_for_the_models_ends_in_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LISTING_SECONDS", 0.1)
    refused = pytest.raises(EndpointError, match="does not list its models")
    with OpenAIServer(lambda _request: "a", models=LISTINGS[kind]) as server, refused:
        resolve_model(server.url)


def test_a_list_of_models_without_end_is_not_kept() -> None:
    endless = Drip(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 2**21, 0.0)
    expected = pytest.raises(EndpointError, match="more than 16,777,216 bytes")
    with OpenAIServer(lambda _request: "a", models=endless) as server, expected:
        resolve_model(server.url)


async def test_whether_a_server_is_there_is_told_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anabranch.serving.health.PROBE_SECONDS", 0.3)
    for kind, state in (("headers", "away"), ("body", "ready")):
        with OpenAIServer(lambda _request: "a", models=LISTINGS[kind]) as server:
            model = resolve_model(f"{server.url}#m")
            found = await Readiness(Parts(decomposer=object(), solver=model)).check()  # type: ignore[arg-type]
            assert found.models["solver"] == state


# Tokens


async def test_every_call_has_a_limit_of_tokens_under_both_of_its_names() -> None:
    with OpenAIServer(lambda _request: "Answer: Ida") as server:
        model = resolve_model(f"{server.url}#m")
        await call(model, PROMPT, role="solver")
        with booking(Ledger(budget=Budget(max_answer_tokens=50))):
            await call(model, PROMPT, role="solver")
            await call(model, PROMPT, role="solver", runnable=model.chat.bind(max_tokens=9))
    limits = [(request["max_tokens"], request["max_completion_tokens"]) for request in server.requests]
    assert limits == [(16_384, 16_384), (50, 50), (9, 9)]


async def test_a_limit_that_a_server_turns_down_is_not_sent_again() -> None:
    def script(request: dict[str, Any]) -> Reply:
        if request.get("max_tokens", 0) > 4000:
            return (400, {"error": {"message": "max_tokens is too large: the context has 4096 tokens"}})
        return "Answer: Ida"

    with OpenAIServer(script) as server:
        model = resolve_model(f"{server.url}#m")
        for _ in range(2):
            assert (await call(model, PROMPT, role="solver")).text == "Answer: Ida"
        with booking(Ledger(budget=Budget(max_answer_tokens=50))):
            await call(model, PROMPT, role="solver")
    assert [request.get("max_tokens") for request in server.requests] == [16_384, None, None, 50]


ODD: dict[str, Any] = {
    "none": None,
    "fractions": {"prompt_tokens": 3.0, "completion_tokens": 2.5, "total_tokens": 5.5},
    "texts": {"prompt_tokens": "3", "completion_tokens": "many", "total_tokens": "x"},
    "negative": {"prompt_tokens": -3, "completion_tokens": -1, "total_tokens": -4},
    "nulls": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
    "a half": {"prompt_tokens": 3},
    "lists": {"prompt_tokens": [3], "completion_tokens": {"a": 1}, "prompt_tokens_details": {"cached_tokens": "no"}},
    "a list": [1, 2],
    "a text": "5 tokens",
    "huge": {"prompt_tokens": 10**400, "completion_tokens": 1e300},
}


def with_usage(usage: Any, *, stream: bool) -> Drip:
    said = {"role": "assistant", "content": "Answer: Ida"}
    if stream:
        chunks = [
            {**CHUNK, "choices": [{"index": 0, "delta": said, "finish_reason": "stop"}], "usage": None},
            {**CHUNK, "choices": [], "usage": usage},
        ]
        return Drip(STREAM + b"".join(f"data: {json.dumps(c)}\n\n".encode() for c in chunks) + b"data: [DONE]\n\n", b"")
    choice = {"index": 0, "finish_reason": "stop", "message": said}
    body = json.dumps({**CHUNK, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return Drip(head.encode() + body, b"")


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", sorted(ODD))
async def test_usage_in_any_form_is_read_or_estimated(kind: str, stream: bool) -> None:
    with OpenAIServer(lambda request: with_usage(ODD[kind], stream=bool(request.get("stream")))) as server:
        model = resolve_model(f"{server.url}#m")
        runnable = model.chat.bind(stream=True) if stream else model.chat
        with booking(Ledger()) as ledger:
            assert (await call(model, PROMPT, role="solver", runnable=runnable)).text == "Answer: Ida"
        await model.chat.aclose()  # type: ignore[attr-defined]
    assert ledger.total.input_tokens > 0
    assert ledger.total.output_tokens > 0
    assert ledger.total.estimated == (kind != "fractions")
    if kind == "fractions":
        assert (ledger.total.input_tokens, ledger.total.output_tokens) == (3, 3)
