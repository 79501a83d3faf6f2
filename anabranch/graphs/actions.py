"""Actions: tool calls that change something. A person approves them; none is carried out twice.

A sub-question that is routed to such a tool proposes an action and waits. When nothing else of the plan can run, the
node `approve` shows all proposed actions, in the form of LangChain's human-in-the-loop middleware, and the plan goes on
with the decisions. What is approved is what is carried out: the arguments are not written again.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from anabranch.agents.arguments import write_action
from anabranch.agents.models import RoleModel
from anabranch.bounds import MAX_ANSWER_CHARS, MAX_ARGUMENTS_CHARS, fits, one_line
from anabranch.errors import ModelError
from anabranch.graphs.agent_tool import AgentTool
from anabranch.graphs.journal import Call, Journal, current_journal, note
from anabranch.scope import holding
from anabranch.tools.calling import ToolResult, call_tool
from anabranch.tools.effects import may_repeat
from anabranch.tools.mcp_servers import McpTool
from anabranch.tools.mcp_waiting import is_lost
from anabranch.tools.sources import sources_of

DECISIONS = ("approve", "edit", "reject", "respond")
DECISION_WORDS = {
    **dict.fromkeys(("approve", "approved", "accept", "yes", "y", "ok", "okay"), "approve"),
    **dict.fromkeys(("reject", "rejected", "ignore", "cancel", "no", "n"), "reject"),
    **dict.fromkeys(("respond", "response"), "respond"),
    "edit": "edit",
}
"""What a decision's type may be called, in the words of people and of other user interfaces."""


def spoken_decision(value: Any) -> Any:
    """A decision in the form of its model: a bare word, yes or no become its type, in the words that are known."""
    if isinstance(value, bool):
        value = "approve" if value else "reject"
    decision = {"type": value} if isinstance(value, str) else value
    if not isinstance(decision, Mapping):
        return value
    word = str(decision.get("type")).strip(" .!\n").lower()
    return {**decision, "type": DECISION_WORDS.get(word, decision.get("type"))}


class Action(BaseModel):
    """A call that changes something, and what a person has decided on it.

    Attributes:
        id: the sub-question that it is for.
        tool: the tool's name.
        arguments: what it is called with.
        text: the sub-question, with its slots filled.
        in_doubt: number of the record that says it was begun, where nobody knows whether it happened; 0 where it was
            not begun.
        decision: `approve`, `reject` or `respond`; None as long as nobody has decided.
        message: why it was rejected, or what is taken for its result.
        proposed_at: when it was proposed (seconds since the epoch).
    """

    id: int
    tool: str
    arguments: dict[str, Any]
    text: str = ""
    in_doubt: int = 0
    decision: Literal["approve", "reject", "respond"] | None = None
    message: str = ""
    proposed_at: float = 0.0


class EditedAction(BaseModel):
    """What is to be done instead."""

    name: str
    args: dict[str, Any]


class ActionDecision(BaseModel):
    """A person's decision on one action.

    Source: the decisions of LangChain's `HumanInTheLoopMiddleware`.

    Attributes:
        type: `approve` carries it out, `edit` carries out `edited_action` instead, `reject` leaves it, `respond` takes
            `message` for its result.
        edited_action: the same tool with other arguments.
        message: why it is rejected, or the result.
    """

    model_config = ConfigDict(extra="ignore")

    type: Literal["approve", "edit", "reject", "respond"]
    edited_action: EditedAction | None = None
    message: str | None = Field(default=None, max_length=MAX_ANSWER_CHARS)

    @model_validator(mode="before")
    @classmethod
    def _in_other_forms(cls, value: Any) -> Any:
        return spoken_decision(value)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type == "edit" and self.edited_action is None:
            raise ValueError("edit needs edited_action: {name, args}")
        if self.type == "respond" and not self.message:
            raise ValueError("respond needs a message, which is taken for the result")
        return self


class ActionProposed(Exception):  # noqa: N818 - no error: the sub-question waits
    """A sub-question waits for a decision on an action."""

    def __init__(self, action: Action) -> None:
        super().__init__(f"{action.tool} waits for a decision")
        self.action = action


@dataclass(frozen=True)
class Acting:
    """What sub-questions need to act.

    Attributes:
        approve: whether a person decides first.
        may_ask: whether a person can be asked at all.
        decided: the actions on which a person has decided, by sub-question id.
        known: what was said and found, from which arguments may come.
    """

    approve: bool = False
    may_ask: bool = False
    decided: Mapping[int, Action] = field(default_factory=dict)
    known: Sequence[str] = ()


_acting: ContextVar[Acting] = ContextVar("anabranch_acting", default=Acting())  # noqa: B039 - frozen


def acting(how: Acting) -> AbstractContextManager[Acting]:
    """Actions inside are carried out so."""
    return holding(_acting, how)


async def act(solver: RoleModel, tool: BaseTool, id_: int, text: str, inputs: Sequence[str]) -> str:
    """Carries out the action of a sub-question, or proposes it.

    Args:
        solver: who writes its arguments.
        tool: the tool.
        id_: the sub-question's id.
        text: the sub-question with its slots filled.
        inputs: the answers that it depends on.

    Returns:
        Its result.

    Raises:
        ActionProposed: a person has to decide first.
        ModelError: it may not be carried out: rejected, done before without success, or its arguments are not known.
        Exception: whatever the tool raises.
    """
    how, journal = _acting.get(), current_journal()
    action = how.decided.get(id_)
    if action is None:
        known = [*how.known, *inputs]
        # An agent gets the sub-question itself.
        arguments = {"question": text} if isinstance(tool, AgentTool) else await write_action(solver, tool, text, known)
        action = Action(id=id_, tool=tool.name, arguments=arguments, text=text, proposed_at=time.time())
    call = Call(tool=tool.name, arguments=action.arguments, text=text)
    if action.decision == "reject":
        reason = f": {action.message}" if action.message else ""
        raise ModelError(f"a person decided against {tool.name}{reason}")
    if action.decision == "respond":
        note(call)
        return action.message
    async with journal.lock(tool.name):
        return await _once(journal, tool, call, action, how)


async def _once(journal: Journal, tool: BaseTool, call: Call, action: Action, how: Acting) -> str:
    before = await journal.find(call, by_text=action.decision is None)
    if before and before.state == "done":
        note(before)
        return before.output
    if before and before.state == "failed":
        raise ModelError(f"{tool.name} was tried before and is not repeated; it failed: {before.output}")
    if before and _in_doubt(before, tool) and before.number > action.in_doubt and not may_repeat(tool):
        if how.may_ask:
            raise ActionProposed(action.model_copy(update={"in_doubt": before.number, "decision": None}))
        raise ModelError(f"{tool.name} was begun before, and nobody knows whether it happened; it is not repeated")
    if how.approve and action.decision is None:
        raise ActionProposed(action)
    return await _carried_out(journal, tool, call, action.id)


def _in_doubt(before: Call, tool: BaseTool) -> bool:
    """Whether nobody knows what became of a call: it was begun, or its server asked a person and is not heard here."""
    return before.state == "begun" or (before.state == "paused" and isinstance(tool, McpTool) and is_lost())


async def _carried_out(journal: Journal, tool: BaseTool, call: Call, id_: int) -> str:
    begun = await journal.note(call, state="begun")
    note(begun)
    try:
        result: ToolResult = await call_tool(tool, call.arguments, id_=f"call_{id_}")
    except GraphBubbleUp:
        await journal.note(begun, state="paused")
        raise
    except Exception as error:
        await journal.note(begun, state="failed", output=one_line(error, named=False))
        raise
    found = sources_of(result.text, result.artifact, sub_question=id_, tool=tool.name, arguments=call.arguments)
    note(await journal.note(begun, state="done", output=result.text, sources=found))
    return result.text


def request(actions: Sequence[Action], descriptions: Mapping[str, str], error: str | None = None) -> dict[str, Any]:
    """What a person is asked: the value of the interrupt, in the form of LangChain's `HITLRequest`.

    Args:
        actions: the proposed actions.
        descriptions: of their tools, by name.
        error: why the last decisions could not be carried out.
    """
    asked = []
    for action in actions:
        doubt = " It was begun before, and nobody knows whether it happened." if action.in_doubt else ""
        about = f"{action.text}\n\n{descriptions.get(action.tool, '')}{doubt}".strip()
        asked.append({"name": action.tool, "args": action.arguments, "description": about})
    configs = [{"action_name": name, "allowed_decisions": list(DECISIONS)} for name in {a.tool: None for a in actions}]
    return {"action_requests": asked, "review_configs": configs, "error": error}


def decided(actions: Sequence[Action], resume: Any) -> list[Action]:
    """The actions with a person's decisions.

    Args:
        actions: the proposed actions, as they were shown.
        resume: `{"decisions": [...]}`, one for each in order, or the list alone; one decision, or a bare word such as
            `approve` or `reject`, stands for all.

    Raises:
        ValueError: it is not that; the message says what to send.
    """
    given = resume.get("decisions", [resume]) if isinstance(resume, Mapping) else resume
    given = given if isinstance(given, list | tuple) else [given]
    if len(given) == 1:
        given = [*given] * len(actions)
    if len(given) != len(actions):
        raise ValueError(f"there are {len(actions)} actions and {len(given)} decisions; send one for each, in order")
    return [_decided(action, each) for action, each in zip(actions, given, strict=True)]


def _decided(action: Action, given: Any) -> Action:
    try:
        decision = ActionDecision.model_validate(given)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(map(str, detail["loc"]))
        raise ValueError(
            f"a decision is {{'type': 'approve'}} or edit, reject, respond ({where}: {detail['msg']})"
        ) from error
    if decision.type != "edit" or decision.edited_action is None:
        chosen = "approve" if decision.type == "edit" else decision.type
        return action.model_copy(update={"decision": chosen, "message": decision.message or ""})
    if decision.edited_action.name != action.tool:
        raise ValueError(f"the action is a call of {action.tool}; edit its arguments, or reject it")
    if not fits(decision.edited_action.args, MAX_ARGUMENTS_CHARS):
        raise ValueError(f"the edited arguments have more than {MAX_ARGUMENTS_CHARS:,} characters; make them shorter")
    return action.model_copy(update={"decision": "approve", "arguments": decision.edited_action.args})
