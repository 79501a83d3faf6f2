"""The state of a turn: what it begins with, and whether this version of the program can go on with it."""

import time
from collections.abc import Mapping
from typing import Any

from anabranch.agents.conversation import last_question
from anabranch.bounds import MAX_UNDERSTOOD_CHARS, shorten
from anabranch.config import check_question
from anabranch.errors import VersionError
from anabranch.graphs.state import VERSION, PlannerState
from anabranch.plan import Plan


def blank() -> dict[str, Any]:
    """What a turn begins with, besides its question."""
    return {
        "version": VERSION,
        "turn": "question",
        "direct": False,
        "plan": Plan(),
        "answers": {},
        "answer": "",
        "status": None,
        "sources": [],
        "usage": {},
        "rounds": 0,
        "begun": 0,
        "feedback": None,
        "started_at": time.time(),
        "actions": {},
    }


_KEYS = frozenset({*blank(), "messages", "question", "asked"})


def complete(state: Mapping[str, Any]) -> PlannerState:
    """A state with all its keys: threads lack some where `update_state` began them.

    Raises:
        VersionError: another version of the program has begun it.
    """
    check_version(state)
    return filled(state)


def new_turn(state: Mapping[str, Any]) -> PlannerState:
    """A state that a question comes in to; of what an older version left, the conversation goes on.

    Raises:
        VersionError: a newer version of the program has written the thread.
    """
    if state.get("version", 0) > VERSION:
        check_version(state)
    return filled(state)


def filled(state: Mapping[str, Any]) -> PlannerState:
    """A state with all its keys, whoever has begun it."""
    whole: Any = state
    if not state.keys() >= _KEYS:
        whole = {**blank(), "messages": [], **state}
    if "question" not in whole:
        whole["question"] = check_question(last_question(whole["messages"]))
    whole.setdefault("asked", whole["question"])
    whole["question"] = shorten(whole["question"], MAX_UNDERSTOOD_CHARS)
    found: PlannerState = whole
    return found


def check_version(state: Mapping[str, Any]) -> None:
    """Refuses a state that another version of the program has begun and this one cannot go on with.

    A state without a version that no program has begun, but `update_state`, is taken as it is.

    Raises:
        VersionError: it is one.
    """
    version = state.get("version")
    if version == VERSION or (version is None and not state.get("started_at")):
        return
    if version is not None and version > VERSION:
        raise VersionError(
            f"a newer version of anabranch has written this thread (its state has version {version}, and this one "
            f"knows {VERSION}); upgrade anabranch, or use another thread"
        )
    raise VersionError(
        f"an older version of anabranch has begun this question (its state has version {version or 0}, and this one "
        f"writes {VERSION}); finish it with that version, or drop it: ask anew (with --restart on the command line)"
    )
