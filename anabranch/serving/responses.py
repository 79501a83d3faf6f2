"""Outcomes of the planner as OpenAI's responses, whole or as the events of a stream."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from anabranch.agents.final_answer import Delta
from anabranch.plan import Usage
from anabranch.serving.kept import new_key
from anabranch.serving.protocol import MODEL, AssistantTurn, RefusalPart
from anabranch.serving.replies import details, sse, tool_calls
from anabranch.serving.responses_protocol import ResponsesRequest
from anabranch.serving.service import Event, Item, Outcome

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
Json = dict[str, Any]


@dataclass
class Response:
    """One response on its way.

    Attributes:
        request: what it answers.
        key: 128 random bits, in its id and in those of its items.
        created: when it was asked for, in seconds since the epoch.
    """

    request: ResponsesRequest
    key: str = field(default_factory=new_key)
    created: int = field(default_factory=lambda: int(time.time()))
    _number: int = 0
    _text: str = ""
    _opened: bool = False

    @property
    def id(self) -> str:
        """Its id."""
        return f"resp_{self.key}"

    def whole(self, outcome: Outcome) -> Json:
        """The response with an outcome."""
        return self._ended(outcome, self._output(outcome, outcome.answer))

    def said(self, outcome: Outcome) -> AssistantTurn:
        """An outcome as a turn of the conversation."""
        if calls := tool_calls(outcome):
            return AssistantTurn(role="assistant", tool_calls=calls)
        text = outcome.answer
        if outcome.refused:
            return AssistantTurn(role="assistant", content=[RefusalPart(type="refusal", refusal=text)])
        return AssistantTurn(role="assistant", content=text)

    def first(self) -> bytes:
        """The events before anything is there."""
        begun = self._body("in_progress", [])
        return b"".join(self._event(f"response.{name}", response=begun) for name in ("created", "in_progress"))

    def of(self, item: Item) -> Iterator[bytes]:
        """The events for an item."""
        if isinstance(item, Outcome):
            yield from self._last(item)
        elif isinstance(item, Event):
            if self._shows_plan:
                yield self._event(f"anabranch.{item.data['type']}", anabranch=item.data)
        elif isinstance(item, Delta) and item.content:
            yield from self._added(item.content)

    def failed(self, body: Mapping[str, Any]) -> Iterator[bytes]:
        """The events for an error."""
        error = body["error"]
        # Flat, as it is described, and nested, as OpenAI sends it and clients raise on it.
        flat = {name: error[name] for name in ("code", "message", "param")}
        yield self._event("error", **flat, error=dict(error))
        told = {"code": "server_error", "message": error["message"]}
        yield self._event("response.failed", response=self._body("failed", []) | {"error": told})

    @property
    def _shows_plan(self) -> bool:
        return bool(self.request.anabranch and self.request.anabranch.include_plan)

    def _added(self, text: str) -> Iterator[bytes]:
        if not self._opened:
            self._opened = True
            yield from self._opening(_text_part(""))
        self._text += text
        yield self._part_event("response.output_text.delta", delta=text, logprobs=[])

    def _opening(self, part: Json) -> Iterator[bytes]:
        message = self._message([], "in_progress")
        yield self._event("response.output_item.added", output_index=0, item=message)
        yield self._part_event("response.content_part.added", part=part)

    def _last(self, outcome: Outcome) -> Iterator[bytes]:
        text = self._text or outcome.answer
        output = self._output(outcome, text)
        if outcome.refused:
            yield from self._opening({"type": "refusal", "refusal": ""})
            yield self._part_event("response.refusal.delta", delta=text)
            yield self._part_event("response.refusal.done", refusal=text)
        elif not outcome.calls:
            yield self._part_event("response.output_text.done", text=text, logprobs=[])
        if not outcome.calls:
            yield self._part_event("response.content_part.done", part=output[0]["content"][0])
            yield self._event("response.output_item.done", output_index=0, item=output[0])
        for place, item in enumerate(output if outcome.calls else []):
            yield from self._call(place, item)
        ended = self._ended(outcome, output)
        yield self._event(f"response.{ended['status']}", response=ended)

    def _call(self, place: int, item: Json) -> Iterator[bytes]:
        where = {"output_index": place, "item_id": item["id"]}
        begun = item | {"arguments": "", "status": "in_progress"}
        yield self._event("response.output_item.added", output_index=place, item=begun)
        yield self._event("response.function_call_arguments.delta", **where, delta=item["arguments"])
        done = {"name": item["name"], "arguments": item["arguments"]}
        yield self._event("response.function_call_arguments.done", **where, **done)
        yield self._event("response.output_item.done", output_index=place, item=item)

    def _output(self, outcome: Outcome, text: str) -> list[Json]:
        if outcome.calls:
            return [
                {
                    "type": "function_call",
                    "id": f"fc_{place}_{self.key}",
                    "call_id": call.id,
                    "name": call.function.name,
                    "arguments": call.function.arguments,
                    "status": "completed",
                }
                for place, call in enumerate(tool_calls(outcome))
            ]
        part = {"type": "refusal", "refusal": text} if outcome.refused else _text_part(text)
        return [self._message([part], "incomplete" if outcome.finish_reason in _INCOMPLETE else "completed")]

    def _message(self, content: list[Json], status: str) -> Json:
        return {
            "type": "message",
            "id": f"msg_{self.key}",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    def _ended(self, outcome: Outcome, output: list[Json]) -> Json:
        # A refusal of ours is a whole answer; what a content filter stopped is not.
        why = None if outcome.calls else _INCOMPLETE.get(outcome.finish_reason)
        body = self._body("incomplete" if why else "completed", output)
        body["incomplete_details"] = {"reason": why} if why else None
        body["usage"] = _usage(outcome.total)
        if self._shows_plan:
            body["anabranch"] = details(outcome)
        return body

    def _body(self, status: str, output: list[Json]) -> Json:
        asked = self.request
        form = asked.text.format if asked.text else None
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": int(time.time()) if status == "completed" else None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "metadata": asked.metadata or {},
            "model": MODEL,
            "output": output,
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": asked.previous_response_id,
            "reasoning": {"effort": None, "summary": None},
            "store": asked.store is not False,
            "temperature": 1.0 if asked.temperature is None else asked.temperature,
            "text": {"format": form.model_dump(by_alias=True) if form else {"type": "text"}},
            "tool_choice": _plain(asked.tool_choice) or "auto",
            "tools": [tool.model_dump() for tool in asked.tools or []],
            "top_p": 1.0 if asked.top_p is None else asked.top_p,
            "truncation": "disabled",
            "usage": None,
        }

    def _part_event(self, kind: str, **data: Any) -> bytes:
        return self._event(kind, item_id=f"msg_{self.key}", output_index=0, content_index=0, **data)

    def _event(self, kind: str, **data: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return sse({"type": kind, "sequence_number": number, **data}, kind)


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _plain(choice: Any) -> Any:
    return choice.model_dump() if hasattr(choice, "model_dump") else choice


def _usage(usage: Usage) -> Json:
    """Usage in the words of responses, which have a number in any case: 0 where no model's server tells."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens,
    }
