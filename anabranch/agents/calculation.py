"""Answers that stand in no document, but follow from numbers that do: a sum, a difference, a price for several."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import permutations

from anabranch.agents import prompts
from anabranch.agents.grounding import numbers_in, written_numbers
from anabranch.agents.models import RoleModel, call
from anabranch.agents.reply import text_of
from anabranch.replies import says_not_found
from anabranch.tools.calculator import calculate, find_expression

MOST_TERMS = 12
"""Numbers of a calculation; a longer one is no answer to an ordinary question."""
_WORD = re.compile(r"\b(?!of\b)[^\W\d_]+")
_DECIMALS = re.compile(r"\d+\.\d{3,}")


async def calculated(model: RoleModel, text: str, result: str) -> str | None:
    """The answer of a sub-question, calculated from numbers of a tool's result and of the sub-question.

    The model writes the calculation and the calculator does it, so a number in the answer is none that the model made
    up or added up wrongly.

    Args:
        model: the solver.
        text: the sub-question.
        result: the tool's result.

    Returns:
        The answer, with its unit where all numbers have the same; None where there is nothing to calculate, or not from
        these numbers.

    Raises:
        ReplyError, BudgetExceededError, EndpointError: as `call`.
    """
    reply = text_of(await call(model, prompts.calculation_messages(text, result), role="solver"), "solver")
    return None if says_not_found(reply) else computed(reply, [text, result])


def computed(reply: str, known: Sequence[str]) -> str | None:
    """The value of the calculation that a reply ends with; None if it has none, or numbers that nobody told.

    Args:
        reply: such as `= 3 * 12.50 EUR` or `34.00 EUR + 6.20 EUR = 40.20 EUR`.
        known: where its numbers come from.
    """
    told = set(numbers_in("\n".join(known)))
    for written in _calculations(reply):
        units = set(_WORD.findall(written)) - {"x"}
        expression = find_expression(_WORD.sub(" ", written.replace(" x ", " * ")).strip())
        if expression is None:
            continue
        numbers = list(numbers_in(expression))
        if len(numbers) > MOST_TERMS or not set(numbers) <= told:
            return None
        value = calculate(expression)
        if not value[0].isdigit():  # less than nothing: the numbers stand the wrong way round
            return None
        value = f"{float(value):.2f}" if _DECIMALS.fullmatch(value) else value
        return " ".join([value, *units]) if len(units) == 1 else value
    return None


def follow(strange: Sequence[str], text: str, known: Sequence[str]) -> bool:
    """Whether a text shows how it comes to numbers that nobody told: from those beside them, in one step each.

    Args:
        strange: what a text says that stands nowhere in what is known, as `out_of_thin_air` gives it.
        text: such as "The one costs 180 EUR and the other 95 EUR, so it is 85 EUR more."
        known: the question, and what was found.
    """
    told = set(numbers_in("\n".join(known)))
    operands = [Fraction(number) for number in dict.fromkeys(written_numbers(text)) if number in told][:MOST_TERMS]
    for word in strange:
        if not word[0].isdigit() or not any(_near(Fraction(word), value) for value in _values(operands)):
            return False
        operands.append(Fraction(word))
    return True


def _values(operands: Sequence[Fraction]) -> Iterator[Fraction]:
    """What one step makes of numbers: all together, or two of them."""
    if len(operands) > 2:
        yield sum(operands, Fraction(0))
    for a, b in permutations(operands, 2):
        yield from (a + b, a - b, a * b, a * b / 100, *([a / b] if b else []))


def _near(number: Fraction, value: Fraction) -> bool:
    """Whether they are the same to the last cent."""
    return abs(number - value) < Fraction(1, 200) + abs(value) / 10**6


def _calculations(reply: str) -> Iterator[str]:
    """What may be one, the last line first; of `a + b = c`, what stands before the sign."""
    for line in reversed(reply.strip().splitlines()):
        sides = [side.strip(" \t`*$.") for side in line.split("=")]
        yield from (side for side in sides if side)
