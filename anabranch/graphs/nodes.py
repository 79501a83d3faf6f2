"""The nodes of the planner graph: gate, plan, review, solve, execute, join."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.config import get_stream_writer
from langgraph.types import interrupt

from anabranch.agents.decomposer import Decomposer, PlanRequest, decompose
from anabranch.agents.gate import Gate
from anabranch.agents.joiner import Joined, join, join_last
from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.models import RoleModel
from anabranch.agents.solver import final_answer, solve
from anabranch.config import Budget, PlanningMode, Protocol, check_question
from anabranch.errors import BudgetExceededError, PlanError, QuestionError
from anabranch.graphs import scheduler
from anabranch.graphs.protocol import choose_protocol, compute_tools
from anabranch.graphs.state import PlanDecision, PlannerState
from anabranch.graphs.step import StepRunner
from anabranch.plan import Answer, Plan, SubQuestion, Usage
from anabranch.tools.catalogue import Catalogue

Update = dict[str, Any]


@dataclass(frozen=True)
class Nodes:
    """The nodes, as methods over what they share.

    Attributes:
        decomposer: who writes plans.
        solver: who answers.
        joiner: who joins.
        tools: the tool catalogue.
        step: runs one sub-question.
        gate_policy: whether a question is planned for at all.
        mode: static or dynamic planning.
        protocol: how plans are run.
        review: whether a person sees each plan before it runs.
        max_sub_questions: most sub-questions in a plan; in dynamic mode, in all layers together.
        max_replans: most plans drawn up after the first (static mode).
        budget: hard limits for one question.
    """

    decomposer: Decomposer
    solver: RoleModel
    joiner: RoleModel
    tools: Catalogue
    step: StepRunner
    gate_policy: Gate
    mode: PlanningMode
    protocol: Protocol
    review: bool
    max_sub_questions: int
    max_replans: int
    budget: Budget | None

    async def gate(self, state: PlannerState) -> Update:
        """Takes the question out of the conversation, resets what the last turn left, and decides whether to plan."""
        question = check_question(last_question(state["messages"]))
        return {
            "question": question,
            "plan": Plan(),
            "answers": {},
            "answer": "",
            "usage": {},
            "rounds": 0,
            "feedback": None,
            "started_at": time.time(),
            "next": "plan" if self.gate_policy(question) else "solve",
        }

    async def plan(self, state: PlannerState) -> Update:
        """Has the decomposer write a plan, its next layer, or a replacement for what failed."""
        asked, answers = as_plan(state["plan"]), as_answers(state["answers"])
        room = self.max_sub_questions - (len(asked.sub_questions) if self.mode == "dynamic" else 0)
        update: Update = {}
        plan, problems = asked, tuple[str, ...]()
        if room > 0:
            request = PlanRequest(
                state["question"], self.tools.cards, self.mode, room, asked, answers, state["feedback"]
            )
            with booking(self._ledger(state)) as ledger:
                try:
                    draft = await decompose(self.decomposer, request)
                    plan, problems = draft.plan, draft.problems
                except BudgetExceededError as error:
                    problems = (str(error),)
            update["usage"] = ledger.by_role
        new = plan.sub_questions[len(asked.sub_questions) :]
        emit("plan", plan=plan.model_dump(mode="json"), new=[q.id for q in new], problems=list(problems))
        following = (
            ("review" if self.review else self._dispatch(plan, answers)) if new else "join" if answers else "solve"
        )
        rounds = self.max_replans if not new else state["rounds"]
        return {**update, "plan": plan, "feedback": None, "rounds": rounds, "next": following}

    def review_plan(self, state: PlannerState) -> Update:
        """Lets a person approve, edit or reject the plan, or ask for another.

        A decision that cannot be carried out is answered by asking again, with the reason in `error`.
        """
        plan, answers, error = as_plan(state["plan"]), as_answers(state["answers"]), None
        while True:
            value = {"question": state["question"], "plan": plan.model_dump(mode="json"), "error": error}
            decision = interrupt(value, response_schema=PlanDecision)
            if decision.type == "reject":
                return {**self._finish(state, decision.message or "The plan was rejected."), "next": "end"}
            if decision.type == "respond":
                kept = plan.restricted([q.id for q in plan.sub_questions if q.id in answers])
                return {"plan": kept, "feedback": decision.message, "next": "plan"}
            edited = decision.plan if decision.type == "edit" and decision.plan else plan
            try:
                self._check_edit(plan, edited, answers)
            except PlanError as problem:
                error = str(problem)
                continue
            return {"plan": edited, "next": self._dispatch(edited, answers)}

    def _check_edit(self, plan: Plan, edited: Plan, answers: dict[int, Answer]) -> None:
        edited.check(self.tools, self.max_sub_questions + len(answers))
        kept = {q.id: q for q in edited.sub_questions}
        for question in plan.sub_questions:
            if question.id in answers and kept.get(question.id) != question:
                raise PlanError(
                    f"sub-question {question.id} is answered already; leave it as it is", sub_question=question.id
                )

    async def solve(self, state: PlannerState) -> Update:
        """Answers in one call, guided by the plan if there is one."""
        question, plan = state["question"], as_plan(state["plan"])
        history = state["messages"][: last_human(state["messages"])]
        tools = list(compute_tools(self.tools).values())
        with booking(self._ledger(state)) as ledger:
            message = await solve(self.solver, question, plan, history=history, tools=tools)
        text = str(message.text).strip()
        return {**self._finish(state, final_answer(text), working=text), "usage": ledger.by_role}

    async def execute(self, state: PlannerState, *, sync: bool) -> Update:
        """Answers every sub-question that has no answer yet, each as soon as its dependencies are answered."""
        plan, known = as_plan(state["plan"]), as_answers(state["answers"])
        slot = asyncio.Semaphore(self.step.concurrency)

        async def answer_one(question: SubQuestion, inputs: Any) -> Answer:
            emit("sub_question", id=question.id, status="started")
            answer = await self.step(question, inputs, slot)
            emit("sub_question", status=answer.status, **answer.model_dump(mode="json", exclude={"status"}))
            return answer

        with booking(self._ledger(state)):
            answers = await scheduler.execute(plan, known, answer_one, sync=sync)
        spent = sum((a.usage for a in answers.values() if a.id not in known), state["usage"].get("solver", Usage()))
        following = "plan" if self.mode == "dynamic" else "join"
        return {"answers": answers, "usage": {**state["usage"], "solver": spent}, "next": following}

    async def join(self, state: PlannerState) -> Update:
        """Writes the final answer, or asks for a new plan."""
        plan, answers = as_plan(state["plan"]), as_answers(state["answers"])
        may_replan = self.mode == "static" and state["rounds"] < self.max_replans
        history = state["messages"][: last_human(state["messages"])]
        with booking(self._ledger(state)) as ledger:
            try:
                joined = await join(
                    self.joiner, state["question"], plan, answers, may_replan=may_replan, history=history
                )
            except BudgetExceededError:
                joined = join_last(plan, answers)
        if joined.missing is None:
            return {**self._finish(state, joined.text), "usage": ledger.by_role, "next": "end"}
        return self._replan(state, joined, ledger)

    def _replan(self, state: PlannerState, joined: Joined, ledger: Ledger) -> Update:
        emit("replan", reason=joined.missing)
        return {"feedback": joined.missing, "rounds": state["rounds"] + 1, "usage": ledger.by_role, "next": "plan"}

    def _dispatch(self, plan: Plan, answers: dict[int, Answer]) -> str:
        if not plan.sub_questions:
            return "solve"
        if answers:
            return "execute"
        protocol = choose_protocol(plan, self.mode, self.solver, self.protocol)
        return "solve" if protocol == "guided" else "execute"

    def _ledger(self, state: PlannerState) -> Ledger:
        return Ledger(as_usage(state["usage"]), budget=self.budget, started_at=state["started_at"])

    def _finish(self, state: PlannerState, text: str, working: str | None = None) -> Update:
        extra = {"working": working} if working and working != text else {}
        return {"answer": text, "messages": [AIMessage(text, additional_kwargs=extra)], "next": "end"}


def emit(type_: str, **data: Any) -> None:
    """Writes an event to `stream_mode="custom"`: `plan`, `sub_question` or `replan`."""
    get_stream_writer()({"type": type_, **data})


def last_human(messages: Sequence[AnyMessage]) -> int:
    """Place of the last human message, or -1."""
    places = [place for place, message in enumerate(messages) if isinstance(message, HumanMessage)]
    return places[-1] if places else -1


def last_question(messages: Sequence[AnyMessage]) -> str:
    """Text of the last human message.

    Raises:
        QuestionError: there is none.
    """
    place = last_human(messages)
    if place < 0:
        raise QuestionError("there is no human message; pass the question as one")
    return str(messages[place].text)


def as_plan(value: Any) -> Plan:
    """A plan out of the state; a checkpointer may have turned it into plain data."""
    return value if isinstance(value, Plan) else Plan.model_validate(value)


def as_answers(value: Any) -> dict[int, Answer]:
    """Answers out of the state; a checkpointer may have turned them into plain data."""
    return {int(k): v if isinstance(v, Answer) else Answer.model_validate(v) for k, v in value.items()}


def as_usage(value: Any) -> dict[str, Usage]:
    """Usage out of the state; a checkpointer may have turned it into plain data."""
    return {k: v if isinstance(v, Usage) else Usage.model_validate(v) for k, v in value.items()}
