import asyncio
import os
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from langchain_core import exceptions
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from langgraph.errors import GraphInterrupt
from pydantic import SecretStr

from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.models import (
    LOCAL_TYPE,
    NOSTREAM,
    RoleModel,
    call,
    call_for_json,
    explain,
    resolve_model,
    structured_arguments,
    usage_of,
)
from anabranch.config import Price
from anabranch.errors import (
    AnabranchError,
    ConfigurationError,
    EndpointError,
    MissingExtraError,
    ModelError,
    ModelUnavailableError,
)
from anabranch.plan import Usage
from tests.fakes import Reply, ScriptedChatModel
from tests.openai_server import OpenAIServer

PROMPT = [SystemMessage("Be short."), HumanMessage("Q?")]
PRICE = Price(input=1, output=10)
FORMS = "use local, openai:MODEL, an address such as http://host:8000/v1, or PROVIDER:MODEL"


def scripted(*replies: Reply) -> ScriptedChatModel:
    return ScriptedChatModel(script=list(replies))


class LocalScripted(ScriptedChatModel):
    """Stands in for the in-process model; takes its arguments."""

    script: Any = None
    model: str = ""
    adapter: Path | None = None
    progress: Any = None

    @property
    def _llm_type(self) -> str:
        return LOCAL_TYPE


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("anabranch.agents.local")
    module.LocalChatModel = LocalScripted  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "anabranch.agents.local", module)


# Names


def test_a_role_model_is_taken_as_it_is() -> None:
    model = RoleModel(scripted(), PRICE)
    assert resolve_model(model) is model


def test_a_chat_model_gets_its_price() -> None:
    chat = scripted()
    assert resolve_model(chat, price=PRICE) == RoleModel(chat, PRICE, small=False)


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize(
    ("spec", "name"),
    [("local", "HuggingFaceTB/SmolLM2-135M-Instruct"), ("local:/models/mine", "/models/mine"), ("local:a/b", "a/b")],
)
def test_the_in_process_model(spec: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    monkeypatch.setenv("ANABRANCH_LOCAL_SOLVER_ADAPTER", str(tmp_path))
    steps: list[str] = []
    model = resolve_model(spec, role="solver", price=PRICE, progress=steps.append)
    assert isinstance(model.chat, LocalScripted)
    assert (model.chat.model, model.chat.adapter) == (name, tmp_path)
    assert model.chat.progress == steps.append
    assert model.small
    assert model.price == Price(input=0, output=0)


def test_the_in_process_model_as_an_object_costs_nothing_and_is_small() -> None:
    assert resolve_model(LocalScripted(), price=PRICE) == RoleModel(
        LocalScripted(), Price(input=0, output=0), small=True
    )


def test_the_in_process_model_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anabranch.agents.local", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'anabranch\[local\]'"):
        resolve_model("local")


def test_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "dummy")
    model = resolve_model("openai:gpt-x", price=PRICE)
    assert isinstance(model.chat, ChatOpenAI)
    assert model.chat.model_name == "gpt-x"
    assert model.chat.stream_usage
    assert model == RoleModel(model.chat, PRICE, small=False)


def test_openai_without_a_key() -> None:
    with pytest.raises(ConfigurationError, match="set OPENAI_API_KEY") as caught:
        resolve_model("openai:gpt-x")
    assert "\n" not in str(caught.value)


def test_an_address_with_a_model_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not for this server")
    monkeypatch.setenv("ANABRANCH_API_KEY", "mine")
    chat = resolve_model("http://127.0.0.1:1/v1#org/model").chat
    assert isinstance(chat, ChatOpenAI)
    assert chat.model_name == "org/model"
    assert str(chat.openai_api_base) == "http://127.0.0.1:1/v1"
    assert isinstance(chat.openai_api_key, SecretStr)
    assert chat.openai_api_key.get_secret_value() == "mine"
    assert chat.stream_usage
    assert chat.use_responses_api is False


def test_langchain_knows_other_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    import langchain.chat_models

    def init(spec: str) -> BaseChatModel:
        return ScriptedChatModel(script=[spec])

    monkeypatch.setattr(langchain.chat_models, "init_chat_model", init)
    model = resolve_model("groq:llama", price=PRICE)
    assert isinstance(model.chat, ScriptedChatModel)
    assert model.chat.script == ["groq:llama"]
    assert model.price == PRICE


def test_a_provider_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_anthropic", None)
    with pytest.raises(MissingExtraError, match="langchain-anthropic"):
        resolve_model("anthropic:claude")


def test_without_langchain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain.chat_models", None)
    with pytest.raises(MissingExtraError, match="pip install langchain"):
        resolve_model("groq:llama")


@pytest.mark.parametrize(
    "spec",
    ["", "gpt-x", ":", "openai:", ":gpt-x", "nowhere:model", "Local", "ftp://host/v1", "azure_openai:gpt-x"],
)
def test_other_names_are_refused_with_the_forms_that_exist(spec: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_model(spec)
    assert repr(spec) in str(caught.value)
    assert FORMS in str(caught.value)
    assert "\n" not in str(caught.value)


# Calls


async def test_a_call_books_tokens_and_cost() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}
    chat = scripted(AIMessage("a", usage_metadata=usage))
    with booking(Ledger()) as ledger:
        await call(RoleModel(chat, PRICE), PROMPT, role="solver")
    assert ledger.by_role == {"solver": Usage(input_tokens=1000, output_tokens=200, calls=1, usd=0.003)}


async def test_a_model_without_a_price_costs_an_unknown_amount() -> None:
    with booking(Ledger()) as ledger:
        await call(RoleModel(scripted("a")), PROMPT, role="solver")
    assert ledger.total.usd is None
    assert ledger.total.calls == 1


def test_a_reply_that_does_not_count_costs_an_unknown_amount() -> None:
    assert usage_of(AIMessage("a"), PRICE) == Usage(calls=1, usd=None)


async def test_a_failed_call_books_nothing() -> None:
    with booking(Ledger()) as ledger, pytest.raises(EndpointError):
        await call(RoleModel(scripted(ValueError("x"))), PROMPT, role="solver")
    assert ledger.by_role == {}


@pytest.mark.parametrize(("stream", "tags"), [(True, {"anabranch:joiner"}), (False, {"anabranch:joiner", NOSTREAM})])
async def test_tags_tell_the_role_and_whether_to_stream(stream: bool, tags: set[str]) -> None:
    seen: list[Any] = []

    def answer(messages: Any, config: Any) -> AIMessage:
        seen.append((messages, set(config["tags"])))
        return AIMessage("a")

    await call(RoleModel(scripted()), PROMPT, role="joiner", stream=stream, runnable=RunnableLambda(answer))
    assert seen == [(PROMPT, tags)]


@pytest.mark.parametrize("error", [ModelError("m"), ModelUnavailableError("u"), EndpointError("e"), GraphInterrupt(())])
async def test_our_own_errors_and_interrupts_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await call(RoleModel(scripted(error)), PROMPT, role="solver")
    assert caught.value is error


async def test_a_call_can_be_cancelled() -> None:
    task = asyncio.create_task(call(RoleModel(ScriptedChatModel(script=["a"], delay=5)), PROMPT, role="solver"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("error", [ValueError("a\nb"), TimeoutError(), KeyError("x"), RuntimeError("x" * 5000)])
async def test_other_errors_become_one_line(error: Exception) -> None:
    with pytest.raises(EndpointError) as caught:
        await call(RoleModel(scripted(error)), PROMPT, role="joiner")
    text = str(caught.value)
    assert text.startswith(f"the joiner model failed: {type(error).__name__}: ")
    assert "\n" not in text
    assert len(text) < 500
    assert caught.value.__cause__ is error


async def test_a_runnable_that_is_no_chat_model() -> None:
    with pytest.raises(EndpointError, match="returned str instead of a chat message"):
        await call(RoleModel(scripted()), PROMPT, role="solver", runnable=RunnableLambda(lambda _: "text"))


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ValueError("x"), "check the model's settings"),
        (ConnectionRefusedError("x"), "check the address"),
        (TimeoutError(), "too slow"),
        (httpx.ConnectError("x"), "check the address"),
        (httpx.ConnectTimeout("x"), "too slow"),
        (exceptions.ModelAuthenticationError("x"), "check the API key"),
        (exceptions.ContextOverflowError("x"), "too long for this model"),
    ],
)
def test_every_explanation_gives_advice(error: Exception, advice: str) -> None:
    assert advice in explain("solver", error)


def test_structured_arguments_of_the_in_process_model() -> None:
    assert structured_arguments(LocalScripted(), {"type": "object"}) == {"json_schema": {"type": "object"}}


# Over HTTP, on this machine


def chat(address: str, **options: Any) -> RoleModel:
    settings: dict[str, Any] = {"timeout": 5, "max_retries": 0, **options}
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.loopback
@pytest.mark.enable_socket
async def test_nobody_listens() -> None:
    assert "check the address and that the server is up" in await error_of(chat(f"http://127.0.0.1:{free_port()}/v1"))


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
    with pytest.raises(EndpointError, match="does not list"):
        resolve_model(f"http://127.0.0.1:{free_port()}/v1")


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
