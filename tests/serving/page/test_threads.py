"""Conversations of the page, over HTTP and without a browser."""

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.tools import tool

from anabranch.serving.options import Limits
from anabranch.serving.page import threads
from tests.fakes import ScriptedChatModel
from tests.graphs.scripts import plan_json, reader
from tests.serving import live
from tests.serving.conftest import Serve
from tests.serving.page.client import Client, of_type
from tests.serving.test_plans import LINES, lines

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types of events, each run of the same one once."""
    found = [event["type"] for event in events]
    return [kind for place, kind in enumerate(found) if place == 0 or found[place - 1] != kind]


def asked(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What waits for decisions at the end of a run."""
    (event,) = of_type(events, "interrupts")
    waiting: list[dict[str, Any]] = event["interrupts"]
    return waiting


def test_a_run_is_told_as_it_goes(serve: Serve) -> None:
    client = Client(serve(live.parts(lines(live.always(LINES), 0.0), ScriptedChatModel(script=reader, word_delay=0.0))))
    events = client.run(question=live.QUESTION)
    assert kinds(events) == ["begin", "draft", "plan", "sub_question", "delta", "answer", "end"]
    assert [len(event["sub_questions"]) for event in of_type(events, "draft")] == [1, 2]
    started = [event["id"] for event in of_type(events, "sub_question") if event["status"] == "started"]
    assert started == [1, 2]
    done = of_type(events, "sub_question")[-1]
    assert (done["text"], done["arguments"]) == ("1952", {"query": "When was Craig Newmark born?"})
    assert done["sources"][0]["text"] == "Craig Newmark was born in 1952."
    assert "evidence" not in done
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert of_type(events, "answer")[0]["answer"] == live.ANSWER
    assert events[-1]["usage"]["total"]["tokens"] > 0
    assert set(events[-1]["usage"]) == {"decomposer", "solver", "joiner", "total"}


def test_a_conversation_is_shown_again(serve: Serve) -> None:
    client = Client(serve(live.parts(live.always(plan_json()), live.always("Answer: hello"))))
    assert client.show() == {"turns": [], "documents": []}
    client.run(question="First?")
    client.run(question="Second?")
    shown = client.show()
    assert [(turn["asked"], turn["answer"], turn["status"]) for turn in shown["turns"]] == [
        ("First?", "hello", "answered"),
        ("Second?", "hello", "answered"),
    ]
    other = Client(str(client.http.base_url))
    assert other.show()["turns"] == []
    assert client.http.delete("/page/thread").status_code == 204
    assert client.show()["turns"] == []


def test_conversations_outlive_the_process(serve: Serve, tmp_path: Path) -> None:
    file = str(tmp_path / "threads.sqlite")
    client = Client(serve(threads=file))
    client.run(question=live.QUESTION)
    later = Client(serve(threads=file))
    later.http.headers["Anabranch-Thread"] = client.thread
    (turn,) = later.show()["turns"]
    assert turn["answer"] == live.ANSWER
    assert [answer["text"] for answer in turn["answers"]] == ["Craig Newmark", "1952"]
    assert later.http.get("/page/settings").json()["keeps_threads"]


def test_a_plan_is_reviewed(serve: Serve) -> None:
    client = Client(serve())
    events = client.run(question=live.QUESTION, review=True)
    (waiting,) = asked(events)
    assert [question["id"] for question in waiting["plan"]["sub_questions"]] == [1, 2]
    assert client.show()["turns"][0]["interrupts"] == [waiting]

    id_ = waiting["id"]
    circle = {"sub_questions": [{"id": 1, "text": "x {2}"}, {"id": 2, "text": "y {1}"}]}
    refused = client.http.post("/page/runs", json={"decisions": {id_: {"type": "edit", "plan": circle}}})
    assert refused.status_code == 400
    assert "wait for each other" in refused.json()["error"]["message"]

    strange = {"sub_questions": [{"id": 1, "text": "x", "route": "teleport"}]}
    (waiting,) = asked(client.run(decisions={id_: {"type": "edit", "plan": strange}}))
    assert "unknown route" in waiting["error"]

    plan = {"sub_questions": [{"id": 7, "text": "When was Craig Newmark born?", "route": "search"}]}
    events = client.run(decisions={waiting["id"]: {"type": "edit", "plan": plan}})
    assert of_type(events, "answer")[0]["answer"] == live.ANSWER
    assert client.show()["turns"][0]["plan"]["sub_questions"][0]["id"] == 7
    again = client.http.post("/page/runs", json={"decisions": {id_: {"type": "approve"}}})
    assert again.status_code == 400


def test_a_rejected_plan_runs_nothing(serve: Serve) -> None:
    client = Client(serve())
    (waiting,) = asked(client.run(question=live.QUESTION, review=True))
    (answer,) = of_type(client.run(decisions={waiting["id"]: {"type": "reject"}}), "answer")
    assert (answer["answer"], answer["status"]) == ("The plan was rejected.", "failed")


def test_an_action_waits_for_a_decision(serve: Serve) -> None:
    sent = list[str]()

    @tool
    def send(text: str) -> str:
        """Sends a text."""
        sent.append(text)
        return "it is sent"

    send.metadata = {"effects": True}
    plan = plan_json(("send", "Send: hello", []))
    parts = live.parts(plan, live.always('{"text": "hello"}'), [send])
    client = Client(serve(parts))
    assert client.http.get("/page/settings").json()["tools"] == [
        {"name": "send", "description": "Sends a text.", "acts": True}
    ]
    (waiting,) = asked(client.run(question="Will you send hello to all of them?"))
    (action,) = waiting["action_requests"]
    assert (action["name"], action["args"]) == ("send", {"text": "hello"})
    assert sent == []
    events = client.run(decisions={waiting["id"]: {"decisions": [{"type": "approve"}]}})
    assert sent == ["hello"]
    assert of_type(events, "end")


def test_tools_that_ask_at_the_same_time_get_an_answer_each(serve: Serve) -> None:
    plan = plan_json(("ask", "tea", []), ("ask", "milk", []))

    def solver(prompt: str) -> str:
        if "Sub-questions and their answers:" in prompt:
            return "Answer: " + " and ".join(word for word in ("yes", "no") if f"she says {word}" in prompt)
        if "she says" in prompt:
            return "she says " + prompt.rsplit("she says ", 1)[1].split()[0]
        return '{"text": "milk"}' if "milk" in prompt.rsplit("tea", 1)[-1] else '{"text": "tea"}'

    client = Client(serve(live.parts(plan, solver, [live.ask])))
    waiting = asked(client.run(question="What does she want of tea and milk?"))
    assert sorted(each["value"] for each in waiting) == ["what of milk?", "what of tea?"]
    said = {each["id"]: "yes" if "tea" in each["value"] else "no" for each in waiting}
    assert client.http.post("/page/runs", json={"decisions": dict([*said.items()][:1])}).status_code == 400
    assert of_type(client.run(decisions=said), "answer")[0]["answer"] == "yes and no"


def test_who_leaves_stops_the_run_and_may_go_on(serve: Serve) -> None:
    slow = ScriptedChatModel(script=reader)
    calls, gate = list[str](), threading.Event()
    client = Client(serve(live.parts(solver=slow, tools=[live.gated_search(calls, gate)])))
    with client.running('"Craig Newmark"', question=live.QUESTION):
        live.wait_until(lambda: len(calls) == 2)
    gate.set()
    (turn,) = client.show()["turns"]
    assert turn["unfinished"]
    assert turn["interrupts"] == []
    assert [answer["text"] for answer in turn["answers"]] == ["Craig Newmark"]
    events = client.run()
    assert of_type(events, "answer")[0]["answer"] == live.ANSWER
    assert calls.count("Who founded Craigslist?") == 1
    assert client.http.post("/page/runs", json={}).status_code == 400


def test_what_was_stopped_is_no_part_of_the_conversation(serve: Serve) -> None:
    model = ScriptedChatModel(script=live.always("Answer: yes"), delay=0.0)
    client = Client(serve(live.parts(live.always(plan_json()), model)))
    model.delay = 30.0
    with client.running('"plan"', question="The stopped one?"):
        time.sleep(0.3)  # the plan is kept, and the model is asked
    model.delay = 0.0
    client.run(question="The other one?")
    assert [turn["asked"] for turn in client.show()["turns"]] == ["The other one?"]
    assert "The stopped one?" not in model.prompts[-1]


def test_one_run_of_a_thread_at_a_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "BUSY_SECONDS", 0.1)
    client = Client(serve(live.parts(solver=ScriptedChatModel(script=reader, delay=20.0))))
    with client.running('"plan"', question=live.QUESTION):
        refused = httpx.post(
            f"{client.http.base_url}/page/runs",
            json={"question": "Another?"},
            headers={"Anabranch-Thread": client.thread},
        )
    assert refused.status_code == 400
    assert "is answering another question" in refused.json()["error"]["message"]


def test_one_run_of_a_thread_at_a_time_among_servers(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(threads, "BUSY_SECONDS", 0.1)
    shared: Any = {"threads": str(tmp_path / "threads.sqlite"), "locks": tmp_path}
    client = Client(serve(live.parts(solver=ScriptedChatModel(script=reader, delay=20.0)), **shared))
    other = Client(serve(live.parts(), **shared))
    other.http.headers["Anabranch-Thread"] = client.thread
    with client.running('"plan"', question=live.QUESTION):
        refused = other.http.post("/page/runs", json={"question": "Another?"})
    assert "is answering another question" in refused.json()["error"]["message"]
    live.wait_until(lambda: other.http.post("/page/runs", json={"question": "Another?"}).status_code == 200)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"question": ""}, 400),
        ({"question": "x" * 20_001}, 400),
        ({"question": "a?", "decisions": {"x": {"type": "approve"}}}, 400),
        ({"decisions": {"x": {"type": "approve"}}}, 400),
        ({"decisions": "approve"}, 400),
        ([], 400),
    ],
    ids=str,
)
def test_bad_bodies(serve: Serve, body: Any, status: int) -> None:
    reply = Client(serve()).http.post("/page/runs", json=body)
    assert reply.status_code == status
    assert reply.json()["error"]["message"]


@pytest.mark.parametrize("thread", ["", "short", "x" * 65, "../../../../etc/passwd-----", "a b c d e f g h i j k l"])
def test_ids_of_threads_that_could_be_guessed_are_refused(serve: Serve, thread: str) -> None:
    for method, path in (("GET", "/page/thread"), ("POST", "/page/runs"), ("DELETE", "/page/thread")):
        reply = httpx.request(method, f"{serve()}{path}", headers={"Anabranch-Thread": thread}, json={"question": "a?"})
        assert reply.status_code == 400


def test_failures_of_models_are_told_and_can_be_gone_on_from(serve: Serve) -> None:
    replies: list[Any] = [ValueError("a secret of the server"), "Answer: yes"]
    client = Client(serve(live.parts(live.always(plan_json()), ScriptedChatModel(script=replies))))
    events = client.run(question="Is it so?")
    assert "the solver model failed" in events[-1]["error"]["message"]
    assert "secret" not in events[-1]["error"]["message"]
    assert client.show()["turns"][0]["unfinished"]
    assert of_type(client.run(), "answer")[0]["answer"] == "yes"


def test_there_is_room_for_so_many_threads_in_memory(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MAX_KEPT", 2)
    url = serve(live.parts(live.always(plan_json()), live.always("Answer: yes")))
    clients = [Client(url) for _ in range(3)]
    for client in clients:
        client.run(question="Is it so?")
    assert [len(client.show()["turns"]) for client in clients] == [0, 1, 1]


def test_the_pages_runs_are_work_like_all_other(serve: Serve) -> None:
    """They take the same slots: where these are full, a run is refused before its body is read."""
    slow = ScriptedChatModel(script=reader, delay=20.0)
    client = Client(serve(live.parts(solver=slow), Limits(max_concurrency=1, max_queue=0)))
    with client.running('"plan"', question=live.QUESTION):
        refused = Client(str(client.http.base_url)).http.post("/page/runs", json={"question": "Another?"})
    assert refused.status_code == 429
    assert "anabranch_cancelled" in httpx.get(f"{client.http.base_url}/metrics").text
