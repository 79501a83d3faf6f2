"""Clients that insist on a call of their tools, or on none, in both forms of the API."""

import json
from typing import Any

import openai
import pytest

from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import plan_json, search
from tests.serving import live
from tests.serving.conftest import Serve
from tests.serving.test_client_tools import WEATHER

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

DIRECT = json.dumps({"sub_questions": []})
PERSON: Any = {
    "type": "function",
    "function": {
        "name": "person",
        "description": "Notes who somebody is.",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}, "year": {"type": "integer"}}},
    },
}
ASKED: Any = [{"role": "user", "content": "Who founded Craigslist, and when was he born?"}]
NAMED: Any = {"type": "function", "function": {"name": "person"}}


def solver(prompt: str) -> Reply:
    """Writes arguments out of what is known, reads, answers."""
    if "JSON schema of the arguments" in prompt:
        return '{"city": "Paris"}' if "tool weather" in prompt else '{"name": "Craig Newmark", "year": 1952}'
    return "Craig Newmark" if "founded by" in prompt else "It is so."


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def call_of(reply: Any) -> Any:
    assert reply.choices[0].finish_reason == "tool_calls"
    return reply.choices[0].message.tool_calls[0].function


@pytest.mark.parametrize("plan", [DIRECT, "no plan at all", plan_json(("search", "Who founded Craigslist?", []))])
def test_a_tool_that_is_forced_is_called_whatever_the_plan_says(serve: Serve, plan: str) -> None:
    chat = ScriptedChatModel(script=solver)
    client = client_of(serve(live.parts(plan, chat, [search])))
    reply = client.chat.completions.create(
        model="anabranch", messages=ASKED, tools=[WEATHER, PERSON], tool_choice=NAMED
    )
    assert call_of(reply).name == "person"
    assert json.loads(call_of(reply).arguments) == {"name": "Craig Newmark", "year": 1952}
    written = next(prompt for prompt in chat.prompts if "JSON schema of the arguments" in prompt)
    # What the server's own tools found is known when the arguments are written.
    assert ("(known: Who founded Craigslist? Craig Newmark)" in written) == ("search" in plan)


def test_required_takes_the_tool_that_fits_and_goes_on_with_its_result(serve: Serve) -> None:
    client = client_of(serve(live.parts(DIRECT, ScriptedChatModel(script=solver), [search])))
    messages: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked: Any = {"model": "anabranch", "tools": [PERSON, WEATHER], "tool_choice": "required"}
    reply: Any = client.chat.completions.create(messages=messages, **asked)
    assert call_of(reply).name == "weather"
    message = reply.choices[0].message
    messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "20 degrees"}]
    last: Any = client.chat.completions.create(messages=messages, **asked)
    assert (last.choices[0].finish_reason, last.choices[0].message.content) == ("stop", "It is so.")


def test_only_allowed_tools_are_called(serve: Serve) -> None:
    decomposer = ScriptedChatModel(script=live.always(DIRECT))
    client = client_of(serve(live.parts(decomposer, ScriptedChatModel(script=solver), [search])))
    allowed: Any = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "person"}}]},
    }
    asked: Any = {"model": "anabranch", "messages": ASKED, "tools": [WEATHER, PERSON]}
    assert call_of(client.chat.completions.create(**asked, tool_choice=allowed)).name == "person"
    assert "weather" not in decomposer.prompts[-1]
    none = client.chat.completions.create(**asked, tool_choice="none")
    assert none.choices[0].message.content == "It is so."
    assert "person" not in decomposer.prompts[-1]


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "name": "person"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "person"}]},
    ],
)
def test_responses(serve: Serve, choice: Any) -> None:
    client = client_of(serve(live.parts(DIRECT, ScriptedChatModel(script=solver), [search])))
    tools: Any = [{"type": "function", **PERSON["function"]}]
    reply: Any = client.responses.create(model="anabranch", input="Who is it?", tools=tools, tool_choice=choice)
    assert (reply.output[0].type, reply.output[0].name) == ("function_call", "person")
    assert reply.tool_choice == choice or reply.tool_choice.type == choice["type"]


def test_a_call_that_cannot_be_written_is_an_error(serve: Serve) -> None:
    client = client_of(serve(live.parts(DIRECT, ScriptedChatModel(script=live.always("I cannot.")), [search])))
    with pytest.raises(openai.APIError, match="the call that tool_choice wants could not be written"):
        client.chat.completions.create(model="anabranch", messages=ASKED, tools=[PERSON], tool_choice="required")
    with pytest.raises(openai.BadRequestError, match="names 'person', which is not among the tools"):
        client.chat.completions.create(model="anabranch", messages=ASKED, tools=[WEATHER], tool_choice=NAMED)
    with pytest.raises(openai.BadRequestError, match="there are no tools"):
        client.chat.completions.create(model="anabranch", messages=ASKED, tool_choice="required")
