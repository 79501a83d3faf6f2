"""How people write arithmetic: dates are none of it, raised digits are powers."""

import pytest
from langchain_core.tools import ToolException

from anabranch.tools.calculator import calculate

DATES = [
    "2019-07-04 - 2018-07-04",
    "2019-7-4",
    "2019–07–04",
    "4/7/2019 + 1",
    "12/31/2019",
    "31.12.2019",
    "2019-07 - 2018-01",
]
NO_DATES = {"2019 - 7 - 4": "2008", "12-31": "-19", "9-4-1": "4", "90/9/5": "2", "3000-12-5": "2983", "2019-1987": "32"}


@pytest.mark.parametrize("expression", DATES)
def test_dates_are_no_subtractions(expression: str) -> None:
    with pytest.raises(ToolException, match=r"it has the date .* write numbers with spaces"):
        calculate(expression)


@pytest.mark.parametrize(("expression", "value"), NO_DATES.items())
def test_subtractions_are_no_dates(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"), {"2²³": "8388608", "10⁻³": "0.001", "3² + 4²": "25", "(1+1)⁴": "16"}.items()
)
def test_raised_digits_are_powers(expression: str, value: str) -> None:
    assert calculate(expression) == value
