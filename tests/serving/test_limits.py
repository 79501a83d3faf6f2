"""`max_tokens` of a request: the calls that write the final answer keep to it, and the reply says that it was cut."""

from typing import Any

import openai
import pytest

from anabranch import Budget
from anabranch.agents.models import resolve_model
from anabranch.agents.resolve import resolve_decomposer
from anabranch.serving.service import Parts
from tests.graphs.scripts import plan_json, search
from tests.openai_server import OpenAIServer, Reply, prompt_of
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
PLAN = plan_json(("search", "Who opened the mill?", []), ("search", "When did {1} open it?", [1]))
ASKED: Any = [{"role": "user", "content": "Who opened the mill at Orsay, and when was that?"}]


def script(request: dict[str, Any]) -> Reply:
    prompt = prompt_of(request)
    if "sub_questions" in prompt:
        return PLAN
    if request["max_tokens"] < 100:
        return {"content": "Ida Brask opened", "finish_reason": "length"}
    return "Ida Brask opened it in 1911."


def parts(server: OpenAIServer, **options: Any) -> Parts:
    model = resolve_model(f"{server.url}#m")
    known: dict[str, Any] = {"tools": [search], "protocol": "per_node", "max_replans": 0, **options}
    return Parts(decomposer=resolve_decomposer(model), solver=model, **known)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_final_answer_keeps_to_the_limit_of_the_request(serve: Serve, name: str, stream: bool) -> None:
    with OpenAIServer(script) as server:
        client = openai.OpenAI(base_url=f"{serve(parts(server))}/v1", api_key="none", max_retries=0)
        given: Any = {name: 20, "stream": stream}
        reply: Any = client.chat.completions.create(model="anabranch", messages=ASKED, **given)
        if stream:
            ends = [choice.finish_reason for chunk in reply for choice in chunk.choices]
            assert ends[-1] == "length"
        else:
            assert reply.choices[0].finish_reason == "length"
    limits = [request["max_tokens"] for request in server.requests]
    assert limits[-1] == 20
    assert set(limits[:-1]) == {16_384}


def test_the_limit_of_the_server_stands_where_it_is_lower(serve: Serve) -> None:
    with OpenAIServer(script) as server:
        address = serve(parts(server, budget=Budget(max_answer_tokens=300)))
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        client.chat.completions.create(model="anabranch", messages=ASKED, max_tokens=5000)
    assert {request["max_tokens"] for request in server.requests} == {300}


@pytest.mark.parametrize("value", [0, -1, "many", 1.5])
def test_a_limit_that_is_none_is_refused(serve: Serve, value: Any) -> None:
    client = openai.OpenAI(base_url=f"{serve()}/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        client.chat.completions.create(model="anabranch", messages=ASKED, max_tokens=value)


def test_usage_that_the_models_do_not_count_is_estimated(serve: Serve) -> None:
    body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}

    def uncounted(request: dict[str, Any]) -> Reply:
        said = {"role": "assistant", "content": script(request)}
        return (200, {**body, "choices": [{"index": 0, "finish_reason": "stop", "message": said}]})

    with OpenAIServer(uncounted) as server:
        client = openai.OpenAI(base_url=f"{serve(parts(server))}/v1", api_key="none", max_retries=0)
        extra = {"anabranch": {"include_plan": True}}
        reply = client.chat.completions.create(model="anabranch", messages=ASKED, extra_body=extra)
    assert reply.usage
    assert reply.usage.prompt_tokens > 200
    assert reply.usage.completion_tokens > 20
    assert (reply.model_extra or {})["anabranch"]["usage"]["solver"]["estimated"]
