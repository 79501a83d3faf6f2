"""The plan: sub-questions, their dependencies, and their answers. Pure data, no I/O."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticKnownError

from anabranch.bounds import (
    MAX_ANSWER_CHARS,
    MAX_EVIDENCE_CHARS,
    MAX_PLAN_CHARS,
    MAX_PLAN_SIZE,
    MAX_TOLD_CHARS,
    is_shortened,
    shorten,
)
from anabranch.errors import CycleError, PlanReferenceError, PlanSizeError, UnknownRouteError
from anabranch.slots import escape as escape
from anabranch.slots import fill as fill
from anabranch.slots import loose_slots as loose_slots
from anabranch.slots import meant_slots
from anabranch.slots import slots as slots

SOLVE = "solve"
"""The route of a sub-question that the solver answers by itself."""

ROUTE_PATTERN = r"[A-Za-z0-9_./:-]{1,64}"


def _stripped(text: str) -> str:
    """Strips after the length was checked: what is accepted must fit the schema's `maxLength` as it came."""
    if stripped := text.strip():
        return stripped
    raise PydanticKnownError("string_too_short", {"min_length": 1})


Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(_stripped)]
Route = Annotated[str, StringConstraints(pattern=rf"^{ROUTE_PATTERN}$")]


_Answered = Annotated[str, AfterValidator(lambda text: shorten(text, MAX_ANSWER_CHARS))]
_Told = Annotated[str, AfterValidator(lambda text: shorten(text, MAX_TOLD_CHARS))]
_Evidence = Annotated[str, AfterValidator(lambda text: shorten(text, MAX_EVIDENCE_CHARS))]


Status = Literal["answered", "partial", "not_found", "refused", "failed"]
"""How a question ended. `answered`: whole. `partial`: with an answer that lacks something: a part failed, the reply was
cut off, a budget ran out. `not_found`: no look-up found an answer. `refused`: by the model. `failed`: there is none."""


class Usage(BaseModel):
    """What model calls consumed.

    Attributes:
        input_tokens: tokens read.
        output_tokens: tokens written.
        calls: number of model calls.
        usd: cost in US dollars; None when the price of a model that was called is not known.
        estimated: whether some of the tokens are estimates, since a server told none or a call was ended.
        cached_tokens: of those read, the tokens that came out of a server's cache; None where no server told.
        reasoning_tokens: of those written, the tokens that were reasoning; None where no server told.
    """

    model_config = ConfigDict(frozen=True)

    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    usd: float | None = 0.0
    estimated: bool = False
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None

    @property
    def total_tokens(self) -> int:
        """Tokens read and written."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            calls=self.calls + other.calls,
            usd=None if self.usd is None or other.usd is None else self.usd + other.usd,
            estimated=self.estimated or other.estimated,
            cached_tokens=_told(self.cached_tokens, other.cached_tokens),
            reasoning_tokens=_told(self.reasoning_tokens, other.reasoning_tokens),
        )


def _told(*counts: int | None) -> int | None:
    """The sum of what was told; None if nothing was."""
    return None if all(count is None for count in counts) else sum(filter(None, counts))


class SubQuestion(BaseModel):
    """One step of a plan.

    Attributes:
        id: positive and unique in its plan.
        text: the question, with slots `{k}` for the answers of earlier sub-questions.
        route: `solve`, or the name of the tool that answers it.
        depends_on: ids whose answers it waits for, ascending; slots in the text are always among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int = Field(ge=1, le=999_999)
    text: Text
    route: Route = SOLVE
    depends_on: tuple[int, ...] = ()

    @field_validator("depends_on")
    @classmethod
    def _sorted(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _slots_are_dependencies(self) -> Self:
        missing = slots(self.text) - set(self.depends_on)
        if missing:
            object.__setattr__(self, "depends_on", tuple(sorted({*self.depends_on, *missing})))
        return self


class Source(BaseModel):
    """What an answer rests on: a passage that a tool found, or the result of a tool.

    Attributes:
        sub_question: id of the sub-question that it was looked up for.
        tool: the tool that gave it.
        source: where it stands: a file's path, an address; empty where the tool does not say.
        title: its title, if it has one.
        page: its page, if it has pages.
        section: the heading that it stands under, if that is known.
        text: the passage, or the result, long ones cut to their beginning.
        arguments: what the tool was called with.
    """

    model_config = ConfigDict(frozen=True)

    sub_question: int
    tool: str
    source: str = ""
    title: str | None = None
    page: int | str | None = None
    section: str | None = None
    text: str = ""
    arguments: dict[str, Any] = {}

    @property
    def whole(self) -> str:
        """The text under its title and heading."""
        return "\n".join(filter(None, [self.title, self.section, self.text]))

    @property
    def label(self) -> str:
        """Where it stands, in a few words: `travel.pdf, page 3`, or the tool's name."""
        place = self.source or self.title or self.tool
        return f"{place}, page {self.page}" if self.page is not None else place


class Answer(BaseModel):
    """What became of a sub-question. Texts that are too long are cut, and say so.

    Attributes:
        id: the sub-question's id.
        text: the answer; empty unless `status` is `done`.
        status: `done`; `failed` with the reason in `error`; or `waiting` for a person's decision on an action.
        route: who answered it: `solve` or a tool's name.
        question: the sub-question as it was asked, with the answers that it depends on filled in.
        cut: whether the reply that it stands in was cut off.
        error: one line on why it failed.
        not_found: whether it failed because a look-up found nothing, and for no other reason.
        arguments: what the tool was called with, or is to be called with; None if no tool was called.
        in_doubt: where an action waits that was begun before: the number of the record that says so.
        evidence: what the tool returned, where the answer was read out of it.
        sources: the passages, or the tool's result, behind the answer.
        usage: what answering it consumed.
        seconds: time it took, not counting the wait for its dependencies.
    """

    model_config = ConfigDict(frozen=True)

    id: int
    text: _Answered = ""
    status: Literal["done", "failed", "waiting"] = "done"
    route: str = SOLVE
    question: _Told = ""
    cut: bool = False
    error: _Answered | None = None
    not_found: bool = False
    arguments: dict[str, Any] | None = None
    in_doubt: int = 0
    evidence: _Evidence | None = None
    sources: tuple[Source, ...] = ()
    usage: Usage = Usage()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there is an answer to build on."""
        return self.status == "done"

    @property
    def shortened(self) -> bool:
        """Whether a part of the answer is missing, or of what it was asked with."""
        return is_shortened(self.text) or is_shortened(self.question)


class Plan(BaseModel):
    """Sub-questions in an order in which they could be answered. An empty plan means: answer directly.

    Raises:
        PlanReferenceError: an id is used twice, or a dependency is unknown or does not come earlier.
        CycleError: sub-questions depend on each other in a circle.
        PlanSizeError: there are more than anybody needs, or their texts are too long together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sub_questions: tuple[SubQuestion, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        chars = sum(len(question.text) for question in self.sub_questions)
        check_size(len(self.sub_questions), chars)
        seen: set[int] = set()
        ids = {q.id for q in self.sub_questions}
        for question in self.sub_questions:
            if question.id in seen:
                raise PlanReferenceError(
                    f"sub-question {question.id} appears twice; give each its own id", sub_question=question.id
                )
            for dependency in question.depends_on:
                if dependency not in ids:
                    raise PlanReferenceError(
                        f"sub-question {question.id} refers to {{{dependency}}}, which is not in the plan",
                        sub_question=question.id,
                    )
                if dependency not in seen:
                    self._raise_order(question, dependency)
            seen.add(question.id)
        return self

    def _raise_order(self, question: SubQuestion, dependency: int) -> None:
        cycle = find_cycle({q.id: q.depends_on for q in self.sub_questions})
        if cycle:
            path = " → ".join(map(str, [*cycle, cycle[0]]))
            raise CycleError(f"sub-questions wait for each other: {path}; remove one dependency", sub_question=cycle[0])
        raise PlanReferenceError(
            f"sub-question {question.id} refers to {{{dependency}}}, which comes later; put {dependency} first",
            sub_question=question.id,
        )

    @property
    def is_direct(self) -> bool:
        """Whether the question is to be answered without sub-questions."""
        return not self.sub_questions

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids in plan order."""
        return tuple(q.id for q in self.sub_questions)

    @property
    def next_id(self) -> int:
        """The first id free for a sub-question that is added."""
        return max(self.ids, default=0) + 1

    @property
    def sinks(self) -> tuple[SubQuestion, ...]:
        """Sub-questions nothing else depends on: their answers carry the plan's result."""
        used = {d for q in self.sub_questions for d in q.depends_on}
        return tuple(q for q in self.sub_questions if q.id not in used)

    def check(self, routes: Collection[str], max_sub_questions: int) -> None:
        """Checks the plan against a tool catalogue and a size limit.

        Args:
            routes: names of the tools; `solve` is always allowed.
            max_sub_questions: most sub-questions allowed.

        Raises:
            UnknownRouteError: a route is neither `solve` nor in `routes`.
            PlanSizeError: the plan has more than `max_sub_questions`.
        """
        for question in self.sub_questions:
            if question.route != SOLVE and question.route not in routes:
                known = ", ".join([SOLVE, *sorted(routes)])
                raise UnknownRouteError(
                    f"sub-question {question.id} has the unknown route {question.route!r}; use one of: {known}",
                    sub_question=question.id,
                )
        if len(self.sub_questions) > max_sub_questions:
            raise PlanSizeError(
                f"the plan has {len(self.sub_questions)} sub-questions, more than {max_sub_questions}; "
                "merge some or raise max_sub_questions",
                sub_question=self.sub_questions[max_sub_questions].id,
            )

    def extended(self, new: Iterable[SubQuestion]) -> "Plan":
        """The plan with sub-questions added at its end; they may refer to all that come before."""
        return Plan(sub_questions=(*self.sub_questions, *new))

    def restricted(self, ids: Collection[int]) -> "Plan":
        """The plan with only the sub-questions in `ids`.

        Raises:
            PlanReferenceError: a kept sub-question depends on a dropped one.
        """
        return Plan(sub_questions=tuple(q for q in self.sub_questions if q.id in ids))

    def to_mermaid(self, answers: Mapping[int, Answer] | None = None) -> str:
        """The plan as a Mermaid flowchart; with `answers`, each node is coloured by its status.

        Source: https://mermaid.js.org/syntax/flowchart.html (labels in double quotes, entity codes).
        """
        lines = ["flowchart TD"]
        for question in self.sub_questions:
            label = f"{question.id} · {question.route}\n{question.text}"
            lines.append(f'    q{question.id}["{_mermaid_label(label)}"]')
            lines += [f"    q{dependency} --> q{question.id}" for dependency in question.depends_on]
        if not self.sub_questions:
            lines.append('    direct["answer directly"]')
        for status, style in _STATUS_STYLES.items():
            members = [f"q{id_}" for id_, answer in (answers or {}).items() if answer.status == status]
            if members:
                lines += [f"    classDef {status} {style}", f"    class {','.join(members)} {status}"]
        return "\n".join(lines) + "\n"


_STATUS_STYLES = {"done": "fill:#d7f5dd,stroke:#2a7a3b", "failed": "fill:#f9d9d9,stroke:#a33030"}


def check_size(count: int = 0, chars: int = 0) -> None:
    """Refuses what is larger than any plan needs to be, before more is made of it.

    Args:
        count: its sub-questions.
        chars: characters of their texts, or of the plan as it is written.

    Raises:
        PlanSizeError: it is.
    """
    for number, most, what in ((count, MAX_PLAN_SIZE, "sub-questions"), (chars, MAX_PLAN_CHARS, "characters")):
        if number > most:
            raise PlanSizeError(f"the plan has {number:,} {what}, more than {most:,}; make it smaller")


def slotted(question: SubQuestion) -> str:
    """The text of a sub-question, with what is meant as a slot written as one: `{{1}}`, `{ 1 }`."""
    return meant_slots(question.text, question.depends_on)


def in_order(questions: Sequence[SubQuestion]) -> list[SubQuestion]:
    """Sub-questions, each after those it depends on, else in the order given; as they are, if there is a circle."""
    ids = {question.id for question in questions}
    if len(ids) < len(questions) or find_cycle({q.id: q.depends_on for q in questions}):
        return list(questions)
    placed: dict[int, SubQuestion] = {}
    waiting = list(questions)
    while waiting:
        blocked = []
        for question in waiting:
            if all(d in placed or d not in ids for d in question.depends_on):
                placed[question.id] = question
            else:
                blocked.append(question)
        waiting = blocked
    return list(placed.values())


def find_cycle(depends_on: Mapping[int, Sequence[int]]) -> list[int]:
    """Ids on one cycle of a dependency graph, or an empty list."""
    state: dict[int, int] = {}
    for start in depends_on:
        path: list[int] = []
        stack = [(start, iter(depends_on[start]))] if start not in state else []
        while stack:
            node, rest = stack[-1]
            if node not in state:
                state[node] = 1
                path.append(node)
            following = next((d for d in rest if d in depends_on and state.get(d) != 2), None)
            if following is None:
                state[node] = 2
                path.pop()
                stack.pop()
            elif state.get(following) == 1:
                return path[path.index(following) :]
            else:
                stack.append((following, iter(depends_on[following])))
    return []


def _mermaid_label(text: str) -> str:
    lines = ["".join(f"#{ord(c)};" if c in '"#&<>[](){}|`\\;' else c for c in line) for line in text.splitlines()]
    return "<br/>".join(lines)
