"""What an MCP server asks a person in the middle of a call (elicitation), and what it is told."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from anabranch.bounds import shorten
from anabranch.json_schemas import validator_of
from anabranch.tools.calling import in_daemon_thread

logger = logging.getLogger(__name__)
MAX_TRIES = 3
"""How often a person is asked whose values do not fit the server's schema."""
ELICITATION = "elicitation"
"""Where the value of an interrupt has what a server asks."""
_FORM = 'reply with {"action": "accept", "content": {...}}, "decline" or "cancel"'
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

    def shown(self) -> dict[str, Any]:
        """The question as the value of an interrupt, in MCP's words."""
        told = {"server": self.server, "message": self.message, "requestedSchema": dict(self.schema)}
        return {ELICITATION: told, "error": self.problem or None}


Reply = Mapping[str, Any] | Literal["decline", "cancel"]
"""The values; `decline` (the person does not want to tell) or `cancel` (nobody answered)."""
OnElicitation = Callable[[Elicitation], Reply]
"""Asks a person, and waits for the reply."""
Ask = Callable[[Elicitation], Awaitable[Reply | None]]
"""Asks a person; None is a reply of another form."""


def by_function(function: OnElicitation) -> Ask:
    """Asks with a function, which is called on a thread of its own."""

    async def ask(question: Elicitation) -> Reply:
        return await in_daemon_thread(lambda: function(question))

    return ask


def read_reply(resumed: Any) -> Reply | None:
    """What a person replied to an interrupt; None if it has another form than `shown` asks for."""
    given = {"action": resumed} if isinstance(resumed, str) else resumed
    if not isinstance(given, Mapping):
        return None
    if given.get("action") in ("decline", "cancel"):
        return "decline" if given["action"] == "decline" else "cancel"
    content = given.get("content", {})
    return dict(content) if given.get("action") == "accept" and isinstance(content, Mapping) else None


async def answered(ask: Ask, asked: Elicitation) -> tuple[str, dict[str, Any] | None]:
    """What a person answers, as MCP's action and content; the values fit the schema.

    A question that cannot be asked, because its schema is none or the function fails, is cancelled.

    Args:
        ask: asks the person.
        asked: the question.
    """
    asked = replace(asked, message=shorten(asked.message, _MAX_MESSAGE))
    try:
        _problem(asked.schema, {})
        for _ in range(MAX_TRIES):
            given = await ask(asked)
            if isinstance(given, str):
                return ("decline" if given == "decline" else "cancel"), None
            problem = _FORM if given is None else _problem(asked.schema, dict(given))
            if given is not None and not problem:
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
    errors = validator_of(schema).iter_errors(values)
    return next((": ".join([*map(str, error.instance_path), str(error.message)]) for error in errors), "")
