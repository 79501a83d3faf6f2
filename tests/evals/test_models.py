"""The wrapper around models: kept replies, batches, and what the planner learns of the model inside."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import Field

from anabranch.agents.decomposer import JsonDecomposer, LineDecomposer
from anabranch.agents.structured import structured_arguments
from anabranch.batch.kept import Call, KeptChatModel, noting
from anabranch.batch.store import ReplyStore, key_of
from anabranch.config import Price
from anabranch.errors import ConfigurationError, MissingReplyError
from anabranch.evals.models import Models, ModelSpec, served_name
from anabranch.tools import calculator
from tests.fakes import ScriptedChatModel


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = ReplyStore(tmp_path / "cache.sqlite")
    yield made
    made.close()


def kept(inner: ScriptedChatModel, store: ReplyStore, **more: Any) -> KeptChatModel:
    return KeptChatModel(inner=inner, served="m", role="solver", store=store, defaults={"max_tokens": 9}, **more)


async def test_a_reply_is_asked_for_once(store: ReplyStore) -> None:
    inner = ScriptedChatModel(script=["one", "two"])
    model, calls = kept(inner, store), list[Call]()
    with noting(calls):
        first = await model.ainvoke([HumanMessage("q")])
        second = await model.ainvoke([HumanMessage("q")])
        other = await model.ainvoke([HumanMessage("q")], max_tokens=3)
    assert [first.text, second.text, other.text] == ["one", "one", "two"]
    assert inner.bound == [{"max_tokens": 9}, {"max_tokens": 3}]
    assert [call.kept for call in calls] == [False, True, False]
    assert all((call.input_tokens, call.output_tokens) == (2, 1) for call in calls)
    assert first.usage_metadata == second.usage_metadata


async def test_tools_reach_the_model_and_their_calls_come_back(store: ReplyStore) -> None:
    asked = AIMessage("", tool_calls=[{"name": "calculator", "args": {"expression": "1 + 1"}, "id": "1"}])
    inner = ScriptedChatModel(script=[asked])
    model = kept(inner, store).bind_tools([calculator()])
    for _ in range(2):
        reply = await model.ainvoke([HumanMessage("q")])
        assert isinstance(reply, AIMessage)
        assert reply.tool_calls == asked.tool_calls
    assert inner.bound[0]["tools"][0]["function"]["name"] == "calculator"


NAMED = {"type": "function", "function": {"name": "calculator"}}


@pytest.mark.parametrize(
    ("given", "sent"), [("any", "required"), ("calculator", NAMED), (NAMED, NAMED), ("none", "none"), (None, None)]
)
async def test_the_choice_of_a_tool_is_sent_in_the_form_of_servers(store: ReplyStore, given: Any, sent: Any) -> None:
    inner = ScriptedChatModel(script=["one"])
    await kept(inner, store).bind_tools([calculator()], tool_choice=given).ainvoke([HumanMessage("q")])
    assert inner.bound[0].get("tool_choice") == sent


async def test_a_model_in_batches_notes_what_it_lacks(store: ReplyStore) -> None:
    models = Models(store, max_tokens=64)
    model = models.open(ModelSpec.of("batch:qwen"), "solver", Price(input=1, output=2))
    with pytest.raises(MissingReplyError, match=r"qwen has no reply"):
        await model.chat.ainvoke([HumanMessage("q")])
    (key,) = store.wanted
    body = {"model": "qwen", "messages": [{"role": "user", "content": "q"}], "temperature": 0, "max_tokens": 64}
    assert store.wanted[key] == body
    assert key == key_of(body)
    store.keep(key, body, AIMessage("a"), None)
    assert (await model.chat.ainvoke([HumanMessage("q")])).text == "a"
    assert (served_name(model), model.price, model.small) == ("qwen", Price(input=1, output=2), False)


def test_the_planner_sees_the_model_inside(store: ReplyStore) -> None:
    class OnAServer(ScriptedChatModel):
        openai_api_base: str | None = None
        adapter: str | None = None
        served_as: str = Field(default="x")

    batch = Models(store).open(ModelSpec.of("batch:qwen"), "solver").chat
    assert "response_format" in structured_arguments(batch, {"title": "t"})
    plain = kept(ScriptedChatModel(script=[]), store)
    assert structured_arguments(plain, {"title": "t"}) == {}
    assert plain._llm_type == "scripted"


@pytest.mark.parametrize(
    ("spec", "kind", "examples"),
    [
        ("batch:qwen", JsonDecomposer, None),
        ("lines:batch:qwen", LineDecomposer, False),
        ("examples:batch:qwen", LineDecomposer, True),
        ("batch:decomposer-135m", LineDecomposer, False),
        ("lines:http://127.0.0.1:9/v1#student", LineDecomposer, False),
    ],
)
async def test_decomposers_write_as_their_spec_says(
    store: ReplyStore, spec: str, kind: type[Any], examples: bool | None
) -> None:
    found = Models(store).open_decomposer(ModelSpec.of(spec))
    assert isinstance(found, kind)
    if isinstance(found, LineDecomposer):
        assert found.examples is examples
        assert found.constrain is not None
        assert found.constrain("a|b", "") == {"extra_body": {"structured_outputs": {"regex": "a|b"}}}
        each_call_is_a_batch = spec.startswith(("batch:", "lines:batch:"))
        assert found.grammar == ("always" if examples else "rest" if each_call_is_a_batch else "on_demand")


def test_specs() -> None:
    assert ModelSpec.of("S_E-T=lines:http://h:1/v1#m") == ModelSpec("S_E-T", "http://h:1/v1#m", "lines")
    assert ModelSpec.of("batch:a/b") == ModelSpec("a/b", "batch:a/b", "")
    assert ModelSpec.of("http://h/v1?a=b").name == "http://h/v1?a=b"
    assert ModelSpec.of("local").label == "local"
    assert ModelSpec.of("lines:http://me:secret@h/v1#m").label == "http://h/v1#m"
    for bad in ("", "batch:", "lines:", "x="):
        with pytest.raises(ConfigurationError, match=r"has no name|unknown"):
            Models(None, 1).open(ModelSpec.of(bad), "solver")  # type: ignore[arg-type]


def test_a_served_solver_may_be_small(store: ReplyStore) -> None:
    models, spec = Models(store), ModelSpec.of("tiny=small:batch:s135")
    assert (spec.label, spec.name, spec.writer) == ("tiny", "batch:s135", "small")
    assert ModelSpec.of("small:batch:s135").label == "s135"
    assert models.open(spec, "solver").small
    assert not models.open(ModelSpec.of("batch:s135"), "solver").small
    with pytest.raises(ConfigurationError, match="small: is for solvers"):
        models.open(spec, "decomposer")
