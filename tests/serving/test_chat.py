"""The clients that people use, unmodified: OpenAI's, LangChain's and curl."""

import json
import shutil
import subprocess
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from anabranch.agents.decomposer import JsonDecomposer
from anabranch.agents.models import resolve_model
from anabranch.errors import EndpointError
from anabranch.graphs.grounded import NOT_FOUND_TEXT
from anabranch.serving.service import Parts
from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import plan_json, search
from tests.openai_server import OpenAIServer, prompt_of
from tests.serving import live
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

ASKED: Any = [{"role": "user", "content": live.QUESTION}]
EXTRA = {"anabranch": {"include_plan": True}}
DIRECT = json.dumps({"sub_questions": []})


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def test_openai(serve: Serve) -> None:
    client = client_of(serve())
    assert [model.id for model in client.models.list()] == ["anabranch"]
    assert client.models.retrieve("anabranch").id == "anabranch"
    reply = client.chat.completions.create(model="anabranch", messages=ASKED, temperature=0, seed=7, user="u")
    assert reply.choices[0].message.content == live.ANSWER
    assert reply.choices[0].finish_reason == "stop"
    assert reply._request_id
    assert reply.usage
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 100
    assert "anabranch" not in (reply.model_extra or {})


async def test_openai_async(serve: Serve) -> None:
    async with openai.AsyncOpenAI(base_url=f"{serve()}/v1", api_key="none") as client:
        reply = await client.chat.completions.create(model="anabranch", messages=ASKED)
        assert reply.choices[0].message.content == live.ANSWER
        stream = await client.chat.completions.create(model="anabranch", messages=ASKED, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == live.ANSWER


def test_usage_is_summed_over_roles_and_the_same_in_a_stream(serve: Serve) -> None:
    client = client_of(serve())
    whole = client.chat.completions.create(model="anabranch", messages=ASKED, extra_body=EXTRA)
    roles = (whole.model_extra or {})["anabranch"]["usage"]
    assert sorted(roles) == ["decomposer", "joiner", "solver"]
    assert whole.usage
    assert whole.usage.prompt_tokens == sum(usage["input_tokens"] for usage in roles.values())
    chunks = list(
        client.chat.completions.create(
            model="anabranch", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert not any(chunk.usage for chunk in chunks[:-1])


def test_tokens_come_as_they_are_written(serve: Serve) -> None:
    """A real server behind the planner, which streams: the reasoning stays back, the answer comes in pieces."""
    text = "<think>\nFirst this. Then that.\n</think>\n\nAnswer: it is a rather long answer"
    script = {"Reply with JSON only": DIRECT}
    with OpenAIServer(lambda request: next((r for k, r in script.items() if k in prompt_of(request)), text)) as server:
        chat = ChatOpenAI(model="m", base_url=server.url, api_key=SecretStr("k"), stream_usage=True)
        client = client_of(serve(live.parts(DIRECT, chat)))
        pieces, reasoning = [], ""
        for chunk in client.chat.completions.create(model="anabranch", messages=ASKED, stream=True, extra_body=EXTRA):
            delta = chunk.choices[0].delta
            pieces += [delta.content] if delta.content else []
            reasoning += (delta.model_extra or {}).get("reasoning_content") or ""
        whole = client.chat.completions.create(model="anabranch", messages=ASKED)
    assert "".join(pieces) == "it is a rather long answer" == whole.choices[0].message.content
    assert len(pieces) == 6
    assert reasoning == "First this. Then that."


def test_models_stream_only_what_the_client_sees(serve: Serve) -> None:
    def script(request: dict[str, Any]) -> str:
        return DIRECT if "Reply with JSON only" in prompt_of(request) else "it is so"

    with OpenAIServer(script) as server:
        model = resolve_model(f"{server.url}#m")
        client = client_of(serve(Parts(decomposer=JsonDecomposer(model), solver=model)))
        client.chat.completions.create(model="anabranch", messages=ASKED)
        assert [request.get("stream", False) for request in server.requests] == [False, False]
        server.requests.clear()
        chunks = list(client.chat.completions.create(model="anabranch", messages=ASKED, stream=True))
        assert [request.get("stream", False) for request in server.requests] == [False, True]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "it is so"


@pytest.mark.parametrize(
    ("message", "finish", "status"),
    [
        (AIMessage("One, two", response_metadata={"finish_reason": "length"}), "length", "partial"),
        (AIMessage("", additional_kwargs={"refusal": "No."}), "content_filter", "refused"),
    ],
)
def test_it_is_told_how_the_answer_ended(serve: Serve, message: AIMessage, finish: str, status: str) -> None:
    chat = ScriptedChatModel(script=[message.model_copy(), message.model_copy()])
    client = client_of(serve(live.parts(ScriptedChatModel(script=[DIRECT] * 2), chat)))
    whole: Any = client.chat.completions.create(model="anabranch", messages=ASKED, extra_body=EXTRA)
    assert (whole.choices[0].finish_reason, whole.anabranch["status"]) == (finish, status)
    chunks = list(client.chat.completions.create(model="anabranch", messages=ASKED, stream=True))
    assert chunks[-1].choices[0].finish_reason == finish
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert content == whole.choices[0].message.content


def test_grounded(serve: Serve) -> None:
    chat = ScriptedChatModel(script=lambda prompt: "NOT FOUND" if "Result:" in prompt else "165 euros")
    parts = live.parts(ScriptedChatModel(script=lambda _: DIRECT), chat, [search], grounded=True)
    reply: Any = client_of(serve(parts)).chat.completions.create(model="anabranch", messages=ASKED, extra_body=EXTRA)
    assert reply.choices[0].message.content == NOT_FOUND_TEXT
    assert (reply.anabranch["status"], reply.anabranch["sources"]) == ("not_found", [])
    assert {step["route"] for step in reply.anabranch["plan"]["sub_questions"]} == {"search"}


def test_events_are_there_for_those_who_ask(serve: Serve) -> None:
    client = client_of(serve())
    plain = list(client.chat.completions.create(model="anabranch", messages=ASKED, stream=True))
    assert not any(chunk.model_extra for chunk in plain)
    stream = client.chat.completions.create(model="anabranch", messages=ASKED, stream=True, extra_body=EXTRA)
    events = [chunk.model_extra["anabranch"] for chunk in stream if chunk.model_extra]
    kinds = [(event["type"], event.get("id"), event.get("status")) for event in events]
    assert kinds == [
        ("plan", None, None),
        ("sub_question", 1, "started"),
        ("sub_question", 1, "done"),
        ("sub_question", 2, "started"),
        ("sub_question", 2, "done"),
        ("outcome", None, "answered"),
    ]


def test_a_conversation_reaches_the_models(serve: Serve) -> None:
    solver = ScriptedChatModel(script=live.always("Answer: yes"))
    client = client_of(serve(live.parts(DIRECT, solver)))
    messages: list[Any] = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": [{"type": "text", "text": "Who was first?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call("call_1", "look")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "the result"},
        {"role": "assistant", "content": "He was."},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Who was second?", "name": "ann"},
    ]
    reply = client.chat.completions.create(model="anabranch", messages=messages)
    assert reply.choices[0].message.content == "yes"
    understanding, prompt = solver.prompts
    assert "Last message: Who was second?" in understanding
    assert prompt.startswith("system: You are a pirate.\n\nBe brief.\n\n")
    assert prompt.count("system: ") == 1
    assert "human: Who was first?\nai: look: the result\nHe was." in prompt
    assert prompt.endswith("human: Who was second?")


def call(id_: str, name: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": "{}"}}


def test_a_joiner_that_asks_for_another_plan_is_not_heard(serve: Serve) -> None:
    plans = [plan_json(("solve", "a?", [])), plan_json(("solve", "b?", []), first_id=2)]
    joins: list[Reply] = ["REPLAN: more", "The end."]

    def solver(prompt: str) -> Reply:
        return joins.pop(0) if "Sub-questions and their answers:" in prompt else "x"

    chat = ScriptedChatModel(script=solver, word_delay=0.0)
    parts = live.parts(ScriptedChatModel(script=plans), chat, [search], protocol="per_node")
    stream = client_of(serve(parts)).chat.completions.create(model="anabranch", messages=ASKED, stream=True)
    pieces = [chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content]
    assert pieces == ["The end."]


def test_langchain(serve: Serve) -> None:
    chat = ChatOpenAI(model="anabranch", base_url=f"{serve()}/v1", api_key=SecretStr("none"), stream_usage=True)
    reply = chat.invoke([SystemMessage("Be brief."), HumanMessage(live.QUESTION)])
    assert reply.text == live.ANSWER
    assert reply.usage_metadata
    whole = AIMessageChunk(content="")
    for chunk in chat.stream(live.QUESTION):
        assert isinstance(chunk, AIMessageChunk)
        whole += chunk
    assert whole.text == live.ANSWER
    assert whole.usage_metadata
    assert whole.usage_metadata["total_tokens"] > 100


async def test_langchain_with_tools(serve: Serve) -> None:
    @tool
    def lookup(query: str) -> str:
        """Looks facts up."""
        return str(search.invoke(query))

    plan = plan_json(("lookup", "Who founded Craigslist?", []), ("lookup", "When was {1} born?", [1]))
    url = serve(live.parts(plan, tools=[]))
    chat = ChatOpenAI(model="anabranch", base_url=f"{url}/v1", api_key=SecretStr("none")).bind_tools([lookup])
    messages: list[Any] = [HumanMessage(live.QUESTION)]
    for _ in range(2):
        reply: Any = await chat.ainvoke(messages)
        assert len(reply.tool_calls) == 1
        results = [ToolMessage(lookup.invoke(c["args"]), tool_call_id=c["id"]) for c in reply.tool_calls]
        messages += [reply, *results]
    assert (await chat.ainvoke(messages)).text == live.ANSWER


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(serve: Serve) -> None:
    url = serve()
    assert json.loads(curl(f"{url}/health"))["status"] == "ok"
    body = {"model": "anabranch", "messages": ASKED}
    reply = json.loads(curl(f"{url}/v1/chat/completions", "--json", json.dumps(body)))
    assert reply["choices"][0]["message"]["content"] == live.ANSWER
    stream = curl(f"{url}/v1/chat/completions", "-N", "--json", json.dumps({**body, "stream": True}))
    lines = [line.removeprefix("data: ") for line in stream.splitlines() if line]
    assert lines[-1] == "[DONE]"
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == live.ANSWER


def curl(url: str, *arguments: str) -> str:
    process = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "30", *arguments, url],
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout


def broken(prompt: str) -> Reply:
    return EndpointError("the solver is away") if "founded by" in prompt else "x"


def test_a_stream_that_fails_before_it_begins_has_a_status(serve: Serve) -> None:
    client = client_of(serve(live.parts(solver=broken)))
    with pytest.raises(openai.InternalServerError, match="the solver is away") as failed:
        client.chat.completions.create(model="anabranch", messages=ASKED, stream=True)
    assert failed.value.status_code == 503


def test_a_stream_that_fails_in_the_middle_raises_at_the_client(serve: Serve) -> None:
    client = client_of(serve(live.parts(solver=broken)))
    stream = client.chat.completions.create(model="anabranch", messages=ASKED, stream=True, extra_body=EXTRA)
    with pytest.raises(openai.APIError, match="the solver is away"):
        list(stream)
