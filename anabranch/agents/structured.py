"""Replies that are held to a form, where a model's server can hold them to one."""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from anabranch.agents.final_answer import Reading
from anabranch.agents.models import LOCAL_TYPE, RoleModel, call
from anabranch.agents.reply import json_of
from anabranch.errors import EndpointError


async def call_for_json(
    model: RoleModel, messages: Sequence[BaseMessage], schema: dict[str, Any], *, role: str, strict: bool = True
) -> str:
    """Calls a model for a JSON object, held to a schema if its server can; the prompt must ask for JSON as well.

    Args:
        model: the model.
        messages: the prompt.
        schema: JSON schema of the object.
        role: as in `call`.
        strict: whether the schema keeps to OpenAI's strict subset.

    Returns:
        What the model wrote; not checked against the schema.

    Raises:
        ReplyError: the reply is empty, was refused, or was cut off before the JSON ended.
        BudgetExceededError, EndpointError: as `call`.
    """
    arguments = structured_arguments(model.chat, schema, strict=strict)
    return json_of(await call_held(model, messages, arguments, role=role), role)


async def call_held(
    model: RoleModel,
    messages: Sequence[BaseMessage],
    arguments: dict[str, Any],
    *,
    role: str,
    reading: Reading | None = None,
    stream: bool = True,
    learns: bool = True,
) -> AIMessage:
    """Calls a model once, held to a form by call arguments where its server knows them, and otherwise freely.

    Args:
        model: the model.
        messages: the prompt; must ask for the form as well.
        arguments: as `structured_arguments` gives them.
        role: as in `call`.
        reading: as in `call`.
        stream: as in `call`.
        learns: whether arguments that the server turns down are not sent again: no, where they are somebody else's.

    Raises:
        BudgetExceededError, EndpointError: as `call`.
    """
    if not arguments or model.refused.issuperset(arguments):
        return await call(model, messages, role=role, reading=reading, stream=stream)
    held_to = model.chat.bind(**arguments)
    try:
        return await call(model, messages, role=role, reading=reading, stream=stream, runnable=held_to)
    except EndpointError as error:
        if getattr(error.__cause__, "status_code", None) not in (400, 422):
            raise
    # A server without structured outputs, or with another notion of them.
    message = await call(model, messages, role=role, reading=reading, stream=stream)
    if learns:
        model.refused.update(arguments)
    return message


def structured_arguments(
    model: BaseChatModel, schema: dict[str, Any] | None, *, name: str = "", strict: bool = True
) -> dict[str, Any]:
    """Call arguments that hold a model's reply to a JSON schema; empty where the model's API is not known to.

    Args:
        model: the model.
        schema: the schema; None for any JSON object.
        name: what the reply is called; the schema's title where nothing is said.
        strict: whether the schema keeps to OpenAI's strict subset.

    Source: https://platform.openai.com/docs/guides/structured-outputs; vLLM serves the same field.
    """
    if model._llm_type == LOCAL_TYPE:
        return {"json_schema": schema or {"type": "object"}}
    if "openai_api_base" in type(model).model_fields:
        if schema is None:
            return {"response_format": {"type": "json_object"}}
        named = {"name": name or str(schema.get("title", "reply")), "schema": schema, "strict": strict}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    return {}
