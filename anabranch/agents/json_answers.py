"""Answers that are JSON: how a model is asked for one, and how one that does not fit is written again, once."""

import json
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel

from anabranch.agents.incoming import answered_text, asked_text
from anabranch.agents.models import RoleModel
from anabranch.agents.reply import Final, final_of
from anabranch.agents.schemas import AnswerSchema
from anabranch.agents.structured import call_held, structured_arguments
from anabranch.bounds import MAX_FEEDBACK_CHARS, shorten
from anabranch.errors import ConfigurationError, ReplyError

INSTRUCTION = "The answer is JSON that satisfies this JSON schema, without any other text: {schema}"
"""Not among `prompts`, which distilled models were trained on: this one comes after them."""
_HEADS = ("Question:", "Answer:", "This is not what was asked for:")


def as_schema(given: Any) -> AnswerSchema | None:
    """What an answer is to be, as people say it: a pydantic class, a JSON schema, or an `AnswerSchema`; None for text.

    Raises:
        ConfigurationError: it is none of these, or no valid schema.
    """
    if given is None or isinstance(given, AnswerSchema):
        return given
    if isinstance(given, type) and issubclass(given, BaseModel):
        schema = AnswerSchema(name=given.__name__[:64], described=given.model_json_schema())
    elif isinstance(given, dict):
        schema = AnswerSchema(described=given)
    else:
        raise ConfigurationError("response_format is neither a pydantic class nor a JSON schema; pass one of these")
    schema.check()
    return schema


def asked_for(schema: AnswerSchema | None) -> list[BaseMessage]:
    """What a prompt says of the JSON that the answer is to be; nothing where it is text."""
    if schema is None:
        return []
    told = '{"type": "object"}' if schema.described is None else json.dumps(schema.described, ensure_ascii=False)
    return [SystemMessage(INSTRUCTION.format(schema=told))]


async def call_as_json(model: RoleModel, messages: list[BaseMessage], schema: AnswerSchema, *, role: str) -> AIMessage:
    """Calls a model for the user's answer as JSON, held to the schema where its server can; not checked here.

    Raises:
        BudgetExceededError, EndpointError: as `call`.
    """
    arguments = structured_arguments(model.chat, schema.described, name=schema.name, strict=schema.strict)
    # The schema is the caller's: that a server turns it down says nothing of other schemas.
    return await call_held(model, messages, arguments, role=role, reading="whole", stream=False, learns=False)


async def as_json(model: RoleModel, question: str, final: Final, schema: AnswerSchema, *, role: str) -> Final:
    """The answer as JSON that satisfies the schema; where it is not, the model is asked once to write it so.

    An answer that was cut off or refused stays as it is.

    Args:
        model: who writes it again.
        question: the question.
        final: the answer.
        schema: what it is to be.
        role: as in `call`.

    Raises:
        ReplyError: what was written again does not satisfy the schema either.
        BudgetExceededError, EndpointError: as `call`.
    """
    if final.ending in ("cut", "refused"):
        return final
    try:
        return _fitting(final, schema)
    except ValueError as error:
        wrong = shorten(str(error), MAX_FEEDBACK_CHARS)
    request = (
        f"Question: {asked_text(question, *_HEADS)}\n\nAnswer: {answered_text(final.text, *_HEADS)}\n\n"
        f"This is not what was asked for: {wrong}. Write the same answer so that it is."
    )
    reply = final_of(await call_as_json(model, [*asked_for(schema), HumanMessage(request)], schema, role=role), role)
    if reply.ending in ("cut", "refused"):
        return replace(reply, message_id=None)
    try:
        return _fitting(reply, schema)
    except ValueError as error:
        told = shorten(str(error), MAX_FEEDBACK_CHARS)
        raise ReplyError(
            f"the {role} wrote no JSON that satisfies the schema, also when asked again ({told}); "
            "make the schema simpler, or take a model that keeps to schemas",
            ending="whole",
        ) from error


def _fitting(final: Final, schema: AnswerSchema) -> Final:
    return replace(final, text=schema.read(final.text), message_id=None)
