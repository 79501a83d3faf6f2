"""Text that is none: what becomes of it, and every door by which it comes in."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.characters import (
    WholeStream,
    path_of,
    whole_characters,
    whole_data,
    whole_json,
    written_name,
    written_path,
)

anything = st.text(st.characters() | st.sampled_from("\0\ud83d\ude00\udcff\\\n\u2028a"))
"""Texts with halves of characters, NUL and line breaks."""


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a", "a"),
        ("ä €", "ä €"),
        ("a \ud83d", "a \ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\udcff", "\ufffd"),
        ("a\0b", "a\ufffdb"),
        ("", ""),
    ],
)
def test_what_is_no_character_becomes_one(text: str, whole: str) -> None:
    assert whole_characters(text) == whole
    assert json.loads(whole_json(json.dumps(text))) == whole


@given(anything)
def test_what_comes_out_can_be_written_and_stays_as_it_is(text: str) -> None:
    whole = whole_characters(text)
    assert whole.encode().decode() == whole
    assert "\0" not in whole
    assert whole_characters(whole) is whole
    assert json.loads(whole_json(json.dumps(text))) == whole
    assert whole_json(json.dumps(text, ensure_ascii=False)) == json.dumps(text, ensure_ascii=False).replace(
        r"\u0000", r"\ufffd"
    )


@given(anything, st.lists(st.integers(0, 20), max_size=4))
def test_pieces_give_the_same_as_the_whole(text: str, cuts: list[int]) -> None:
    stream = WholeStream()
    ends = sorted(min(cut, len(text)) for cut in cuts)
    pieces = [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    assert "".join([*map(stream.take, pieces), stream.rest()]) == whole_characters(text)


def test_data_is_made_whole_at_any_depth_and_left_alone_where_it_is() -> None:
    fine = {"a": ["b", ("c", 1)], "d": None}
    assert whole_data(fine) is fine
    assert whole_data({"a\ud800": [{"b": ("\0", 2)}]}) == {"a\ufffd": [{"b": ("\ufffd", 2)}]}


@given(st.binary(min_size=1, max_size=30).filter(lambda name: b"\0" not in name))
def test_a_path_is_one_line_of_text_and_still_opens_the_file(name: bytes) -> None:
    path = os.fsdecode(name)
    written = written_path(path)
    assert written.encode().decode() == written
    assert written.isprintable() or not path.isprintable()
    assert len(written.splitlines()) == 1
    assert path_of(written) == path


def test_usual_paths_and_names_stay_as_they_are() -> None:
    assert written_path(Path("Zürich/café 1.txt")) == "Zürich/café 1.txt"
    assert written_name(r"a\b é") == r"a\b é"
    assert written_name("t\udce9\0") == r"t\xe9\x00"


def test_deep_data_is_looked_at_once() -> None:
    value: object = "half \ud800"
    for _ in range(100):
        value = {"first": "fine", "deeper": [value]}
    made = whole_data(value)
    for _ in range(100):
        made = made["deeper"][0]
    assert made == "half \ufffd"
