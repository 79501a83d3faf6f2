"""What the planner tells while it runs: in `stream_mode="custom"`, and those who hear it.

To hear costs less than to stream: LangGraph has a task wait for what is streamed, beside each node.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from langgraph.config import get_config, get_stream_writer

from anabranch.agents.drafts import Listener
from anabranch.graphs.channels import plain
from anabranch.scope import holding

Hearer = Callable[[dict[str, Any]], None]
_hearer: ContextVar[Hearer | None] = ContextVar("anabranch_hearer", default=None)

STREAM_DRAFTS = "stream_drafts"
"""In the `configurable` of a run's configuration: whether there are events of the type `draft`, for which the
decomposer's model has to stream."""


def emit(type_: str, **data: Any) -> None:
    """Writes an event: `question`, `draft`, `plan`, `sub_question`, `replan` or `answer`."""
    event = {"type": type_, **data}
    if hearer := _hearer.get():
        hearer(event)
    get_stream_writer()(event)


def hearing_events(hearer: Hearer | None) -> AbstractContextManager[Hearer | None]:
    """Inside, what a planner tells is heard, too.

    Args:
        hearer: gets each event; None for nobody, as around what may be a planner of its own.
    """
    return holding(_hearer, hearer)


def drafts_told() -> Listener | None:
    """Tells what decomposers write as events, in runs that want it."""
    if not get_config().get("configurable", {}).get(STREAM_DRAFTS):
        return None
    return lambda written: emit("draft", sub_questions=[plain(question) for question in written])
