"""What the server does, without HTTP: questions through the planner, and plans alone."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from anabranch.agents.answering import REASONING
from anabranch.agents.conversation import last_question, taken_as
from anabranch.agents.decomposer import Decomposer, PlanRequest
from anabranch.agents.final_answer import Delta, rest_of
from anabranch.agents.models import RoleModel
from anabranch.agents.schemas import AnswerSchema
from anabranch.config import Budget
from anabranch.errors import ModelError
from anabranch.graphs.edges import in_one_step
from anabranch.graphs.events import hearing_events
from anabranch.graphs.final import MAX_ANSWER_TOKENS, RESPONSE_FORMAT
from anabranch.graphs.planner import Planner, create_planner
from anabranch.graphs.protocol import COMPUTE_TOOLS
from anabranch.graphs.step import by_route
from anabranch.options import PlannerOptions
from anabranch.plan import Answer, Plan, Source, Status, Usage
from anabranch.serving.client_tools import Call, Calling, ClientTools, Deferred, Recalled, as_tool, not_offered
from anabranch.serving.conversation import Conversation
from anabranch.serving.function_tool import FunctionTool
from anabranch.serving.metrics import Metrics
from anabranch.serving.options import Limits
from anabranch.serving.plan_stream import PlanItem, write_plan
from anabranch.serving.responses_kept import KeptResponses
from anabranch.serving.runs import Run, Slots
from anabranch.serving.stops import Stops
from anabranch.serving.tool_turns import Carried, ToolTurns
from anabranch.serving.usage import UsageByRole
from anabranch.tools.catalogue import Catalogue


@dataclass(frozen=True)
class Parts(PlannerOptions):
    """What planners are built from, with models and tools that are ready; the names are those of `create_planner`."""

    decomposer: Decomposer
    solver: RoleModel
    tools: Sequence[BaseTool] = ()
    budget: Budget | None = None

    def seeded(self, seed: int | None) -> "Parts":
        """The same with a seed for the solver, if there is one and it takes one."""
        if seed is None or "seed" not in type(self.solver.chat).model_fields:
            return self
        return replace(self, solver=replace(self.solver, chat=self.solver.chat.model_copy(update={"seed": seed})))

    def planner(self, **changes: Any) -> Planner:
        """A planner, with some of its options changed."""
        options = {field.name: getattr(self, field.name) for field in fields(self)}
        return create_planner(**(options | changes))


@dataclass(frozen=True)
class Question:
    """A question to the planner.

    Attributes:
        conversation: what was said.
        tools: the tools that the client runs.
        may_call: whether the client takes tool calls now.
        must_call: whether it insists on one; a plan that goes on with results may end without.
        one_call: whether it takes only one at a time.
        streamed: whether the client reads the answer as it is written; otherwise no model has to write it so.
        watched: whether the client is told what happens to the plan meanwhile.
        max_answer_tokens: most tokens of the final answer; None for the server's own limit.
        schema: the JSON that the final answer is to be; None for text.
        stop: sequences before which the answer ends.
        seed: what the solver draws its tokens with, if it takes a seed.
        ended: told the outcome before the client is.
    """

    conversation: Conversation
    tools: Sequence[FunctionTool] = ()
    may_call: bool = True
    must_call: bool = False
    one_call: bool = False
    streamed: bool = False
    watched: bool = True
    max_answer_tokens: int | None = None
    schema: AnswerSchema | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    ended: Callable[["Outcome"], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened to the plan, as the planner's `stream_mode="custom"` gives it."""

    data: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a question ended: with an answer, or with calls for the client to make.

    Attributes:
        answer: the final answer; empty with calls.
        calls: the calls.
        key: with calls, the key under which the plan is kept.
        plan: all sub-questions that were asked.
        answers: their answers.
        usage: tokens by role.
        status: how the question ended; None with calls.
        sources: what the answer rests on.
        finish_reason: how the answer's text ended, in OpenAI's words.
        refused: whether the answer only says, in words, why there is none in the form that was asked for.
        question: the question, as one that stands by itself.
    """

    answer: str
    calls: Sequence[Call] = ()
    plan: Plan = field(default_factory=Plan)
    answers: dict[int, Answer] = field(default_factory=dict)
    usage: dict[str, Usage] = field(default_factory=dict)
    question: str = ""
    key: str = ""
    status: Status | None = None
    sources: Sequence[Source] = ()
    finish_reason: str = "stop"
    refused: bool = False

    @property
    def total(self) -> Usage:
        """Usage over all roles."""
        return sum(self.usage.values(), Usage())


Item = Delta | Event | Outcome


class Service:
    """Answers questions and writes plans, as many at a time as the limits allow."""

    def __init__(
        self,
        parts: Parts,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        turns: ToolTurns | None = None,
        responses: KeptResponses | None = None,
    ) -> None:
        self.parts = parts
        self.turns = turns or ToolTurns()
        self.responses = responses or KeptResponses()
        self.limits = limits or Limits()
        self.slots = Slots(self.limits.max_concurrency, self.limits.max_queue)
        self.metrics = metrics or Metrics()
        self.metrics.watch(self.slots)
        self.catalogue = Catalogue(parts.tools)
        self.metrics.name_routes(self.catalogue)
        self._planner = parts.planner()

    def ask(self, question: Question) -> Run[Item]:
        """Answers a question; the last item is the outcome.

        Raises:
            ConfigurationError, PlanError: the client's tools cannot be used, or not for the plan that waits for them.
        """
        work = _Asking(self, question)
        return Run(work.run, self.slots, self.limits.timeout)

    def plan(self, request: PlanRequest) -> Run[PlanItem]:
        """Writes a plan; the last item is the whole plan."""

        async def work(emit: Callable[[PlanItem], Awaitable[None]]) -> None:
            await write_plan(self.parts.decomposer, request, self.parts.budget, self.metrics, emit)

        return Run(work, self.slots, self.limits.timeout)

    @property
    def planner(self) -> Planner:
        """The planner for questions without tools of the client."""
        return self._planner


class _Asking:
    """One question on its way through the planner."""

    def __init__(self, service: Service, question: Question) -> None:
        self._metrics = service.metrics
        self._turns = service.turns
        self._question = question
        self._usage = UsageByRole()
        self._sent = ""
        self._state: dict[str, Any] = {}
        self._plan = Plan()
        self._replans = 0
        self._understood = ""
        self._tools: ClientTools | None = None
        carried = question.conversation.carried
        self._must_call = question.must_call and not carried
        self._stops = Stops(question.stop)
        parts = service.parts.seeded(question.seed)
        if carried or (question.tools and question.may_call):
            self._planner = self._with_client(parts, carried)
        else:
            self._planner = service.planner if parts is service.parts else parts.planner()

    def _with_client(self, parts: Parts, carried: Carried | None) -> Planner:
        """A planner whose catalogue has the client's tools, and that goes on with the plan so far."""
        own = Catalogue(map(as_tool, self._question.tools))
        offered = frozenset(own) if self._question.may_call else frozenset()
        servers = [tool for tool in parts.tools if tool.name not in own]
        gone = not_offered(carried.plan, {*own, *(tool.name for tool in servers)}) if carried else []
        own = Catalogue([*own.values(), *gone])
        tools = [*servers, *own.values()]
        self._tools = ClientTools(
            tools=own,
            otherwise=by_route(parts.solver, Catalogue(tools), grounded=parts.grounded),
            solver=parts.solver,
            carried=carried or Carried(),
            results=self._question.conversation.results,
            offered=offered,
            grounded=parts.grounded,
        )
        # A guided solver would run the tools that it is offered; the client's are not ours to run.
        guided = parts.protocol == "guided" or not COMPUTE_TOOLS.isdisjoint(own)
        options: dict[str, Any] = {"protocol": "per_node" if guided else parts.protocol}
        if self._must_call:
            calling = Calling(parts.decomposer, self._tools.tools)
            options = {"protocol": "per_node", "gate": "always", "decomposer": calling}
        if carried:
            self._plan, self._replans, self._understood = carried.plan, carried.replans, carried.question
            carried.plan.check(Catalogue(tools), parts.max_sub_questions * (1 + parts.max_replans))
            options = {
                "protocol": "per_node",
                "gate": "always",
                # It was understood when it came in.
                "follow_ups": partial(taken_as, carried.question),
                "decomposer": Recalled(carried.plan, parts.decomposer, parts.max_sub_questions),
                "max_sub_questions": max(parts.max_sub_questions, len(carried.plan.sub_questions)),
                "max_replans": max(parts.max_replans - carried.replans, 0),
            }
        return parts.planner(tools=tools, step_graph=self._tools.graph(), **options)

    async def run(self, emit: Callable[[Item], Awaitable[None]]) -> None:
        """Runs the planner.

        Raises:
            AnabranchError: as the planner does.
        """
        try:
            try:
                outcome = await self._answered(emit)
            except Deferred:
                outcome = await self._called()
            if self._question.ended:
                await self._question.ended(outcome)
            await emit(outcome)
        finally:
            self._metrics.spent(self._usage.by_role)

    async def _answered(self, emit: Callable[[Item], Awaitable[None]]) -> Outcome:
        value = {"messages": list(self._question.conversation.messages)}
        config: RunnableConfig = {"callbacks": [self._usage]}
        if wanted := self._wanted():
            config["configurable"] = wanted
        # What is to satisfy a schema is checked before it is shown.
        tokens = self._question.streamed and self._question.schema is None
        watched = self._question.watched
        modes: list[Any] = ["values", *(["custom"] if watched else []), *(["messages"] if tokens else [])]
        parts: Any = self._planner.astream(value, config, stream_mode=modes)
        with hearing_events(None if watched else self._seen), in_one_step("plan", *([] if tokens else ["solve"])):
            async with aclosing(parts):
                async for mode, data in parts:
                    await self._take(mode, data, emit)
        answer = str(self._state.get("answer") or "")
        if not answer:
            raise ModelError("the solver's reply was empty; check the model")
        if self._must_call:
            raise ModelError("the call that tool_choice wants could not be written; ask what the tool is for")
        state, answer = self._state, self._stops.cut(answer)
        finish = state["messages"][-1].response_metadata.get("finish_reason", "stop")
        finish = "stop" if self._stops.found else finish
        refused = finish != "length" and not self._fits(answer)
        if (rest := rest_of(answer, self._sent)) and not refused:
            await emit(Delta(rest))
        return Outcome(
            answer,
            plan=state["plan"],
            answers=state["answers"],
            usage=self._usage.by_role,
            question=self._asked(),
            status=state["status"],
            sources=state["sources"],
            finish_reason=finish,
            refused=refused,
        )

    async def _take(self, mode: str, data: Any, emit: Callable[[Item], Awaitable[None]]) -> None:
        """Takes a part of what the planner streams, and passes it on."""
        if mode == "custom":
            self._seen(data)
            if data["type"] != "answer":  # the outcome has it
                await emit(Event(data))
        elif mode == "values":
            self._state = data
        elif (delta := self._token(*data)) != Delta():
            await emit(delta)

    def _wanted(self) -> dict[str, Any]:
        """What this run wants of its final answer."""
        wanted = {MAX_ANSWER_TOKENS: self._question.max_answer_tokens, RESPONSE_FORMAT: self._question.schema}
        return {name: value for name, value in wanted.items() if value is not None}

    def _fits(self, answer: str) -> bool:
        """Whether an answer is what the client asked for; if not, its words say why there is none."""
        if (schema := self._question.schema) is None:
            return True
        try:
            return schema.read(answer) == answer
        except ValueError:
            return False

    def _token(self, chunk: Any, metadata: dict[str, Any]) -> Delta:
        node = metadata.get("langgraph_node")
        if node not in ("solve", "join", "review"):
            return Delta()
        text = self._stops.take(str(chunk.text))
        self._sent += text
        return Delta(text, str(chunk.additional_kwargs.get(REASONING, "")))

    def _seen(self, event: dict[str, Any]) -> None:
        self._metrics.event(event)
        if event["type"] == "question":
            self._understood = event["question"]
        elif event["type"] == "plan":
            self._plan = Plan.model_validate(event["plan"])
        elif event["type"] == "replan":
            self._replans += 1

    def _asked(self) -> str:
        return self._understood or last_question(self._question.conversation.messages)

    async def _called(self) -> Outcome:
        """The calls for the client, in plan order; the plan is kept until their results come."""
        if self._tools is None:
            raise Deferred
        order = {id_: place for place, id_ in enumerate(self._plan.ids)}
        calls = sorted(self._tools.calls, key=lambda call: order.get(call.sub_question, 0))
        answers = {**self._tools.carried.answers, **self._tools.answers}
        carried = Carried(
            plan=self._plan,
            answers=answers,
            arguments={call.sub_question: call.arguments for call in calls},
            replans=self._replans,
            question=self._understood,
        )
        return Outcome(
            "",
            calls[:1] if self._question.one_call else calls,
            plan=self._plan,
            answers=answers,
            usage=self._usage.by_role,
            question=self._asked(),
            key=await self._turns.keep(carried),
        )
