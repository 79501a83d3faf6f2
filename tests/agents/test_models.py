import asyncio
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

from anabranch.agents.final_answer import Reading
from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.limits import usage_of
from anabranch.agents.models import LOCAL_TYPE, NOSTREAM, RoleModel, call, explain, resolve_model
from anabranch.agents.structured import structured_arguments
from anabranch.config import Price
from anabranch.errors import (
    ConfigurationError,
    EndpointError,
    MissingExtraError,
    ModelError,
    ModelUnavailableError,
)
from anabranch.plan import Usage
from tests.fakes import Reply, ScriptedChatModel

PROMPT = [SystemMessage("Be short."), HumanMessage("Q?")]
PRICE = Price(input=1, output=10)
FORMS = (
    "use local, local:FILE.gguf, local:ADAPTER, hf:HUB_ID, openai:MODEL, an address such as http://host:8000/v1, or "
    "PROVIDER:MODEL"
)


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


@pytest.mark.parametrize("small", [True, False])
def test_a_gguf_file_is_as_small_as_it_is(small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalScripted, "small", small, raising=False)
    assert resolve_model(LocalScripted()).small is small


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


def test_a_reply_that_does_not_count_is_estimated() -> None:
    usage = usage_of(AIMessage("a"), PRICE, PROMPT)
    assert usage.estimated
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0
    assert usage.usd == PRICE.of(usage)


async def test_a_failed_call_books_nothing() -> None:
    with booking(Ledger()) as ledger, pytest.raises(EndpointError):
        await call(RoleModel(scripted(ValueError("x"))), PROMPT, role="solver")
    assert ledger.by_role == {}


@pytest.mark.parametrize(("reading", "tags"), [("whole", {"anabranch:joiner"}), (None, {"anabranch:joiner", NOSTREAM})])
async def test_tags_tell_the_role_and_whether_to_stream(reading: Reading | None, tags: set[str]) -> None:
    seen: list[Any] = []

    def answer(messages: Any, config: Any) -> AIMessage:
        seen.append((messages, set(config["tags"])))
        return AIMessage("a")

    await call(RoleModel(scripted()), PROMPT, role="joiner", reading=reading, runnable=RunnableLambda(answer))
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
    assert text.startswith(f"the joiner model failed: {type(error).__name__}")
    assert ":  " not in text
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
