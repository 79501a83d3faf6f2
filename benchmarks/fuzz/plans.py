"""Targets for the codecs of plans: what they must hold to for any text."""

import re
from collections.abc import Callable

from anabranch.codecs import LineGrammar, decode_json, decode_lines, encode_json, encode_lines
from anabranch.errors import PlanError
from anabranch.on_demand import LONGER, asks
from anabranch.plan import Plan

GRAMMARS = (
    LineGrammar(["search"], 3),
    LineGrammar(["search", "mcp:files/read"], 2, known=(1, 2), first_id=3, empty="DONE", max_words=4),
    LineGrammar([], 2, known=(1, 12), first_id=13, chained=False, empty=None, max_words=3),
)
_PATTERNS = tuple(re.compile(grammar.pattern) for grammar in GRAMMARS)
_WORDS = ("DIRECT", "DONE", "solve]", "search]", "1}", "2}", "12}", " a?", " a? {1}?\n", " b", "\n", "")


def lines(text: str) -> None:
    """What is read as lines is written and read again as the same plan."""
    _round_trip(text, decode_lines, encode_lines)


def json(text: str) -> None:
    """What is read as JSON is written and read again as the same plan."""
    _round_trip(text, decode_json, encode_json)


def _round_trip(text: str, decode: Callable[[str], Plan], encode: Callable[[Plan], str]) -> None:
    try:
        plan = decode(text)
    except PlanError:
        return
    again = decode(encode(plan))
    assert again.sub_questions == plan.sub_questions, (plan, again)


def grammar(text: str) -> None:
    """Matching without the pattern is matching with it; a beginning of what matches may have been cut off."""
    for limit, pattern in zip(GRAMMARS, _PATTERNS, strict=True):
        matches = limit.matches(text)
        assert matches == bool(pattern.fullmatch(text)), limit
        if matches:
            assert limit.matches(text[: len(text) // 2], cut=True), limit
            if limit.first_id == 1:
                decode_lines(text)


def amend(text: str) -> None:
    """However a model goes on, holding it to the grammar on demand makes a plan, or the beginning of one."""
    first, *others = text.split("\x1e")
    others.reverse()
    for limit in GRAMMARS:
        replies = list(others)
        generator = asks(limit)
        ask = next(generator)
        try:
            for _ in range(20):
                said = first if not ask.begun else replies.pop() if replies else " c?"
                if ask.pattern:
                    said = _fitting(ask.pattern, said, limit)
                ask = generator.send((said, False))
            raise AssertionError(f"no end: {limit}")
        except StopIteration as end:
            made, cut = end.value
            free = LineGrammar(**{**vars(limit), "max_words": LONGER * limit.max_words})
            assert free.matches(made, cut=cut), (limit, made, cut)


def _fitting(pattern: str, said: str, limit: LineGrammar) -> str:
    """Something that fits a pattern: what was said, if it does."""
    number = limit.first_id
    heads = [f"{id_} [solve]{rest}" for id_ in range(number, number + 4) for rest in ("", " a?")]
    found = next((word for word in (said, *_WORDS, *heads) if re.fullmatch(pattern, word)), None)
    assert found is not None, pattern
    return found
