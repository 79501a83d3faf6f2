"""The AG-UI route: each event is checked against the models of the protocol."""

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from ag_ui.core import EventType
from langchain_core.tools import tool

from anabranch.serving.agui.events import MAX_RESULT_CHARS
from anabranch.serving.door import DoorRules
from anabranch.serving.options import Limits
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import plan_json, reader
from tests.serving import live
from tests.serving.agui.client import URL, Client, error, interrupts, kinds, of_type, text
from tests.serving.conftest import Serve
from tests.serving.page.client import Client as Page

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
WEATHER = {
    "name": "weather",
    "description": "Tells the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def test_a_run_is_told_as_it_goes(serve: Serve) -> None:
    client = Client(serve(live.parts(solver=ScriptedChatModel(script=reader, word_delay=0.0))))
    events = client.ask(live.QUESTION)
    assert kinds(events)[0] == "RUN_STARTED"
    steps = [event.step_name for event in of_type(events, EventType.STEP_STARTED)]
    assert steps == ["1. Who founded Craigslist?", "2. When was Craig Newmark born?"]
    assert [event.tool_call_name for event in of_type(events, EventType.TOOL_CALL_START)] == ["search", "search"]
    results = [event.content for event in of_type(events, EventType.TOOL_CALL_RESULT)]
    assert results == ["Craigslist was founded by Craig Newmark.", "Craig Newmark was born in 1952."]
    assert text(events) == live.ANSWER
    assert client.messages[-1]["content"] == live.ANSWER
    assert client.state["status"] == "answered"
    assert [todo["status"] for todo in client.state["todos"]] == ["completed", "completed"]
    assert {id_: answer["text"] for id_, answer in client.state["answers"].items()} == {
        "1": "Craig Newmark",
        "2": "1952",
    }
    assert [source["text"] for source in client.state["sources"]] == results
    assert "evidence" not in json.dumps(client.state)
    end = events[-1]
    assert (end.thread_id, end.outcome.type, end.result) == (client.thread, "success", {"status": "answered"})
    assert end.usage[0].total_tokens == end.usage[0].input_tokens + end.usage[0].output_tokens > 0


def answers(client: Client) -> dict[str, str]:
    """The answers to sub-questions, by their ids."""
    return {id_: answer["text"] for id_, answer in client.state["answers"].items()}


def test_thoughts_are_no_part_of_the_answer(serve: Serve) -> None:
    said = "<think>What would she like to hear?</think>Answer: It is a fine day, and it will stay so until the evening."
    model = ScriptedChatModel(script=live.always(said), word_delay=0.0)
    client = Client(serve(live.parts(live.always(plan_json()), model)))
    events = client.ask("How is the day?")
    assert text(events) == "It is a fine day, and it will stay so until the evening."
    assert len(of_type(events, EventType.TEXT_MESSAGE_CONTENT)) > 3
    assert "like to hear" not in str(events)


def test_a_conversation_goes_on_as_the_client_has_it(serve: Serve) -> None:
    model = ScriptedChatModel(script=live.always("Answer: yes"))
    client = Client(serve(live.parts(live.always(plan_json()), model)))
    client.messages.append({"id": "s", "role": "system", "content": "You are terse."})
    client.ask("Is the first one green?")
    client.ask("Is the second one red?")
    assert [each["content"] for each in client.messages[1:]] == [
        "Is the first one green?",
        "yes",
        "Is the second one red?",
        "yes",
    ]
    assert "first one green" in model.prompts[-1]
    assert "You are terse." in model.prompts[-1]

    # The second question is edited: what the client does not send any more is gone.
    del client.messages[3:]
    client.ask("Is the third one blue?", context=[{"description": "Who asks", "value": "a painter"}])
    assert "first one green" in model.prompts[-1]
    assert "second one red" not in model.prompts[-1]
    assert "Who asks: a painter" in model.prompts[-1]

    # A client that sends its question alone goes on with what the server has.
    alone = Client(str(client.http.base_url), client.thread)
    alone.ask("Is the fourth one pink?")
    assert "third one blue" in model.prompts[-1]

    reloaded = Client(str(client.http.base_url), client.thread)
    events = reloaded.run()
    assert kinds(events) == ["RUN_STARTED", "STATE_SNAPSHOT", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert [each["content"] for each in reloaded.messages][-2:] == ["Is the fourth one pink?", "yes"]
    assert reloaded.state["status"] == "answered"


def test_a_thread_is_the_one_of_the_page_and_outlives_the_process(serve: Serve, tmp_path: Path) -> None:
    file = str(tmp_path / "threads.sqlite")
    client = Client(serve(threads=file))
    client.ask(live.QUESTION)
    url = serve(threads=file)
    page = Page(url)
    page.http.headers["Anabranch-Thread"] = client.thread
    (turn,) = page.show()["turns"]
    assert (turn["asked"], turn["answer"]) == (live.QUESTION, live.ANSWER)
    later = Client(url, client.thread)
    later.run()
    assert [each["content"] for each in later.messages] == [live.QUESTION, live.ANSWER]


def weather_parts() -> Any:
    plan = plan_json(("search", "Who founded Craigslist?", []), ("weather", "What is the weather in Paris?", []))

    def solver(prompt: str) -> str:
        if "JSON schema of the arguments" in prompt:
            return '{"city": "Paris"}'
        if "Sub-questions and their answers:" in prompt:
            return "Answer: Craig Newmark, in the sun" if "sunny" in prompt else "Answer: it is not known"
        return "sunny" if "sunny" in prompt else str(reader(prompt))

    return live.parts(plan, solver)


def test_a_tool_of_the_client_is_called(serve: Serve) -> None:
    url = serve(weather_parts())
    client = Client(url)
    question = "Who founded Craigslist, and what is the weather in Paris?"
    events = client.ask(question, tools=[WEATHER])
    calls = {event.tool_call_name: event.tool_call_id for event in of_type(events, EventType.TOOL_CALL_START)}
    assert events[-1].outcome.pending_tool_call_ids == [calls["weather"]]
    assert [event.tool_call_id for event in of_type(events, EventType.TOOL_CALL_RESULT)] == [calls["search"]]
    (said,) = [each for each in client.messages if each["id"] == calls["weather"]]
    assert json.loads(said["toolCalls"][0]["function"]["arguments"]) == {"city": "Paris"}

    client.answer(calls["weather"], "It is sunny.")
    events = client.run(tools=[WEATHER])
    assert text(events) == "Craig Newmark, in the sun"
    assert not of_type(events, EventType.TOOL_CALL_START)
    assert not of_type(events, EventType.TOOL_CALL_RESULT)
    assert {id_: answer["text"] for id_, answer in client.state["answers"].items()} == {
        "1": "Craig Newmark",
        "2": "sunny",
    }
    # What was called is no part of what was said.
    client.ask(question, tools=[WEATHER])


def test_an_interrupt_and_a_tool_of_the_client_wait_together(serve: Serve) -> None:
    plan = plan_json(("ask", "tea", []), ("weather", "What is the weather in Paris?", []))

    def solver(prompt: str) -> str:
        if "JSON schema of the arguments" in prompt:
            return '{"text": "tea"}' if '"text"' in prompt else '{"city": "Paris"}'
        if "Sub-questions and their answers:" in prompt:
            return "Answer: " + " and ".join(word for word in ("yes", "sunny") if f"= {word}" in prompt)
        return "yes" if "she says yes" in prompt else "sunny"

    client = Client(serve(live.parts(plan, solver, [live.ask])))
    waiting = interrupts(client.ask("What does she want of tea in the weather of Paris?", tools=[WEATHER]))
    assert sorted(each.reason for each in waiting) == ["input_required", "tool_call"]
    (call,) = [each for each in waiting if each.tool_call_id]
    (asked,) = [each for each in waiting if not each.tool_call_id]
    client.answer(str(call.tool_call_id), "It is sunny.")
    answer = {"interruptId": asked.id, "status": "resolved", "payload": "yes"}
    assert text(client.run(resume=[answer], tools=[WEATHER])) == "yes and sunny"


def test_another_question_instead_of_a_result(serve: Serve) -> None:
    client = Client(serve(weather_parts()))
    client.ask("Who founded Craigslist, and what is the weather in Paris?", tools=[WEATHER])
    events = client.ask("Who founded Craigslist, and where is it sunny?", tools=[WEATHER])
    assert events[-1].outcome.pending_tool_call_ids


def test_tool_messages_that_do_not_belong(serve: Serve) -> None:
    client = Client(serve(weather_parts()))
    client.answer("call_x", "It is sunny.")
    assert "there is no tool call 'call_x'" in error(client.run(tools=[WEATHER]))
    client.messages.clear()
    events = client.ask("Who founded Craigslist, and what is the weather in Paris?", tools=[WEATHER])
    before = list(client.messages)
    (search,) = [event.tool_call_id for event in of_type(events, EventType.TOOL_CALL_RESULT)]
    client.answer(search, "It is sunny.")
    assert "is missing; add a tool message for it" in error(client.run(tools=[WEATHER]))
    client.messages = before
    (call,) = events[-1].outcome.pending_tool_call_ids
    client.answer(call, "It is sunny.")
    other = Client(str(client.http.base_url))
    other.messages = list(client.messages)
    assert "no tool call of this thread waits" in error(other.run(tools=[WEATHER]))
    assert text(client.run(tools=[WEATHER])) == "Craig Newmark, in the sun"
    client.answer(call, "It rains.")
    assert "no tool call of this thread waits" in error(client.run(tools=[WEATHER]))


@pytest.mark.parametrize("shown", [False, True], ids=["the question alone", "with the look-up that was shown"])
def test_who_leaves_stops_the_run_and_may_go_on(shown: bool, serve: Serve) -> None:
    calls, gate = list[str](), threading.Event()
    client = Client(serve(live.parts(tools=[live.gated_search(calls, gate)])))
    with client.running('"Craig Newmark"', live.QUESTION):
        live.wait_until(lambda: len(calls) == 2)
    gate.set()
    if shown:
        call = {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
        client.messages.append({"id": "call_1", "role": "assistant", "toolCalls": [call]})
        client.messages.append({"id": "call_1_result", "role": "tool", "toolCallId": "call_1", "content": "Craig"})
    events = client.run()  # the same messages again
    assert text(events) == live.ANSWER
    assert calls.count("Who founded Craigslist?") == 1
    assert sorted(client.state["answers"]) == ["1", "2"]


def test_a_failure_in_the_middle_is_told(serve: Serve) -> None:
    def away(prompt: str) -> Any:
        return ConnectionError("refused") if "Sub-questions and their answers:" in prompt else reader(prompt)

    client = Client(serve(live.parts(solver=away)))
    events = client.ask(live.QUESTION)
    assert events[-1].type == EventType.RUN_ERROR
    assert events[-1].code == "model_unavailable"
    assert events[-1].usage[0].input_tokens > 0


def test_images_are_read(serve: Serve) -> None:
    model = ScriptedChatModel(script=live.always("Answer: a cat"))
    client = Client(serve(live.parts(live.always(plan_json()), model)))
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    image = {"type": "image", "source": {"type": "data", "value": pixel, "mimeType": "image/png"}}
    events = client.ask([{"type": "text", "text": "What is this?"}, image])
    assert text(events) == "a cat"
    sound = {"type": "audio", "source": {"type": "data", "value": pixel, "mimeType": "audio/mp3"}}
    assert "reads texts and images, and no audio" in error(client.ask([{"type": "text", "text": "And this?"}, sound]))
    del client.messages[-1]
    bad = {"type": "image", "source": {"type": "data", "value": "!!", "mimeType": "image/png"}}
    assert "base64" in error(client.ask([{"type": "text", "text": "And this?"}, bad]))


def test_what_tools_return_is_cut(serve: Serve) -> None:
    @tool
    def search(query: str) -> str:
        """Looks facts up."""
        return f"Craigslist was founded by Craig Newmark, who was born in 1952. {'And so on. ' * 3_000}"

    client = Client(serve(live.parts(tools=[search])))
    events = client.ask(live.QUESTION)
    assert all(len(event.content) <= MAX_RESULT_CHARS for event in of_type(events, EventType.TOOL_CALL_RESULT))
    assert len(json.dumps(client.body())) < 20_000


MANY = [{"id": str(number), "role": "user", "content": "x"} for number in range(2_049)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"threadId": "thread-1"}, "a thread's id has 22 to 64"),
        ({"threadId": None}, "threadId"),
        ({"runId": ""}, "runId"),
        ({"messages": [{"id": "1", "role": "robot", "content": "x"}]}, "messages"),
        ({"messages": [{"id": "1", "role": "user", "content": "x"}] * 2}, "two messages have the id '1'"),
        (
            {"messages": [{"id": str(n), "role": "user", "content": "x"} for n in range(2_049)]},
            "more than 2,048 messages",
        ),
        ({"state": json.loads("[" * 70 + "]" * 70)}, "nested more than"),
        ({"resume": [{"interruptId": "x", "status": "maybe"}]}, "resume"),
    ],
)
def test_bodies_that_are_none(serve: Serve, change: dict[str, Any], told: str) -> None:
    client = Client(serve())
    reply = client.http.post(URL, json=client.body() | change)
    assert reply.status_code == 400
    assert told in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, "there is no question"),
        ({"messages": [{"id": "1", "role": "user", "content": " "}]}, "question"),
        ({"messages": [{"id": "1", "role": "assistant", "content": "x"}]}, "there is no question"),
        ({"resume": [{"interruptId": "x", "status": "cancelled"}]}, "nothing in this thread waits"),
        (
            {
                "messages": [{"id": "1", "role": "user", "content": "x"}],
                "tools": [{"name": "no name", "description": "x"}],
            },
            "the tool 'no name' cannot be used",
        ),
    ],
)
def test_runs_that_cannot_be(serve: Serve, change: dict[str, Any], told: str) -> None:
    client = Client(serve())
    assert told in error(client.run(**change))


def test_the_door_stands_before_it(serve: Serve) -> None:
    url = serve(rules=DoorRules(keys=["secret"], max_body=2_000))
    client = Client(url)
    assert client.http.post(URL, json=client.body()).status_code == 401
    client.http.headers["Authorization"] = "Bearer secret"
    assert text(client.ask(live.QUESTION)) == live.ANSWER
    assert client.http.post(URL, json=client.body(state="x" * 3_000)).status_code == 413


def test_there_is_room_or_not(serve: Serve) -> None:
    url = serve(live.parts(solver=ScriptedChatModel(script=reader, delay=20.0)), Limits(max_concurrency=1, max_queue=0))
    with Client(url).running("STEP_STARTED", live.QUESTION):
        refused = httpx.post(f"{url}{URL}", json=Client(url).body())
    assert refused.status_code == 429
    assert "Retry-After" in refused.headers


def test_ids_of_calls_differ_from_question_to_question(serve: Serve) -> None:
    client = Client(serve())
    first = of_type(client.ask(live.QUESTION), EventType.TOOL_CALL_START)
    second = of_type(client.ask(live.QUESTION), EventType.TOOL_CALL_START)
    assert len({event.tool_call_id for event in [*first, *second]}) == 4
