"""What decoders may write: the pattern of all plans, and the JSON schema."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from anabranch.codecs import (
    _WORD,
    DIRECT,
    DONE,
    LineGrammar,
    decode_json,
    decode_lines,
    encode_json,
    encode_lines,
    json_schema,
)
from anabranch.plan import Plan, SubQuestion
from tests.strategies import NOT_IN_WORDS, any_text, matching, plans

TOKENIZER = LLTokenizer("byte")


def sub(id_: int, text: str = "q", *depends_on: int, route: str = "solve") -> SubQuestion:
    return SubQuestion(id=id_, text=text, route=route, depends_on=depends_on)


# The pattern of all plans


def asked_before(grammar: LineGrammar) -> Plan:
    """A plan of the earlier sub-questions."""
    return Plan(sub_questions=tuple(map(sub, grammar.known)))


@st.composite
def limits(draw: st.DrawFn) -> LineGrammar:
    """Random catalogues, ids, and limits."""
    known = sorted(draw(st.sets(st.integers(1, 40), max_size=3)))
    return LineGrammar(
        routes=draw(st.lists(st.sampled_from(["search", "a.b", "mcp:x/y", "v1-2", "SOLVE"]), max_size=3, unique=True)),
        max_sub_questions=draw(st.integers(1, 4)),
        known=known,
        first_id=max(known, default=0) + draw(st.integers(1, 3)),
        chained=draw(st.booleans()),
        empty=draw(st.sampled_from([DIRECT, DONE, None])),
        max_words=draw(st.integers(1, 6)),
    )


def test_characters_of_words() -> None:
    allowed, others = re.compile(_WORD), re.compile(NOT_IN_WORDS)
    characters = [chr(code) for code in range(0x110000)]
    assert [c for c in characters if bool(allowed.fullmatch(c)) != bool(others.fullmatch(c))] == []
    assert not any(allowed.fullmatch(c) for c in characters if c.isspace())


def accepts(pattern: str, text: str) -> bool:
    """Whether llguidance, which constrains generation, takes the text for a full match."""
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_regex(pattern), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    tokens = TOKENIZER.tokenize_str(text)
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


def begins(pattern: str, text: str) -> bool:
    """Whether llguidance takes the text for the beginning of a match."""
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_regex(pattern), log_level=0)
    tokens = TOKENIZER.tokenize_str(text)
    return bool(matcher.try_consume_tokens(tokens) == len(tokens))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(limits(), st.data())
def test_whatever_matches_is_a_plan_that_fits(limit: LineGrammar, data: st.DataObject) -> None:
    text = data.draw(matching(limit.pattern))
    plan = decode_lines(text, base=asked_before(limit))
    plan.check(limit.routes, len(limit.known) + limit.max_sub_questions)
    new = plan.sub_questions[len(limit.known) :]
    assert [q.id for q in new] == list(range(limit.first_id, limit.first_id + len(new)))
    assert bool(new) == (text != limit.empty)
    if not limit.chained:
        assert {d for q in new for d in q.depends_on} <= set(limit.known)
    assert accepts(limit.pattern, text)
    assert limit.matches(text)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(limits(), st.data())
def test_matching_without_the_pattern_is_the_same(limit: LineGrammar, data: st.DataObject) -> None:
    text = data.draw(matching(limit.pattern) | plain_plans(limit).map(encode_lines))
    place = data.draw(st.integers(0, len(text)))
    piece = data.draw(
        st.sampled_from([*" {}[]\\\n\t0123a\u00a0", "{1}", "{01}", "] ", " [", " a", "\n2 [solve] a", ""])
    )
    changed = text[:place] + piece + text[place + data.draw(st.integers(0, 3)) :]
    assert limit.matches(changed) == bool(re.fullmatch(limit.pattern, changed))
    assert limit.matches(text[:place], cut=True) or not limit.matches(text)
    whole = changed[: place + len(piece)]
    assert limit.matches(whole, cut=True) == begins(limit.pattern, whole)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(limits(), st.data())
def test_what_follows_the_lines_that_fit_makes_a_plan(limit: LineGrammar, data: st.DataObject) -> None:
    lines = encode_lines(data.draw(plain_plans(replace(limit, max_words=4)))).split("\n")
    count = data.draw(st.integers(0, len(lines)))
    bad = data.draw(st.sampled_from(["", "So:", "[solve] a", "99 [solve] a"]))
    wide = replace(limit, max_words=4)
    assert wide.fitting("\n".join([*lines[:count], bad, *lines[count:]])) == lines[:count]
    following = wide.following(count)
    assert (following is None) == (count == wide.max_sub_questions)
    if following:
        rest = data.draw(matching(following.pattern))
        assert wide.matches("\n".join([*lines[:count], rest]))
        assert following.matches("\n".join(lines[count:])) == (count < len(lines))


def test_where_one_line_too_many_begins() -> None:
    text = "".join(f"\n{n} [solve] a" for n in range(5, 9))
    assert text.partition(BASIC.one_too_many)[0] == "\n5 [solve] a\n6 [solve] a"


@st.composite
def plain_plans(draw: st.DrawFn, limit: LineGrammar) -> Plan:
    """Plans over a catalogue with ordinary texts: words with single spaces, slots, no other dependencies."""
    new: list[SubQuestion] = []
    for id_ in range(limit.first_id, limit.first_id + draw(st.integers(1, limit.max_sub_questions))):
        allowed = [*limit.known, *([q.id for q in new] if limit.chained else [])]
        words = st.sampled_from(
            ["Who?", "is", "ä", "数", "😀", "$1", "#2", '"x"', "(1-2)*3", *(f"{{{d}}}" for d in allowed)]
        )
        text = " ".join(draw(st.lists(words, min_size=1, max_size=4)))
        new.append(sub(id_, text, route=draw(st.sampled_from(["solve", *limit.routes]))))
    return Plan.model_construct(sub_questions=tuple(new))


@settings(max_examples=60)
@given(limits(), st.data())
def test_ordinary_plans_match(limit: LineGrammar, data: st.DataObject) -> None:
    wide = replace(limit, max_words=40)
    text = encode_lines(data.draw(plain_plans(wide)))
    assert re.fullmatch(wide.pattern, text)
    assert accepts(wide.pattern, text)
    assert wide.matches(text)


BASIC = LineGrammar(["search"], 2, known=[2, 3], first_id=5, max_words=20)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("DIRECT", True),
        ("5 [solve] a", True),
        ("5 [search] {2} or {3}?\n6 [solve] {5}{2}", True),
        ("", False),
        ("DONE", False),
        ("direct", False),
        ("DIRECT\n5 [solve] a", False),
        ("5 [solve] a\n", False),
        ("4 [solve] a", False),
        ("6 [solve] a", False),
        ("5 [solve] a\n5 [solve] a", False),
        ("5 [solve] a\n6 [solve] a\n7 [solve] a", False),
        ("5 [serch] a", False),
        ("5 [solve] {4}", False),
        ("5 [solve] {5}", False),
        ("5 [solve] {6}\n6 [solve] a", False),
        ("5 [solve] ", False),
        ("5 [solve]  a", False),
        ("5 [solve] a  b", False),
        ("5 [solve] a ", False),
        ("5 [solve] a\tb", False),
        ("5 [solve] a [b]", False),
        ("5 [solve] {{2}}", False),
        ("5 [solve] a\\nb", False),
        ("5 [solve] \u00a0", False),
        ("5 [solve] a\u2003b", False),
        ("5 [solve] " + "a" * 99, True),
        ("5 [solve] " + "{2}" * 99, True),
        ("5 [solve] a" + " b" * 19, True),
        ("5 [solve] a" + " b" * 20, False),
        ("5 [solve] {2}" + " {2}" * 20, False),
    ],
)
def test_both_engines_agree_on_the_pattern(text: str, matches: bool) -> None:
    assert bool(re.fullmatch(BASIC.pattern, text)) == matches
    assert accepts(BASIC.pattern, text) == matches
    assert BASIC.matches(text) == matches


def test_a_layer_may_not_refer_to_itself() -> None:
    layer = LineGrammar([], 2, known=[1], first_id=2, chained=False)
    assert re.fullmatch(layer.pattern, "2 [solve] {1}\n3 [solve] {1}")
    assert not re.fullmatch(layer.pattern, "2 [solve] {1}\n3 [solve] {2}")


@pytest.mark.parametrize(("empty", "words"), [(DIRECT, [DIRECT]), (DONE, [DONE]), (None, [])])
def test_the_word_for_no_sub_questions(empty: str | None, words: list[str]) -> None:
    pattern = LineGrammar([], 1, empty=empty).pattern
    assert [word for word in ("", DIRECT, DONE) if re.fullmatch(pattern, word)] == words


def test_the_defaults_serve_a_large_catalogue() -> None:
    routes = [f"server:tool_{number}/v1.0" for number in range(60)]
    pattern = LineGrammar(routes, 16).pattern
    text = "\n".join(f"{n} [{routes[n]}] " + ("{1} " * 40 if n > 1 else "x" * 240).strip() for n in range(1, 17))
    assert re.fullmatch(pattern, text)
    assert accepts(pattern, text)


# The JSON schema


def conforms(schema: dict[str, Any], text: str) -> bool:
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_json_schema(json.dumps(schema)), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    # llguidance wants DEL escaped, which JSON does not.
    tokens = TOKENIZER.tokenize_str(text.replace("\x7f", "\\u007f"))
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


@settings(max_examples=40)
@given(plans())
def test_valid_plans_conform_to_the_schema(plan: Plan) -> None:
    routes = sorted({q.route for q in plan.sub_questions} - {"solve"})
    assert conforms(json_schema(routes, max(1, len(plan.ids))), encode_json(plan))


@st.composite
def conforming(draw: st.DrawFn, routes: list[str], size: int) -> dict[str, Any]:
    """What the schema accepts, with ids and references that fit together."""
    drawn: list[dict[str, Any]] = []
    for id_ in range(1, draw(st.integers(0, size)) + 1):
        references = st.lists(st.integers(1, id_ - 1), max_size=3) if id_ > 1 else st.just([])
        text = draw(any_text.map(lambda t: t.replace("{", "(").strip() or "?"))
        route = draw(st.sampled_from(["solve", *routes]))
        drawn.append({"id": id_, "text": text, "route": route, "depends_on": draw(references)})
    return {"sub_questions": drawn}


@settings(max_examples=40)
@given(st.data())
def test_what_the_schema_accepts_decodes(data: st.DataObject) -> None:
    routes = data.draw(st.lists(st.sampled_from(["search", "a.b", "mcp:x/y"]), unique=True))
    text = json.dumps(data.draw(conforming(routes, 4)), ensure_ascii=False)
    assert conforms(json_schema(routes, 4), text)
    plan = decode_json(text)
    plan.check(routes, 4)
    assert [q.model_dump(include={"id", "text", "route"}) for q in plan.sub_questions] == [
        {key: item[key] for key in ("id", "text", "route")} for item in json.loads(text)["sub_questions"]
    ]


@pytest.mark.parametrize(
    "item",
    [
        '{"id": 1, "text": "a", "route": "serch", "depends_on": []}',
        '{"id": 1, "text": "a", "route": "solve"}',
        '{"id": "1", "text": "a", "route": "solve", "depends_on": []}',
        '{"id": 1, "text": "a", "route": "solve", "depends_on": [], "why": "b"}',
        '{"id": 1, "text": "a", "route": "solve", "depends_on": ["2"]}',
    ],
)
def test_the_schema_refuses(item: str) -> None:
    assert not conforms(json_schema(["search"], 2), f'{{"sub_questions": [{item}]}}')


def test_the_schema_limits_the_number() -> None:
    two = encode_json(Plan(sub_questions=(sub(1), sub(2))))
    assert conforms(json_schema([], 2), two)
    assert not conforms(json_schema([], 1), two)


def test_every_object_of_the_schema_is_strict() -> None:
    """OpenAI's strict mode refuses a schema with an optional field."""
    schema = json_schema(["search"], 3)
    for part in (schema, schema["properties"]["sub_questions"]["items"]):
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
