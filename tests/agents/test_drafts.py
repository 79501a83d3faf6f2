"""Drafts, read while they are written."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler

from anabranch.agents.decomposer import JsonDecomposer, LineDecomposer, PlanRequest, decompose
from anabranch.agents.drafts import Reader, hearing_drafts
from anabranch.agents.models import RoleModel
from anabranch.agents.served import structured_outputs
from anabranch.codecs import encode_json, encode_lines
from anabranch.plan import Plan, SubQuestion
from anabranch.tools.catalogue import ToolCard
from tests.fakes import ScriptedChatModel
from tests.strategies import plans

LINES = "1 [search] Who founded it?\n2 [search] When was {1} born?\n3 [solve] So?"
REQUEST = PlanRequest("When?", [ToolCard(name="search", description="Looks facts up.")])


async def drafts(decomposer: Any) -> list[list[str]]:
    """The sub-questions of each draft as it grows."""
    heard: list[list[str]] = []

    def tell(written: Sequence[SubQuestion]) -> None:
        heard.append([question.text for question in written])

    with hearing_drafts(tell):
        await decompose(decomposer, REQUEST)
    return heard


GROWN = [
    ["Who founded it?"],
    ["Who founded it?", "When was {1} born?"],
    ["Who founded it?", "When was {1} born?", "So?"],
]


async def test_each_sub_question_is_told_when_its_line_is_written() -> None:
    assert await drafts(LineDecomposer(RoleModel(ScriptedChatModel(script=[LINES], word_delay=0.0)))) == GROWN


async def test_those_of_general_models_when_their_object_is() -> None:
    plan = encode_json(Plan(sub_questions=(SubQuestion(id=1, text="a?"), SubQuestion(id=2, text="b {1}?"))))
    heard = await drafts(JsonDecomposer(RoleModel(ScriptedChatModel(script=[plan], word_delay=0.0))))
    assert heard == [["a?"], ["a?", "b {1}?"]]


async def test_models_that_cannot_stream_tell_all_at_once() -> None:
    assert await drafts(LineDecomposer(RoleModel(ScriptedChatModel(script=[LINES])))) == GROWN[2:]


async def test_another_draft_begins_anew() -> None:
    script = ["1 [search] a?\n2 [nowhere] b?", "1 [search] c?"]
    heard = await drafts(LineDecomposer(RoleModel(ScriptedChatModel(script=script, word_delay=0.0))))
    assert heard == [["a?"], ["a?", "b?"], ["c?"]]


async def test_a_draft_that_is_put_right_goes_on() -> None:
    """Where a line fits no plan, the model is asked to go on with what is good of it (see `on_demand.py`)."""
    script = {"human": "1 [search] a?\n2 [nowhere] b?", "ai": "2 [search] b?"}
    model = ScriptedChatModel(script=lambda prompt: script["ai" if "\nai: " in prompt else "human"], word_delay=0.0)
    decomposer = LineDecomposer(RoleModel(model), constrain=structured_outputs, grammar="rest")
    heard = await drafts(decomposer)
    assert len(model.prompts) == 2
    assert heard == [["a?"], ["a?", "b?"], ["a?", "b?"]]


async def test_nobody_listens_and_nothing_is_streamed() -> None:
    model = ScriptedChatModel(script=[LINES], word_delay=60.0)
    await decompose(LineDecomposer(RoleModel(model)), REQUEST)


class Ends(BaseCallbackHandler):
    """Counts the calls that it hears of."""

    count = 0

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        self.count += 1


@pytest.mark.parametrize("own", [list, AsyncCallbackManager])
async def test_the_callbacks_of_a_model_are_called_too(own: Any) -> None:
    ends = Ends()
    model = ScriptedChatModel(script=[LINES], word_delay=0.0, callbacks=own([ends]))
    assert await drafts(LineDecomposer(RoleModel(model))) == GROWN
    assert ends.count == 1
    assert len(model.callbacks if isinstance(model.callbacks, list) else model.callbacks.handlers) == 1  # type: ignore[union-attr]


@given(plans(), st.lists(st.integers(1, 9), min_size=1, max_size=8), st.booleans())
def test_the_reader_finds_every_sub_question(plan: Plan, cuts: list[int], as_json: bool) -> None:
    text = encode_json(plan) if as_json else encode_lines(plan)
    reader, found, place, turn = Reader(), [], 0, 0
    while place < len(text):
        size = cuts[turn % len(cuts)]
        found += reader.take(text[place : place + size])
        place, turn = place + size, turn + 1
    found += reader.end(text)
    assert tuple(found) == plan.sub_questions


@given(st.text(max_size=200), st.text(max_size=200))
def test_the_reader_survives_anything(begun: str, more: str) -> None:
    reader = Reader()
    for text in (begun, more):
        reader.take(text)
    reader.end(begun + more)
