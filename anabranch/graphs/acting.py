"""What the tool calls of a plan share while it runs: the graph's state, the journal, how actions are carried out."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from langgraph.config import get_config
from langgraph.types import Command

from anabranch.agents.conversation import last_human
from anabranch.errors import ConfigurationError
from anabranch.graphs.actions import Acting, Action, acting
from anabranch.graphs.embedding import running_checkpointer
from anabranch.graphs.journal import Journal, Records, keeping
from anabranch.graphs.state import PlannerState
from anabranch.plan import Answer
from anabranch.tools.calling import ToolRun, running


@contextmanager
def calling_tools(state: PlannerState, approve: bool | None, *, sync: bool) -> Iterator[ToolRun]:
    """Inside, tools are called for the question of a state. To be used in a node.

    Args:
        state: the planner's state.
        approve: whether a person decides on actions; None where there is a checkpointer.
        sync: whether the graph runs synchronously.

    Raises:
        ConfigurationError: a person should decide, and there is no checkpointer.
    """
    saver, thread = running_checkpointer(), get_config().get("configurable", {}).get("thread_id")
    records = None
    if saver is not None and thread is not None:
        records = Records(saver, str(thread), turn_of(state), sync=sync)
    elif approve:
        raise ConfigurationError("approve_actions=True needs a checkpointer; pass one, or run in a graph that has one")
    journal = Journal(records)
    journal.know(state["answers"])
    how = Acting(
        approve=records is not None if approve is None else approve,
        may_ask=records is not None,
        decided={id_: action for id_, action in state["actions"].items() if action.decision},
        known=known_texts(state),
    )
    run = ToolRun(dict(state), sync=sync, may_ask=how.may_ask and approve is not False)
    with keeping(journal), acting(how), running(run):
        yield run


def turn_of(state: PlannerState) -> str:
    """What tells the question of a state from others of its thread: the id of its message."""
    messages = state["messages"]
    place = last_human(messages)
    message = messages[place] if place >= 0 else None
    return str((message and message.id) or state["started_at"])


def known_texts(state: PlannerState) -> Sequence[str]:
    """What was said and found so far: the conversation, and the answers with what they were read out of."""
    said = [str(message.text) for message in state["messages"]]
    found = [text for answer in state["answers"].values() for text in (answer.text, answer.evidence)]
    return [text for text in [*said, *found] if text and text.strip()]


def proposed_actions(state: PlannerState, answers: Mapping[int, Answer]) -> dict[int, Action]:
    """The actions of a state, with those that sub-questions wait for now."""
    waiting = {
        id_: Action(
            id=id_,
            tool=answer.route,
            arguments=answer.arguments,
            text=answer.question,
            in_doubt=answer.in_doubt,
            proposed_at=time.time(),
        )
        for id_, answer in answers.items()
        if answer.status == "waiting" and answer.arguments is not None
    }
    return {**state["actions"], **waiting}


def with_commands(commands: Sequence[Command[Any]], update: dict[str, Any]) -> dict[str, Any]:
    """A node's update together with what tools asked of the graph."""
    # LangGraph takes a list of updates and commands from a node, too.
    together: Any = [update, *commands] if commands else update
    given: dict[str, Any] = together
    return given
