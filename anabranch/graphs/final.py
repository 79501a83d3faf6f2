"""What one run may want of its final answer, told in the `configurable` of its configuration."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langgraph.config import get_config

from anabranch.agents.grounding import made_up
from anabranch.agents.joiner import Joined
from anabranch.agents.json_answers import as_json, as_schema
from anabranch.agents.ledger import current
from anabranch.agents.models import RoleModel
from anabranch.agents.schemas import AnswerSchema
from anabranch.config import Budget
from anabranch.graphs.outcome import status_of
from anabranch.graphs.state import PlannerState
from anabranch.plan import Answer, Status

MAX_ANSWER_TOKENS = "max_answer_tokens"
"""Most tokens of the final answer."""
RESPONSE_FORMAT = "response_format"
"""The JSON that the final answer is to be: a pydantic class, a JSON schema, or an `AnswerSchema`."""


def budget_of_answer(budget: Budget | None) -> Budget | None:
    """The budget of calls that write the final answer."""
    most = get_config().get("configurable", {}).get(MAX_ANSWER_TOKENS)
    if most is None:
        return budget
    budget = budget or Budget()
    least = min(most, budget.max_answer_tokens or most)
    return Budget.model_validate({**budget.model_dump(), "max_answer_tokens": least})


def wanted_schema(by_default: Any) -> AnswerSchema | None:
    """The JSON that the final answer is to be; None for text, as for a planner that answers another's sub-question.

    Args:
        by_default: what it is to be where the run says nothing, as `as_schema` takes it.

    Raises:
        ConfigurationError: what was given is no valid schema.
    """
    if current() is not None:
        return None
    return as_schema(get_config().get("configurable", {}).get(RESPONSE_FORMAT, by_default))


async def joined_as_json(
    model: RoleModel,
    question: str,
    joined: Joined,
    schema: AnswerSchema,
    *,
    found: Mapping[int, Answer] | None = None,
) -> Joined:
    """A joined answer as JSON.

    Args:
        model: who writes it.
        question: the question.
        joined: the answer.
        schema: what it is to be.
        found: the answers, if nothing may be said that does not stand there; the answer then stays text where its JSON
            would say more.

    Raises:
        ReplyError, BudgetExceededError, EndpointError: as `as_json`.
    """
    if joined.final is None:
        return joined
    final = await as_json(model, question, joined.final, schema, role="joiner")
    if found is not None:
        known = [text for answer in found.values() for text in (answer.question, answer.text, answer.evidence or "")]
        value = {} if final.ending == "cut" else json.loads(final.text)
        values = value if isinstance(value, dict) else {"answer": value}
        if made_up(values, schema.described or {}, [question, joined.text, *known]):
            return joined
    return replace(joined, final=final)


def status_of_joined(state: PlannerState, joined: Joined, *, exhausted: bool = False) -> Status | None:
    """How a question ended with a joined answer; None where another plan is asked for instead."""
    if joined.final is None or joined.not_found:
        return "not_found" if joined.not_found else None
    ending, begun = joined.final.ending, state["begun"]
    return status_of(state["plan"], state["answers"], ending=ending, begun=begun, exhausted=exhausted)
