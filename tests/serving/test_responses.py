"""OpenAI's Responses API, through the clients that people use."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel, SecretStr

from anabranch.serving.door import DoorRules
from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, plan_json, reader, search
from tests.serving import live
from tests.serving.conftest import Serve
from tests.serving.test_client_tools import PLAN, QUESTION, WEATHER, solver

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

DIRECT = json.dumps({"sub_questions": []})
EXTRA = {"anabranch": {"include_plan": True}}
TOOL: Any = {"type": "function", **WEATHER["function"], "strict": False}
MODEL = "anabranch"


class Founder(BaseModel):
    name: str
    year: int


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def echo(prompt: str) -> Reply:
    """An answer that shows what was said before."""
    return " / ".join(line for line in prompt.splitlines() if line.startswith(("human:", "ai:")))


def test_text_in_text_out(serve: Serve) -> None:
    client = client_of(serve())
    reply = client.responses.create(model=MODEL, input=live.QUESTION, instructions="Be brief.", metadata={"a": "b"})
    assert (reply.output_text, reply.status) == (live.ANSWER, "completed")
    assert (reply.error, reply.incomplete_details) == (None, None)
    assert (reply.instructions, reply.metadata) == ("Be brief.", {"a": "b"})
    chat = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": live.QUESTION}],
    )
    assert reply.usage
    assert chat.usage
    assert reply.usage.total_tokens == chat.usage.total_tokens > 100
    assert client.responses.retrieve(reply.id).output_text == live.ANSWER
    client.responses.delete(reply.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(reply.id)


def test_a_conversation_of_items(serve: Serve) -> None:
    client = client_of(serve(live.parts(DIRECT, echo)))
    said: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Who founded Craigslist?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Craig Newmark.", "annotations": []}],
        },
        {"role": "user", "content": "What is the capital of France?"},
    ]
    reply = client.responses.create(model=MODEL, input=said)
    for part in ("Who founded Craigslist?", "ai: Craig Newmark.", "What is the capital of France?"):
        assert part in reply.output_text


EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def test_the_events_of_a_stream_come_in_order(serve: Serve) -> None:
    solver = ScriptedChatModel(script=lambda _: "one two three", word_delay=0.001)
    client = client_of(serve(live.parts(DIRECT, solver)))
    events: list[Any] = list(client.responses.create(model=MODEL, input="Count to three.", stream=True))
    assert list(dict.fromkeys(event.type for event in events)) == EVENTS
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == "one two three" == events[-1].response.output_text
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {events[-1].response.output[0].id}
    assert events[-1].response.usage.output_tokens > 0
    again = client.responses.retrieve(events[0].response.id)
    assert again.output_text == "one two three"


@pytest.mark.parametrize("stream", [False, True])
def test_the_client_runs_its_tools(serve: Serve, stream: bool) -> None:
    client = client_of(serve(live.parts(PLAN, solver, [search])))

    def ask(**asked: Any) -> Any:
        if not stream:
            return client.responses.create(model=MODEL, tools=[TOOL], **asked)
        events: list[Any] = list(client.responses.create(model=MODEL, tools=[TOOL], stream=True, **asked))
        items = [event.item for event in events if event.type == "response.output_item.done"]
        assert [item.id for item in items] == [item.id for item in events[-1].response.output]
        for item in items:
            if item.type == "function_call":
                assert item.arguments in [e.delta for e in events if e.type.endswith("arguments.delta")]
        return events[-1].response

    def results(reply: Any) -> Any:
        calls = [item for item in reply.output if isinstance(item, ResponseFunctionToolCall)]
        return [{"type": "function_call_output", "call_id": c.call_id, "output": "20 degrees"} for c in calls]

    first = ask(input=QUESTION)
    assert [json.loads(item.arguments) for item in first.output] == [{"city": "Paris"}, {"city": "Rome"}]
    second = ask(input=results(first), previous_response_id=first.id)
    assert [json.loads(item.arguments)["city"] for item in second.output] == ["city after 20 degrees and 20 degrees"]
    third = ask(input=results(second), previous_response_id=second.id)
    assert "JOINED" in third.output_text
    # The same without anything that is kept but the plan: all items are sent back, calls and results in turn.
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    reply = ask(input=items, store=False)
    for _ in range(2):
        for call, output in zip(reply.output, results(reply), strict=True):
            items += [call.model_dump(), output]
        reply = ask(input=items, store=False)
    assert reply.output_text == third.output_text


def test_items_are_referred_to_by_their_ids(serve: Serve) -> None:
    client = client_of(serve(live.parts(PLAN, solver, [search])))
    reply: Any = client.responses.create(model=MODEL, input=QUESTION, tools=[TOOL])
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    items += [{"type": "item_reference", "id": call.id} for call in reply.output]
    ids = [call.call_id for call in reply.output]
    items += [{"type": "function_call_output", "call_id": id_, "output": "20 degrees"} for id_ in ids]
    second: Any = client.responses.create(model=MODEL, input=items, tools=[TOOL])
    assert json.loads(second.output[0].arguments) == {"city": "city after 20 degrees and 20 degrees"}
    with pytest.raises(openai.BadRequestError, match="the item 'msg_x' is not known here"):
        client.responses.create(model=MODEL, input=[{"type": "item_reference", "id": "msg_x"}])


def test_a_response_goes_on_from_another_in_another_process(serve: Serve, tmp_path: Path) -> None:
    file = str(tmp_path / "threads.sqlite")
    one, two = (client_of(serve(live.parts(DIRECT, echo), threads=file)) for _ in range(2))
    first = one.responses.create(model=MODEL, input="What is the capital of France?", instructions="SAY IT LOUD.")
    second = two.responses.create(
        model=MODEL, input="What is the capital of Spain?", previous_response_id=first.id, store=False
    )
    assert "capital of France" in second.output_text
    for unknown in (second.id, "resp_x", "x"):
        with pytest.raises(openai.BadRequestError) as refused:
            two.responses.create(model=MODEL, input="And?", previous_response_id=unknown)
        assert refused.value.code == "previous_response_not_found"


def test_answers_as_json(serve: Serve) -> None:
    good = '{"name": "Craig Newmark", "year": 1952}'
    chat = ScriptedChatModel(script=lambda prompt: good if "this JSON schema" in prompt else reader(prompt))
    client = client_of(serve(live.parts(CRAIGSLIST, chat)))
    reply = client.responses.parse(model=MODEL, input=live.QUESTION, text_format=Founder)
    assert reply.output_parsed == Founder(name="Craig Newmark", year=1952)
    with client.responses.stream(model=MODEL, input=live.QUESTION, text_format=Founder) as stream:
        stream.until_done()
        assert stream.get_final_response().output_parsed == Founder(name="Craig Newmark", year=1952)


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_told_apart(serve: Serve, stream: bool) -> None:
    plan = plan_json(("search", "Who founded Atlantis?", []))
    client = client_of(serve(live.parts(plan, reader, max_replans=0)))
    asked: Any = {"model": MODEL, "input": live.QUESTION, "text": {"format": {"type": "json_object"}}}
    if stream:
        events: list[Any] = list(client.responses.create(**asked, stream=True))
        kinds = [event.type for event in events]
        assert "response.refusal.done" in kinds
        assert "response.output_text.done" not in kinds
        reply = events[-1].response
    else:
        reply = client.responses.create(**asked)
    assert [part.to_dict() for part in reply.output[0].content] == [
        {"type": "refusal", "refusal": "No answer was found."}
    ]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (AIMessage("One, two", response_metadata={"finish_reason": "length"}), "max_output_tokens"),
        (AIMessage("", additional_kwargs={"refusal": "No."}), "content_filter"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_it_is_told_how_the_answer_ended(serve: Serve, message: AIMessage, reason: str, stream: bool) -> None:
    client = client_of(serve(live.parts(DIRECT, ScriptedChatModel(script=lambda _: message.model_copy()))))
    if stream:
        events: list[Any] = list(client.responses.create(model=MODEL, input="Count.", stream=True))
        assert events[-1].type == "response.incomplete"
        reply = events[-1].response
    else:
        reply = client.responses.create(model=MODEL, input="Count.", max_output_tokens=9)
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", reason)
    assert reply.output_text in ("One, two", "No.")


def test_an_error_on_the_way_is_an_event(serve: Serve) -> None:
    def script(prompt: str) -> Reply:
        return ValueError("away") if "Sub-questions and their answers:" in prompt else reader(prompt)

    url = serve(live.parts(CRAIGSLIST, script))
    body = {"model": MODEL, "input": live.QUESTION, "stream": True, "anabranch": {"include_plan": True}}
    events = [
        json.loads(line.removeprefix("data: "))
        for line in httpx.post(f"{url}/v1/responses", json=body).text.splitlines()
        if line.startswith("data: ")
    ]
    assert [event["type"] for event in events][-2:] == ["error", "response.failed"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"]["error"]["message"].startswith("the joiner model failed")
    with pytest.raises(openai.APIError, match="the joiner model failed"):
        list(client_of(url).responses.create(model=MODEL, input=live.QUESTION, stream=True, extra_body=EXTRA))


def test_the_plan_is_shown_where_it_is_asked_for(serve: Serve) -> None:
    client = client_of(serve())
    reply: Any = client.responses.create(model=MODEL, input=live.QUESTION, extra_body=EXTRA)
    assert reply.anabranch["status"] == "answered"
    events: list[Any] = list(client.responses.create(model=MODEL, input=live.QUESTION, extra_body=EXTRA, stream=True))
    assert "anabranch.plan" in [event.type for event in events]


def test_a_path_tells_all_its_methods(serve: Serve) -> None:
    reply = httpx.options(f"{serve()}/v1/responses/resp_x")
    assert (reply.status_code, reply.headers["Allow"]) == (405, "DELETE, GET")


def test_a_key_is_wanted_as_for_all_else(serve: Serve) -> None:
    url = serve(rules=DoorRules(keys=("sesame",)))
    with pytest.raises(openai.AuthenticationError):
        client_of(url).responses.create(model=MODEL, input=live.QUESTION)
    with pytest.raises(openai.AuthenticationError):
        client_of(url).responses.retrieve("resp_x")


def test_langchain(serve: Serve) -> None:
    url = serve(live.parts(PLAN, solver, [search]))
    chat = ChatOpenAI(
        model=MODEL, base_url=f"{url}/v1", api_key=SecretStr("none"), use_responses_api=True, max_retries=0
    )
    messages: list[Any] = [HumanMessage(QUESTION)]
    asking = chat.bind_tools([WEATHER])
    for _ in range(2):
        reply = asking.invoke(messages)
        assert reply.tool_calls
        messages += [reply, *(ToolMessage("20 degrees", tool_call_id=call["id"]) for call in reply.tool_calls)]
    text = str(asking.invoke(messages).text)
    assert "JOINED" in text
    going_on = chat.model_copy(update={"use_previous_response_id": True}).bind_tools([WEATHER])
    assert str(going_on.invoke(messages).text) == text
    assert "".join(str(chunk.text) for chunk in asking.stream(messages)) == text


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "no input": ({"input": None}, 400, "input"),
    "an empty list": ({"input": []}, 400, "input"),
    "another tool": ({"tools": [{"type": "web_search"}]}, 400, "tools.0"),
    "another item": ({"input": [{"type": "computer_call"}]}, 400, "input"),
    "background work": ({"background": True}, 400, "background"),
    "a conversation of OpenAI's": ({"conversation": "conv_1"}, 400, "conversation"),
    "a broken schema": (
        {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "x"}}}},
        400,
        "no valid JSON schema",
    ),
    "another model": ({"model": "gpt-9"}, 404, "there is no model"),
    "nothing asked": ({"input": [{"role": "assistant", "content": "Hi"}]}, 400, "the last message must be"),
    "a choice of what is not there": ({"tool_choice": {"type": "function", "name": "a"}}, 400, "not among the tools"),
    "a result of nothing": (
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        400,
        "the last message must be",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests(serve: Serve, name: str) -> None:
    changes, status, told = BAD[name]
    reply = httpx.post(f"{serve()}/v1/responses", json={"model": MODEL, "input": "Why?"} | changes)
    assert (reply.status_code, told in reply.text) == (status, True), reply.text
