"""Answers as JSON over HTTP: held to the client's schema, checked, asked for again once, and otherwise refused."""

import json
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from anabranch.agents.decomposer import JsonDecomposer
from anabranch.agents.models import resolve_model
from anabranch.serving.service import Parts
from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import CRAIGSLIST, plan_json, reader, search
from tests.openai_server import OpenAIServer, prompt_of
from tests.serving import live
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

ASKED: Any = [{"role": "user", "content": live.QUESTION}]
DIRECT = json.dumps({"sub_questions": []})
GOOD = '{"name": "Craig Newmark", "year": 1952}'


class Founder(BaseModel):
    name: str
    year: int


SCHEMA: dict[str, Any] = Founder.model_json_schema()
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "founder", "schema": SCHEMA}}


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def joining(*answers: str) -> Any:
    """A solver that reads facts, and writes these answers where JSON is asked for, one after the other."""
    left = list(answers)

    def script(prompt: str) -> Reply:
        return left.pop(0) if "satisfies this JSON schema" in prompt else reader(prompt)

    return ScriptedChatModel(script=script)


@pytest.mark.parametrize("plan", [CRAIGSLIST, DIRECT])
def test_parse_gives_the_object(serve: Serve, plan: str) -> None:
    client = client_of(serve(live.parts(plan, joining(GOOD, f"Here you are:\n```json\n{GOOD}\n```"))))
    for _ in range(2):
        reply = client.chat.completions.parse(model="anabranch", messages=ASKED, response_format=Founder)
        assert reply.choices[0].message.parsed == Founder(name="Craig Newmark", year=1952)
        assert reply.choices[0].finish_reason == "stop"


def test_a_stream_has_it_in_one_piece_once_it_is_checked(serve: Serve) -> None:
    client = client_of(serve(live.parts(CRAIGSLIST, joining('{"name": "Craig"}', GOOD))))
    with client.chat.completions.stream(model="anabranch", messages=ASKED, response_format=Founder) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta" and event.delta]
        final = stream.get_final_completion()
    assert pieces == [GOOD]
    assert final.choices[0].message.parsed == Founder(name="Craig Newmark", year=1952)


async def test_langchain_and_any_object(serve: Serve) -> None:
    url = serve(live.parts(DIRECT, joining(GOOD, '{"a": 1}')))
    chat = ChatOpenAI(model="anabranch", base_url=f"{url}/v1", api_key=SecretStr("none"), max_retries=0)
    structured = chat.with_structured_output(Founder)
    assert structured.invoke(live.QUESTION) == Founder(name="Craig Newmark", year=1952)
    any_object: Any = {"type": "json_object"}
    reply = client_of(url).chat.completions.create(model="anabranch", messages=ASKED, response_format=any_object)
    assert reply.choices[0].message.content == '{"a": 1}'


@pytest.mark.parametrize("stream", [False, True])
def test_what_does_not_fit_is_asked_for_again_once(serve: Serve, stream: bool) -> None:
    solver = joining('{"name": "Craig Newmark"}', GOOD, "In 1952", "Still in 1952")
    client = client_of(serve(live.parts(CRAIGSLIST, solver)))
    asked: Any = {"model": "anabranch", "messages": ASKED, "response_format": FORMAT, "stream": stream}

    def content() -> str:
        reply: Any = client.chat.completions.create(**asked)
        if not stream:
            return str(reply.choices[0].message.content)
        return "".join(chunk.choices[0].delta.content or "" for chunk in reply)

    assert content() == GOOD
    assert '"year" is a required property' in solver.prompts[-1]
    with pytest.raises(openai.APIError, match=r"no JSON that satisfies the schema, also when asked again \(it is not"):
        content()


@pytest.mark.parametrize("stream", [False, True])
def test_where_nothing_was_found_the_reply_is_a_refusal(serve: Serve, stream: bool) -> None:
    plan = plan_json(("search", "Who founded Atlantis?", []))
    client = client_of(serve(live.parts(plan, joining(), max_replans=0)))
    asked: Any = {"model": "anabranch", "messages": ASKED, "response_format": FORMAT, "stream": stream}
    reply: Any = client.chat.completions.create(**asked)
    if stream:
        deltas = [chunk.choices[0].delta for chunk in reply]
        content, refusal = ("".join(getattr(d, name, None) or "" for d in deltas) for name in ("content", "refusal"))
    else:
        message = reply.choices[0].message
        content, refusal = message.content or "", message.refusal
    assert (content, refusal) == ("", "No answer was found.")


def test_json_that_was_cut_off_is_told_as_such(serve: Serve) -> None:
    cut = AIMessage('{"name": "Crai', response_metadata={"finish_reason": "length"})
    client = client_of(serve(live.parts(DIRECT, ScriptedChatModel(script=lambda _: cut.model_copy()))))
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model="anabranch", messages=ASKED, response_format=Founder)


def test_grounded_json_says_nothing_that_was_not_found(serve: Serve) -> None:
    solver = joining(GOOD, '{"name": "Pierre Omidyar", "year": 1952}')
    client = client_of(serve(live.parts(CRAIGSLIST, solver, grounded=True)))
    good = client.chat.completions.create(model="anabranch", messages=ASKED, response_format=FORMAT)
    assert good.choices[0].message.content == GOOD
    bad = client.chat.completions.create(model="anabranch", messages=ASKED, response_format=FORMAT)
    assert (bad.choices[0].message.content, bad.choices[0].message.refusal) == (None, "In 1952")


def test_the_solvers_server_is_told_the_schema_and_may_turn_it_down(serve: Serve) -> None:
    held: list[Any] = []

    def script(request: dict[str, Any]) -> Any:
        prompt = prompt_of(request)
        form = request.get("response_format", {}).get("json_schema", {})
        if "Reply with JSON only" in prompt:
            return CRAIGSLIST
        if "satisfies this JSON schema" not in prompt:
            return str(reader(prompt))
        held.append(form.get("schema"))
        return (400, {"error": {"message": "no such keyword"}}) if form and "pattern" in str(form) else GOOD

    with OpenAIServer(script) as server:
        model = resolve_model(f"{server.url}#m")
        client = client_of(serve(Parts(JsonDecomposer(model), model, (search,))))
        odd = {**SCHEMA, "properties": {**SCHEMA["properties"], "name": {"type": "string", "pattern": "^C"}}}
        for schema in (odd, SCHEMA):
            form: Any = {"type": "json_schema", "json_schema": {"name": "f", "schema": schema, "strict": True}}
            reply = client.chat.completions.create(model="anabranch", messages=ASKED, response_format=form)
            assert reply.choices[0].message.content == GOOD
    # What the server turned down was somebody's schema: others are sent all the same.
    assert held == [odd, None, SCHEMA]


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"type": "json_schema"}, "json_schema: Field required"),
        ({"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}, "name"),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "strin"}}}, '"strin" is not valid'),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "https://a.example/"}}}, "own parts"),
        ({"type": "grammar"}, "response_format"),
    ],
)
def test_broken_schemas_are_refused_with_what_is_wrong(serve: Serve, form: Any, told: str) -> None:
    body = {"model": "anabranch", "messages": ASKED, "response_format": form}
    reply = httpx.post(f"{serve()}/v1/chat/completions", json=body)
    assert reply.status_code == 400
    assert told in reply.json()["error"]["message"]
    assert reply.json()["error"]["param"].startswith("response_format")
