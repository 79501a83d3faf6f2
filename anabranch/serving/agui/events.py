"""The events of a thread as AG-UI's."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ag_ui.core import (
    PROTOCOL_VERSION,
    AssistantMessage,
    BaseEvent,
    FunctionCall,
    Interrupt,
    Message,
    MessagesSnapshotEvent,
    RunErrorEvent,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    RunFinishedSuccessOutcome,
    RunStartedEvent,
    StateDeltaEvent,
    StateSnapshotEvent,
    StepFinishedEvent,
    StepStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    TokenUsage,
    ToolCall,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
    ToolMessage,
)

from anabranch.bounds import shorten
from anabranch.graphs.channels import plain
from anabranch.graphs.progress import Progress
from anabranch.plan import SOLVE, Answer, Source, Usage
from anabranch.serving.agui.interrupts import Waiting, call_id, client_call_id, interrupts_of, shown_result_id
from anabranch.serving.agui.protocol import RunInput
from anabranch.serving.agui.reading import Reading
from anabranch.serving.page.threads import CLIENT_CALL
from anabranch.serving.usage import UsageByRole

MAX_RESULT_CHARS = 4_000
"""Most characters of what a tool returned: clients send all of a conversation back with each question."""


class Events:
    """Turns what a thread tells of a run into AG-UI's events.

    The text of a message is the answer and nothing else. Sub-questions are steps, and their look-ups calls of tools.
    The state has `question`, `plan`, `todos`, `answers` by sub-question id, `status` and `sources`.

    Args:
        body: what is asked.
        usage: the tokens of this run.
    """

    def __init__(self, body: RunInput, usage: UsageByRole) -> None:
        self._body = body
        self._usage = usage
        self._reading = Reading(None, "", ())
        self._theirs = {tool.name for tool in body.tools or []}
        self._progress = Progress()
        self._state: dict[str, Any] = {}
        self._messages: list[Message] = []
        self._steps: dict[int, str] = {}
        self._shown = set[int]()
        """Sub-questions whose calls the client has seen."""
        self._told = set[int]()
        """Sub-questions whose results it has seen."""
        self._text = _Text()
        self._waiting: Sequence[Waiting] = ()

    def started(self) -> BaseEvent:
        """The first event."""
        body = self._body
        return RunStartedEvent(
            thread_id=body.thread_id,
            run_id=body.run_id,
            parent_run_id=body.parent_run_id,
            protocol_version=PROTOCOL_VERSION,
        )

    def begin(self, reading: Reading) -> None:
        """Takes what is to be done, and where the thread stands."""
        self._reading, standing = reading, reading.standing
        self._messages = list(reading.messages)
        self._waiting = standing.waiting if reading.asked is None else ()
        recorded = {answer.id: answer for answer in (standing.unfinished.answers if standing.unfinished else ())}
        answers: dict[int, Answer] = {**standing.values.get("answers", {}), **recorded}
        self._progress = Progress(standing.values.get("plan"), answers)
        self._told = set(answers)
        self._shown = {id_ for each in standing.waiting for id_ in each.get("sub_questions", ())}
        values = standing.values
        asked = str(reading.asked.messages[-1].text) if reading.asked and reading.asked.messages else ""
        self._state = {
            "question": asked or values.get("question", ""),
            "plan": plain(self._progress.plan),
            "todos": self._progress.todos(),
            "answers": {str(id_): _shown(plain(answer)) for id_, answer in answers.items()},
            "status": values.get("status"),
            "sources": [plain(source) for source in values.get("sources") or []],
        }

    def shown(self) -> Iterator[BaseEvent]:
        """All events after the first, of a run that only shows the thread."""
        yield StateSnapshotEvent(snapshot=self._state)
        yield from self._end()

    def of(self, event: Mapping[str, Any]) -> Iterator[BaseEvent]:
        """The events for one of the thread's."""
        kind = event["type"]
        if kind == "begin":
            yield StateSnapshotEvent(snapshot=self._state)
        elif kind == "delta":
            yield from self._text.delta(event["message"], event["content"])
        elif kind == "question":
            yield from self._changed(question=event["question"])
        elif kind == "draft":
            questions = event["sub_questions"]
            todos = [{"content": each["text"], "status": "pending"} for each in questions]
            yield from self._changed(plan={"sub_questions": questions}, todos=todos)
        elif kind == "sub_question" or self._progress.heard(event):
            yield from self._step(event) if kind == "sub_question" else self._plan()
        elif kind == "answer":
            yield from self._answer(event)
        elif kind == "interrupts":
            self._waiting = event["interrupts"]
        elif kind == "end":
            yield from self._end()

    def failed(self, body: Mapping[str, Any]) -> Iterator[BaseEvent]:
        """The event for an error; the body is that of an error reply."""
        error = body["error"]
        yield RunErrorEvent(message=error["message"], code=error["code"], usage=self._spent())

    def _plan(self) -> Iterator[BaseEvent]:
        yield from self._changed(plan=plain(self._progress.plan), todos=self._progress.todos())

    def _changed(self, **parts: Any) -> Iterator[BaseEvent]:
        changed = [(name, value) for name, value in parts.items() if self._state[name] != value]
        self._state |= parts
        if changed:
            yield _delta("replace", *((f"/{name}", value) for name, value in changed))

    def _step(self, event: Mapping[str, Any]) -> Iterator[BaseEvent]:
        """A sub-question that begins, or has ended, or waits."""
        id_ = event["id"]
        self._progress.heard(event)
        if event["status"] == "started":
            question = next(each for each in self._progress.plan.sub_questions if each.id == id_)
            self._steps[id_] = f"{id_}. {self._progress.text(question)}"
            yield StepStartedEvent(step_name=self._steps[id_])
            yield from self._changed(todos=self._progress.todos())
            return
        called = event["arguments"] is not None or id_ in self._shown
        if called and id_ not in self._told and event["route"] not in (SOLVE, *self._theirs):
            yield from self._call(event)
        answer = _shown({key: value for key, value in event.items() if key not in ("type", "at")})
        if event["status"] != "waiting":
            self._state["answers"] = {**self._state["answers"], str(id_): answer}
            yield _delta("add", (f"/answers/{id_}", answer))
        yield from self._changed(todos=self._progress.todos())
        if name := self._steps.pop(id_, None):
            yield StepFinishedEvent(step_name=name)

    def _call(self, event: Mapping[str, Any]) -> Iterator[BaseEvent]:
        """The call of a tool of the server, and its result, if there is one yet."""
        id_ = call_id(self._body.thread_id, self._reading.turn, event["id"])
        if event["id"] not in self._shown:
            self._shown.add(event["id"])
            yield from self._calling(id_, event["route"], event["arguments"])
        if event["status"] != "waiting":
            self._told.add(event["id"])
            found = "\n\n".join(Source.model_validate(source).whole for source in event["sources"])
            content = shorten(found or event["text"] or event["error"] or "(nothing)", MAX_RESULT_CHARS)
            error = event["error"] if event["status"] == "failed" else None
            shown = shown_result_id(id_)
            self._messages.append(ToolMessage(id=shown, content=content, tool_call_id=id_, error=error))
            yield ToolCallResultEvent(message_id=shown, tool_call_id=id_, content=content, role="tool")

    def _calling(self, id_: str, name: str, arguments: Mapping[str, Any]) -> Iterator[BaseEvent]:
        text = json.dumps(arguments, ensure_ascii=False)
        call = ToolCall(id=id_, function=FunctionCall(name=name, arguments=text))
        # Clients make a message of a call by themselves, under the call's id.
        self._messages.append(AssistantMessage(id=id_, tool_calls=[call]))
        yield ToolCallStartEvent(tool_call_id=id_, tool_call_name=name)
        yield ToolCallArgsEvent(tool_call_id=id_, delta=text)
        yield ToolCallEndEvent(tool_call_id=id_)

    def _answer(self, event: Mapping[str, Any]) -> Iterator[BaseEvent]:
        yield from self._text.end(event["answer"], otherwise=f"answer-{self._body.run_id}")
        self._messages.append(AssistantMessage(id=self._text.message, content=event["answer"]))
        if self._text.discarded:
            yield MessagesSnapshotEvent(messages=self._messages)
        yield from self._changed(status=event["status"], sources=event["sources"])

    def _end(self) -> Iterator[BaseEvent]:
        for name in self._steps.values():
            yield StepFinishedEvent(step_name=name)
        calls = [each for each in self._waiting if CLIENT_CALL in each]
        made = [call for each in self._messages if isinstance(each, AssistantMessage) for call in each.tool_calls or []]
        seen = {call.id for call in made}
        for each in calls:
            if (id_ := client_call_id(each)) not in seen:
                yield from self._calling(id_, each[CLIENT_CALL]["name"], each[CLIENT_CALL]["arguments"])
        if self._waiting or self._reading.asked is None:
            yield StateSnapshotEvent(snapshot=self._state)
            yield MessagesSnapshotEvent(messages=self._messages)
        yield RunFinishedEvent(
            thread_id=self._body.thread_id,
            run_id=self._body.run_id,
            outcome=self._outcome(calls),
            result=None if self._waiting else {"status": self._state["status"]},
            usage=self._spent(),
        )

    def _outcome(self, calls: Sequence[Waiting]) -> RunFinishedSuccessOutcome | RunFinishedInterruptOutcome:
        if len(calls) == len(self._waiting):
            return RunFinishedSuccessOutcome(pending_tool_call_ids=[*map(client_call_id, calls)] or None)
        interrupts: list[Interrupt] = []
        for each in self._waiting:
            interrupts += interrupts_of(each, self._body.thread_id, self._reading.turn)
        return RunFinishedInterruptOutcome(interrupts=interrupts)

    def _spent(self) -> list[TokenUsage]:
        total = sum(self._usage.by_role.values(), Usage())
        return [
            TokenUsage(
                input_tokens=total.input_tokens,
                output_tokens=total.output_tokens,
                total_tokens=total.total_tokens,
                cached_input_tokens=total.cached_tokens,
                reasoning_tokens=total.reasoning_tokens,
            )
        ]


class _Text:
    """The message that has the answer.

    Attributes:
        message: its id.
        discarded: whether another one was begun before, which turned out to be none.
    """

    def __init__(self) -> None:
        self.message = ""
        self.discarded = False
        self._sent = ""
        self._open = False
        self._ended = False

    def delta(self, message: str, content: str) -> Iterator[BaseEvent]:
        """Some more of the answer."""
        if not content or self._ended:
            return
        if not self._open or message != self.message:
            yield from self._begin(message)
        self._sent += content
        yield TextMessageContentEvent(message_id=self.message, delta=content)

    def end(self, answer: str, *, otherwise: str) -> Iterator[BaseEvent]:
        """What is missing of the answer, and its end.

        Args:
            answer: the whole answer.
            otherwise: id of the message where nothing was sent yet, or where what was sent is not of the answer.
        """
        if not self._open or not answer.startswith(self._sent):
            yield from self._begin(otherwise)
        if rest := answer[len(self._sent) :]:
            yield TextMessageContentEvent(message_id=self.message, delta=rest)
        yield TextMessageEndEvent(message_id=self.message)
        self._ended = True

    def _begin(self, message: str) -> Iterator[BaseEvent]:
        if self._open:
            self.discarded = True
            yield TextMessageEndEvent(message_id=self.message)
        self.message, self._sent, self._open = message, "", True
        yield TextMessageStartEvent(message_id=message, role="assistant")


def _shown(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "evidence"}


def _delta(operation: str, *changes: tuple[str, Any]) -> BaseEvent:
    operations = [{"op": operation, "path": path, "value": value} for path, value in changes]
    return StateDeltaEvent.model_validate({"delta": operations})
