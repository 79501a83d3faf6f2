"""AG-UI's requests in Python: what comes back is checked against the models of the protocol."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from ag_ui.core import Event, EventType, Interrupt, Message
from pydantic import TypeAdapter

_EVENT: TypeAdapter[Any] = TypeAdapter(Event)
_MESSAGE: TypeAdapter[Any] = TypeAdapter(Message)
URL = "/v1/agui"


class Client:
    """A front end: it keeps the conversation as the events say, and sends all of it with each run.

    Args:
        url: the server's address.
        thread: id of the thread; a new one if none is given.

    Attributes:
        messages: the conversation.
        state: the agent's state.
    """

    def __init__(self, url: str, thread: str = "") -> None:
        self.thread = thread or str(uuid.uuid4())
        self.messages: list[dict[str, Any]] = []
        self.state: Any = None
        # Without connections that outlive a request: nobody closes them.
        self.http = httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))

    def body(self, **more: Any) -> dict[str, Any]:
        """What a run sends."""
        return {"threadId": self.thread, "runId": str(uuid.uuid4()), "messages": self.messages, **more}

    def ask(self, content: Any, **more: Any) -> list[Any]:
        """All events of a run that answers a question."""
        self.messages.append({"id": str(uuid.uuid4()), "role": "user", "content": content})
        return self.run(**more)

    def run(self, **more: Any) -> list[Any]:
        """All events of a run."""
        reply = self.http.post(URL, json=self.body(**more))
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = [_EVENT.validate_python(data) for data in _data(reply.text)]
        check_order(events)
        for event in events:
            self._apply(event)
        return events

    @contextmanager
    def running(self, until: str, content: str, **more: Any) -> Iterator[None]:
        """A run that goes on as long as the block, which begins when an event holds a text."""
        self.messages.append({"id": str(uuid.uuid4()), "role": "user", "content": content})
        with self.http.stream("POST", URL, json=self.body(**more)) as reply:
            lines = reply.iter_lines()  # held, or the stream would be closed
            while until not in next(lines):
                pass
            yield

    def answer(self, call: str, content: str) -> None:
        """Adds the result of a tool call."""
        self.messages.append({"id": str(uuid.uuid4()), "role": "tool", "toolCallId": call, "content": content})

    def _apply(self, event: Any) -> None:
        kind = event.type
        if kind == EventType.TEXT_MESSAGE_START:
            self.messages.append({"id": event.message_id, "role": "assistant", "content": ""})
        elif kind == EventType.TEXT_MESSAGE_CONTENT:
            next(each for each in self.messages if each["id"] == event.message_id)["content"] += event.delta
        elif kind == EventType.TOOL_CALL_START:
            function = {"name": event.tool_call_name, "arguments": ""}
            call = {"id": event.tool_call_id, "type": "function", "function": function}
            self.messages.append({"id": event.tool_call_id, "role": "assistant", "toolCalls": [call]})
        elif kind == EventType.TOOL_CALL_ARGS:
            (said,) = [each for each in self.messages if each["id"] == event.tool_call_id]
            said["toolCalls"][0]["function"]["arguments"] += event.delta
        elif kind == EventType.TOOL_CALL_RESULT:
            result = {"role": "tool", "toolCallId": event.tool_call_id, "content": event.content}
            self.messages.append({"id": event.message_id, **result})
        elif kind == EventType.MESSAGES_SNAPSHOT:
            self.messages = [each.model_dump(mode="json", by_alias=True) for each in event.messages]
        elif kind == EventType.STATE_SNAPSHOT:
            self.state = event.snapshot
        elif kind == EventType.STATE_DELTA:
            for operation in event.delta:
                *path, name = operation.path.split("/")[1:]
                target = self.state
                for part in path:
                    target = target[part]
                assert operation.op == "add" or name in target
                target[name] = operation.value


def check_order(events: list[Any]) -> None:
    """What the protocol says on order: a run has a first and a last event, and all that opens in it is closed."""
    assert events[0].type == EventType.RUN_STARTED
    assert events[-1].type in (EventType.RUN_FINISHED, EventType.RUN_ERROR)
    assert [each.type for each in events[1:-1]].count(EventType.RUN_STARTED) == 0
    opened: list[tuple[str, Any]] = []
    for event in events:
        name, _, end = event.type.value.rpartition("_")
        key = (
            getattr(event, "step_name", None)
            or getattr(event, "tool_call_id", None)
            or getattr(event, "message_id", "")
        )
        if name in ("STEP", "TEXT_MESSAGE", "TOOL_CALL"):
            if end in ("START", "STARTED"):
                assert (name, key) not in opened
                opened.append((name, key))
            elif end in ("END", "FINISHED"):
                opened.remove((name, key))
            elif end in ("CONTENT", "ARGS"):
                assert (name, key) in opened
    assert not opened or events[-1].type == EventType.RUN_ERROR


def kinds(events: list[Any]) -> list[str]:
    """The types of events, each run of the same one once."""
    found = [event.type.value for event in events]
    return [kind for place, kind in enumerate(found) if place == 0 or found[place - 1] != kind]


def of_type(events: list[Any], kind: EventType) -> list[Any]:
    """The events of one type."""
    return [event for event in events if event.type == kind]


def interrupts(events: list[Any]) -> list[Interrupt]:
    """What waits for answers at the end of a run."""
    found: list[Interrupt] = events[-1].outcome.interrupts
    return found


def text(events: list[Any]) -> str:
    """What was said."""
    return "".join(event.delta for event in of_type(events, EventType.TEXT_MESSAGE_CONTENT))


def _data(stream: str) -> Iterator[Any]:
    for line in stream.splitlines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def resume(client: Client, id_: str, payload: Any) -> list[Any]:
    """Goes on with an answer to an interrupt."""
    return client.run(resume=[{"interruptId": id_, "status": "resolved", "payload": payload}])


def error(events: list[Any]) -> str:
    """What went wrong in a run."""
    last = events[-1]
    assert (last.type, last.code) == (EventType.RUN_ERROR, "invalid_value")
    message: str = last.message
    return message
