import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel, Field

from anabranch.agents.decomposer import JsonDecomposer, LineDecomposer, PlanRequest, local_decomposer
from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.local import LocalChatModel
from anabranch.agents.models import call, resolve_model
from anabranch.agents.resolve import resolve_decomposer
from anabranch.codecs import LineGrammar, decode_lines
from anabranch.config import Budget, Price
from anabranch.errors import CallTimeoutError, ConfigurationError, ModelError, ModelUnavailableError
from anabranch.tools import Catalogue, calculator
from tests.agents.local.test_merging import write_adapter
from tests.agents.local.tiny import write_tiny

MESSAGES = [SystemMessage("Answer in one word."), HumanMessage("What is the capital of France?")]


class Person(BaseModel):
    name: str = Field(max_length=12)
    age: int = Field(ge=0, le=99)


@pytest.fixture(scope="module")
def model(folder: Path) -> LocalChatModel:
    return LocalChatModel(model=str(folder), max_tokens=24)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf", context=2048)


@pytest.fixture
def chat(file: Path) -> LocalChatModel:
    return LocalChatModel(model=str(file), max_tokens=24)


def test_building_one_loads_nothing() -> None:
    assert LocalChatModel(model="no/such-model").profile == {
        "text_inputs": True,
        "text_outputs": True,
        "tool_calling": False,
        "tool_choice": False,
    }


def test_unknown_options_are_named() -> None:
    with pytest.raises(ConfigurationError, match="does not know logprobs, top_k; it takes pattern"):
        LocalChatModel(model="no/such-model").invoke("hi", top_k=3, logprobs=True)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (HumanMessage([{"type": "image_url", "image_url": "x"}]), "reads text only"),
        (ToolMessage("4", tool_call_id="1").model_copy(update={"type": "function"}), "no function messages"),
    ],
)
def test_messages_it_cannot_read(message: HumanMessage | ToolMessage, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        LocalChatModel(model="no/such-model").invoke([message])


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="not a transformers model folder"):
        LocalChatModel(model=str(tmp_path)).invoke("hi")


class TestWithAFile:
    """llama.cpp, over a tiny random model."""

    def test_it_is_named_by_its_file(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        named = resolve_model(f"local:{file}", role="decomposer")
        assert isinstance(named.chat, LocalChatModel)
        assert named.small
        assert named.price == Price(input=0, output=0)
        monkeypatch.setattr("anabranch.agents.local.chat.SMALL_BELOW", 1000)
        assert not resolve_model(f"local:{file}").small
        with pytest.raises(ModelUnavailableError, match="check the name and the file"):
            resolve_model(f"local:{file.parent}/other.gguf")

    def test_one_that_wears_an_adapter_plans_line_by_line(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base-1.5B"}')
        monkeypatch.setattr("anabranch.agents.local.chat.SMALL_BELOW", 1000)
        assert isinstance(resolve_decomposer(f"local:{file}"), JsonDecomposer)
        decomposer = resolve_decomposer(f"local:{file}+{tmp_path}")
        assert isinstance(decomposer, LineDecomposer)
        assert decomposer.distilled
        assert not decomposer.weak
        named = resolve_model(f"local:{tmp_path}", role="decomposer").chat
        assert isinstance(named, LocalChatModel)
        assert (named.model, named.adapter) == ("some/base-1.5B", tmp_path)

    async def test_it_writes_plans(self, chat: LocalChatModel) -> None:
        decomposer = local_decomposer(resolve_model(chat))
        request = PlanRequest("Who was first?", Catalogue([calculator()]).cards)
        decomposer.read(await decomposer.write(request), request)

    def test_invoke_reports_usage_and_why_it_ended(self, chat: LocalChatModel, file: Path) -> None:
        message = chat.invoke(MESSAGES, max_tokens=3, pattern="[a-z]{9}")
        assert (message.response_metadata["finish_reason"], message.response_metadata["model_name"]) == (
            "length",
            str(file),
        )
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_tokens"] == len(message.text) == 3
        assert message.usage_metadata["total_tokens"] == message.usage_metadata["input_tokens"] + 3

    async def test_streams_are_the_text(self, chat: LocalChatModel) -> None:
        bound = chat.bind(pattern="[a-z]{9}")
        whole = bound.invoke(MESSAGES).text
        assert [chunk.text for chunk in bound.stream(MESSAGES)] == [*whole, ""]
        assert [chunk.text async for chunk in bound.astream(MESSAGES)] == [*whole, ""]
        assert (await bound.ainvoke(MESSAGES)).text == whole

    async def test_cancelling_the_task_stops_the_model(self, chat: LocalChatModel) -> None:
        task = asyncio.create_task(chat.ainvoke(MESSAGES, max_tokens=1900, pattern="([a-z]{1,9} ){1000}"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(10):
            await chat.ainvoke(MESSAGES, max_tokens=1)

    async def test_a_call_has_a_time(self, chat: LocalChatModel) -> None:
        runnable = chat.bind(max_tokens=1900, pattern="([a-z]{1,9} ){1000}")
        with (
            booking(Ledger(budget=Budget(call_timeout=0.02))),
            pytest.raises(CallTimeoutError, match=r"within 0\.02 s"),
        ):
            await call(resolve_model(chat), MESSAGES, role="solver", runnable=runnable)

    def test_structured_output(self, chat: LocalChatModel) -> None:
        person = chat.with_structured_output(Person, max_tokens=200).invoke("Invent a person.")
        assert isinstance(person, Person)

    def test_instances_share_one_engine(self, chat: LocalChatModel, file: Path) -> None:
        other = LocalChatModel(model=str(file), temperature=0.5)
        other.warm_up([SystemMessage("Answer in one word.")])
        assert other._engine() is chat._engine()

    def test_it_wears_an_adapter(
        self, chat: LocalChatModel, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ANABRANCH_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("ANABRANCH_LOCAL_ADAPTER", str(write_adapter(tmp_path / "adapter")))
        told: list[str] = []
        dressed = resolve_model(f"local:{file}", role="decomposer", progress=told.append).chat
        texts = [model.bind(pattern="[a-z]{24}").invoke(MESSAGES).text for model in (chat, dressed)]
        assert texts[0] != texts[1]
        assert told == ["merging adapter into tiny.gguf (once) ..."]


@pytest.mark.model
class TestWithTheModel:
    def test_invoke_reports_usage_and_why_it_ended(self, model: LocalChatModel, folder: Path) -> None:
        message = model.invoke(MESSAGES, max_tokens=3)
        assert isinstance(message, AIMessage)
        assert message.response_metadata["finish_reason"] == "length"
        assert message.response_metadata["model_name"] == str(folder)
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_tokens"] == 3
        assert message.usage_metadata["total_tokens"] == message.usage_metadata["input_tokens"] + 3

    def test_bound_options_hold(self, model: LocalChatModel) -> None:
        bound = model.bind(pattern=LineGrammar(["search"], 2, max_words=3).pattern, max_tokens=100)
        decode_lines(bound.invoke(MESSAGES).text)
        assert model.bind(pattern="Par(is|ma)", stop=["is"]).invoke(MESSAGES).text in ("Par", "Parma")

    def test_roles_and_blocks_of_text(self, model: LocalChatModel) -> None:
        plain = model.invoke([SystemMessage("s"), HumanMessage("one"), AIMessage("two"), HumanMessage("three")])
        blocks: list[str | dict[Any, Any]] = [{"type": "text", "text": "one"}]
        other = model.invoke(
            [ChatMessage(content="s", role="system"), HumanMessage(blocks), AIMessage("two"), HumanMessage("three")]
        )
        assert other.text == plain.text

    def test_streams_are_the_text(self, model: LocalChatModel) -> None:
        whole = model.invoke(MESSAGES)
        chunks = list(model.stream(MESSAGES))
        joined = chunks[0]
        for chunk in chunks[1:]:
            joined += chunk
        assert joined.text == whole.text
        assert joined.usage_metadata is not None
        assert whole.usage_metadata is not None
        assert joined.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"]
        assert joined.response_metadata["finish_reason"] == whole.response_metadata["finish_reason"]

    async def test_async_streams_are_the_text(self, model: LocalChatModel) -> None:
        pieces = [chunk.text async for chunk in model.astream(MESSAGES)]
        assert "".join(pieces) == (await model.ainvoke(MESSAGES)).text
        assert len(pieces) > 1

    def test_errors_come_through_a_stream(self, model: LocalChatModel) -> None:
        with pytest.raises(ConfigurationError, match="grammar"):
            list(model.stream(MESSAGES, pattern="("))

    async def test_errors_come_through_an_async_stream(self, model: LocalChatModel) -> None:
        with pytest.raises(ConfigurationError, match="grammar"):
            async for _ in model.astream(MESSAGES, pattern="("):
                pass

    def test_a_stream_left_early_stops_the_model(self, model: LocalChatModel) -> None:
        stream = model.stream(MESSAGES, max_tokens=4000, pattern="([a-z]{1,9} ){4000}")
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert model.invoke(MESSAGES, max_tokens=2).text

    async def test_four_callers_at_once(self, model: LocalChatModel) -> None:
        questions = [f"What is {number} + {number}?" for number in range(4)]
        expected = [model.invoke(question).text for question in questions]
        found = await asyncio.gather(*(model.ainvoke(question) for question in questions))
        assert [message.text for message in found] == expected

    async def test_cancelling_the_task_stops_the_model(self, model: LocalChatModel) -> None:
        await model.ainvoke(MESSAGES, max_tokens=1)
        task = asyncio.create_task(model.ainvoke(MESSAGES, max_tokens=8000, pattern="([a-z]{1,9} ){4000}"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(20):
            await model.ainvoke(MESSAGES, max_tokens=1)

    def test_structured_output(self, model: LocalChatModel) -> None:
        person = model.with_structured_output(Person, max_tokens=80).invoke("Invent a person.")
        assert isinstance(person, Person)
        data = model.with_structured_output(Person.model_json_schema(), max_tokens=80).invoke("Invent a person.")
        assert data == person.model_dump()

    def test_structured_output_with_the_raw_message(self, model: LocalChatModel) -> None:
        found = model.with_structured_output(Person, include_raw=True, max_tokens=80).invoke("Invent a person.")
        assert isinstance(found, dict)
        assert json.loads(found["raw"].text) == found["parsed"].model_dump()
        assert found["parsing_error"] is None

    def test_structured_output_that_was_cut_off(self, model: LocalChatModel) -> None:
        with pytest.raises(ModelError, match="raise max_tokens"):
            model.with_structured_output(Person, max_tokens=3).invoke("Invent a person.")
        found = model.with_structured_output(Person, include_raw=True, max_tokens=3).invoke("Invent a person.")
        assert isinstance(found, dict)
        assert isinstance(found["parsing_error"], ModelError)
        assert found["parsed"] is None

    def test_instances_share_one_engine(self, model: LocalChatModel, folder: Path) -> None:
        other = LocalChatModel(model=f"{folder}/", temperature=0.5)
        other.warm_up([SystemMessage("Answer in one word.")])
        assert other._engine() is model._engine()
