from typing import Any

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk

from anabranch.agents.answering import REASONING, WORKING, AnsweringModel, answering
from anabranch.agents.models import RoleModel, call
from tests.fakes import ScriptedChatModel

REPLY = "<think>Hm.</think>\n\n**Answer:** It is *42*."
PROMPT: list[BaseMessage] = []


def scripted(reply: str | AIMessage = REPLY, **options: Any) -> ScriptedChatModel:
    return ScriptedChatModel(script=lambda _: reply, **options)


@pytest.mark.parametrize("word_delay", [None, 0.0], ids=["whole", "streams"])
async def test_replies_are_the_answer_streamed_or_not(word_delay: float | None) -> None:
    model: Any = answering(scripted(word_delay=word_delay), "whole")
    whole = await model.ainvoke("Q?")
    chunks = [chunk async for chunk in model.astream("Q?")]
    assert whole.text == "It is *42*." == "".join(chunk.text for chunk in chunks)
    assert whole.additional_kwargs[REASONING] == "Hm."
    assert whole.usage_metadata == sum(chunks[1:], chunks[0]).usage_metadata


def test_replies_are_the_answer_without_a_loop_too() -> None:
    model: Any = answering(scripted(), "whole")
    chunks = list(model.stream("Q?"))
    assert model.invoke("Q?").text == "It is *42*." == "".join(chunk.text for chunk in chunks)


async def test_the_working_is_kept() -> None:
    for delay in (None, 0.0):
        model: Any = answering(scripted("So.\nFinal answer: 42", word_delay=delay), "marked")
        message = await model.ainvoke("Q?")
        assert (message.text, message.additional_kwargs[WORKING]) == ("42", "So.")


async def test_arguments_that_are_bound_reach_the_model() -> None:
    chat = scripted()
    await answering(chat.bind(max_tokens=3), "whole").ainvoke("Q?")
    assert chat.bound == [{"max_tokens": 3}]


@pytest.mark.parametrize("word_delay", [None, 0.0])
async def test_a_call_is_counted_once(word_delay: float | None) -> None:
    class Named(ScriptedChatModel):
        def _reply(self, *args: Any) -> Any:
            result = super()._reply(*args)
            result.generations[0].message.response_metadata = {"model_name": "m"}
            return result

        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk
            yield ChatGenerationChunk(message=AIMessageChunk(content="", response_metadata={"model_name": "m"}))

    model = RoleModel(Named(script=lambda _: REPLY, word_delay=word_delay))
    with get_usage_metadata_callback() as counted:
        message = await call(model, PROMPT, role="solver", reading="whole")
    assert message.usage_metadata
    assert counted.usage_metadata["m"]["output_tokens"] == message.usage_metadata["output_tokens"]


class Blocks(BaseChatModel):
    """Streams content blocks, as Anthropic's models do."""

    @property
    def _llm_type(self) -> str:
        return "blocks"

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def _astream(self, *args: Any, **kwargs: Any) -> Any:
        for block in (
            {"type": "thinking", "thinking": "hm", "index": 0},
            {"type": "text", "text": "Answer: ", "index": 1},
            {"type": "text", "text": "It is", "index": 1},
            {"type": "text", "text": " 42", "index": 1},
        ):
            yield ChatGenerationChunk(message=AIMessageChunk(content=[block]))


async def test_blocks_that_are_no_text_stay() -> None:
    chunks = [chunk async for chunk in answering(Blocks(), "whole").astream("Q?")]
    assert "".join(chunk.text for chunk in chunks) == "It is 42"
    whole = sum(chunks[1:], chunks[0])
    assert [block["type"] for block in whole.content] == ["thinking", "text"]
    assert whole.text == "It is 42"


async def test_a_swallowed_beginning_of_thoughts_is_learned() -> None:
    model = RoleModel(scripted("Hm.\n</think>\nIt is 42", word_delay=0.0))
    for _ in range(2):
        assert (await call(model, PROMPT, role="solver", reading="whole")).text == "It is 42"
    chunks = [c async for c in answering(model.chat, "whole", thinks=bool(model.habits)).astream("Q?")]
    assert "".join(chunk.text for chunk in chunks) == "It is 42"


def test_the_stand_in_has_the_settings_of_the_model() -> None:
    chat = scripted(tags=["a"], cache=False)
    model = AnsweringModel.over(chat, "whole")
    assert (model.tags, model.cache, model._llm_type) == (["a"], False, "scripted")
