"""Hypothesis strategies for plans, shared by the tests of the plan and of its codecs."""

from hypothesis import strategies as st

from anabranch.codecs import _WORD
from anabranch.plan import ROUTE_PATTERN, Plan, SubQuestion, escape, slots

AWKWARD = [
    *("\n", "\r\n", "\r", "\t", "  ", "\u2028", "\x85", "\x1c", "\x0b", "\\", "\\n", "\\\\", '"', "'", "`", "```\n"),
    *(
        "{1}",
        "{2}",
        "{",
        "}",
        "{{",
        "}}",
        "{}",
        "{{1}}",
        "{ 1 }",
        "{a}",
        "{-1}",
        "{\u0661}",
        "[",
        "]",
        "[search]",
        " after 1]",
    ),
    *("$1", "$1 million", "#2", "\\1", "\\g<0>", "%s", "<b>", "-->", ";", "|", "😀", "שלום", "\u202e", "مرحبا", "數"),
    *("DIRECT", "DONE", "1 [solve] x", "\ufeff", "e\u0301"),
]

# NUL is not kept: see anabranch/characters.py.
_characters = st.characters(codec="utf-8", exclude_characters="\0")
any_text = st.lists(st.sampled_from(AWKWARD) | st.text(_characters, max_size=8), max_size=6).map("".join)
routes = (
    st.just("solve")
    | st.sampled_from(["search", "mcp:files/read", "v1.2-x"])
    | st.from_regex(ROUTE_PATTERN, fullmatch=True)
)

NOT_IN_WORDS = r"[^{}\[\]\\\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ud800-\udfff]"
"""The characters of words, by what is not among them; hypothesis would list those that are, one by one."""


def matching(pattern: str) -> st.SearchStrategy[str]:
    """Texts that a `LineGrammar.pattern` matches."""
    return st.from_regex(pattern.replace(_WORD, NOT_IN_WORDS), fullmatch=True)


@st.composite
def sub_questions(draw: st.DrawFn, id_: int, earlier: list[int]) -> SubQuestion:
    """A sub-question that refers to some earlier ones: by slots, by `depends_on` alone, or both."""
    some = st.lists(st.sampled_from(earlier), max_size=3) if earlier else st.just([])
    pieces = [draw(any_text)]
    for reference in draw(some):
        pieces += [f"{{{reference}}}", draw(any_text)]
    text = "".join(pieces).strip() or "?"
    safe = text if slots(text) <= set(earlier) else escape(text)
    return SubQuestion(id=id_, text=safe, route=draw(routes), depends_on=tuple(draw(some)))


@st.composite
def plans(draw: st.DrawFn, max_size: int = 5) -> Plan:
    """A valid plan over increasing ids with gaps."""
    ids = sorted(draw(st.sets(st.integers(1, 30) | st.integers(1, 999_999), max_size=max_size)))
    return Plan(sub_questions=tuple(draw(sub_questions(id_, ids[:place])) for place, id_ in enumerate(ids)))
