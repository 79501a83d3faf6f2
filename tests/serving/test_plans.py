"""Plans alone, whole and line by line."""

import json
from typing import Any

import httpx
import pytest

from anabranch.agents.decomposer import LineDecomposer
from anabranch.agents.models import RoleModel
from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import plan_json
from tests.serving import live
from tests.serving.conftest import Serve

served = pytest.mark.loopback
socket = pytest.mark.enable_socket

LINES = "1 [search] Who founded Craigslist?\n2 [search] When was {1} born?"


def lines(script: Any, word_delay: float | None = None) -> LineDecomposer:
    return LineDecomposer(RoleModel(ScriptedChatModel(script=script, word_delay=word_delay)))


def events_of(url: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    """Server-sent events as they come: name and data."""
    found = []
    with httpx.stream("POST", f"{url}/v1/plans", json={**body, "stream": True}, timeout=30) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: {"):
                found.append((name, json.loads(line.removeprefix("data: "))))
            elif line.startswith("data: "):
                found.append((line.removeprefix("data: "), None))
    return found


@served
@socket
def test_a_plan(serve: Serve) -> None:
    reply = httpx.post(f"{serve()}/v1/plans", json={"question": live.QUESTION}).json()
    assert reply["object"] == "plan"
    assert reply["lines"] == LINES
    assert reply["new"] == [1, 2]
    assert reply["plan"]["sub_questions"][1] == {
        "id": 2,
        "text": "When was {1} born?",
        "route": "search",
        "depends_on": [1],
    }
    assert reply["usage"]["total_tokens"] > 0


@served
@socket
def test_tools_and_limits_of_the_request_reach_the_decomposer(serve: Serve) -> None:
    model = ScriptedChatModel(script=live.always(plan_json(("hammer", "Hit it?", []))))
    tools = [{"name": "hammer", "description": "Hits nails. Not screws."}]
    body = {
        "question": "Hit the nail?",
        "tools": tools,
        "max_sub_questions": 3,
        "mode": "dynamic",
        "feedback": "be kind",
    }
    reply = httpx.post(f"{serve(live.parts(model))}/v1/plans", json=body).json()
    assert reply["lines"] == "1 [hammer] Hit it?"
    (prompt,) = model.prompts
    assert "hammer: Hits nails.\n" in prompt
    assert "search:" not in prompt
    assert "be kind" in prompt
    assert "next sub-questions" in prompt


@served
@socket
def test_replanning(serve: Serve) -> None:
    model = ScriptedChatModel(script=live.always(plan_json(("search", "Where was {1} born?", [1]), first_id=3)))
    asked = [
        {"id": 1, "text": "Who founded Craigslist?", "route": "search", "depends_on": []},
        {"id": 2, "text": "When was {1} born?", "route": "search", "depends_on": [1]},
    ]
    answers = [{"id": 1, "text": "Craig Newmark"}, {"id": 2, "status": "failed", "error": "no idea"}]
    url = serve(live.parts(model))
    reply = httpx.post(f"{url}/v1/plans", json={"question": live.QUESTION, "asked": asked, "answers": answers}).json()
    assert reply["new"] == [3]
    assert [q["id"] for q in reply["plan"]["sub_questions"]] == [1, 2, 3]
    assert "FAILED (no idea)" in model.prompts[0]


@served
@socket
def test_lines_come_as_they_are_written(serve: Serve) -> None:
    """The first line is there while the second is not even begun."""
    url = serve(live.parts(lines(live.always(LINES), word_delay=0.02)))
    events = events_of(url, {"question": live.QUESTION})
    assert [name for name, _ in events] == ["sub_question", "sub_question", "plan", "[DONE]"]
    assert events[0][1]["line"] == "1 [search] Who founded Craigslist?"
    assert events[2][1]["lines"] == LINES

    hanging = ScriptedChatModel(script=live.always(LINES.replace("When", "When " + "x " * 5000)), word_delay=0.02)
    url = serve(live.parts(LineDecomposer(RoleModel(hanging))))
    with httpx.stream("POST", f"{url}/v1/plans", json={"question": "Q?", "stream": True}, timeout=30) as response:
        assert next(line for line in response.iter_lines() if line.startswith("data")).startswith('data: {"id": 1')
    live.wait_until(lambda: hanging.cancelled)


@served
@socket
def test_a_draft_that_is_thrown_away_is_taken_back(serve: Serve) -> None:
    drafts: list[Reply] = ["1 [search] a?\n2 [nowhere] b?", LINES]
    events = events_of(serve(live.parts(lines(drafts, 0.0))), {"question": live.QUESTION})
    kinds = [name for name, _ in events]
    assert kinds == ["sub_question", "sub_question", "restart", "sub_question", "sub_question", "plan", "[DONE]"]
    assert "unknown route 'nowhere'" in events[-2][1]["problems"][0]


@served
@socket
@pytest.mark.parametrize("stream", [False, True])
def test_rubbish_is_a_bad_gateway(serve: Serve, stream: bool) -> None:
    url = serve(live.parts(live.always("I would rather not.")))
    reply = httpx.post(f"{url}/v1/plans", json={"question": "Why not?", "stream": stream})
    error = reply.json()["error"] if not stream else json.loads(reply.text.split("data: ")[-1])["error"]
    assert error["code"] == "model_misbehaved"
    assert "wrote no plan that can run" in error["message"]
    assert stream or reply.status_code == 502


@served
@socket
def test_an_answer_to_nothing_is_refused(serve: Serve) -> None:
    reply = httpx.post(f"{serve()}/v1/plans", json={"question": "Why?", "answers": [{"id": 3, "text": "x"}]})
    assert reply.status_code == 400
    assert "sub-question 3" in reply.json()["error"]["message"]
