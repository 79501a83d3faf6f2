"""A plan in several replies, with the grammar only where it has to be."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.codecs import _WORD, LineGrammar
from anabranch.on_demand import Ask, Reply, asks
from tests.strategies import matching

GRAMMAR = LineGrammar(["search", "calculator"], 4, max_words=3)


def written(grammar: LineGrammar, model: Callable[[Ask], Reply], *, rest: bool = False) -> tuple[Reply, list[Ask]]:
    """What comes of a model's replies, and what it was asked."""
    writing = asks(grammar, rest=rest)
    asked = [next(writing)]
    while True:
        try:
            asked.append(writing.send(model(asked[-1])))
        except StopIteration as done:
            return done.value, asked


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_a_model_writes_freely_a_plan_comes_of_it(data: st.DataObject) -> None:
    line = st.one_of(
        st.builds(
            "{} [{}] {}".format, st.integers(1, 5), st.sampled_from(["solve", "search", "x"]), st.text(max_size=5)
        ),
        st.sampled_from(["DIRECT", "", "1 [search] Who?", "2 [solve] Is {1} old?", "3 [solve] {3}"]),
    )
    free = st.lists(line, max_size=6).map("\n".join)

    def model(ask: Ask) -> Reply:
        return data.draw(matching(ask.pattern) if ask.pattern else free), False

    plan, asked = written(GRAMMAR, model)
    assert replace(GRAMMAR, max_words=6).matches(plan[0])
    assert plan[1] is False
    assert len(asked) <= 8
    assert not any(before.pattern and after.pattern for before, after in itertools.pairwise(asked))
    plan, asked = written(GRAMMAR, model, rest=True)
    assert replace(GRAMMAR, max_words=6).matches(plan[0])
    assert len(asked) <= 2


@pytest.mark.parametrize("plan", ["DIRECT", "1 [search] Who?", "1 [search] Who?\n2 [solve] Is {1} old?"])
def test_a_plan_takes_one_request(plan: str) -> None:
    assert written(GRAMMAR, lambda _: (plan, False)) == ((plan, False), [Ask()])


@pytest.mark.parametrize(
    ("free", "begun", "pattern", "held", "more", "plan"),
    [
        pytest.param(
            "1 [search] Who?\n2 [solve] Is {2} old?\n3 [solve] And?",
            "1 [search] Who?\n2 [solve] Is {",
            r"(1)\}",
            "1}",
            " old?",
            "1 [search] Who?\n2 [solve] Is {1} old?",
            id="slot",
        ),
        pytest.param(
            "1 [google] Who?", "1 [", r"(solve|search|calculator)\]", "search]", " Who?", "1 [search] Who?", id="route"
        ),
        pytest.param(
            "So:\n1 [search] Who?",
            "",
            r"(DIRECT|1 \[(solve|search|calculator)\])",
            "1 [search]",
            " Who?",
            "1 [search] Who?",
            id="beginning",
        ),
        pytest.param(
            "1 [solve] Is\tit?",
            "1 [solve]",
            f"( {_WORD}+){{1,6}}\\n?",
            " Is he?",
            "",
            "1 [solve] Is he?",
            id="characters",
        ),
        pytest.param(
            "1 [solve] {1}?",
            "1 [solve]",
            f"( {_WORD}+){{1,6}}\\n?",
            " Is he?\n",
            "2 [solve] {1}",
            "1 [solve] Is he?\n2 [solve] {1}",
            id="line that ends with a break",
        ),
        pytest.param(
            "1 [solve] Is {1}?",
            "1 [solve] Is",
            f"( {_WORD}+){{1,5}}\\n?",
            " he",
            "?",
            "1 [solve] Is he?",
            id="no id to refer to",
        ),
        pytest.param(
            "1 [solve]Is?", "1 [solve]", f"( {_WORD}+){{1,6}}\\n?", " Is", "?", "1 [solve] Is?", id="no space"
        ),
    ],
)
def test_only_what_leaves_the_grammar_is_held(
    free: str, begun: str, pattern: str, held: str, more: str, plan: str
) -> None:
    replies = iter([free, held, more])
    got, asked = written(GRAMMAR, lambda _: (next(replies), False))
    assert got == (plan, False)
    assert asked == [Ask(), Ask(begun, pattern), Ask(begun + held)]


@pytest.mark.parametrize(
    ("free", "plan"),
    [
        ("1 [solve] a b c d", "1 [solve] a b c d"),
        ("1 [solve] a b c d e f g h\n2 [solve] b", "1 [solve] a b c d e f\n2 [solve] b"),
        ("1 [solve] a  \n2 [solve]  b   c ", "1 [solve] a\n2 [solve] b c"),
    ],
)
def test_longer_lines_that_end_by_themselves_and_spaces_are_not_asked_for_again(free: str, plan: str) -> None:
    assert written(GRAMMAR, lambda _: (free, False)) == ((plan, False), [Ask()])


def test_a_line_without_an_end_ends_the_plan() -> None:
    free = "1 [search] Who?\n2 [solve] a b c d e f g h i"
    got, asked = written(GRAMMAR, lambda _: (free, True))
    assert got == ("1 [search] Who?\n2 [solve] a b c d e f", False)
    assert asked == [Ask()]


def test_all_the_rest_is_held_where_amends_do_not_do() -> None:
    replies = iter(["1 [x] a", "search]", " Who?\n3", "2 [solve]", " {2}", "1}", "\nBye", "3 [solve] Is {2} old?"])
    got, asked = written(GRAMMAR, lambda _: (next(replies), False))
    assert got == ("1 [search] Who?\n2 [solve] {1}\n3 [solve] Is {2} old?", False)
    rest = GRAMMAR.following(2)
    assert rest
    assert asked[-1] == Ask("1 [search] Who?\n2 [solve] {1}\n", rest.pattern)
    assert len(asked) == 8
