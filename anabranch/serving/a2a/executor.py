"""A question of another agent on its way through the planner, as a task of A2A.

A task is a question, and its context is a thread. Sub-questions are told as they begin, and the answer is an artifact.
Where a person has to decide, the task asks for input.
"""

import re
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from a2a.helpers import new_data_part, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks.task_updater import TaskUpdater
from a2a.types import Task, TaskState, TaskStatus
from ag_ui.core import Interrupt, ResumeEntry
from google.protobuf import json_format
from langchain_core.messages import HumanMessage

from anabranch.config import check_question
from anabranch.errors import ConfigurationError
from anabranch.graphs.progress import Progress
from anabranch.serving.agui.interrupts import decisions, interrupts_of
from anabranch.serving.failures import describe
from anabranch.serving.page.protocol import THREAD_ID
from anabranch.serving.page.threads import Asked, Emit, Event, Standing, Threads
from anabranch.serving.runs import Run

ANSWER = "answer"
"""Id and name of the artifact that has the answer."""


class PlannerExecutor(AgentExecutor):
    """Runs the planner for A2A's tasks.

    Args:
        threads: the conversations, which are those of the page.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Answers a question, or goes on with what a task waits for."""
        task_id, context_id = str(context.task_id), str(context.context_id)
        updater = TaskUpdater(event_queue, task_id, context_id)
        if context.current_task is None:
            status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            history = [context.message] if context.message else []
            await event_queue.enqueue_event(Task(id=task_id, context_id=context_id, status=status, history=history))
        service = self._threads.service
        run = Run(partial(self._work, context), service.slots, service.limits.timeout)
        told = _Told(updater, context_id)
        try:
            while (event := await run.next()) is not None:
                await told.event(event)
        except StopAsyncIteration:
            await told.end()
        except Exception as error:
            message = updater.new_agent_message([new_text_part(describe(error)[1]["error"]["message"])])
            # What does not answer the question leaves it open.
            unanswered = context.current_task is not None and isinstance(error, ConfigurationError)
            await (updater.requires_input(message) if unanswered else updater.failed(message))
        finally:
            await run.aclose()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Says that a task has ended; the work on it was cancelled before."""
        await TaskUpdater(event_queue, str(context.task_id), str(context.context_id)).cancel()

    async def _work(self, context: RequestContext, emit: Emit) -> None:
        thread = str(context.context_id)
        if not re.fullmatch(THREAD_ID, thread):
            raise ConfigurationError(
                "a context's id has 22 to 64 letters, digits, - and _, made up at random; leave it to the server"
            )
        await self._threads.work(thread, partial(_read, context), emit)


def _read(context: RequestContext, standing: Standing) -> Asked:
    """What a message asks of a thread.

    Raises:
        ConfigurationError: it does not fit to where the thread stands.
        QuestionError: the question is empty or too long.
    """
    text, data = context.get_user_input().strip(), _data(context)
    if context.current_task is not None:
        return Asked(decisions=_decisions(str(context.context_id), text, data, standing))
    question = HumanMessage(check_question(text), id=str(uuid.uuid4()))
    # What was stopped half-way was not answered, so it is no part of the conversation.
    forget = standing.unfinished.forget if standing.unfinished else []
    wanted = context.message and "review" in context.message.metadata and context.message.metadata["review"] is True
    return Asked([*forget, question], review=bool(wanted))


def _decisions(thread: str, text: str, data: Mapping[str, Any], standing: Standing) -> dict[str, Any]:
    """The answers to what waits: by their ids in a data part, or the same text for all."""
    if not standing.waiting:
        raise ConfigurationError("this task waits for nothing; ask in a new one")
    asked = _interrupts(standing.waiting, thread)
    known = {each.id: data.get(each.id, text) for each in asked}
    if missing := [id_ for id_, answer in known.items() if answer in ("", None)]:
        raise ConfigurationError(f"there is no answer to {missing[0]!r}; send a text, or a data part with its id")
    resume = [ResumeEntry(interrupt_id=id_, status="resolved", payload=answer) for id_, answer in known.items()]
    return decisions(standing.waiting, resume, {})


def _data(context: RequestContext) -> dict[str, Any]:
    """What the data parts of a message have."""
    found: dict[str, Any] = {}
    for part in context.message.parts if context.message else ():
        if part.HasField("data") and isinstance(value := json_format.MessageToDict(part.data), dict):
            found |= value
    return found


def _interrupts(waiting: Any, thread: str) -> list[Interrupt]:
    return [interrupt for each in waiting for interrupt in interrupts_of(each, thread, "")]


class _Told:
    """Tells a task's client of the events of its thread."""

    def __init__(self, updater: TaskUpdater, thread: str) -> None:
        self._updater = updater
        self._thread = thread
        self._progress = Progress()
        self._waiting: list[dict[str, Any]] = []

    async def event(self, event: Event) -> None:
        """Tells of one."""
        self._progress.heard(event)
        if event["type"] == "begin":
            await self._updater.start_work()
        elif event["type"] == "sub_question" and event["status"] == "started":
            known = {each.id: each for each in self._progress.plan.sub_questions}
            text = self._progress.text(known[event["id"]]) if event["id"] in known else ""
            await self._updater.start_work(self._said(f"{event['id']}. {text}"))
        elif event["type"] == "answer":
            about = {"status": event["status"], "sources": event["sources"]}
            await self._updater.add_artifact(
                [new_text_part(event["answer"])], artifact_id=ANSWER, name=ANSWER, metadata=about, last_chunk=True
            )
        elif event["type"] == "interrupts":
            self._waiting = event["interrupts"]

    async def end(self) -> None:
        """Tells of the end."""
        if not self._waiting:
            await self._updater.complete()
            return
        asked = _interrupts(self._waiting, self._thread)
        shown = {"id", "message", "response_schema"}
        details = [each.model_dump(mode="json", by_alias=True, include=shown) for each in asked]
        texts = [new_text_part(each.message or "") for each in asked]
        await self._updater.requires_input(
            self._updater.new_agent_message([*texts, new_data_part({"interrupts": details})])
        )

    def _said(self, text: str) -> Any:
        return self._updater.new_agent_message([new_text_part(text)])
