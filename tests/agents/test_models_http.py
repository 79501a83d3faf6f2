"""Models behind addresses, over HTTP on this machine; and that no real endpoint is ever called."""

import os
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.limits import usage_of
from anabranch.agents.models import RoleModel, call, resolve_model
from anabranch.agents.structured import call_for_json
from anabranch.config import Price
from anabranch.errors import (
    AnabranchError,
    EndpointError,
)
from tests.openai_server import OpenAIServer
from tests.ports import nobody

PROMPT = [SystemMessage("Be short."), HumanMessage("Q?")]
PRICE = Price(input=1, output=10)


def chat(address: str, **options: Any) -> RoleModel:
    settings: dict[str, Any] = {"timeout": 30, "max_retries": 0, **options}
    return RoleModel(ChatOpenAI(model="m", base_url=address, api_key=SecretStr("k"), **settings), PRICE)


async def error_of(model: RoleModel) -> str:
    with pytest.raises(EndpointError) as caught:
        await call(model, PROMPT, role="solver")
    assert isinstance(caught.value, AnabranchError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_a_served_model_answers_and_is_counted() -> None:
    with OpenAIServer(lambda request: "two words", models=("first", "second")) as server:
        model = resolve_model(server.url, price=PRICE)
        with booking(Ledger()) as ledger:
            assert (await call(model, PROMPT, role="solver")).text == "two words"
        assert server.requests[0]["model"] == "first"
        assert server.requests[0]["temperature"] == 0
        assert ledger.total.output_tokens == 2
        assert ledger.total.usd == PRICE.of(ledger.total)


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_a_streamed_reply_is_counted_too() -> None:
    with OpenAIServer(lambda request: "two words") as server:
        model = resolve_model(server.url, price=PRICE)
        chunks = [chunk async for chunk in model.chat.astream(PROMPT)]
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        assert isinstance(whole, AIMessage)
        assert usage_of(whole, PRICE).output_tokens == 2


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("status", "name", "advice"),
    [
        (401, "AuthenticationError", "check the API key"),
        (403, "PermissionDeniedError", "check what the API key may do"),
        (404, "NotFoundError", "check the model's name"),
        (429, "RateLimitError", "wait, or lower the concurrency"),
        (500, "OpenAIAPIError", "the server failed; see its log"),
    ],
)
async def test_a_refusal(status: int, name: str, advice: str) -> None:
    body = {"error": {"message": "line one\nline two", "type": "t", "code": None, "param": None}}
    with OpenAIServer(lambda request: (status, body)) as server:
        text = await error_of(chat(server.url))
    assert f"{name}: " in text
    assert advice in text


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_a_server_that_is_too_slow() -> None:
    with OpenAIServer(lambda request: "a", delay=0.05) as server:
        assert "too slow or away" in await error_of(chat(server.url, timeout=0.01))


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_a_server_that_talks_nonsense() -> None:
    with OpenAIServer(lambda request: (200, "<html>\nhello")) as server:
        await error_of(chat(server.url))


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_nobody_listens() -> None:
    with nobody() as address:
        assert "check the address and that the server is up" in await error_of(chat(address))


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize("path", ["", "/v2", "/v1/chat"])
def test_an_address_without_a_list_of_models(path: str) -> None:
    with OpenAIServer(lambda request: "a") as server:
        address = server.url.removesuffix("/v1") + path
        with pytest.raises(EndpointError, match="does not list its models") as caught:
            resolve_model(address)
    assert f"{address}#MODEL" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_a_server_without_models_or_nobody() -> None:
    with OpenAIServer(lambda request: "a", models=()) as server, pytest.raises(EndpointError, match="does not list"):
        resolve_model(server.url)
    with nobody() as address, pytest.raises(EndpointError, match="does not list"):
        resolve_model(address)


@pytest.mark.parametrize("address", ["http://", "http://[::1", "http://host:port/v1"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(EndpointError, match="does not list its models"):
        resolve_model(address)


# The guard of the suite itself


@pytest.mark.enable_socket
async def test_a_real_endpoint_is_never_called(called_machines: list[str]) -> None:
    assert "OPENAI_API_KEY" not in os.environ
    await error_of(chat("https://api.openai.com/v1"))
    with pytest.raises(EndpointError):
        resolve_model("https://192.0.2.1/v1")
    assert called_machines == ["api.openai.com", "192.0.2.1"]
    called_machines.clear()


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_a_server_without_structured_outputs_is_asked_without_them_from_then_on() -> None:
    def script(request: dict[str, Any]) -> Any:
        if "response_format" in request:
            return (400, {"error": {"message": "response_format is not supported"}})
        return '{"a": 1}'

    with OpenAIServer(script) as server:
        model = resolve_model(server.url)
        schema = {"title": "x", "type": "object"}
        for _ in range(2):
            assert await call_for_json(model, [HumanMessage("JSON?")], schema, role="decomposer") == '{"a": 1}'
    assert ["response_format" in request for request in server.requests] == [True, False, False]


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_other_refusals_are_not_asked_again() -> None:
    with OpenAIServer(lambda _request: (401, {"error": {"message": "no"}})) as server:
        model = resolve_model(server.url)
        with pytest.raises(EndpointError, match="check the API key"):
            await call_for_json(model, [HumanMessage("JSON?")], {"title": "x"}, role="decomposer")
    assert len(server.requests) == 1
