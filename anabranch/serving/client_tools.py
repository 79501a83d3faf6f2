"""Tools that the client runs: the planner stops where it needs one, and goes on with the result in another request."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool
from langgraph.errors import GraphBubbleUp
from langgraph.graph import END, START, StateGraph

from anabranch.agents.arguments import write_arguments
from anabranch.agents.decomposer import Decomposer, PlanRequest
from anabranch.agents.models import RoleModel
from anabranch.errors import BackendError, ModelError, NotFoundError, PlanError, ReplyError
from anabranch.graphs.bridge import Node
from anabranch.graphs.journal import Call as Record
from anabranch.graphs.journal import note
from anabranch.graphs.planner import Planner
from anabranch.graphs.step import AnswerStep, StepState, read, reason_of
from anabranch.plan import SOLVE, Answer, Plan, SubQuestion
from anabranch.serving.function_tool import FunctionTool
from anabranch.serving.tool_turns import Carried
from anabranch.slots import literal
from anabranch.tools.catalogue import Catalogue
from anabranch.tools.results import fitted
from anabranch.tools.shortlist import Shortlist
from anabranch.tools.sources import sources_of


class Deferred(GraphBubbleUp):
    """A sub-question waits for a tool of the client; the others finish first, then the run ends."""


@dataclass(frozen=True)
class Call:
    """A call that the client is asked to make."""

    sub_question: int
    name: str
    arguments: Mapping[str, Any]


def not_offered(plan: Plan, known: Collection[str]) -> list[BaseTool]:
    """Tools of the client that a plan has and a request does not offer any more; there may be results of them."""
    gone = {question.route for question in plan.sub_questions} - {SOLVE, *known}
    return [as_tool(FunctionTool.model_construct(name=name, description="No longer there.")) for name in sorted(gone)]


def as_tool(card: FunctionTool, call: Callable[..., str] | None = None) -> BaseTool:
    """A tool as the planner's catalogue takes it.

    Args:
        card: what the client says of it.
        call: what is done where the planner calls it; without it, it is never called here.
    """

    def never(**_: Any) -> str:
        raise ModelError(f"{card.name} runs at the client")

    return StructuredTool(
        name=card.name,
        description=card.description or card.name,
        args_schema={"type": "object", "properties": {}, **(card.parameters or {})},
        func=call or never,
    )


@dataclass
class ClientTools:
    """Answers sub-questions as the planner would, except for those that are routed to the client's tools.

    Attributes:
        tools: the client's tools by name, those that it has offered before included.
        otherwise: answers what is routed elsewhere.
        solver: writes arguments and reads results.
        carried: what is known from earlier requests.
        results: new results, by sub-question id.
        offered: names of the tools that the client takes calls of now.
        grounded: whether what is read out of results is checked.
        calls: the calls that the client is asked to make, filled during the run.
        answers: answers by sub-question id, filled during the run.
    """

    tools: Mapping[str, BaseTool]
    otherwise: AnswerStep
    solver: RoleModel
    carried: Carried = field(default_factory=Carried)
    results: Mapping[int, str] = field(default_factory=dict)
    offered: Collection[str] = ()
    grounded: bool = False
    calls: list[Call] = field(default_factory=list)
    answers: dict[int, Answer] = field(default_factory=dict)

    def graph(self) -> Planner:
        """As the graph that replaces `route → solver | tool`."""
        builder: StateGraph[Any, Any, Any, Any] = StateGraph(StepState)
        builder.add_node("answer", Node(self.answer, "answer"))
        builder.add_edge(START, "answer")
        builder.add_edge("answer", END)
        return builder.compile()

    async def answer(self, state: StepState) -> Mapping[str, Any]:
        """Answers one sub-question, and remembers the answer for the case that the run is deferred.

        Raises:
            Deferred: the client has to call a tool first.
            ModelError: it failed, now or before.
        """
        question = state["sub_question"]
        known = self.carried.answers.get(question.id)
        if known and not known.ok:
            raise ModelError(known.error or "it failed before")
        if known:
            return {"answer": known.text}
        try:
            theirs = question.route in self.tools or question.id in self.results
            given = await (self._ask_client(state) if theirs else self.otherwise(state))
        except (GraphBubbleUp, BackendError):
            raise
        except Exception as error:
            self.answers[question.id] = Answer(id=question.id, status="failed", error=reason_of(error))
            raise
        self.answers[question.id] = Answer(id=question.id, text=str(given.get("answer", "")))
        return given

    async def _ask_client(self, state: StepState) -> Mapping[str, Any]:
        question, text = state["sub_question"], state["text"]
        if question.id in self.results:
            output = await fitted(self.results[question.id], text)
            if not output.strip():
                raise NotFoundError(f"{question.route} returned nothing")
            arguments = dict(self.carried.arguments.get(question.id, {}))
            found = sources_of(output, sub_question=question.id, tool=question.route, arguments=arguments)
            note(Record(tool=question.route, arguments=arguments, text=text, output=output, sources=found), output)
            answer = await read(self.solver, text, output, found, grounded=self.grounded)
            return {"answer": answer, "evidence": output}
        if question.route not in self.offered:
            raise ModelError("the client takes no further tool calls")
        # Of calls that were put off, or whose results did not come, the arguments are there.
        written = self.carried.arguments.get(question.id)
        if written is None:
            tool, inputs = self.tools[question.route], state.get("inputs", {})
            written = await write_arguments(self.solver, tool, text, unfilled=question.text, answers=inputs)
        self.calls.append(Call(question.id, question.route, written))
        raise Deferred


class Recalled:
    """A decomposer that first writes the plan that the conversation carries, without a model.

    Args:
        plan: the plan, not empty.
        then: who writes plans after it.
        max_sub_questions: most sub-questions that `then` may add; the plan may have more.
    """

    def __init__(self, plan: Plan, then: Decomposer, max_sub_questions: int) -> None:
        self._plan: Plan | None = plan
        self._then = then
        self._most = max_sub_questions

    async def write(self, request: PlanRequest) -> str:
        """Writes a plan."""
        return "" if self._plan else await self._then.write(self._smaller(request))

    def read(self, text: str, request: PlanRequest) -> Plan:
        """Reads it; raises PlanError as the other decomposer does."""
        if self._plan is None:
            return self._then.read(text, self._smaller(request))
        plan, self._plan = self._plan, None
        return plan

    def _smaller(self, request: PlanRequest) -> PlanRequest:
        return replace(request, max_sub_questions=min(self._most, request.max_sub_questions))


class Calling:
    """A decomposer whose plans call one of the client's tools, as the client insists on it.

    Where the plan has no such call, one is added, which takes the answers of the others into account.

    Args:
        then: who writes the plans.
        tools: the tools of which one is to be called.
    """

    def __init__(self, then: Decomposer, tools: Mapping[str, BaseTool]) -> None:
        self._then = then
        self._tools = Catalogue(tools.values())

    async def write(self, request: PlanRequest) -> str:
        """Writes a plan; nothing where the decomposer says nothing."""
        try:
            return await self._then.write(self._smaller(request))
        except ReplyError:
            return ""

    def read(self, text: str, request: PlanRequest) -> Plan:
        """Reads it, and adds the call."""
        try:
            plan = self._then.read(text, self._smaller(request))
        except PlanError:
            plan = request.asked
        new = plan.sub_questions[len(request.asked.sub_questions) :]
        if any(question.route in self._tools for question in new):
            return plan
        after = tuple(question.id for question in plan.sinks if question in new)
        tool = Shortlist(self._tools, 1).cards(request.question, self._tools)[0].name
        text = literal(request.question)
        return plan.extended([SubQuestion(id=plan.next_id, text=text, route=tool, depends_on=after)])

    def _smaller(self, request: PlanRequest) -> PlanRequest:
        return replace(request, max_sub_questions=max(request.max_sub_questions - 1, 1))
