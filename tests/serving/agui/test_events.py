"""Events of a thread that scripted models do not bring about."""

import uuid
from typing import Any

from ag_ui.core import EventType

from anabranch.serving.agui.events import Events
from anabranch.serving.agui.protocol import RunInput
from anabranch.serving.agui.reading import Reading
from anabranch.serving.page.threads import Asked
from anabranch.serving.usage import UsageByRole
from tests.serving.agui.client import check_order, of_type, text


def told(*events: dict[str, Any]) -> list[Any]:
    body = RunInput.model_validate({"threadId": str(uuid.uuid4()), "runId": "r", "messages": []})
    all_ = Events(body, UsageByRole())
    all_.begin(Reading(Asked(), "turn", []))
    found = [
        all_.started(),
        *(each for event in [{"type": "begin"}, *events, {"type": "end"}] for each in all_.of(event)),
    ]
    check_order(found)
    return found


def delta(message: str, content: str) -> dict[str, Any]:
    return {"type": "delta", "message": message, "content": content}


def answer(text: str) -> dict[str, Any]:
    return {"type": "answer", "answer": text, "status": "answered", "sources": []}


def test_what_is_missing_of_an_answer_follows() -> None:
    events = told(delta("a", "It is "), answer("It is green."), delta("a", "It is green."))
    assert text(events) == "It is green."
    assert not of_type(events, EventType.MESSAGES_SNAPSHOT)


def test_an_answer_that_was_not_streamed_is_a_message() -> None:
    events = told(answer("It is green."))
    assert [event.message_id for event in of_type(events, EventType.TEXT_MESSAGE_START)] == ["answer-r"]
    assert text(events) == "It is green."


def test_what_turned_out_to_be_no_answer_is_taken_back() -> None:
    for events in (
        told(delta("a", "It is red"), answer("It is green.")),
        told(delta("a", "It is red"), delta("b", "It is gr"), answer("It is green.")),
    ):
        (snapshot,) = of_type(events, EventType.MESSAGES_SNAPSHOT)
        assert [message.content for message in snapshot.messages] == ["It is green."]
