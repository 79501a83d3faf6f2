"""What a request says, as the planner takes it: the question, what was said before, the plan that waits for results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, merge_message_runs
from pydantic import ValidationError

from anabranch.agents.conversation import last_question
from anabranch.config import check_question
from anabranch.errors import ConfigurationError
from anabranch.plan import Plan, SubQuestion, escape
from anabranch.serving.image_parts import ImagePart
from anabranch.serving.protocol import AssistantTurn, RefusalPart, SystemTurn, TextPart, ToolTurn, Turn
from anabranch.serving.tool_turns import Carried, ToolTurns, read_call_id

MAX_TEXT = 2_000


@dataclass(frozen=True)
class Conversation:
    """What a request asks of the planner.

    Attributes:
        messages: system messages, earlier turns, and the question as the last message.
        carried: the plan to go on with; None to begin.
        results: what the client's tools returned, by sub-question id.
    """

    messages: Sequence[BaseMessage]
    carried: Carried | None = None
    results: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    async def of(cls, said: Sequence[Turn], turns: ToolTurns) -> "Conversation":
        """Reads what was said.

        Args:
            said: the messages of a request, in whichever form they came.
            turns: where plans are kept that wait for the results of tool calls.

        Raises:
            QuestionError: there is no question, or it is empty or too long.
            ConfigurationError: tool calls and their results do not fit together.
            UnknownToolCallError: the plan behind the tool calls is not kept.
            BackendError: what keeps plans is away.
        """
        asked = max((place for place, turn in enumerate(said) if turn.role == "user"), default=-1)
        system = [SystemMessage(_text(turn.content)) for turn in said if isinstance(turn, SystemTurn)]
        since = [turn for turn in said[asked + 1 :] if not isinstance(turn, SystemTurn)]
        if asked < 0 or (since and not isinstance(since[-1], ToolTurn)):
            raise ConfigurationError("the last message must be the user's question or the result of a tool call")
        messages = [*system, *_history(said[:asked]), _human(said[asked])]
        check_question(last_question(messages))
        if not since:
            return cls(messages)
        return cls(messages, *await _continued(since, turns))


def _text(content: str | Sequence[TextPart | RefusalPart | ImagePart] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    said = (part for part in content if not isinstance(part, ImagePart))
    return "\n".join(part.text if isinstance(part, TextPart) else part.refusal for part in said)


def _human(turn: Turn) -> HumanMessage:
    """What the user said: a text, or content blocks where there are images."""
    if isinstance(turn.content, str | None) or not any(isinstance(part, ImagePart) for part in turn.content):
        return HumanMessage(_text(turn.content).strip())
    parts = turn.content
    return HumanMessage(
        [part.block() if isinstance(part, ImagePart) else {"type": "text", "text": _text([part])} for part in parts]
    )


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
            messages.append(_human(turn))
    merged: list[BaseMessage] = merge_message_runs([message for message in messages if message.content])
    return merged


async def _continued(since: Sequence[Turn], turns: ToolTurns) -> tuple[Carried, dict[int, str]]:
    """The plan to go on with, and the results that are new."""
    replies = [(place, turn) for place, turn in enumerate(since) if isinstance(turn, AssistantTurn) and turn.tool_calls]
    if not replies or not isinstance(since[0], AssistantTurn):
        raise ConfigurationError("a tool message must follow the assistant message whose tool call it answers")
    place, last = replies[-1]
    ours = {call.id: known for call in last.tool_calls or [] if (known := read_call_id(call.id))}
    if not ours:
        return _rebuilt(since)
    results = _results(last, since[place + 1 :])
    key = next(iter(ours.values()))[1]
    carried = await turns.find(key)
    routes = {question.id: question.route for question in carried.plan.sub_questions}
    found: dict[int, str] = {}
    for call in last.tool_calls or []:
        id_, its_key = ours.get(call.id, (0, ""))
        if its_key != key or routes.get(id_) != call.function.name or id_ in found:
            raise ConfigurationError(f"the tool call {call.id[:80]!r} is not one of this plan; send it back as it was")
        found[id_] = results[call.id]
    return carried, found


def _results(reply: AssistantTurn, following: Sequence[Turn]) -> dict[str, str]:
    """The results of a reply's tool calls by call id; each call must have one."""
    results: dict[str, str] = {}
    for turn in following:
        if not isinstance(turn, ToolTurn):
            break
        if turn.tool_call_id in results:
            raise ConfigurationError(f"there are two results of the tool call {turn.tool_call_id[:80]!r}; send one")
        results[turn.tool_call_id] = _text(turn.content)
    calls = {call.id for call in reply.tool_calls or []}
    if missing := sorted(calls - results.keys()):
        raise ConfigurationError(
            f"the result of the tool call {missing[0][:80]!r} is missing; add a tool message for it"
        )
    if extra := sorted(results.keys() - calls):
        raise ConfigurationError(f"there is no tool call {extra[0][:80]!r} in the assistant message before it")
    return results


def _rebuilt(since: Sequence[Turn]) -> tuple[Carried, dict[int, str]]:
    """A plan out of calls that another model made: one sub-question each."""
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
                raise ConfigurationError(
                    f"the tool call {call.id[:80]!r} names no tool; send it back as it was"
                ) from error
            found[id_] = results[call.id]
    return Carried(plan=Plan(sub_questions=tuple(questions))), found
