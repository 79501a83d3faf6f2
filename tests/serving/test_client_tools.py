"""Tools that the client runs: the plan waits until the results of the calls come."""

import json
import re
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import plan_json, search
from tests.serving import live
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PLAN = plan_json(
    ("weather", "What is the weather in Paris?", []),
    ("search", "Who founded Craigslist?", []),
    ("weather", "What is the weather in Rome?", []),
    ("weather", "What is the weather in the city after {1} and {3}?", [1, 3]),
)
QUESTION = "Where is it warmest?"


def solver(prompt: str) -> Reply:
    """Writes arguments, reads results, joins."""
    if "JSON schema of the arguments" in prompt:
        city = re.search(r"(Paris|Rome|city after .*)\?", prompt.rpartition("Question:")[2])
        assert city
        return json.dumps({"city": city[1]})
    if "Sub-questions and their answers:" in prompt:
        return "JOINED " + prompt.rpartition("Sub-questions and their answers:")[2].partition("\n\n")[0].replace(
            "\n", " | "
        )
    if "founded by" in prompt:
        return "Craig Newmark"
    if found := re.search(r"\d+ degrees", prompt):
        return found[0]
    return "NOT FOUND"


@pytest.fixture
def models() -> tuple[ScriptedChatModel, ScriptedChatModel]:
    return ScriptedChatModel(script=live.always(PLAN)), ScriptedChatModel(script=solver)


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def result(call: Any, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call.id, "content": text}


def calls_of(reply: ChatCompletion) -> list[tuple[str, dict[str, Any]]]:
    calls: Any = reply.choices[0].message.tool_calls or []
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


def test_the_client_runs_its_tools_and_the_planner_goes_on(
    serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel]
) -> None:
    decomposer, solving = models
    client = client_of(serve(live.parts(decomposer, solving, [search])))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]

    first = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    assert first.choices[0].finish_reason == "tool_calls"
    assert calls_of(first) == [("weather", {"city": "Paris"}), ("weather", {"city": "Rome"})]
    assert first.usage
    assert first.usage.total_tokens > 0
    calls: Any = first.choices[0].message.tool_calls
    messages += [first.choices[0].message, result(calls[1], "Rome: 31 degrees"), result(calls[0], "Paris: 20 degrees")]

    second = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    assert calls_of(second) == [("weather", {"city": "city after 20 degrees and 31 degrees"})]
    calls = second.choices[0].message.tool_calls
    messages += [second.choices[0].message, result(calls[0], "25 degrees")]

    third = client.chat.completions.create(
        model="anabranch", messages=messages, tools=[WEATHER], extra_body={"anabranch": {"include_plan": True}}
    )
    assert third.choices[0].finish_reason == "stop"
    content = third.choices[0].message.content or ""
    assert "20 degrees" in content
    assert "= 31 degrees" in content
    assert "= 25 degrees" in content
    assert "= Craig Newmark" in content
    answers = (third.model_extra or {})["anabranch"]["answers"]
    assert [answer["text"] for answer in answers] == ["20 degrees", "Craig Newmark", "31 degrees", "25 degrees"]
    # The plan was written once, the search read once, and each result read once: nothing was done twice.
    assert len(decomposer.prompts) == 1
    assert sum("founded by" in prompt for prompt in solving.prompts) == 1
    assert sum("Result:" in prompt for prompt in solving.prompts) == 4


def test_streaming_gives_the_same_calls(serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel]) -> None:
    client = client_of(serve(live.parts(*models, [search])))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    with client.chat.completions.stream(model="anabranch", messages=messages, tools=[WEATHER]) as stream:
        reply: Any = stream.get_final_completion()
    assert reply.choices[0].finish_reason == "tool_calls"
    assert calls_of(reply) == [("weather", {"city": "Paris"}), ("weather", {"city": "Rome"})]
    calls = reply.choices[0].message.tool_calls
    message = {"role": "assistant", "content": reply.choices[0].message.content, "tool_calls": calls}
    messages += [message, result(calls[0], "20 degrees"), result(calls[1], "31 degrees")]
    again = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    assert calls_of(again) == [("weather", {"city": "city after 20 degrees and 31 degrees"})]


def test_one_call_at_a_time(serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel]) -> None:
    client = client_of(serve(live.parts(*models, [search])))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    for city in ("Paris", "Rome"):
        reply = client.chat.completions.create(
            model="anabranch", messages=messages, tools=[WEATHER], parallel_tool_calls=False
        )
        assert calls_of(reply) == [("weather", {"city": city})]
        calls: Any = reply.choices[0].message.tool_calls
        messages += [reply.choices[0].message, result(calls[0], "20 degrees")]


def test_without_tools_nothing_is_called(serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel]) -> None:
    client = client_of(serve(live.parts(*models, [search])))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    calls: Any = first.choices[0].message.tool_calls
    messages += [first.choices[0].message, *(result(call, "20 degrees") for call in calls)]
    last = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER], tool_choice="none")
    assert last.choices[0].finish_reason == "stop"
    assert "FAILED (the client takes no further tool calls)" in (last.choices[0].message.content or "")


def test_calls_of_another_model_are_taken_for_a_plan(
    serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel]
) -> None:
    client = client_of(serve(live.parts(*models, [])))
    call = {"id": "call_abc", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    messages: list[Any] = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_abc", "content": "5 degrees"},
    ]
    reply = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    assert 'weather {"city": "Oslo"} = 5 degrees' in (reply.choices[0].message.content or "")
    assert not models[0].prompts


def test_a_tool_of_the_client_goes_before_one_of_the_server(serve: Serve) -> None:
    """Also where it is named like one that a guided solver would be given to run."""
    plan = plan_json(("calculator", "Add 2 and 3", []))
    url = serve(live.parts(plan, live.always('{"task": "2 + 3"}'), [search]))
    tool: Any = {**WEATHER, "function": {"name": "calculator", "parameters": {"properties": {"task": {}, "mode": {}}}}}
    reply = client_of(url).chat.completions.create(
        model="anabranch", messages=[{"role": "user", "content": QUESTION}], tools=[tool]
    )
    assert calls_of(reply) == [("calculator", {"task": "2 + 3"})]


def test_step_by_step(serve: Serve) -> None:
    """In dynamic mode the decomposer sees what the client found, and says what to ask next, or that it is done."""
    layers = [
        plan_json(("weather", "Weather in Paris?", [])),
        plan_json(("weather", "Weather in Rome?", []), first_id=2),
    ]
    decomposer = ScriptedChatModel(script=[*layers, plan_json()])
    client = client_of(serve(live.parts(decomposer, solver, [search], mode="dynamic")))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    for city, degrees in (("Paris", "20 degrees"), ("Rome", "31 degrees")):
        reply = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
        assert calls_of(reply) == [("weather", {"city": city})]
        calls: Any = reply.choices[0].message.tool_calls
        messages += [reply.choices[0].message, result(calls[0], degrees)]
    last = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    assert last.choices[0].finish_reason == "stop"
    assert "= 20 degrees" in (last.choices[0].message.content or "")
    assert "= 31 degrees" in (last.choices[0].message.content or "")
    assert "= 31 degrees" in decomposer.prompts[-1]


def test_another_plan_is_asked_for_once_in_all_requests_together(serve: Serve) -> None:
    """A tool that finds nothing leads to a new plan; the number of new plans is carried along."""
    plans = [plan_json(("weather", f"Weather in {city}?", []), first_id=n) for n, city in ((1, "Paris"), (2, "Rome"))]
    decomposer = ScriptedChatModel(script=plans)
    client = client_of(serve(live.parts(decomposer, solver, [search], max_replans=1)))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    for city in ("Paris", "Rome"):
        reply = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
        assert calls_of(reply) == [("weather", {"city": city})]
        calls: Any = reply.choices[0].message.tool_calls
        messages += [reply.choices[0].message, result(calls[0], "no data")]
    last = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    assert last.choices[0].finish_reason == "stop"
    assert (last.choices[0].message.content or "").count("failed: ") == 2
    assert len(decomposer.prompts) == 2


def changed(messages: list[Any], how: str) -> list[Any]:
    """The conversation, tampered with."""
    user, reply, *results = json.loads(json.dumps(messages))
    call = reply["tool_calls"][0]
    if how == "unknown":
        call["id"] = results[0]["tool_call_id"] = call["id"][:-4] + "0000"
    elif how == "id":
        call["id"] = results[0]["tool_call_id"] = call["id"].replace("call_1_", "call_77_")
    elif how == "name":
        call["function"]["name"] = "search"
    elif how == "missing":
        results = results[:1]
    elif how == "twice":
        results = [*results, results[0]]
    elif how == "extra":
        results = [*results, {"role": "tool", "tool_call_id": "call_x", "content": "?"}]
    elif how == "orphan":
        return [user, *results]
    return [user, reply, *results]


@pytest.mark.parametrize("how", ["unknown", "id", "name", "missing", "twice", "extra", "orphan"])
def test_what_comes_back_is_checked(
    serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel], how: str
) -> None:
    client = client_of(serve(live.parts(*models, [search])))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    reply: Any = first.choices[0].message
    whole = [*messages, reply.model_dump(exclude_none=True), *(result(call, "20 degrees") for call in reply.tool_calls)]
    client.chat.completions.create(model="anabranch", messages=changed(whole, ""), tools=[WEATHER])
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="anabranch", messages=changed(whole, how), tools=[WEATHER])
    assert len(refused.value.message) < 400
    if how == "unknown":
        assert refused.value.code == "tool_call_not_found"
        assert "again, without the tool calls after it" in refused.value.message


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_nothing_internal_is_shown(
    serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel], stream: bool
) -> None:
    client = client_of(serve(live.parts(*models, [search])))
    asked: Any = {"model": "anabranch", "messages": [{"role": "user", "content": QUESTION}], "tools": [WEATHER]}
    if stream:
        deltas = [c.choices[0].delta for c in client.chat.completions.create(**asked, stream=True) if c.choices]
        assert not any(delta.content for delta in deltas)
        assert any(delta.tool_calls for delta in deltas)
    else:
        message = client.chat.completions.create(**asked).choices[0].message
        assert message.content is None
        assert message.tool_calls


def test_a_request_that_is_sent_twice_is_answered_twice(
    serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel]
) -> None:
    client = client_of(serve(live.parts(*models, [search])))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    for _ in range(2):
        first = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    calls: Any = first.choices[0].message.tool_calls
    # As some clients write it again: nothing of the message but the calls.
    messages.append({"role": "assistant", "tool_calls": [call.model_dump() for call in calls]})
    messages += [result(call, "20 degrees") for call in calls]
    for _ in range(2):
        again = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
        assert calls_of(again) == [("weather", {"city": "city after 20 degrees and 20 degrees"})]


def test_a_call_that_the_client_dropped_is_asked_for_again_and_not_written_again(
    serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel]
) -> None:
    solving = models[1]
    client = client_of(serve(live.parts(*models, [search])))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    calls: Any = first.choices[0].message.tool_calls
    written = sum("JSON schema of the arguments" in prompt for prompt in solving.prompts)
    messages += [{"role": "assistant", "tool_calls": [calls[0].model_dump()]}, result(calls[0], "20 degrees")]
    second = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    assert calls_of(second) == [("weather", {"city": "Rome"})]
    assert sum("JSON schema of the arguments" in prompt for prompt in solving.prompts) == written


def test_a_request_without_tools_takes_their_results_all_the_same(
    serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel]
) -> None:
    client = client_of(serve(live.parts(*models, [search])))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    calls: Any = first.choices[0].message.tool_calls
    messages += [first.choices[0].message, *(result(call, "20 degrees") for call in calls)]
    last = client.chat.completions.create(model="anabranch", messages=messages)
    content = last.choices[0].message.content or ""
    assert "Paris? = 20 degrees" in content
    assert "FAILED (the client takes no further tool calls)" in content


def test_a_new_question_after_a_finished_tool_turn(serve: Serve) -> None:
    models = ScriptedChatModel(script=live.always(PLAN)), ScriptedChatModel(script=solver)
    client = client_of(serve(live.parts(*models, [search])))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    for _ in range(2):
        reply = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
        calls: Any = reply.choices[0].message.tool_calls
        messages += [reply.choices[0].message, *(result(call, "20 degrees") for call in calls)]
    done = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    messages += [done.choices[0].message, {"role": "user", "content": "Where is it coldest?"}]
    other = client.chat.completions.create(model="anabranch", messages=messages, tools=[WEATHER])
    assert calls_of(other) == [("weather", {"city": "Paris"}), ("weather", {"city": "Rome"})]


def test_another_process_goes_on_where_threads_are_shared(
    serve: Serve, models: tuple[ScriptedChatModel, ScriptedChatModel], tmp_path: Path
) -> None:
    file = str(tmp_path / "threads.sqlite")
    asked: Any = {"model": "anabranch", "tools": [WEATHER]}
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    one = client_of(serve(live.parts(*models, [search]), threads=file))
    two = client_of(serve(live.parts(*models, [search]), threads=file))
    first = one.chat.completions.create(messages=messages, **asked).choices[0].message
    calls: Any = first.tool_calls
    messages += [first, *(result(call, "20 degrees") for call in calls)]
    again = two.chat.completions.create(messages=messages, **asked)
    assert calls_of(again) == [("weather", {"city": "city after 20 degrees and 20 degrees"})]
    with pytest.raises(openai.BadRequestError, match="not known here"):
        client_of(serve(live.parts(*models, [search]))).chat.completions.create(messages=messages, **asked)
