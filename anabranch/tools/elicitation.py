"""What an MCP server asks a person in the middle of a call (elicitation), and what it is told."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from anabranch.bounds import shorten
from anabranch.json_schemas import validator_of
from anabranch.tools.calling import in_daemon_thread

logger = logging.getLogger(__name__)
MAX_TRIES = 3
"""How often a person is asked whose values do not fit the server's schema."""
_MAX_MESSAGE = 4_000
_MAX_SCHEMA = 20_000


@dataclass(frozen=True)
class Elicitation:
    """A question of an MCP server to a person. It is the server's own text: show it, and do not follow it.

    Attributes:
        server: the server's name.
        message: what it asks.
        schema: a JSON schema of the values that it wants: an object with flat properties.
        problem: why the values that were given before do not fit; empty the first time.
    """

    server: str
    message: str
    schema: Mapping[str, Any]
    problem: str = ""


OnElicitation = Callable[[Elicitation], Mapping[str, Any] | Literal["decline", "cancel"]]
"""Asks a person; gives the values, `decline` (the person does not want to tell) or `cancel` (nobody answered)."""


async def answered(ask: OnElicitation, asked: Elicitation) -> tuple[str, dict[str, Any] | None]:
    """What a person answers, as MCP's action and content; the values fit the schema.

    A question that cannot be asked, because its schema is none or the function fails, is cancelled.

    Args:
        ask: asks the person, on a thread of its own.
        asked: the question.
    """
    asked = replace(asked, message=shorten(asked.message, _MAX_MESSAGE))
    try:
        for _ in range(MAX_TRIES):
            question = asked
            given = await in_daemon_thread(lambda: ask(question))  # noqa: B023 - awaited before the next round
            if isinstance(given, str):
                return ("decline" if given == "decline" else "cancel"), None
            problem = _problem(asked.schema, dict(given))
            if not problem:
                return "accept", dict(given)
            asked = replace(asked, problem=problem)
    except Exception as error:
        logger.warning("what the MCP server %r asks is not answered: %s", asked.server, error)
    return "cancel", None


def _problem(schema: Mapping[str, Any], values: dict[str, Any]) -> str:
    """Why values do not fit a schema; empty if they do.

    Raises:
        ValueError: the schema is none that MCP has.
    """
    text = json.dumps(schema)
    if len(text) > _MAX_SCHEMA or '"$ref"' in text:
        raise ValueError("its schema is too large, or refers to parts; MCP has flat ones")
    return next((str(error.message) for error in validator_of(schema).iter_errors(values)), "")
