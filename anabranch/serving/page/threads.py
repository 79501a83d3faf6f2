"""Conversations of the page: each is a thread of the planner, whose runs can be watched, stopped and gone on with."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, Interrupt
from pydantic import ValidationError

from anabranch.agents.answering import REASONING
from anabranch.config import check_question
from anabranch.errors import ConfigurationError
from anabranch.graphs.channels import plain
from anabranch.graphs.events import STREAM_DRAFTS
from anabranch.graphs.planner import Planner
from anabranch.graphs.state import PlanDecision
from anabranch.graphs.unfinished import Unfinished, find_unfinished
from anabranch.locks import held_among
from anabranch.plan import Plan, Usage
from anabranch.serving.page.documents import Shelf
from anabranch.serving.page.protocol import RunRequest
from anabranch.serving.runs import Run
from anabranch.serving.service import Service
from anabranch.serving.usage import UsageByRole
from anabranch.tools.elicitation import ELICITATION
from anabranch.tools.search import DocumentSearch

Event = dict[str, Any]
Emit = Callable[[Event], Awaitable[None]]

MAX_KEPT = 1_000
"""Most threads that are kept in memory; beyond that, those that were used longest ago go."""
MAX_TURNS = 100
"""Most turns of a thread that are shown, the last ones."""
BUSY_SECONDS = 5.0
"""Seconds in which a run of a thread that was stopped has to end, so that another can begin."""
MAX_TOLD = 10_000
"""Most characters that are shown of what a tool asks by itself."""
UPLOADS = ("search", "search_uploads")
"""Names of the tool that searches a thread's documents alone: the first that no tool of the server has."""
CLIENT_CALL = "client_call"
"""Where the value of an interrupt has the call of a tool that the client runs."""
_REVIEW = "anabranch_review"
"""Where a run's metadata say whether its plans are reviewed."""


@dataclass(frozen=True)
class Standing:
    """A thread before a run.

    Attributes:
        messages: its conversation.
        unfinished: what of it stopped half-way.
        waiting: what waits for a decision, or for an answer of another kind.
        values: the planner's state for the question that stopped half-way, or for the last one that ended.
    """

    messages: Sequence[BaseMessage] = ()
    unfinished: Unfinished | None = None
    waiting: Sequence[Mapping[str, Any]] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What is to be done in a thread. Neither messages nor decisions: to go on with what was stopped.

    Attributes:
        messages: updates of the conversation; the last one is the question.
        review: whether the person wants to see the plan for the question before it runs.
        decisions: on all that waits for one, by its id.
        tools: tools that this run has besides the server's; they go before those of the same name.
    """

    messages: Sequence[BaseMessage] = ()
    review: bool = False
    decisions: Mapping[str, Any] | None = None
    tools: Sequence[BaseTool] = ()


class Threads:
    """The threads of a server.

    Args:
        service: has the planner, and the slots in which it runs.
        locks: a folder in which several processes that have the same threads lock those at which they are.
        embeddings: find passages of the threads' documents by their meaning, too.

    Attributes:
        saver: keeps the threads.
        shelf: keeps their documents.
    """

    def __init__(self, service: Service, locks: Path | None = None, embeddings: Embeddings | None = None) -> None:
        self.service = service
        self._folder = locks
        self.saver: BaseCheckpointSaver[Any] = InMemorySaver()
        searches = [tool for tool in service.catalogue.values() if isinstance(tool, DocumentSearch)]
        name = next(name for name in UPLOADS if name not in service.catalogue)
        self.shelf = Shelf(name, locks, embeddings, beside=searches[0] if len(searches) == 1 else None)
        self._planners: dict[bool, Planner] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._kept: dict[str, None] = {}

    def run(self, thread: str, asked: RunRequest) -> Run[Event]:
        """Does what is asked of a thread; the events are those of the planner, and a few of the page's own.

        `delta` has some text of the answer, `interrupts` what waits for decisions, and `end` comes last.

        Raises:
            QuestionError: the question is empty.
        """
        question = None if asked.question is None else check_question(asked.question)

        def read(standing: Standing) -> Asked:
            if question is None:
                return Asked(decisions=asked.decisions)
            # What was stopped half-way was not answered, so it is no part of the conversation.
            forget = standing.unfinished.forget if standing.unfinished else []
            return Asked([*forget, HumanMessage(question, id=str(uuid.uuid4()))], asked.review)

        return Run(partial(self.work, thread, read), self.service.slots, self.service.limits.timeout)

    async def work(
        self, thread: str, read: Callable[[Standing], Asked | None], emit: Emit, usage: UsageByRole | None = None
    ) -> None:
        """Does what is asked of a thread, as soon as nothing else is done in it.

        Args:
            thread: its id.
            read: tells what is asked, once it is known how the thread stands; nothing is done if it is nothing.
            emit: takes the events, as `run` has them.
            usage: counts the tokens of this run.

        Raises:
            ConfigurationError: the thread is busy, or is not where it can be gone on with so.
            AnabranchError: as the planner does, and `read`.
        """
        async with self._alone(thread):
            await self.shelf.fetch(thread)
            standing = await self._standing(thread)
            if (asked := read(standing)) is None:
                return
            unfinished, fresh = standing.unfinished, bool(asked.messages)
            review = asked.review if fresh else bool(unfinished and unfinished.metadata.get(_REVIEW))
            planner = self._planner(thread, review=review, tools=asked.tools)
            value = {"messages": list(asked.messages)} if fresh else self._resumed(standing, asked)
            usage = usage or UsageByRole()
            config: RunnableConfig = {
                "configurable": {"thread_id": thread, STREAM_DRAFTS: True},
                "metadata": {_REVIEW: review},
                "callbacks": [usage],
            }
            try:
                await self._watch(planner, value, config, emit)
            finally:
                self.service.metrics.spent(usage.by_role)
                await self._keep(thread)

    async def _standing(self, thread: str) -> Standing:
        unfinished = await find_unfinished(self.saver, thread)
        planner = self._planner(thread, review=bool(unfinished and unfinished.metadata.get(_REVIEW)))
        snapshot = await planner.aget_state({"configurable": {"thread_id": thread}})
        values = snapshot.values
        # Before the first node has run, the state is still that of the turn before.
        begun = unfinished and values.get("asked") == unfinished.question and not values.get("answer")
        waiting = [_asked(each, values) for each in snapshot.interrupts]
        return Standing(values.get("messages", ()), unfinished, waiting, values if begun or not unfinished else {})

    def _resumed(self, standing: Standing, asked: Asked) -> Command[Any] | None:
        """What goes into a planner that goes on."""
        if standing.unfinished is None:
            raise ConfigurationError("this conversation has nothing to go on with; ask a question")
        if asked.decisions is None:
            return None
        waiting = {each["id"]: each for each in standing.waiting}
        if not waiting or waiting.keys() != asked.decisions.keys():
            raise ConfigurationError("this is not what waits for a decision now; load the page again")
        return Command(resume={id_: _decision(waiting[id_], given) for id_, given in asked.decisions.items()})

    async def _watch(self, planner: Planner, value: Any, config: RunnableConfig, emit: Emit) -> None:
        started = time.monotonic()

        async def tell(type_: str, **data: Any) -> None:
            await emit({"type": type_, "at": round(time.monotonic() - started, 3), **data})

        await tell("begin")
        modes: list[Any] = ["custom", "messages"]
        parts: Any = planner.astream(value, config, stream_mode=modes, durability="sync")
        async with aclosing(parts):
            async for mode, data in parts:
                if mode == "custom":
                    self.service.metrics.event(data)
                    # The passages are among the sources; the whole of what a tool returned would be sent for nothing.
                    shown = {key: item for key, item in data.items() if key not in ("type", "evidence")}
                    await tell(data["type"], **shown)
                elif data[1].get("langgraph_node") in ("solve", "join"):
                    content = str(data[0].text)
                    reasoning = str(data[0].additional_kwargs.get(REASONING, ""))
                    if content or reasoning:
                        await tell("delta", content=content, reasoning=reasoning, message=data[0].id)
        snapshot = await planner.aget_state(config)
        if snapshot.interrupts:
            await tell("interrupts", interrupts=[_asked(each, snapshot.values) for each in snapshot.interrupts])
        await tell("end", usage=_usage(snapshot.values.get("usage", {})))

    async def show(self, thread: str) -> dict[str, Any]:
        """A thread as it stands: its turns, oldest first, and the names of its documents."""
        turns = []
        filters: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        async for kept in self.saver.alist(filters, filter={"source": "loop"}):
            values = kept.checkpoint["channel_values"]
            # The answer is the last message of the turn that it ends; until the next has begun, the state still has it.
            if values.get("answer") and isinstance(values["messages"][-1], AIMessage):
                turns.append(_turn(values))
            if len(turns) == MAX_TURNS:
                break
        turns.reverse()
        await self.shelf.fetch(thread)
        standing = await self._standing(thread)
        if standing.unfinished:
            turns.append(_open_turn(standing, standing.unfinished))
        return {"turns": turns, "documents": self.shelf.names(thread)}

    async def forget(self, thread: str) -> None:
        """Deletes a thread, with its documents."""
        async with self._alone(thread):
            await self.saver.adelete_thread(thread)
            await self.shelf.drop(thread)
            self._kept.pop(thread, None)

    def _planner(self, thread: str, *, review: bool, tools: Sequence[BaseTool] = ()) -> Planner:
        """The planner of a thread: those given, the search in its documents, and the server's of other names."""
        search, given = self.shelf.tool(thread), {tool.name for tool in tools}
        own = [*tools, *([search] if search and search.name not in given else [])]
        if not own and review in self._planners:
            return self._planners[review]
        parts, names = self.service.parts, {tool.name for tool in own}
        kept = [tool for tool in parts.tools if tool.name not in names]
        planner = parts.planner(tools=[*kept, *own], review=review, checkpointer=self.saver)
        if not own:
            self._planners[review] = planner
        return planner

    @asynccontextmanager
    async def _alone(self, thread: str) -> AsyncIterator[None]:
        """Holds a thread, of which one run goes on at a time."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(BUSY_SECONDS):
                    await held.enter_async_context(self._locks.setdefault(thread, asyncio.Lock()))
                    await held.enter_async_context(held_among(self._folder, f"thread {thread}"))
            except TimeoutError as error:
                raise ConfigurationError(
                    "this conversation is answering another question; wait for the answer, or stop it"
                ) from error
            yield

    async def _keep(self, thread: str) -> None:
        """Makes room: threads in memory are not kept for ever."""
        if not isinstance(self.saver, InMemorySaver):
            return
        self._kept.pop(thread, None)
        self._kept[thread] = None
        while len(self._kept) > MAX_KEPT:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            await self.shelf.drop(oldest)
            await self.saver.adelete_thread(oldest)


def _asked(interrupt: Interrupt, state: Mapping[str, Any]) -> dict[str, Any]:
    """What a run waits for: a plan's review, actions, a call for the client, or whatever a tool asks by itself."""
    value = interrupt.value
    if isinstance(value, Mapping) and "action_requests" in value:
        open_ = [id_ for id_, action in state["actions"].items() if action.decision is None]
        return {"id": interrupt.id, "sub_questions": open_, **value}
    known = isinstance(value, Mapping) and not value.keys().isdisjoint(("plan", CLIENT_CALL, ELICITATION))
    return {"id": interrupt.id, **(dict(value) if known else {"value": str(value)[:MAX_TOLD]})}


def _decision(waiting: Mapping[str, Any], given: Any) -> Any:
    """A decision as the run takes it.

    Raises:
        ConfigurationError: it is none on a plan. (Those on actions are read by the run itself, which asks again.)
    """
    if "plan" not in waiting:
        return given
    try:
        return PlanDecision.model_validate(given).model_dump(mode="json", exclude_none=True)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"that plan cannot run: {why}") from error


def _open_turn(standing: Standing, unfinished: Unfinished) -> dict[str, Any]:
    """A turn that has not ended."""
    values = standing.values
    answers = [*values.get("answers", {}).values(), *unfinished.answers]
    return {
        "asked": unfinished.question,
        "question": values.get("question", unfinished.question),
        "plan": plain(values.get("plan", Plan())),
        "answers": [_without_evidence(plain(answer)) for answer in answers],
        "usage": _usage(values.get("usage", {})),
        "unfinished": True,
        "interrupts": list(standing.waiting),
    }


def _turn(values: Mapping[str, Any]) -> dict[str, Any]:
    """A turn that has ended, out of what its last checkpoint keeps, which is plain data."""
    kept = ("asked", "question", "answer", "status", "sources", "plan")
    answers = [_without_evidence(answer) for answer in values["answers"].values()]
    usage = {role: Usage.model_validate(used) for role, used in values["usage"].items()}
    return {**{key: values.get(key) for key in kept}, "answers": answers, "usage": _usage(usage)}


def _without_evidence(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "evidence"}


def _usage(by_role: Mapping[str, Usage]) -> dict[str, Any]:
    total = sum(by_role.values(), Usage())
    return {**plain(dict(by_role)), "total": {**plain(total), "tokens": total.total_tokens}}
