"""Schemas that others bring: what is refused, and what of a reply satisfies one."""

import time
from typing import Any

import pytest

from anabranch.agents.schemas import AnswerSchema
from anabranch.errors import ConfigurationError

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "born": {"type": "integer"}},
    "required": ["name", "born"],
}


def doubling(levels: int, last: dict[str, Any]) -> dict[str, Any]:
    """A schema that refers twice to the next part, from part to part."""
    parts: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": {**parts, f"d{levels}": last}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "strin"}, 'type: "strin"'),
        ({"properties": {"a": {"minimum": "x"}}}, "properties/a/minimum"),
        ({"type": "string", "pattern": "("}, 'is not a "regex"'),
        ({"$ref": "http://127.0.0.1:1/schema"}, "only refer to its own parts"),
        ({"$ref": "file:///etc/passwd"}, "only refer to its own parts"),
        (doubling(40, {"type": "integer"}), "too many times over"),
        ({"enum": ["x" * 60_000, "y" * 60_000]}, "more than 100,000 characters"),
    ],
)
def test_what_is_no_usable_schema_is_refused_with_what_is_wrong(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told.replace("(", r"\(")):
        AnswerSchema(described=schema).check()


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Craig", "born": 1952}',
        'Here it is:\n```json\n{"name": "Craig", "born": 1952}\n```',
        "{'name': 'Craig', 'born': 1952}",
    ],
)
def test_json_is_found_in_replies(text: str) -> None:
    assert AnswerSchema(described=PERSON).read(text) == '{"name": "Craig", "born": 1952}'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("In 1952", "it is not JSON"),
        ('{"name": "Craig"}', '"born" is a required property'),
        ('{"name": "Craig", "born": "1952"}', 'born: "1952" is not of type "integer"'),
        ('{"name": "Craig", "born": NaN}', "not JSON compliant"),
    ],
)
def test_what_does_not_satisfy_the_schema_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        AnswerSchema(described=PERSON).read(text)


def test_without_a_schema_any_object_will_do() -> None:
    assert AnswerSchema().read('{"a": 1}') == '{"a": 1}'
    with pytest.raises(ValueError, match="object"):
        AnswerSchema().read("[1]")


def test_recursive_schemas_of_people_are_taken() -> None:
    kinds = {f"k{n}": {"properties": {"kind": {"const": n}, "of": {"$ref": "#/$defs/any"}}} for n in range(5)}
    any_of = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in kinds]}
    schema = AnswerSchema(described={"$defs": {**kinds, "any": any_of}, "type": "object", "$ref": "#/$defs/any"})
    schema.check()
    assert schema.read('{"kind": 1, "of": {"kind": 2, "of": {"kind": 3}}}')


def test_nothing_takes_long() -> None:
    began = time.process_time()
    backtracking = AnswerSchema(described={"properties": {"a": {"pattern": r"^(a+)+\1$"}}})
    with pytest.raises(ValueError, match="limit"):
        backtracking.read('{"a": "' + "a" * 60 + '!"}')
    twice = {"allOf": [{"$ref": "#/$defs/n"}] * 2}
    nested = AnswerSchema(described={"$defs": {"n": {"properties": {"a": twice}}}, "$ref": "#/$defs/n"})
    nested.check()
    with pytest.raises(ValueError, match="nested too deeply"):
        nested.read('{"a": ' * 60 + "1" + "}" * 60)
    AnswerSchema(described=doubling(15, {"type": "object"})).read("{}")
    large = {"properties": {f"p{n}": PERSON for n in range(800)}}
    AnswerSchema(described=large).check()
    assert time.process_time() - began < 3
