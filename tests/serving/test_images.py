"""Images over HTTP: in both forms of the API, checked at the door, and told clearly where they cannot be read."""

import base64
import json
from typing import Any

import httpx
import openai
import pytest

from anabranch.agents.decomposer import JsonDecomposer
from anabranch.agents.models import resolve_model
from anabranch.serving.door import DoorRules
from anabranch.serving.service import Parts
from tests.openai_server import OpenAIServer, prompt_of
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

DIRECT = json.dumps({"sub_questions": []})
MIB = 1_048_576
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
DATA = f"data:image/png;base64,{PIXEL}"
ADDRESS = "https://example.org/cat.png"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def chat(*urls: str, text: str = "What is this?") -> dict[str, Any]:
    content = [{"type": "text", "text": text}, *map(image, urls)]
    return {"model": "anabranch", "messages": [{"role": "user", "content": content}]}


def respond(*urls: str) -> dict[str, Any]:
    content: list[Any] = [{"type": "input_text", "text": "What is this?"}]
    content += [{"type": "input_image", "image_url": url, "detail": "auto"} for url in urls]
    return {"model": "anabranch", "input": [{"role": "user", "content": content}]}


def seeing(request: dict[str, Any]) -> Any:
    return DIRECT if "Reply with JSON only" in prompt_of(request) else "a cat"


def urls_in(request: dict[str, Any]) -> list[str]:
    content = request["messages"][-1]["content"]
    return [part["image_url"]["url"] for part in content if part["type"] == "image_url"] if content else []


def test_images_reach_the_solvers_server(serve: Serve) -> None:
    with OpenAIServer(seeing) as server:
        model = resolve_model(f"{server.url}#m")
        client = openai.OpenAI(base_url=f"{serve(Parts(JsonDecomposer(model), model))}/v1", api_key="k", max_retries=0)
        reply: Any = client.chat.completions.create(**chat(DATA, ADDRESS))
        assert reply.choices[0].message.content == "a cat"
        assert urls_in(server.requests[-1]) == [DATA, ADDRESS]
        assert "[image 2]" in prompt_of(server.requests[0])
        first: Any = client.responses.create(**respond(ADDRESS))
        assert first.output_text == "a cat"
        assert urls_in(server.requests[-1]) == [ADDRESS]
        # A later turn still has it.
        client.responses.create(model="anabranch", input="Thanks. And is it old?", previous_response_id=first.id)
        assert ADDRESS in json.dumps(server.requests[-1])


def test_a_picture_of_some_megabytes_is_taken_and_one_of_fifty_refused(serve: Serve) -> None:
    with OpenAIServer(seeing) as server:
        model = resolve_model(f"{server.url}#m")
        url = serve(Parts(JsonDecomposer(model), model))
        large = "data:image/jpeg;base64," + base64.b64encode(bytes(4 * MIB)).decode()
        reply = httpx.post(f"{url}/v1/chat/completions", json=chat(large), timeout=60)
        assert reply.status_code == 200, reply.text
        assert urls_in(server.requests[-1]) == [large]
        huge = "data:image/png;base64," + "A" * (50 * MIB)
        for path, body in (("chat/completions", chat(huge)), ("responses", respond(huge))):
            reply = httpx.post(f"{url}/v1/{path}", json=body, timeout=60)
            assert reply.status_code == 413
            told = "larger than 1,048,576 bytes, and 20,971,520 of images"
            assert told in reply.json()["error"]["message"]
        # What is no image does not become one by its size.
        reply = httpx.post(f"{url}/v1/chat/completions", json=chat(DATA, text="x" * (2 * MIB)), timeout=60)
        assert reply.status_code == 413


def test_images_may_be_forbidden(serve: Serve) -> None:
    url = serve(rules=DoorRules(max_images=0))
    large = "data:image/jpeg;base64," + base64.b64encode(bytes(MIB)).decode()
    reply = httpx.post(f"{url}/v1/chat/completions", json=chat(large), timeout=60)
    assert (reply.status_code, "images" in reply.text) == (413, False)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("data:image/png;base64,@@@@", "is no base64"),
        ("data:image/png;base64,iVBORw0KGgo", "is no base64"),
        ("data:image/png;base64,", "is empty"),
        ("data:image/svg+xml;base64,PHN2Zz4=", "none of a PNG"),
        ("data:text/html,<b>", "none of a PNG"),
        ("http://example.org/a.png", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://", "https://"),
        ("x", "https://"),
    ],
)
@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_what_is_no_image_is_refused_with_the_reason(serve: Serve, path: str, bad: str, told: str) -> None:
    body = chat(bad) if path.startswith("chat") else respond(bad)
    reply = httpx.post(f"{serve()}/v1/{path}", json=body)
    assert reply.status_code == 400
    assert told in reply.json()["error"]["message"]


@pytest.mark.parametrize("status", [400, 500])
def test_a_solver_that_reads_text_alone_is_told(serve: Serve, status: int) -> None:
    def script(request: dict[str, Any]) -> Any:
        if "Reply with JSON only" in prompt_of(request):
            return DIRECT
        return (status, {"error": {"message": "m is not a multimodal model"}})

    with OpenAIServer(script) as server:
        model = resolve_model(f"{server.url}#m")
        client = openai.OpenAI(base_url=f"{serve(Parts(JsonDecomposer(model), model))}/v1", api_key="k", max_retries=0)
        with pytest.raises(openai.BadRequestError, match="the solver's model does not take these images") as refused:
            client.chat.completions.create(**chat(ADDRESS))
        assert refused.value.code == "images_not_supported"


def test_other_kinds_of_content_are_refused(serve: Serve) -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
    body = {"model": "anabranch", "messages": [{"role": "user", "content": [audio]}]}
    reply = httpx.post(f"{serve()}/v1/chat/completions", json=body)
    assert (reply.status_code, "input_audio" in reply.json()["error"]["message"]) == (400, True)
    assistant = {"role": "assistant", "content": [{"type": "input_image", "image_url": DATA}]}
    reply = httpx.post(f"{serve()}/v1/responses", json={"model": "anabranch", "input": [assistant]})
    assert (reply.status_code, "only messages of the user" in reply.text) == (400, True)
