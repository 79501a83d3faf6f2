"""Answers one sub-question: `route → solver | tool`, which callers may replace by a graph of their own."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Annotated, Any, NotRequired

from langchain_core.tools import BaseTool, ToolException
from langgraph.errors import GraphBubbleUp
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from anabranch.agents.arguments import write_arguments
from anabranch.agents.images import NO_IMAGES, Images, mentioned
from anabranch.agents.ledger import Ledger, booking, current
from anabranch.agents.limits import TimeIsUp, within
from anabranch.agents.models import RoleModel
from anabranch.agents.solver import answer_step, check_answer, read_answer
from anabranch.bounds import MAX_EVIDENCE_CHARS, MAX_FILLED_CHARS, MAX_KNOWN_CHARS, one_line, share, shorten
from anabranch.characters import whole_characters, whole_data
from anabranch.errors import BackendError, CallTimeoutError, ModelError, NotFoundError
from anabranch.graphs.actions import ActionProposed, act
from anabranch.graphs.channels import Stored, plain
from anabranch.graphs.journal import Call, current_journal, note, noting
from anabranch.plan import SOLVE, Answer, Source, SubQuestion, fill, slots, slotted
from anabranch.replies import says_something
from anabranch.slots import has_room, whole_length
from anabranch.tools.calling import call_tool
from anabranch.tools.catalogue import Catalogue
from anabranch.tools.effects import Unmarked, has_effects, max_chars
from anabranch.tools.results import MAX_CHARS, fitted
from anabranch.tools.sources import behind, sources_of


class StepState(TypedDict):
    """What answers a sub-question; the state of a graph that replaces `route → solver | tool`.

    Attributes:
        sub_question: what is asked.
        text: its text with the slots filled.
        inputs: text of the answers it depends on, by sub-question id.
        images: the images that its text names, as content blocks by their numbers.
        answer: the answer; must be set, unless something is raised.
        evidence: what the tool returned, where the answer was read out of it.
    """

    sub_question: Annotated[SubQuestion, Stored]
    text: str
    inputs: NotRequired[dict[int, str]]
    images: NotRequired[Images]
    answer: NotRequired[str]
    evidence: NotRequired[str]


AnswerStep = Callable[[StepState], Coroutine[Any, Any, Mapping[str, Any]]]
"""Takes `sub_question` and `text`, gives `answer` and, if there is any, `evidence`."""


def by_route(
    solver: RoleModel, tools: Catalogue, *, unmarked: Unmarked = "look_up", grounded: bool = False
) -> AnswerStep:
    """Answers with the solver or the tool that a sub-question is routed to.

    A tool with `return_direct` gives the answer itself, and so does one that changes something; from the result of any
    other tool the solver reads it. A function and not a graph: a graph of two nodes would take longer than all else
    that is done here.

    Args:
        solver: who answers what has no tool, writes tool arguments and reads results.
        tools: the tools that sub-questions may be routed to.
        unmarked: what tools are taken for that do not say whether they change something.
        grounded: whether the solver may only reason over answers, and read what the results say.
    """

    async def answer(state: StepState) -> Mapping[str, Any]:
        route, text = state["sub_question"].route, state["text"]
        if route == SOLVE and grounded:
            return await _reasoned(solver, state)
        if route == SOLVE:
            return {"answer": await answer_step(solver, text, state.get("images", NO_IMAGES))}
        tool = tools[route]
        if has_effects(tool, unmarked):
            inputs = list(state.get("inputs", {}).values())
            return {"answer": await act(solver, tool, state["sub_question"].id, text, inputs)}
        return await _looked_up(solver, tool, state, grounded=grounded)

    return answer


async def _reasoned(solver: RoleModel, state: StepState) -> Mapping[str, Any]:
    """An answer out of those that a sub-question depends on, and out of nothing else."""
    known = list(state.get("inputs", {}).values())
    if not known:
        raise NotFoundError("nothing was looked up for it")
    return {"answer": await read_answer(solver, state["text"], "\n".join(known))}


async def _looked_up(solver: RoleModel, tool: BaseTool, state: StepState, *, grounded: bool) -> Mapping[str, Any]:
    question, text, journal = state["sub_question"], state["text"], current_journal()
    inputs = state.get("inputs", {})
    paused = await journal.paused(tool.name, text)
    if paused:
        arguments = paused.arguments
    else:
        arguments = await write_arguments(solver, tool, text, unfilled=slotted(question), answers=inputs)
    call = Call(tool=tool.name, arguments=arguments, text=text)
    async with journal.lock(call.key):
        known = await journal.find(call)
        if known is None or known.state != "done":
            note(call)
            try:
                result = await call_tool(tool, arguments, id_=f"call_{question.id}")
            except GraphBubbleUp:
                # What a person is asked is about these arguments, which a model may write in another way again.
                await journal.note(call, state="paused")
                raise
            found = sources_of(
                result.text, result.artifact, sub_question=question.id, tool=tool.name, arguments=arguments
            )
            known = journal.remember(call, state="done", output=result.text, sources=found)
    output = await fitted(known.output, text, min(max_chars(tool, MAX_CHARS), MAX_EVIDENCE_CHARS))
    note(known, output)
    if tool.return_direct:
        return {"answer": output}
    try:
        return {"answer": await read(solver, text, output, known.sources, grounded=grounded), "evidence": output}
    except BackendError:
        # The run stops here, and goes on when the model is back: without another call.
        await journal.note(known)
        raise


async def read(solver: RoleModel, text: str, output: str, sources: Sequence[Source], *, grounded: bool) -> str:
    """The answer of a sub-question, read out of a tool's result; where it is to be grounded, checked.

    Raises:
        NotFoundError: the result does not hold the answer.
        ReplyError, BudgetExceededError, EndpointError: as model calls do.
    """
    answer = await read_answer(solver, text, output)
    if grounded:
        passages = [source.whole for source in behind(answer, sources)] or [output]
        return await check_answer(solver, text, answer, passages, output)
    return answer


def by_graph(graph: "CompiledStateGraph[Any, Any, Any, Any]") -> AnswerStep:
    """Answers with a graph over `StepState`."""

    async def answer(state: StepState) -> Mapping[str, Any]:
        result: dict[str, Any] = await graph.ainvoke({**state, "sub_question": plain(state["sub_question"])})
        return result

    return answer


class StepRunner:
    """Answers sub-questions for the scheduler: fills slots, times, limits, and never lets a tool's failure escape.

    Args:
        answer: answers one.
        timeout: seconds one sub-question may take, not counting the wait for its dependencies.
        concurrency: how many may run at once.
    """

    def __init__(self, answer: AnswerStep, *, timeout: float, concurrency: int) -> None:
        self.answer = answer
        self.timeout = timeout
        self.concurrency = concurrency

    async def __call__(
        self,
        question: SubQuestion,
        inputs: Mapping[int, Answer],
        slot: asyncio.Semaphore,
        images: Images = NO_IMAGES,
    ) -> Answer:
        """Answers one sub-question.

        Args:
            question: what is asked.
            inputs: the answers it depends on, by id.
            slot: waits until there is room.
            images: those of the conversation.

        Raises:
            BackendError: a model server is away; the run stops and can be resumed.
        """
        if any(answer.status == "waiting" for answer in inputs.values()):
            return Answer(id=question.id, status="waiting", route=question.route)
        lost = [answer.id for answer in inputs.values() if not answer.ok]
        if lost:
            reason = f"sub-question {lost[0]}, which it needs, failed"
            missing = all(answer.not_found for answer in inputs.values() if not answer.ok)
            return Answer(id=question.id, status="failed", route=question.route, error=reason, not_found=missing)
        async with slot:
            return await self._answer(question, inputs, images)

    async def _answer(self, question: SubQuestion, inputs: Mapping[int, Answer], images: Images) -> Answer:
        try:
            text = told(question, inputs)
        except ModelError as failure:
            return Answer(id=question.id, status="failed", route=question.route, error=reason_of(failure))
        started, error, waiting, not_found = time.monotonic(), None, None, False
        result: Mapping[str, Any] = {}
        with booking(Ledger(parent=current())) as ledger, noting() as notes:
            try:
                ledger.check()
                known = {id_: answer.text for id_, answer in inputs.items()}
                left = ledger.seconds_left()
                state: StepState = {"sub_question": question, "text": text, "inputs": known}
                if named := mentioned([question.text], images):
                    state["images"] = named
                work = self.answer(state)
                result = await within(work, min(self.timeout, left))
            except TimeIsUp:
                late = self.timeout < left
                error = f"no answer within {self.timeout:g} s" if late else reason_of(ledger.time_is_up())
            except CallTimeoutError as failure:
                error = reason_of(failure)
            except (GraphBubbleUp, BackendError):
                raise
            except ActionProposed as proposed:
                waiting = proposed.action
            except Exception as failure:
                error, not_found = reason_of(failure), isinstance(failure, NotFoundError)
        answer = whole_characters(str(result.get("answer", "")))
        if not (error or waiting or says_something(answer)):
            error = "the answer was empty"
        return Answer(
            id=question.id,
            text="" if error else answer,
            status="waiting" if waiting else "failed" if error else "done",
            route=question.route,
            question=text,
            cut=ledger.cut and not error,
            error=error,
            not_found=not_found,
            arguments=waiting.arguments if waiting else notes.call.arguments if notes.call else None,
            evidence=whole_data(result.get("evidence")) or notes.evidence,
            sources=notes.call.sources if notes.call else (),
            usage=ledger.total,
            seconds=time.monotonic() - started,
            in_doubt=waiting.in_doubt if waiting else 0,
        )


def told(question: SubQuestion, inputs: Mapping[int, Answer]) -> str:
    """A sub-question with the answers it depends on: in their slots, and those without a slot after it.

    Raises:
        ModelError: there is no room for the answers in its slots.
    """
    text, texts = slotted(question), {id_: answer.text for id_, answer in inputs.items()}
    if not has_room(text, texts):
        raise ModelError(
            f"with the answers in its slots it would have {whole_length(text, texts):,} characters, more than "
            f"{MAX_FILLED_CHARS:,}; refer to them fewer times"
        )
    filled, used = fill(text, texts), slots(text)
    unused = [answer for id_, answer in inputs.items() if id_ not in used]
    if not unused:
        return filled
    most = share((len(answer.question) + len(answer.text) + 3 for answer in unused), MAX_KNOWN_CHARS)
    known = "; ".join(shorten(f"{answer.question} {answer.text}".strip(), most) for answer in unused)
    return f"{filled} (known: {known})"


def reason_of(error: BaseException) -> str:
    """Why a sub-question failed."""
    return one_line(error, named=not isinstance(error, ModelError | ToolException))  # these are written to be read
