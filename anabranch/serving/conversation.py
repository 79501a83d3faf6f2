"""A chat request as the planner takes it, and the plan that a conversation carries between requests.

The server keeps nothing. A reply with tool calls says in its content what the plan is and what is known:

```
Plan:
1 [weather] What is the weather in Paris?
2 [weather] What is the weather in Rome?
3 [solve after 1,2] Where is it warmer?
State: {"answers": {"2": "21 degrees"}, "failed": {}, "replans": 0}
```

and each call's id names its sub-question. The client sends both back, as it would to any OpenAI-compatible server, with
the results of the calls. What comes back is the client's data and is checked like any other.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, merge_message_runs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anabranch.codecs import decode_lines, encode_lines
from anabranch.config import MAX_QUESTION_CHARS, check_question
from anabranch.errors import ConfigurationError, PlanError
from anabranch.plan import Answer, Plan, SubQuestion, escape
from anabranch.serving.protocol import AssistantTurn, ChatRequest, RefusalPart, SystemTurn, TextPart, ToolTurn, Turn

PLAN_HEAD = "Plan:\n"
STATE_HEAD = "State: "
MAX_TEXT = 2_000
_UNCHANGED = "send the message back as it came"
_CALL_ID = re.compile(r"call_([1-9][0-9]{0,5})_[0-9a-f]{8}")


class _State(BaseModel):
    """What is known besides the plan."""

    model_config = ConfigDict(extra="forbid")

    answers: dict[int, str] = {}
    failed: dict[int, str] = {}
    question: str = Field(default="", max_length=2 * MAX_QUESTION_CHARS)
    replans: int = Field(default=0, ge=0, le=100)


@dataclass(frozen=True)
class Carried:
    """A plan on its way.

    Attributes:
        plan: all sub-questions so far.
        answers: answers by sub-question id, failed ones included.
        replans: plans drawn up after the first.
        question: the question as one that stands by itself, where the user's own words leaned on earlier turns.
    """

    plan: Plan = field(default_factory=Plan)
    answers: Mapping[int, Answer] = field(default_factory=dict)
    replans: int = 0
    question: str = ""

    def to_text(self) -> str:
        """As the content of a message."""
        state = _State(
            answers={id_: answer.text for id_, answer in self.answers.items() if answer.ok},
            failed={id_: answer.error or "" for id_, answer in self.answers.items() if not answer.ok},
            question=self.question,
            replans=self.replans,
        )
        known = state.model_dump_json(exclude=None if self.question else {"question"})
        return f"{PLAN_HEAD}{encode_lines(self.plan)}\n{STATE_HEAD}{known}"

    @classmethod
    def from_text(cls, text: str) -> "Carried":
        """Reads what `to_text` wrote.

        Raises:
            PlanError: it is something else, or was changed into something that cannot be run.
        """
        body = text.strip().removeprefix(PLAN_HEAD)
        lines, _, tail = body.rpartition(f"\n{STATE_HEAD}")
        try:
            state = _State.model_validate_json(tail)
        except ValidationError as error:
            raise PlanError(f"the state after the plan was changed; {_UNCHANGED}") from error
        plan = decode_lines(lines)
        answers = {id_: Answer(id=id_, text=answer) for id_, answer in state.answers.items()}
        answers |= {id_: Answer(id=id_, status="failed", error=reason) for id_, reason in state.failed.items()}
        if not answers.keys() <= set(plan.ids):
            raise PlanError(f"there are answers to sub-questions that are not in the plan; {_UNCHANGED}")
        return cls(plan, answers, state.replans, state.question)


@dataclass(frozen=True)
class Conversation:
    """What a chat request asks of the planner.

    Attributes:
        messages: system messages, earlier turns, and the question as the last message.
        carried: the plan to go on with; None to begin.
        results: what the client's tools returned, by sub-question id.
    """

    messages: Sequence[BaseMessage]
    carried: Carried | None = None
    results: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: ChatRequest) -> "Conversation":
        """Reads a request.

        Raises:
            QuestionError: there is no question, or it is empty or too long.
            ConfigurationError: tool calls and their results do not fit together.
            PlanError: the plan that came back cannot be run.
        """
        turns = request.messages
        asked = max((place for place, turn in enumerate(turns) if turn.role == "user"), default=-1)
        system = [SystemMessage(_text(turn.content)) for turn in turns if isinstance(turn, SystemTurn)]
        since = [turn for turn in turns[asked + 1 :] if not isinstance(turn, SystemTurn)]
        if asked < 0 or (since and not isinstance(since[-1], ToolTurn)):
            raise ConfigurationError("the last message must be the user's question or the result of a tool call")
        question = check_question(_text(turns[asked].content))
        messages = [*system, *_history(turns[:asked]), HumanMessage(question)]
        if not since:
            return cls(messages)
        return cls(messages, *_continued(since))


def new_call_id(sub_question: int) -> str:
    """An id for the tool call that answers a sub-question."""
    return f"call_{sub_question}_{secrets.token_hex(4)}"


def _text(content: str | Sequence[TextPart | RefusalPart] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text if isinstance(part, TextPart) else part.refusal for part in content)


def _history(turns: Sequence[Turn]) -> list[BaseMessage]:
    """Earlier turns as plain text: a solver's server need not know of tools, so results become part of the replies."""
    messages: list[BaseMessage] = []
    names: dict[str, str] = {}
    for turn in turns:
        if isinstance(turn, SystemTurn):
            continue
        if isinstance(turn, ToolTurn):
            messages.append(AIMessage(f"{names.get(turn.tool_call_id, 'tool')}: {_text(turn.content)}"))
        elif isinstance(turn, AssistantTurn):
            names |= {call.id: call.function.name for call in turn.tool_calls or []}
            if not turn.tool_calls:
                messages.append(AIMessage(_text(turn.content)))
        else:
            messages.append(HumanMessage(_text(turn.content)))
    merged: list[BaseMessage] = merge_message_runs([message for message in messages if message.text])
    return merged


def _continued(since: Sequence[Turn]) -> tuple[Carried, dict[int, str]]:
    """The plan to go on with, and the results that are new."""
    replies = [(place, turn) for place, turn in enumerate(since) if isinstance(turn, AssistantTurn) and turn.tool_calls]
    if not replies or not isinstance(since[0], AssistantTurn):
        raise ConfigurationError("a tool message must follow the assistant message whose tool call it answers")
    place, last = replies[-1]
    if not _text(last.content).lstrip().startswith(PLAN_HEAD):
        return _rebuilt(since)
    results = _results(last, since[place + 1 :])
    carried = Carried.from_text(_text(last.content))
    routes = {question.id: question.route for question in carried.plan.sub_questions}
    found: dict[int, str] = {}
    for call in last.tool_calls or []:
        match = _CALL_ID.fullmatch(call.id)
        id_ = int(match[1]) if match else 0
        if routes.get(id_) != call.function.name or id_ in found:
            raise ConfigurationError(f"the tool call {call.id!r} is not one of this plan; send it back as it was")
        found[id_] = results[call.id]
    return carried, found


def _results(reply: AssistantTurn, following: Sequence[Turn]) -> dict[str, str]:
    """The results of a reply's tool calls by call id; each call must have one."""
    results: dict[str, str] = {}
    for turn in following:
        if not isinstance(turn, ToolTurn):
            break
        if turn.tool_call_id in results:
            raise ConfigurationError(f"there are two results of the tool call {turn.tool_call_id!r}; send one")
        results[turn.tool_call_id] = _text(turn.content)
    calls = {call.id for call in reply.tool_calls or []}
    if missing := sorted(calls - results.keys()):
        raise ConfigurationError(f"the result of the tool call {missing[0]!r} is missing; add a tool message for it")
    if extra := sorted(results.keys() - calls):
        raise ConfigurationError(f"there is no tool call {extra[0]!r} in the assistant message before it")
    return results


def _rebuilt(since: Sequence[Turn]) -> tuple[Carried, dict[int, str]]:
    """A plan out of calls that another model made, or whose plan the client did not keep: one sub-question each."""
    questions: list[SubQuestion] = []
    found: dict[int, str] = {}
    for place, turn in enumerate(since):
        if not isinstance(turn, AssistantTurn) or not turn.tool_calls:
            continue
        results = _results(turn, since[place + 1 :])
        for call in turn.tool_calls:
            id_ = len(questions) + 1
            text = escape(f"{call.function.name} {call.function.arguments}"[:MAX_TEXT])
            try:
                questions.append(SubQuestion(id=id_, text=text, route=call.function.name))
            except ValidationError as error:
                raise ConfigurationError(f"the tool call {call.id!r} names no tool; send it back as it was") from error
            found[id_] = results[call.id]
    return Carried(Plan(sub_questions=tuple(questions))), found
