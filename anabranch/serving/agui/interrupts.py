"""What a run waits for, as AG-UI's interrupts, and the answers to them as the planner takes them.

Source: https://docs.ag-ui.com/concepts/interrupts
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ag_ui.core import Interrupt, ResumeEntry

from anabranch.errors import ConfigurationError
from anabranch.graphs.state import PlanDecision
from anabranch.serving.page.threads import CLIENT_CALL
from anabranch.tools.elicitation import ELICITATION

Waiting = Mapping[str, Any]
APPROVAL = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "editedArgs": {"type": "object", "description": "All arguments of the call, in place of those proposed."},
        "message": {"type": "string", "description": "Why it is not approved."},
    },
    "required": ["approved"],
}
CANCELLED = "cancelled"


def call_id(thread: str, turn: str, sub_question: int) -> str:
    """The id of the call of a tool that answers a sub-question: the same in all runs of a question.

    Args:
        thread: the thread.
        turn: id of the message that asks.
        sub_question: the sub-question's id.
    """
    return f"call_{uuid.uuid5(uuid.NAMESPACE_OID, f'{thread}/{turn}/{sub_question}').hex}"


def shown_result_id(call: str) -> str:
    """The id of the message that shows what a look-up found, by the id of its call."""
    return f"{call}_result"


def client_call_id(waiting: Waiting) -> str:
    """The id of a call that the client is to make."""
    return f"call_{waiting['id']}"


def interrupts_of(waiting: Waiting, thread: str, turn: str) -> Iterator[Interrupt]:
    """What a run waits for: one interrupt for a plan's review, one for each action."""
    id_, error = waiting["id"], waiting.get("error")
    if "action_requests" in waiting:
        for place, asked in enumerate(waiting["action_requests"]):
            yield Interrupt(
                id=_action_id(waiting, place),
                reason="tool_call",
                message=_with(asked["description"], error),
                tool_call_id=call_id(thread, turn, waiting["sub_questions"][place]),
                response_schema=APPROVAL,
                metadata={"name": asked["name"], "args": asked["args"]},
            )
    elif "plan" in waiting:
        lines = [f"{each['id']}. {each['text']}" for each in waiting["plan"]["sub_questions"]]
        yield Interrupt(
            id=id_,
            reason="confirmation",
            message=_with("\n".join(["Run this plan?", *lines]), error),
            response_schema=PlanDecision.model_json_schema(),
            metadata={"question": waiting["question"], "plan": waiting["plan"]},
        )
    elif CLIENT_CALL in waiting:
        call = waiting[CLIENT_CALL]
        yield Interrupt(
            id=id_, reason="tool_call", message=f"Call {call['name']}", tool_call_id=client_call_id(waiting)
        )
    elif ELICITATION in waiting:
        asked = waiting[ELICITATION]
        yield Interrupt(
            id=id_,
            reason="input_required",
            message=_with(asked["message"], error, "values do not fit"),
            response_schema=asked["requestedSchema"],
            metadata={"server": asked["server"]},
        )
    else:
        yield Interrupt(id=id_, reason="input_required", message=waiting["value"])


def decisions(waiting: Sequence[Waiting], resume: Sequence[ResumeEntry], results: Mapping[str, str]) -> dict[str, Any]:
    """The answers to all that a thread waits for, by the planner's own ids.

    Args:
        waiting: what it waits for.
        resume: the client's answers.
        results: what its tools returned, by the id of the call.

    Raises:
        ConfigurationError: something has no answer, or an answer belongs to nothing.
    """
    given = {entry.interrupt_id: entry for entry in resume}
    found = {each["id"]: _decision(each, given, results) for each in waiting}
    if strange := sorted(given):
        raise ConfigurationError(
            f"this thread does not wait for {strange[0][:80]!r}; answer the interrupts that it told"
        )
    return found


def _decision(waiting: Waiting, given: dict[str, ResumeEntry], results: Mapping[str, str]) -> Any:
    """The answer to one thing, taken out of those given."""
    if "action_requests" in waiting:
        names = [each["name"] for each in waiting["action_requests"]]
        entries = [_taken(given, _action_id(waiting, place)) for place in range(len(names))]
        return {"decisions": [*map(_approval, entries, names)]}
    if CLIENT_CALL in waiting and waiting["id"] not in given:
        if (id_ := client_call_id(waiting)) not in results:
            raise ConfigurationError(f"the result of the tool call {id_!r} is missing; add a tool message for it")
        return results[id_]
    entry = _taken(given, waiting["id"])
    if "plan" in waiting:
        return _approval(entry, "")
    if entry.status == CANCELLED:
        return "cancel" if ELICITATION in waiting else CANCELLED
    if ELICITATION in waiting and isinstance(entry.payload, dict):
        return {"action": "accept", "content": entry.payload}
    return entry.payload if isinstance(entry.payload, str) else json.dumps(entry.payload)


def _taken(given: dict[str, ResumeEntry], id_: str) -> ResumeEntry:
    if (entry := given.pop(id_, None)) is None:
        raise ConfigurationError(f"this thread waits for an answer to the interrupt {id_!r}; send it in resume")
    return entry


def _approval(entry: ResumeEntry, tool: str) -> Any:
    """A decision, also in the form that AG-UI recommends."""
    payload = entry.payload
    if entry.status == CANCELLED:
        return {"type": "reject"}
    if not isinstance(payload, dict) or "approved" not in payload:
        return payload
    message = {"message": payload["message"]} if payload.get("message") else {}
    if payload["approved"] is not True:
        return {"type": "reject", **message}
    if "editedArgs" in payload:
        return {"type": "edit", "edited_action": {"name": tool, "args": payload["editedArgs"]}}
    return {"type": "approve"}


def _action_id(waiting: Waiting, place: int) -> str:
    return f"{waiting['id']}.{place}"


def _with(message: str, error: str | None, what: str = "decision could not be carried out") -> str:
    return f"{message}\n\nThe last {what}: {error}" if error else message
