"""JSON schemas that others bring: checked when they come in, and texts held to them.

A schema may come from anybody who may ask a question, so it fetches nothing, its patterns give up instead of
backtracking for ever, and one whose parts would be looked at too often is refused.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from anabranch.bounds import fits
from anabranch.errors import ConfigurationError
from anabranch.json_schemas import validator_of
from anabranch.replies import json_values

MAX_SCHEMA_CHARS = 100_000
MAX_LOOKS = 3_000_000
"""Most times that parts of a schema are looked at for one place of an answer: a third of a second."""
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
_BELOW = ("properties", "patternProperties", "prefixItems")
_BELOW_ALL = ("items", "additionalProperties", "additionalItems", "contains", "propertyNames", "unevaluatedProperties")


class AnswerSchema(BaseModel):
    """The JSON that an answer is to be.

    Attributes:
        name: what the answer is called, for models that are told.
        described: a JSON schema; None for any JSON object.
        strict: whether the schema keeps to OpenAI's strict subset.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(default="answer", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    described: dict[str, Any] | None = None
    strict: bool = False

    def check(self) -> None:
        """Refuses what is no JSON schema, or one that nobody can hold an answer to.

        Raises:
            ConfigurationError: what is wrong, and where.
        """
        if not fits(self.described, MAX_SCHEMA_CHARS):
            raise ConfigurationError(f"the schema has more than {MAX_SCHEMA_CHARS:,} characters; describe less")
        try:
            self._validator  # noqa: B018 - builds it
        except ValueError as error:
            place = "/".join(map(str, getattr(error, "instance_path", ())))
            told = str(getattr(error, "message", error)).splitlines()[0][:300]
            raise ConfigurationError(f"this is no valid JSON schema: {f'{place}: ' if place else ''}{told}") from error
        if _looks(self._schema, self._schema, 0) > MAX_LOOKS:
            raise ConfigurationError("the schema refers to its own parts too many times over; make it simpler")

    def read(self, text: str) -> str:
        """The JSON of a reply: as it was written if it is nothing else, or as it is found between other text.

        Raises:
            ValueError: there is none that satisfies the schema; says what is wrong.
        """
        try:
            value, written = json.loads(text, parse_constant=_refuse), text.strip()
        except (ValueError, RecursionError):
            values = json_values(text)
            if not values:
                raise ValueError("it is not JSON") from None
            value = values[-1]
            written = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if wrong := self._wrong(value):
            raise ValueError(wrong)
        return written

    def _wrong(self, value: Any) -> str:
        if _looks(self._schema, self._schema, _depth(value)) > MAX_LOOKS:
            return "it is nested too deeply"
        found: Any = next(self._validator.iter_errors(value), None)
        if found is None:
            return ""
        place = "/".join(map(str, found.instance_path))
        return f"{f'{place}: ' if place else ''}{str(found.message)[:300]}"

    @property
    def _schema(self) -> dict[str, Any]:
        return {"type": "object"} if self.described is None else self.described

    @cached_property
    def _validator(self) -> Any:
        return validator_of(self._schema)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [i for v in level if isinstance(v, dict | list) for i in (v.values() if isinstance(v, dict) else v)]:
        depth += 1
    return depth


def _looks(root: Mapping[str, Any], schema: Any, depth: int, known: dict[tuple[int, int], int] | None = None) -> int:
    """How many parts of a schema look at one place of a value, at most; places are so many levels deep.

    Alternatives add up, also over levels, while different properties are different places.
    """
    known = {} if known is None else known
    if not isinstance(schema, Mapping):
        return 1
    key = (id(schema), depth)
    if key not in known:
        known[key] = 0  # a part that refers to itself in one place is looked at once
        looks = 1 + sum(_looks(root, part, depth, known) for part in _in_place(root, schema))
        if depth and looks <= MAX_LOOKS:
            parts = [part for name in _BELOW for part in _parts(schema.get(name))]
            looks += max((_looks(root, part, depth - 1, known) for part in parts), default=0)
            every = [part for name in _BELOW_ALL for part in _parts([schema.get(name)])]
            looks += sum(_looks(root, part, depth - 1, known) for part in every)
        known[key] = min(looks, MAX_LOOKS + 1)
    return known[key]


def _in_place(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Any]:
    for name in _IN_PLACE:
        value = schema.get(name)
        yield from _parts([value] if name in ("not", "if", "then", "else") else value)
    for name in ("$ref", "$dynamicRef", "$recursiveRef"):
        if isinstance(reference := schema.get(name), str):
            yield _part_at(root, reference)


def _parts(value: Any) -> list[Any]:
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [part for part in values if isinstance(part, Mapping)]


def _part_at(root: Mapping[str, Any], reference: str) -> Any:
    """The part that a JSON pointer leads to; all of the schema where it is named in another way."""
    found: Any = root
    for step in reference.partition("#")[2].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(name)
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return root
    return root if found is None else found
