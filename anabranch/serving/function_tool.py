"""A function that the client can run."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, model_validator

from anabranch.bounds import fits

MAX_DESCRIPTION_CHARS = 10_000
MAX_PARAMETERS_CHARS = 100_000
ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class FunctionTool(BaseModel):
    """A function that the client can run; `parameters` is the JSON schema of an object."""

    name: ToolName
    description: str | None = Field(default=None, max_length=MAX_DESCRIPTION_CHARS)
    parameters: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _parameters_are_an_object(self) -> "FunctionTool":
        schema = self.parameters or {}
        if not fits(schema, MAX_PARAMETERS_CHARS):
            raise ValueError(f"parameters have more than {MAX_PARAMETERS_CHARS:,} characters; describe them in fewer")
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if schema.get("type", "object") != "object":
            raise ValueError('parameters must be the JSON schema of an object ("type": "object")')
        if not isinstance(properties, dict) or not all(isinstance(value, dict) for value in properties.values()):
            raise ValueError("parameters.properties must map names to JSON schemas")
        if not isinstance(required, list) or not all(isinstance(name, str) and name in properties for name in required):
            raise ValueError("parameters.required must list names of properties")
        return self
