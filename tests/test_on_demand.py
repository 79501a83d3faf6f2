"""A plan in several replies, with the grammar only where it has to be."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.codecs import LineGrammar
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
    assert GRAMMAR.matches(plan[0])
    assert plan[1] is False
    assert len(asked) <= 4
    assert [bool(ask.pattern) for ask in asked] == [False, True, False, True][: len(asked)]
    plan, asked = written(GRAMMAR, model, rest=True)
    assert GRAMMAR.matches(plan[0])
    assert len(asked) <= 2


@pytest.mark.parametrize("plan", ["DIRECT", "1 [search] Who?", "1 [search] Who?\n2 [solve] Is {1} old?"])
def test_a_plan_takes_one_request(plan: str) -> None:
    assert written(GRAMMAR, lambda _: (plan, False)) == ((plan, False), [Ask()])


def test_what_was_right_is_kept() -> None:
    replies = iter(["1 [search] Who?\n2 [solve] Is {2} old?\n3 [solve] And?", "2 [solve] Is {1} old?", ""])
    plan, asked = written(GRAMMAR, lambda _: (next(replies), False))
    assert plan == ("1 [search] Who?\n2 [solve] Is {1} old?", False)
    assert [ask.begun for ask in asked] == ["", "1 [search] Who?\n", plan[0]]
