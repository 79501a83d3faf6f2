"""Decomposers write plans: a distilled model as constrained lines, any general chat model as JSON."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Self

from langchain_core.messages import AIMessage, BaseMessage

from anabranch.agents import prompts
from anabranch.agents.missing_links import linked
from anabranch.agents.models import RoleModel, call
from anabranch.agents.reply import ending, text_of
from anabranch.agents.structured import call_for_json
from anabranch.bounds import MAX_FEEDBACK_CHARS, shorten
from anabranch.codecs import DIRECT, DONE, LineGrammar, decode_json, decode_lines, json_schema
from anabranch.errors import EndpointError, PlanError, PlanReferenceError, ReplyError
from anabranch.on_demand import asks
from anabranch.options import PlanningMode
from anabranch.plan import Answer, Plan
from anabranch.tools.catalogue import ToolCard

Grammar = Literal["always", "on_demand", "rest"]
IGNORED = 2
"""So many replies that do not fit what they were held to show that a server holds nothing."""
IGNORES = (
    "the decomposer's server ignores structured_outputs: what it writes does not fit the pattern that it is sent; "
    "serve the model with `anabranch serve decomposer`, or another server that holds replies to a regular expression"
)


@dataclass(frozen=True)
class PlanRequest:
    """What a decomposer is asked.

    Attributes:
        question: the question to split.
        cards: the tool catalogue.
        mode: `static` asks for a whole plan, `dynamic` for the next layer.
        max_sub_questions: most sub-questions to add.
        asked: sub-questions asked before; new ones count on from them and may refer to those with an answer.
        answers: the answers so far, failed ones included.
        feedback: why an earlier plan would not do.
        earlier: turns of the conversation that the question may lean on, a line each; for general models.
    """

    question: str
    cards: Sequence[ToolCard]
    mode: PlanningMode = "static"
    max_sub_questions: int = 8
    asked: Plan = field(default_factory=Plan)
    answers: Mapping[int, Answer] = field(default_factory=dict)
    feedback: str | None = None
    earlier: str = ""

    @property
    def routes(self) -> list[str]:
        """Names of the tools."""
        return [card.name for card in self.cards]


@dataclass(frozen=True)
class Draft:
    """What a decomposer wrote, read back.

    Attributes:
        plan: the sub-questions asked before and the new ones.
        problems: what was wrong with drafts that were thrown away.
        weak: whether a small model wrote it (see `graphs/protocol.py`).
        notes: what else the user should know of how it came about.
    """

    plan: Plan
    problems: tuple[str, ...] = ()
    weak: bool = False
    notes: tuple[str, ...] = ()


class WrittenPlan(str):
    """A plan as text that says how it came about.

    Attributes:
        notes: what the user should know, such as that somebody else wrote it.
        weak: whether a small model wrote it.
    """

    notes: tuple[str, ...]
    weak: bool

    def __new__(cls, text: str, *, notes: tuple[str, ...] = (), weak: bool = False) -> Self:
        """A text with what is to be said of it."""
        written = super().__new__(cls, text)
        written.notes, written.weak = notes, weak
        return written


class Decomposer(Protocol):
    """Anything that writes plans. `write` returns the raw text; `read` turns it into a plan or raises PlanError."""

    async def write(self, request: PlanRequest) -> str:
        """Writes a plan as text; a `WrittenPlan` where there is something to say about it."""

    def read(self, text: str, request: PlanRequest) -> Plan:
        """Reads a written plan: the sub-questions asked before, then the new ones.

        Raises:
            PlanError: the text is not a plan, or not one that fits the request.
        """


class LineDecomposer:
    """A model that writes lines, with its output constrained to valid plans.

    Args:
        model: the chat model.
        constrain: turns a pattern (None for none), and the text after which the model goes on (empty if there is
            none), into call arguments of the model; None leaves it free.
        grammar: `always` constrains every call. `on_demand` leaves the model free, stops it where it begins one line
            too many, and writes only lines that fit no plan anew under the constraint (see `anabranch/on_demand.py`);
            `rest` does so from the first such line on, which takes fewer calls, for batches.
        examples: whether worked examples go into the prompt (for a model that was not trained on the codec).
        max_tokens: most tokens a reply may take; a plan may take four with `on_demand`, two with `rest`.

    Attributes:
        weak: whether its plans are those of a small model.
        distilled: whether it was trained to plan, so that it needs no examples.
    """

    def __init__(
        self,
        model: RoleModel,
        *,
        constrain: Callable[[str | None, str], Mapping[str, Any]] | None = None,
        grammar: Grammar = "always",
        examples: bool = False,
        max_tokens: int = 320,
    ) -> None:
        self.model = model
        self.constrain = constrain
        self.grammar = grammar
        self.examples = examples
        self.max_tokens = max_tokens
        self.weak = model.small
        self.distilled = not examples

    async def write(self, request: PlanRequest) -> str:
        """Writes a plan; a last line that was cut off at the token limit is dropped."""
        messages = prompts.lines_messages(
            request.question,
            request.cards,
            request.mode,
            asked=request.asked,
            answers=request.answers,
            feedback=request.feedback,
            examples=self.examples,
        )
        if not self.constrain:
            text, cut = await self._reply(messages)
        elif self.grammar == "always":
            text, cut = await self._reply(messages, **self.constrain(self.pattern(request), ""))
        else:
            text, cut = await self._on_demand(messages, _grammar(request), self.constrain)
        notes = ("the plan was cut off; what is whole of it is used",) if cut else ()
        return WrittenPlan(_whole_lines(text, cut), notes=notes, weak=self.weak)

    async def _on_demand(
        self,
        messages: Sequence[BaseMessage],
        grammar: LineGrammar,
        constrain: Callable[[str | None, str], Mapping[str, Any]],
    ) -> tuple[str, bool]:
        writing = asks(grammar, rest=self.grammar == "rest")
        ask, ignored = next(writing), 0
        while True:
            arguments = constrain(ask.pattern, ask.begun)
            stop = {} if ask.pattern else {"stop": [grammar.one_too_many]}
            prompt = [*messages, AIMessage(ask.begun)] if ask.begun else messages
            reply = await self._reply(prompt, **arguments, **stop)
            ignored += ask.pattern is not None and not _fits(ask.pattern, reply)
            if ignored >= IGNORED:
                raise EndpointError(IGNORES)
            try:
                ask = writing.send(reply)
            except StopIteration as done:
                text, cut = done.value
                return text, cut

    async def _reply(self, messages: Sequence[BaseMessage], **arguments: Any) -> tuple[str, bool]:
        """The model's text, and whether it was cut off at the token limit.

        Raises:
            ReplyError: it was refused.
        """
        runnable = self.model.chat.bind(max_tokens=self.max_tokens, **arguments)
        reply = await call(self.model, messages, role="decomposer", runnable=runnable)
        how = ending(reply)
        return text_of(reply, "decomposer") if how == "refused" else str(reply.text), how == "cut"

    def read(self, text: str, request: PlanRequest) -> Plan:
        """Reads lines."""
        return decode_lines(text, base=request.asked)

    @staticmethod
    def pattern(request: PlanRequest) -> str:
        """Regular expression of the plans that fit a request."""
        return _grammar(request).pattern


def _fits(pattern: str, reply: tuple[str, bool]) -> bool:
    """Whether a reply may have been held to a pattern; servers drop spaces at its ends, an empty one says nothing."""
    text, cut = reply
    return cut or not text.strip() or any(re.fullmatch(pattern, form) for form in (text, f" {text}", text.strip()))


def _grammar(request: PlanRequest) -> LineGrammar:
    return LineGrammar(
        request.routes,
        request.max_sub_questions,
        known=[id_ for id_ in request.asked.ids if id_ in request.answers and request.answers[id_].ok],
        first_id=request.asked.next_id,
        chained=request.mode != "dynamic",
        empty=DONE if request.asked.sub_questions else DIRECT,
    )


def _whole_lines(text: str, cut: bool) -> str:
    return text.rpartition("\n")[0] if cut and "\n" in text else text


@dataclass(frozen=True)
class GivenPlan:
    """A decomposer that gives one plan, whatever it is asked, and nothing new afterwards."""

    plan: Plan

    async def write(self, request: PlanRequest) -> str:
        """Writes nothing: the plan is there."""
        return ""

    def read(self, text: str, request: PlanRequest) -> Plan:
        """The plan, or what was asked before if there is anything."""
        return request.asked if request.asked.sub_questions else self.plan


class JsonDecomposer:
    """Any general chat model: told the JSON schema, and held to it where the model's API can."""

    def __init__(self, model: RoleModel) -> None:
        self.model = model

    async def write(self, request: PlanRequest) -> str:
        """Writes a plan as JSON."""
        messages = prompts.json_messages(
            request.question,
            request.cards,
            request.mode,
            asked=request.asked,
            answers=request.answers,
            feedback=request.feedback,
            earlier=request.earlier,
        )
        schema = json_schema(request.routes, request.max_sub_questions)
        return await call_for_json(self.model, messages, schema, role="decomposer")

    def read(self, text: str, request: PlanRequest) -> Plan:
        """Reads JSON."""
        return decode_json(text, base=request.asked)


def local_decomposer(model: RoleModel) -> LineDecomposer:
    """The decomposer that a small in-process model is, or one that wears an adapter: held to the grammar of plans.

    Without an adapter, it is shown examples.
    """
    untrained = getattr(model.chat, "adapter", None) is None
    return LineDecomposer(model, constrain=lambda pattern, _begun: {"pattern": pattern}, examples=untrained)


async def decompose(decomposer: Decomposer, request: PlanRequest, *, repairs: int = 1) -> Draft:
    """Gets a valid plan: writes, reads, checks; a plan that would not do is sent back with the reason.

    Args:
        decomposer: who writes.
        request: what is asked.
        repairs: how often a bad plan is sent back.

    Returns:
        The plan. Where no draft would do, it holds nothing new and `problems` says why.
    """
    problems: list[str] = []
    notes: tuple[str, ...] = ()
    for _ in range(repairs + 1):
        try:
            text = await decomposer.write(request)
            notes = getattr(text, "notes", ())
            plan = decomposer.read(text, request)
            _check_new(plan, request)
        except (PlanError, ReplyError) as error:
            problems.append(shorten(str(error), MAX_FEEDBACK_CHARS))
            request = replace(request, feedback=shorten(str(error), MAX_FEEDBACK_CHARS))
        else:
            plan = linked(plan, len(request.asked.sub_questions))
            return Draft(plan, tuple(problems), getattr(text, "weak", False), notes)
    return Draft(request.asked, tuple(problems), notes=notes)


def _check_new(plan: Plan, request: PlanRequest) -> None:
    asked = request.asked.sub_questions
    if plan.sub_questions[: len(asked)] != asked:
        raise PlanError("the plan does not begin with the sub-questions asked before; add to them")
    new = plan.sub_questions[len(asked) :]
    Plan.model_construct(sub_questions=new).check(request.routes, request.max_sub_questions)
    failed = {q.id for q in asked if q.id in request.answers and not request.answers[q.id].ok}
    lost = {(q.route, q.text) for q in asked if q.id in failed}
    for question in new:
        if (question.route, question.text) in lost:
            raise PlanError(f"sub-question {question.id} failed before; ask differently", sub_question=question.id)
        if failed.intersection(question.depends_on):
            raise PlanReferenceError(
                f"sub-question {question.id} refers to one that failed; refer to answered ones",
                sub_question=question.id,
            )
