"""What the planner tells in `stream_mode="custom"` while it runs."""

from typing import Any

from langgraph.config import get_config, get_stream_writer

from anabranch.agents.drafts import Listener
from anabranch.graphs.channels import plain

STREAM_DRAFTS = "stream_drafts"
"""In the `configurable` of a run's configuration: whether there are events of the type `draft`, for which the
decomposer's model has to stream."""


def emit(type_: str, **data: Any) -> None:
    """Writes an event: `question`, `draft`, `plan`, `sub_question`, `replan` or `answer`."""
    get_stream_writer()({"type": type_, **data})


def drafts_told() -> Listener | None:
    """Tells what decomposers write as events, in runs that want it."""
    if not get_config().get("configurable", {}).get(STREAM_DRAFTS):
        return None
    return lambda written: emit("draft", sub_questions=[plain(question) for question in written])
