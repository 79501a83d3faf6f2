import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.errors import DocumentError
from anabranch.tools.tables import read_json, read_json_lines, read_separated


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("Name,Role\nIda,Pilot\nPer,Cook\n", ["Name: Ida; Role: Pilot", "Name: Per; Role: Cook"]),
        ("Name;Role\r\nIda;Pilot\r\n", ["Name: Ida; Role: Pilot"]),
        ("Name\tRole\nIda\tPilot\n", ["Name: Ida; Role: Pilot"]),
        ("sep=|\nName|Role\nIda|Pilot\n", ["Name: Ida; Role: Pilot"]),
        ('Name,Note\nIda,"says ""no"",\nthen yes"\n', ['Name: Ida; Note: says "no", then yes']),
        ("Name,Role,\nIda,,x\n\nPer,Cook,\n", ["Name: Ida; x", "Name: Per; Role: Cook"]),
        ("1,2\n3,4\n", ["1; 2", "3; 4"]),
        (
            "Crew of 2024;;\n\nName;Role;Since\nIda;Pilot;1999\n",
            ["Crew of 2024", "Name: Ida; Role: Pilot; Since: 1999"],
        ),
        ("Name,Name\nIda,Per\n", ["Name; Name", "Ida; Per"]),
        ("Name,Role\nIda,Pilot,extra\n", ["Ida; Pilot; extra"]),
        ("Only\n", ["Only"]),
        ("", [""]),
    ],
)
def test_rows_carry_the_names_of_their_columns(text: str, rows: list[str]) -> None:
    assert read_separated(text).split("\n\n") == rows


def test_a_quote_that_is_never_closed_costs_no_row() -> None:
    text = 'Name,Role\n"Ida,Pilot\n' + "Per,Cook\n" * 30_000
    assert read_separated(text).count("Per") == 30_000


@given(st.text(max_size=60))
def test_any_text_is_read_as_a_table(text: str) -> None:
    read_separated(text)


def test_records_become_lines() -> None:
    people = [{"name": "Ida", "home": {"town": "Hollin", "since": 1999.50}, "tags": ["a", 2, True]}, {"name": "Per"}]
    assert read_json(json.dumps({"people": people, "updated": None})).split("\n\n") == [
        "people[0]: name: Ida; home.town: Hollin; home.since: 1999.5; tags: a, 2, true",
        "people[1]: name: Per",
    ]


def test_large_values_are_divided_by_their_paths() -> None:
    people = [{"name": f"Person {n}", "home": {"town": "Hollin"}} for n in range(30)]
    paragraphs = read_json(json.dumps({"staff": {"people": people}, "city": "Oslo"})).split("\n\n")
    assert paragraphs[0] == "staff.people[0]: name: Person 0; home.town: Hollin"
    assert len(paragraphs) == 31
    assert paragraphs[-1] == "city: Oslo"


def test_long_records_stay_together() -> None:
    record = {"question": "Why?", "answer": "word " * 100}
    assert read_json(json.dumps([record])).startswith("[0]: question: Why?\nanswer: word")


def test_numbers_stay_as_written() -> None:
    assert read_json('{"id": ' + "9" * 5000 + ', "price": 1.10}').endswith("; price: 1.10")


@pytest.mark.parametrize("text", ["{", "[1, 2", "{'a': 1}", "[" * 100_000, ""])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match=r"not valid JSON|nested too deeply"):
        read_json(text)


def test_lines_of_json_in_a_json_file_are_read() -> None:
    assert read_json('{"a": 1}\n{"a": 2}\n') == "a: 1\n\na: 2"


def test_bad_lines_are_noted() -> None:
    assert read_json_lines('{"a": 1}\n\n{"a": \n{"a": 3}') == ("a: 1\n\na: 3", ["line 3 is not valid JSON"])
    with pytest.raises(DocumentError, match="no line of it is JSON"):
        read_json_lines("a\nb")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(_json)
def test_any_json_is_read(value: object) -> None:
    text = read_json(json.dumps(value))
    if isinstance(value, str) and value.strip():
        assert " ".join(value.split()) == text
