import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import ToolException

from anabranch.tools.calculator import calculate
from anabranch.tools.expressions import filled_expression, span_in

COMPUTED = [
    ("{1}^2", ["-7"], "49"),
    ("{1}**2 + 1", ["−7"], "50"),
    ("2^{1}", ["-3"], "0.125"),
    ("{1} - {2}", ["-5", "minus 7"], "2"),
    ("{1} x {2}", ["-5", "-3"], "15"),
    ("{1}-{2}", ["1911", "1950"], "-39"),
    ("10 / {1}", ["2/5"], "25"),
    ("abs({1} - {2})", ["1931", "in 1874"], "57"),
    ("What is {1} * 2?", ["about $1,234.50."], "2469"),
    ("{1} * 2", ["1.234,50 €"], "2469"),
    ("{1} * 2", ["12\u202f500 m²"], "25000"),
    ("{1} * 2", ["1'250 CHF"], "2500"),
    ("{1} * 2", ["12,34,567"], "2469134"),
    ("{1} * 2", ["3,5 km"], "7"),
    ("{1} * 2", ["3.2 million people"], "6400000"),
    ("{1} * 2", ["€3bn"], "6000000000"),
    ("{1} * 2", ["1.5 × 10^6"], "3000000"),
    ("{1} * 2", ["1.5 × 10⁶ m²"], "3000000"),
    ("{1} * 2", ["5·10⁻¹"], "1"),
    ("{1} * 2", ["**25 km/h**"], "50"),
    ("{1} * 2", ["٢٥"], "50"),
    ("{1} - {2}", ["5 euros", "3 Euro"], "2"),
    ("{1} + {2}", ["$5", "3 dollars"], "8"),
    ("{1}² + 1", ["-7"], "50"),
    ("{1} * 2", ["342 [2]."], "684"),
    ("{1} * {2}", ["20 percent", "50"], "10"),
    ("{1}% of {2}", ["20%", "50"], "10"),
    ("${1} * 3", ["$5"], "15"),
    ("sum({1}) / 3", ["[12, 17, 10]"], "13"),
    ("What is 288 - 200?", [], "88"),
]
LEFT_TO_THE_SOLVER = [
    ("{1} - 1900", ["1911-1915"]),
    ("{1} - 1900", ["1911–1915"]),
    ("{1} - 1900", ["1914-18"]),
    ("{1} * 2", ["5-10"]),
    ("{1} * 2", ["5 to 10 km"]),
    ("{1} * 2", ["between 5 and 10"]),
    ("{1} - 5", ["2019-07-04"]),
    ("{1} - 5", ["4/7/2019"]),
    ("{1} - 5", ["4 July 2019"]),
    ("{1} - 5", ["44 BC"]),
    ("{1} - 5", ["the 1990s"]),
    ("{1} - 5", ["20th century"]),
    ("{1} - 5", ["10:30"]),
    ("{1} * 2", ["1911 or 1912"]),
    ("{1} * 2", ["5 dozen"]),
    ("{1} * 2", ["3,5"]),
    ("{1} * 2", ["1.234 €"]),
    ("{1} * 2", ["12 less than Ann has"]),
    ("{1} * 2", ["12, 17"]),
    ("sum({1})", ["12,170,900"]),
    ("{1} - {2}", ["5 km", "300 m"]),
    ("{1} - {2}", ["$5", "3 euros"]),
    ("{1} * 2", ["12 (in thousands)"]),
    ("{1} * 2", ["[12]"]),
    ("100 - {1}", ["20%"]),
    ("{1}000", ["5"]),
    ("{1} + {2}", ["5"]),
    ("{1}", ["25"]),
    ("{1} * 2", ["Tom has 5. What is 5 + 3?"]),
    ("Who was born in {1}?", ["1911"]),
]


def _answers(texts: list[str]) -> dict[int, str]:
    return dict(enumerate(texts, 1))


@pytest.mark.parametrize(("text", "answers", "result"), COMPUTED)
def test_answers_keep_their_meaning(text: str, answers: list[str], result: str) -> None:
    expression = filled_expression(text, _answers(answers))
    assert expression is not None
    assert calculate(expression) == result


@pytest.mark.parametrize(("text", "answers"), LEFT_TO_THE_SOLVER)
def test_what_is_not_one_number_gives_no_expression(text: str, answers: list[str]) -> None:
    assert filled_expression(text, _answers(answers)) is None


@given(
    st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.sampled_from(["{1}-{2}", "{1} - {2}", "({1})-{2}"])
)
def test_differences_of_any_two_whole_numbers(left: int, right: int, text: str) -> None:
    expression = filled_expression(text, {1: str(left), 2: f"{right:,}"})
    assert expression is not None
    assert calculate(expression) == str(left - right)


@given(st.text(max_size=40) | st.text(alphabet="0123456789.,-–/ %$€kmto", max_size=20))
def test_any_answer_gives_an_expression_that_computes_or_none(answer: str) -> None:
    expression = filled_expression("{1} * 2", {1: answer})
    if expression is not None:
        try:
            calculate(expression)
        except ToolException:
            pytest.fail(f"{answer!r} became {expression!r}")


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("1911-1915 - 1900", "1911–1915"),
        ("(5 - 10) * 2", "5 to 10 km"),
        ("1914-18 + 1", "1914-18"),
        ("2019-07-04 - 5", "2019-07-04"),
    ],
)
def test_spans_written_as_subtractions_are_noticed(expression: str, answer: str) -> None:
    assert span_in(expression, {1: "12", 2: answer}) == answer


@pytest.mark.parametrize(
    ("expression", "answer"), [("1915 - 1911", "1911-1915"), ("8 - 3", "8-3"), ("5 - 10", "5"), ("3", "")]
)
def test_plain_subtractions_are_no_spans(expression: str, answer: str) -> None:
    assert span_in(expression, {1: answer}) is None
