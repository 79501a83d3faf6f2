"""Outcomes of the planner as OpenAI's completions and chunks, and plans as ours."""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi.sse import format_sse_event

from anabranch.agents.final_answer import Delta
from anabranch.codecs import encode_line, encode_lines
from anabranch.graphs.channels import plain
from anabranch.serving.plan_stream import PlanItem, Planned, Restarted
from anabranch.serving.protocol import (
    MODEL,
    AssistantMessage,
    ChatCompletion,
    Choice,
    FinishReason,
    FunctionCall,
    PlanReply,
    TokenUsage,
    ToolCall,
)
from anabranch.serving.service import Event, Item, Outcome
from anabranch.serving.tool_turns import call_id

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"


def completion(outcome: Outcome, *, include_plan: bool) -> dict[str, Any]:
    """A whole reply."""
    calls = tool_calls(outcome)
    said = None if calls else outcome.answer
    content, refusal = (None, said) if outcome.refused else (said, None)
    message = AssistantMessage(content=content, refusal=refusal, tool_calls=calls or None)
    reply = ChatCompletion(
        id=f"chatcmpl-{secrets.token_hex(12)}",
        created=int(time.time()),
        choices=[Choice(message=message, finish_reason=_finish_reason(outcome))],
        usage=TokenUsage.of(outcome.total),
        anabranch=details(outcome) if include_plan else None,
    )
    body = reply.model_dump(mode="json")
    # What there is not is left out, and not null: that is what OpenAI sends.
    if not calls:
        del body["choices"][0]["message"]["tool_calls"]
    if not include_plan:
        del body["anabranch"]
    return body


def details(outcome: Outcome) -> dict[str, Any]:
    """The question as it was understood, the status, the sources, the plan, the answers and the usage by role."""
    answers = [plain(answer) for answer in outcome.answers.values()]
    return {
        "question": outcome.question,
        "status": outcome.status,
        "sources": [plain(source) for source in outcome.sources],
        "plan": plain(outcome.plan),
        "answers": answers,
        "usage": plain(dict(outcome.usage)),
    }


def _finish_reason(outcome: Outcome) -> FinishReason:
    if outcome.calls:
        return "tool_calls"
    known: dict[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}
    return known.get(outcome.finish_reason, "stop")


def tool_calls(outcome: Outcome) -> list[ToolCall]:
    """The calls that the client is asked to make."""
    return [
        ToolCall(
            id=call_id(call.sub_question, outcome.key),
            function=FunctionCall(name=call.name, arguments=json.dumps(call.arguments, ensure_ascii=False)),
        )
        for call in outcome.calls
    ]


@dataclass
class Chunks:
    """The chunks of one streamed reply, as server-sent events.

    Attributes:
        include_usage: whether a last chunk has the usage.
        include_plan: whether events and reasoning are shown.
    """

    include_usage: bool = False
    include_plan: bool = False
    _id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    _created: int = field(default_factory=lambda: int(time.time()))

    def first(self) -> bytes:
        """The chunk that says who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def of(self, item: Item) -> Iterator[bytes]:
        """The chunks for an item."""
        if isinstance(item, Outcome):
            yield from self._last(item)
        elif isinstance(item, Event):
            if self.include_plan:
                yield self._chunk({}, anabranch=item.data)
        elif shown := self._shown(item):
            yield self._chunk(shown)

    def failed(self, body: dict[str, Any]) -> Iterator[bytes]:
        """The event for an error after the reply has begun; OpenAI's client raises on it."""
        yield sse(body)

    def _shown(self, delta: Delta) -> dict[str, str]:
        shown = {"content": delta.content} if delta.content else {}
        if self.include_plan and delta.reasoning:
            shown["reasoning_content"] = delta.reasoning
        return shown

    def _last(self, outcome: Outcome) -> Iterator[bytes]:
        calls = [call.model_dump(mode="json") for call in tool_calls(outcome)]
        if calls:
            yield self._chunk({"tool_calls": [{"index": place, **call} for place, call in enumerate(calls)]})
        if outcome.refused:
            yield self._chunk({"refusal": outcome.answer})
        extra = {"anabranch": {"type": "outcome", **details(outcome)}} if self.include_plan else {}
        yield self._chunk({}, finish=_finish_reason(outcome), **extra)
        if self.include_usage:
            yield sse(self._body([]) | {"usage": TokenUsage.of(outcome.total).model_dump()})
        yield DONE

    def _chunk(self, delta: dict[str, Any], *, finish: str | None = None, **extra: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        usage = {"usage": None} if self.include_usage else {}
        return sse(self._body([choice]) | usage | extra)

    def _body(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        kind = "chat.completion.chunk"
        return {"id": self._id, "object": kind, "created": self._created, "model": MODEL, "choices": choices}


def plan_reply(planned: Planned) -> dict[str, Any]:
    """A whole plan."""
    reply = PlanReply(
        id=f"plan-{secrets.token_hex(12)}",
        created=int(time.time()),
        plan=planned.plan,
        new=list(planned.new),
        lines=encode_lines(planned.plan),
        problems=list(planned.problems),
        usage=TokenUsage.of(planned.usage),
    )
    return reply.model_dump(mode="json")


class PlanEvents:
    """The pieces of a plan as server-sent events."""

    def of(self, item: PlanItem) -> Iterator[bytes]:
        """The event for a piece: `sub_question`, `restart` (forget those before), or at the end `plan`."""
        if isinstance(item, Planned):
            yield sse(plan_reply(item), "plan")
            yield DONE
        elif isinstance(item, Restarted):
            yield sse({}, "restart")
        else:
            yield sse({**plain(item.question), "line": encode_line(item.question)}, "sub_question")

    def failed(self, body: dict[str, Any]) -> Iterator[bytes]:
        """The event for an error."""
        yield sse(body)


def sse(data: dict[str, Any], name: str | None = None) -> bytes:
    """A server-sent event."""
    # Escaped to ASCII: no line break of any alphabet can end up inside an event.
    return format_sse_event(data_str=json.dumps(data), event=name)
