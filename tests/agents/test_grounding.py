from typing import Any

import pytest

from anabranch.agents.grounding import made_up

TEXT = {"type": "string"}
SAID = (
    "Book a flight for Zoë Ångström from Oslo to Bergen on 3 December 2026 at 6:30 pm, two seats, at most 1,250 euros. "
    "Her address is zoe@angstrom.example."
)


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    "value",
    [
        "Oslo",
        "oslo",
        "Zoe Angstrom",
        "Ångström, Zoë",
        "zoe@angstrom.example",
        "2026-12-03",
        "03.12.2026",
        "18:30",
        "6:30",
        2,
        1250,
        "1250",
        1250.0,
        True,
        None,
        "",
        ["Oslo", "Bergen"],
        {"from": "Oslo", "to": {"city": "Bergen"}},
        "Dear Zoë Ångström, your flight from Oslo to Bergen is booked for the third.",
    ],
)
def test_what_was_said_is_not_made_up(value: Any) -> None:
    assert made_up({"a": value}, schema(a={}), [SAID]) == {}


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("Zuraflatsch", "Zuraflatsch"),
        ("Oslo Gardermoen", "Oslo Gardermoen"),
        ("zoe@gmail.com", "zoe@gmail.com"),
        ("2026-12-04", "2026-12-04"),
        (3000, 3000),
        (["Oslo", "Rome"], "Rome"),
        ({"city": {"name": "Rome"}}, "Rome"),
        (
            "Kind regards from the whole team of our great airline",
            "Kind regards from the whole team of our great airline",
        ),
    ],
)
def test_what_nobody_said_is_made_up(value: Any, wrong: Any) -> None:
    assert made_up({"a": value}, schema(a={}), [SAID]) == {"a": wrong}


@pytest.mark.parametrize(
    "property_",
    [
        {"enum": ["economy", "business"]},
        {"type": "string", "default": "economy"},
        {"anyOf": [{"const": "economy"}, {"type": "null"}]},
        {"$ref": "#/$defs/Class"},
        {"type": "array", "items": {"enum": ["economy"]}},
    ],
)
def test_values_that_the_schema_gives_need_no_source(property_: dict[str, Any]) -> None:
    parameters = schema(a=property_) | {"$defs": {"Class": {"enum": ["economy"]}}}
    value = ["economy"] if property_.get("type") == "array" else "economy"
    assert made_up({"a": value}, parameters, [SAID]) == {}


def test_a_schema_that_refers_to_itself_ends() -> None:
    parameters = schema(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": {"items": {"$ref": "#/$defs/A"}}}}
    assert made_up({"a": "Rome"}, parameters, [SAID]) == {"a": "Rome"}


def test_any_text_that_is_known_will_do() -> None:
    assert made_up({"a": "Rome", "b": "Oslo"}, schema(), ["to Rome", "from Oslo"]) == {}
