"""The form that a client wants its answer in: text, any JSON object, or JSON that satisfies a schema."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool, StringConstraints, model_validator

from anabranch.agents.schemas import AnswerSchema
from anabranch.errors import ConfigurationError

FormatName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TextFormat(BaseModel):
    """The answer as text."""

    type: Literal["text"]

    def schema_of_answer(self) -> AnswerSchema | None:
        """What the answer is to be; None for text."""
        return None


class ObjectFormat(BaseModel):
    """The answer as some JSON object."""

    type: Literal["json_object"]

    def schema_of_answer(self) -> AnswerSchema | None:
        """What the answer is to be."""
        return AnswerSchema()


class NamedSchema(BaseModel):
    """A JSON schema with a name."""

    name: FormatName
    schema_: dict[str, Any] = Field(default={"type": "object"}, alias="schema")
    strict: StrictBool | None = None

    @model_validator(mode="after")
    def _is_a_schema(self) -> "NamedSchema":
        try:
            self.schema_of_answer().check()
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return self

    def schema_of_answer(self) -> AnswerSchema:
        """What the answer is to be."""
        return AnswerSchema(name=self.name, described=self.schema_, strict=bool(self.strict))


class SchemaFormat(BaseModel):
    """The answer as JSON that satisfies a schema, as chat completions name it."""

    type: Literal["json_schema"]
    json_schema: NamedSchema

    def schema_of_answer(self) -> AnswerSchema | None:
        """What the answer is to be."""
        return self.json_schema.schema_of_answer()


ResponseFormat = Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]
