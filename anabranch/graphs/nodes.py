"""The nodes of the planner graph: gate, plan, review, solve, execute, join."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, SystemMessage
from langgraph.graph import END
from langgraph.types import interrupt

from anabranch.agents.answering import WORKING, hearing
from anabranch.agents.conversation import FollowUps, earlier_turns, history_of, transcript
from anabranch.agents.decomposer import Decomposer, Draft, PlanRequest, decompose
from anabranch.agents.drafts import hearing_drafts
from anabranch.agents.gate import Gate
from anabranch.agents.images import images_asked_of, images_in, mentioned
from anabranch.agents.joiner import join, join_last
from anabranch.agents.json_answers import as_json
from anabranch.agents.ledger import Ledger, booking, current
from anabranch.agents.limits import usage_metadata
from anabranch.agents.models import RoleModel, check_reads_images
from anabranch.agents.prompts import GROUNDED_TALK_INSTRUCTION
from anabranch.agents.reply import Final
from anabranch.agents.schemas import AnswerSchema
from anabranch.agents.small_talk import courtesy, is_small_talk
from anabranch.agents.solver import solve
from anabranch.bounds import MAX_UNDERSTOOD_CHARS, shorten
from anabranch.config import Budget
from anabranch.errors import BudgetExceededError, CallTimeoutError, ConfigurationError, PlanError, ReplyError
from anabranch.graphs import scheduler
from anabranch.graphs.acting import calling_tools, proposed_actions, with_commands
from anabranch.graphs.actions import decided, request
from anabranch.graphs.channels import plain
from anabranch.graphs.edges import in_one_step
from anabranch.graphs.embedding import NEEDS_CHECKPOINTER, lacks_checkpointer
from anabranch.graphs.events import drafts_told, emit, hearing_events
from anabranch.graphs.final import budget_of_answer, joined_as_json, status_of_joined, wanted_schema
from anabranch.graphs.grounded import AS_ASKED, NOT_FOUND_TEXT, grounded_plan, join_grounded, plan_as_asked
from anabranch.graphs.options import PlannerArguments
from anabranch.graphs.outcome import FINISH_REASONS, sources_of_answers, status_of
from anabranch.graphs.protocol import choose_protocol, compute_tools, protocol_of_any_plan, tools_to_plan_for
from anabranch.graphs.repeats import without_repeats
from anabranch.graphs.state import PlanDecision, PlannerState
from anabranch.graphs.step import StepRunner
from anabranch.graphs.turn import blank
from anabranch.graphs.weak_plans import mended
from anabranch.plan import Answer, Plan, Status, SubQuestion, Usage
from anabranch.replies import says_something
from anabranch.tools.catalogue import Catalogue
from anabranch.tools.shortlist import Shortlist

Update = dict[str, Any]


@dataclass(frozen=True)
class Nodes:
    """The nodes, as methods over what they share.

    Attributes:
        options: the planner's options.
        decomposer: who writes plans.
        solver: who answers.
        joiner: who joins.
        tools: the tool catalogue.
        shortlist: chooses the tools that a decomposer is shown.
        step: runs one sub-question.
        follow_ups: finds out what the last message asks.
        gate_policy: whether a question is planned for at all.
        acts: whether one of the tools changes something.
        searchers: where nothing may be answered but what was looked up: the tools to do so. Empty otherwise.
        question_tools: the tools that look a question up as it is.
    """

    options: PlannerArguments
    decomposer: Decomposer
    solver: RoleModel
    joiner: RoleModel
    tools: Catalogue
    shortlist: Shortlist
    step: StepRunner
    follow_ups: FollowUps
    gate_policy: Gate
    acts: bool
    searchers: tuple[str, ...]
    question_tools: tuple[str, ...]

    async def gate(self, state: PlannerState) -> Update:
        """Takes the question out of the conversation, resets what the last turn left, and decides whether to plan.

        Raises:
            ConfigurationError: plans are to be reviewed, and nothing keeps them meanwhile; or the schema that the
                answer is to satisfy is none.
        """
        self._schema()
        if images_asked_of(state["messages"]):
            check_reads_images(self.solver, "solver")
        if self.options.review and lacks_checkpointer():
            raise ConfigurationError(f"nothing around this planner keeps its threads; {NEEDS_CHECKPOINTER}")
        ledger = Ledger(budget=self.options.budget, parent=current())
        with booking(ledger):
            understood = await self.follow_ups(state["messages"])
        asked, question = understood.asked, shorten(understood.question, MAX_UNDERSTOOD_CHARS)
        if question != asked:
            emit("question", asked=asked, question=question)
        # What is about the conversation itself can be looked up nowhere.
        talk = understood.turn == "conversation"
        direct = talk or (is_small_talk(asked) if self.searchers else not self.gate_policy(question))
        update = {"asked": asked, "question": question, "turn": understood.turn, "plan": plain(Plan())}
        spent = {"usage": plain(ledger.by_role), "started_at": ledger.started_at}
        return {**blank(), **update, **spent, "direct": direct}

    def after_gate(self, state: PlannerState) -> str:
        """Plans, unless the question is answered directly."""
        return "solve" if state["direct"] else "plan"

    async def plan(self, state: PlannerState) -> Update:
        """Has the decomposer write a plan, its next layer, or a replacement for what failed."""
        asked, answers = state["plan"], state["answers"]
        room = self.options.max_sub_questions - (len(asked.sub_questions) if self.options.mode == "dynamic" else 0)
        draft = Draft(asked)
        known = protocol_of_any_plan(self.tools, self.decomposer, self.options.mode, self.solver, self.options.protocol)
        tools = tools_to_plan_for(self.tools, self.decomposer, known)
        earlier = transcript(earlier_turns(state["messages"])) if state["turn"] == "follow_up" else ""
        in_vain = known == "direct" and not (self.options.review or answers)
        as_asked = bool(self.searchers) and state["feedback"] == AS_ASKED
        with booking(self._ledger(state)) as ledger, hearing_drafts(drafts_told()):
            if room > 0 and not in_vain and not as_asked:
                cards = self.shortlist.cards(f"{state['question']}\n{state['feedback'] or ''}", tools)
                request = PlanRequest(
                    state["question"], cards, self.options.mode, room, asked, answers, state["feedback"], earlier
                )
                try:
                    draft = await ledger.in_time(decompose(self.decomposer, request))
                except BudgetExceededError as error:
                    draft = Draft(asked, (str(error),))
        # In dynamic mode, the first step is a part of the question.
        weak = draft.weak and self.options.mode == "static"
        if weak and self.question_tools and not (self.searchers or self.options.review):
            draft = replace(draft, plan=mended(draft.plan, asked, state["question"], answers, self.question_tools))
        if aside := in_vain or self._left_aside(draft, asked, answers):
            draft = Draft(asked, (*draft.problems, "the embedded decomposer's plan is no guide for this solver"))
        if self.searchers:
            planned = partial(grounded_plan, draft.plan, weak=weak)
            look_up = plan_as_asked if as_asked else planned
            draft = replace(draft, plan=look_up(asked, state["question"], self.searchers, room))
        draft = replace(draft, plan=without_repeats(draft.plan, answers, self.question_tools))
        new = [question.id for question in draft.plan.sub_questions[len(asked.sub_questions) :]]
        emit("plan", plan=plain(draft.plan), new=new, problems=[*draft.notes, *draft.problems])
        direct = aside and not self.searchers
        update = {"plan": draft.plan, "feedback": None, "usage": plain(ledger.by_role), "direct": direct}
        # Nothing new to ask: the joiner gets the last word and may not ask for yet another plan.
        return {**update, "begun": len(asked.sub_questions)} if new else {**update, "rounds": self.options.max_replans}

    def after_plan(self, state: PlannerState) -> str:
        """Runs what is new in the plan, after a person has seen it; answers if there is nothing new."""
        if state["direct"]:
            return "solve"
        if all(question.id in state["answers"] for question in state["plan"].sub_questions):
            return "join" if state["answers"] else "solve"
        return "review" if self.options.review else self._dispatch(state["plan"], state["answers"])

    def review_plan(self, state: PlannerState) -> Update:
        """Lets a person approve, edit or reject the plan, or ask for another.

        A decision that cannot be carried out is answered by asking again, with the reason in `error`.
        """
        plan, answers, error = state["plan"], state["answers"], None
        while True:
            value = {"question": state["question"], "plan": plain(plan), "error": error}
            decision = interrupt(value, response_schema=PlanDecision)
            if decision.type == "reject":
                return self._finish(
                    state, Final((decision.message or "").strip() or "The plan was rejected."), state["usage"], "failed"
                )
            if decision.type == "respond":
                kept = plan.restricted([q.id for q in plan.sub_questions if q.id in answers])
                return {"plan": plain(kept), "feedback": decision.message}
            edited = decision.plan if decision.type == "edit" and decision.plan else plan
            try:
                self._check_edit(plan, edited, answers)
            except PlanError as problem:
                error = str(problem)
            else:
                if edited is not plan:
                    emit("plan", plan=plain(edited), new=[i for i in edited.ids if i not in answers], problems=[])
                return {"plan": plain(edited)}

    def after_review(self, state: PlannerState) -> str:
        """Runs the plan, has another one written, or ends, as the person decided."""
        if state["answer"]:
            return END
        return "plan" if state["feedback"] else self._dispatch(state["plan"], state["answers"])

    def _check_edit(self, plan: Plan, edited: Plan, answers: dict[int, Answer]) -> None:
        edited.check(self.tools, self.options.max_sub_questions + len(answers))
        kept = {q.id: q for q in edited.sub_questions}
        for question in plan.sub_questions:
            if question.id in answers and kept.get(question.id) != question:
                raise PlanError(
                    f"sub-question {question.id} is answered already; leave it as it is", sub_question=question.id
                )

    async def solve(self, state: PlannerState) -> Update:
        """Answers in one call, guided by the plan if there is one."""
        if not self.options.final_answer:
            return self._left(state)
        if self.searchers and not state["direct"]:
            return self._finish(state, Final(NOT_FOUND_TEXT), state["usage"], "not_found")
        if self.solver.small and state["turn"] == "conversation" and is_small_talk(state["asked"]):
            # An in-process model would give its last answer again.
            return self._finish(state, Final(courtesy(state["asked"])), state["usage"])
        tools = [] if self.searchers else list(compute_tools(self.tools).values())
        history = history_of(state["messages"], self.solver)
        if self.searchers:
            history.append(SystemMessage(GROUNDED_TALK_INSTRUCTION))
        timed, schema = (
            bool(self.options.budget and self.options.budget.max_seconds),
            self._schema(),
        )
        with booking(self._final_ledger(state)) as ledger, hearing(always=timed) as heard:
            question, form = state["question"], self.options.answer_form
            solving = solve(
                self.solver,
                question,
                Plan() if state["direct"] else state["plan"],
                history=history,
                tools=tools,
                form=form,
                schema=schema,
                images=images_asked_of(state["messages"]),
            )
            try:
                final = await ledger.in_time(solving)
                if schema:
                    final = await as_json(self.solver, question, final, schema, role="solver")
            except (BudgetExceededError, CallTimeoutError):
                text, message_id = heard.end()
                if not says_something(text):
                    raise
                final = Final(text, message_id=message_id, ending="cut")
        return self._finish(state, final, ledger.by_role)

    async def execute(self, state: PlannerState, *, sync: bool) -> Update:
        """Answers every sub-question that has no answer yet, each as soon as its dependencies are answered.

        Those that propose an action, and those that depend on them, have no answer afterwards.
        """
        known = state["answers"]
        slot = asyncio.Semaphore(self.step.concurrency)
        ran, images = set[int](), images_in(state["messages"])

        async def answer_one(question: SubQuestion, inputs: Mapping[int, Answer]) -> Answer:
            ran.add(question.id)
            if all(answer.status != "waiting" for answer in inputs.values()):
                emit("sub_question", id=question.id, status="started")
            with hearing_events(None), in_one_step():  # another planner may answer it
                answer = await self.step(question, inputs, slot, images)
            emit("sub_question", **plain(answer))
            return answer

        with booking(self._ledger(state)), calling_tools(state, self.options.approve_actions, sync=sync) as run:
            answers = await scheduler.execute(state["plan"], known, answer_one, sync=sync)
        for id_, answer in answers.items():
            if id_ not in known and id_ not in ran:
                emit("sub_question", **plain(answer))  # recorded by an attempt that was stopped
        # Counted from the answers and not the ledger: on resume, some were recorded by an earlier attempt.
        spent = sum((a.usage for a in answers.values() if a.id not in known), state["usage"].get("solver", Usage()))
        found = {id_: answer for id_, answer in answers.items() if answer.status != "waiting"}
        update = {"answers": plain(found), "usage": plain({**state["usage"], "solver": spent})}
        return with_commands(run.commands, update | {"actions": plain(proposed_actions(state, answers))})

    def after_execute(self, state: PlannerState) -> str:
        """Asks for decisions on what was proposed; else goes on with what was answered."""
        if any(action.decision is None for action in state["actions"].values()):
            return "approve"
        return "plan" if self.options.mode == "dynamic" else "join"

    def approve(self, state: PlannerState) -> Update:
        """Lets a person approve, edit or reject each proposed action, or give its result.

        Decisions that cannot be carried out are answered by asking again, with the reason in `error`.
        """
        open_actions = [action for action in state["actions"].values() if action.decision is None]
        descriptions = {name: tool.description for name, tool in self.tools.items()}
        error = None
        while True:
            resume = interrupt(request(open_actions, descriptions, error))
            try:
                chosen = {action.id: action for action in decided(open_actions, resume)}
            except ValueError as problem:
                error = str(problem)
                continue
            waited = time.time() - max(action.proposed_at for action in open_actions)
            return {"actions": plain({**state["actions"], **chosen}), "started_at": state["started_at"] + waited}

    async def join(self, state: PlannerState) -> Update:
        """Writes the final answer, or asks for a new plan."""
        if not self.options.final_answer:
            return self._left(state)
        plan, answers = state["plan"], state["answers"]
        may_replan = self.options.mode == "static" and state["rounds"] < self.options.max_replans
        history, exhausted, schema = (
            history_of(state["messages"], self.joiner),
            False,
            self._schema(),
        )
        # What is to be checked against what was found is written as text first.
        joining = join_grounded if self.searchers else partial(join, schema=schema)
        images = images_asked_of(state["messages"])
        seen = mentioned((each.text for each in plan.sub_questions), images)
        joining = partial(joining, images={number: images[number] for number in images.keys() - seen.keys()})
        question = state["question"]
        with booking(self._final_ledger(state)) as ledger:
            try:
                joined = await joining(
                    self.joiner,
                    question,
                    plan,
                    answers,
                    may_replan=may_replan,
                    history=history,
                    form=self.options.answer_form,
                )
                status = status_of_joined(state, joined)
                if schema and status in ("answered", "partial"):
                    found = answers if self.searchers else None
                    joined = await joined_as_json(self.joiner, question, joined, schema, found=found)
            except (BudgetExceededError, CallTimeoutError):
                joined, exhausted = join_last(plan, answers), True
        if joined.final:
            status = status_of_joined(state, joined, exhausted=exhausted)
            return self._finish(state, joined.final, ledger.by_role, status) | {"feedback": None}
        emit("replan", reason=joined.missing)
        return {"feedback": joined.missing, "rounds": state["rounds"] + 1, "usage": plain(ledger.by_role)}

    def after_join(self, state: PlannerState) -> str:
        """Ends, unless another plan was asked for."""
        return "plan" if state["feedback"] else END

    def _dispatch(self, plan: Plan, answers: Mapping[int, Answer]) -> str:
        if not plan.sub_questions:
            return "solve"
        if answers:
            return "execute"
        protocol = choose_protocol(plan, self.options.mode, self.solver, self.options.protocol)
        return "execute" if protocol == "per_node" else "solve"

    def _left_aside(self, draft: Draft, asked: Plan, answers: Mapping[int, Answer]) -> bool:
        new = Plan.model_construct(sub_questions=draft.plan.sub_questions[len(asked.sub_questions) :])
        # A person who reviews plans decides by herself.
        if self.options.review or new.is_direct or any(not answer.not_found for answer in answers.values()):
            return False
        return choose_protocol(new, self.options.mode, self.solver, self.options.protocol, weak=draft.weak) == "direct"

    def _finish(
        self, state: PlannerState, final: Final, usage: Mapping[str, Usage], status: Status | None = None
    ) -> Update:
        """The final answer as a state update; with the id of the model's message, so that streams show it once."""
        if not says_something(final.text):
            raise ReplyError("the answer was empty; ask again, or check the model", ending="empty")
        message = AIMessage(
            final.text,
            id=final.message_id,
            # Providers refuse some characters in names, and the message may be sent to one in a later turn.
            name=re.sub(r"[^\w-]+", "_", self.options.name, flags=re.ASCII),
            usage_metadata=usage_metadata(sum(usage.values(), Usage())),
            additional_kwargs={WORKING: final.working} if final.working else {},
            response_metadata={"finish_reason": FINISH_REASONS.get(final.ending, "stop")},
        )
        status = status or status_of(Plan(), {}, ending=final.ending)
        found = sources_of_answers(state["plan"], state["answers"]) if status != "not_found" else []
        sources = [plain(source) for source in found]
        emit("answer", answer=final.text, status=status, sources=sources)
        ended = {"answer": final.text, "status": status, "sources": sources}
        return {**ended, "messages": [message], "usage": plain(dict(usage))}

    def _left(self, state: PlannerState) -> Update:
        """The end of a turn whose answer somebody else writes."""
        plan, answers = state["plan"], state["answers"]
        sources = [plain(source) for source in sources_of_answers(plan, answers)]
        return {"status": status_of(plan, answers, begun=state["begun"]) if answers else None, "sources": sources}

    def _schema(self) -> AnswerSchema | None:
        return wanted_schema(self.options.response_format)

    def _ledger(self, state: PlannerState) -> Ledger:
        return self._booked(state, self.options.budget)

    def _final_ledger(self, state: PlannerState) -> Ledger:
        """The ledger of calls that write the final answer: it may be shorter for this run."""
        return self._booked(state, budget_of_answer(self.options.budget))

    @staticmethod
    def _booked(state: PlannerState, budget: Budget | None) -> Ledger:
        # A part of the ledger of the sub-question that another planner has this one answer, if one has.
        return Ledger(state["usage"], budget=budget, started_at=state["started_at"], parent=current())
