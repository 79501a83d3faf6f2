"""A calculator: exact where arithmetic is exact, and an error rather than nonsense.

Numbers are fractions, so `0.1 + 0.2` is `0.3` and `2 / 3 * 3` is `2`. Roots, logarithms and the like are floating
point, as is whatever grows past `MAX_BITS`. Results print without exponent between 1e-9 and 1e21: whole numbers
and decimals of at most 20 digits exactly, everything else to 12 significant digits. `round` rounds half to even,
as Python does.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Context, Decimal
from fractions import Fraction

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field
from simpleeval import InvalidExpression, SimpleEval

from anabranch.tools.notation import MAX_CHARS, NotationError, to_python

MAX_BITS = 4096
"""Numerators and denominators longer than this are not kept exact."""

_MAX_FACTORIAL = 400
_DIGITS = 12
_EXACT_DIGITS = 20

Number = Fraction | float
Value = Number | bool | list["Value"]

DESCRIPTION = """Computes one arithmetic expression, such as (12 + 3.5) * 4, exactly.
It knows + - * / // % ** and parentheses, comparisons, 20% of 50, pi and e, and these functions: abs, round, min, max,
sum, floor, ceil, sqrt, exp, log (natural, or log(x, base)), log2, log10, sin, cos, tan, asin, acos, atan (radians),
degrees, radians, factorial, gcd, lcm. It takes numbers only: no words, no units, no variables."""


class CalculatorInput(BaseModel):
    """What the calculator takes."""

    expression: str = Field(description="one arithmetic expression, such as 12 * (3 + 4)")


def calculator() -> BaseTool:
    """The calculator as a tool; its output is the answer itself."""
    return StructuredTool.from_function(
        func=calculate,
        name="calculator",
        description=DESCRIPTION,
        args_schema=CalculatorInput,
        return_direct=True,
    )


def calculate(expression: str) -> str:
    """Computes one arithmetic expression.

    Args:
        expression: in the notation of Python, people or models: `2 ** 3`, `2^3`, `$1,234.50 × 3 =`, `20% of 50`.

    Raises:
        ToolException: it is not one arithmetic expression, or has no finite real value.
    """
    try:
        value = _evaluate(_parse(expression))
        return str(value) if isinstance(value, bool) else format_number(_scalar(value))
    except ZeroDivisionError:
        reason = "it divides by zero"
    except (RecursionError, MemoryError):
        reason = "it is nested too deeply"
    except OverflowError:
        reason = "a number in it is too large"
    except SyntaxError:
        reason = "it is not one arithmetic expression"
    except (NotationError, InvalidExpression) as error:
        reason = str(error)
    except (TypeError, ValueError) as error:
        reason = f"a function or operator does not take these numbers ({error})"
    shown = " ".join(expression.split())
    shown = shown if len(shown) <= 60 else shown[:59] + "…"
    advice = "" if "write" in reason else "; write one expression such as 12 * (3 + 4)"
    raise ToolException(f"cannot compute {shown!r}: {reason.rstrip('.')}{advice}")


def find_expression(text: str) -> str | None:
    """The arithmetic expression a sub-question asks for, or None when in doubt.

    Only texts that are nothing but an expression, or ask for one in the plainest words, count: `What is 288 - 200?`,
    `In 1984, what is 3 + 4?`, `Compute 12 * (3 + 4).` A bare number is no expression; neither is what may be a
    date, a telephone number or a span of years.

    Args:
        text: a sub-question with its slots filled.
    """
    if len(text) > MAX_CHARS:
        return None
    match = _ASKING.search(text)
    found = (text[match.end() :] if match else text).strip().rstrip("?.!=: \n")
    if not found or len(found) > 200 or _LOOKS_LIKE_A_DATE.search(found):
        return None
    if not (match and match["command"]) and _LOOKS_LIKE_A_NAME.fullmatch(found):
        return None
    try:
        tree = _parse(found)
        calculate(found)
    except (ToolException, NotationError, SyntaxError, RecursionError, MemoryError):
        return None
    asks = any(isinstance(node, ast.BinOp | ast.Call) for node in ast.walk(tree))
    return found if asks and not re.fullmatch(r"[\d.,$€£ ]+%", found) else None


_ASKING = re.compile(
    r"(?:^\s*|[,:;.?!]\s+(?:then\s+|so\s+|now\s+)?)"
    r"(?:(?P<command>(?:please\s+)?(?:compute|calculate|evaluate|work\s+out|simplify))|what(?:\s+is|'s|’s)|how\s+much\s+is)"
    r"\s*:?\s+(?:the\s+(?:value|result)\s+of\s*:?\s+)?(?=[^?!]*[?!.=\s]*$)",
    re.IGNORECASE,
)
_LOOKS_LIKE_A_DATE = re.compile(r"\b(?:\d{4}[-–/]\d{1,2}[-–/]\d{1,2}|\d{1,2}[-–/]\d{1,2}[-–/]\d{2,4})\b")
_LOOKS_LIKE_A_NAME = re.compile(r"\d{1,2}/\d{1,2}|\d{3}[-–]\d{4}|(?:1\d|20)\d\d[-–](?:\d\d|(?:1\d|20)\d\d)")


def format_number(value: Number) -> str:
    """A number as people write it: no `.0`, no exponent for ordinary sizes, no floating point dust.

    Raises:
        ValueError: the number is infinite or not a number.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("the result is not a finite number")
        return _plain(Decimal(format(value, f".{_DIGITS}g")))
    if value.denominator == 1:
        return str(value.numerator)
    return _plain(_terminating(value) or Context(prec=_DIGITS).divide(value.numerator, value.denominator))


def _terminating(value: Fraction) -> Decimal | None:
    """The fraction as an exact decimal, when it has one of at most `_EXACT_DIGITS` digits."""
    rest, places = value.denominator, 0
    while rest % 10 == 0 or rest % 2 == 0 or rest % 5 == 0:
        rest //= 10 if rest % 10 == 0 else 2 if rest % 2 == 0 else 5
        places += 1
    scaled = value * 10**places
    if rest != 1 or abs(scaled) >= 10**_EXACT_DIGITS:
        return None
    return Context(prec=_EXACT_DIGITS + 5).scaleb(Decimal(scaled.numerator), -places)


def _plain(value: Decimal) -> str:
    if value == 0:
        return "0"
    value = value.normalize(Context(prec=_EXACT_DIGITS + 5))
    return format(value, "f" if -10 < value.adjusted() < 21 else "e")


def _parse(expression: str) -> ast.expr:
    return ast.parse(to_python(expression), mode="eval").body


def _evaluate(tree: ast.expr) -> Value:
    # simpleeval keeps the expression on the instance, so threads must not share one.
    evaluator = SimpleEval(operators=_OPERATORS, functions=_FUNCTIONS, names={})
    allowed = (ast.UnaryOp, ast.BinOp, ast.Compare, ast.Call)
    evaluator.nodes = {node: evaluator.nodes[node] for node in allowed}
    evaluator.nodes |= {ast.Constant: _literal, ast.Name: _constant}
    evaluator.nodes[ast.List] = evaluator.nodes[ast.Tuple] = lambda node: [evaluator._eval(e) for e in node.elts]
    try:
        value: Value = evaluator.eval("", previously_parsed=tree)
    except InvalidExpression as error:
        name = getattr(error, "func_name", None)
        raise NotationError(f"{name!r} is not known here" if name else "it is more than plain arithmetic") from error
    except KeyError as error:  # an operator that simpleeval knows of, but has no function for, such as `is`
        raise NotationError("it is more than plain arithmetic") from error
    return value


def _literal(node: ast.Constant) -> Fraction:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise NotationError("it has something that is not a number")
    if node.value in (math.inf, -math.inf):
        raise OverflowError
    # The shortest decimal that reads as this float is what was written.
    return Fraction(repr(node.value))


def _constant(node: ast.Name) -> Number:
    if node.id not in _NAMES:
        raise NotationError(f"{node.id!r} is not known here")
    return _NAMES[node.id]


def _scalar(value: Value) -> Number:
    if isinstance(value, list):
        raise NotationError("it has commas outside of a function (write 1234.5 for a decimal)")
    if isinstance(value, complex):
        raise NotationError("its result is not a real number")
    return value


def _limited(value: Number) -> Number:
    """The value, as a float once its exact form is too long.

    Raises:
        OverflowError: it is too large even for a float.
        ValueError: it is not a finite number.
    """
    if isinstance(value, int):
        value = Fraction(value)
    if isinstance(value, Fraction):
        return float(value) if _bits(value) > MAX_BITS else value
    if isinstance(value, complex):
        raise NotationError("its result is not a real number")
    if math.isinf(value):
        raise OverflowError
    if math.isnan(value):
        raise NotationError("its result is not a number")
    return value


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        whole = exponent.numerator
        if abs(base) in (0, 1) or _bits(base) * abs(whole) <= MAX_BITS:
            return base**whole
    result: Number = float(base) ** float(exponent)
    if base != 0 and result == 0:
        raise OverflowError
    return result


def _arithmetic(function: Callable[[Number, Number], Number]) -> Callable[[Value, Value], Number]:
    return lambda left, right: _limited(function(_operand(left), _operand(right)))


def _operand(value: Value) -> Number:
    if isinstance(value, bool):
        raise NotationError("it calculates with the result of a comparison")
    return _scalar(value)


def _real(function: Callable[..., float]) -> Callable[..., Number]:
    return lambda *values: _limited(function(*(float(_operand(value)) for value in values)))


def _dustless(function: Callable[[float], float]) -> Callable[..., Number]:
    """Keeps `sin(pi)` from printing as 1.2e-16."""
    return _real(lambda value: round(function(value), 15))


def _tangent(value: float) -> float:
    # At a pole, the cosine of the nearest floating point number is not zero but as small as its rounding error.
    if abs(math.cos(value)) <= 1e-15 * max(1.0, abs(value)):
        raise NotationError("the tangent has no value there")
    return math.tan(value)


def _whole(function: Callable[..., int]) -> Callable[..., Number]:
    return lambda *values: _limited(Fraction(function(*(_integer(value) for value in values))))


def _integer(value: Value) -> int:
    number = _operand(value)
    if number != int(number):
        raise NotationError("a function in it takes whole numbers only")
    return int(number)


def _over_all(function: Callable[[Iterable[Number]], Number]) -> Callable[..., Number]:
    def apply(*values: Value) -> Number:
        items = values[0] if len(values) == 1 and isinstance(values[0], list) else values
        return _limited(function([_operand(item) for item in items]))

    return apply


def _sqrt(value: Value) -> Number:
    number = _operand(value)
    if number < 0:
        raise NotationError("it takes the square root of a negative number")
    if isinstance(number, Fraction):
        root = Fraction(math.isqrt(number.numerator), math.isqrt(number.denominator))
        if root * root == number:
            return root
    return math.sqrt(number)


def _magnitude(value: Value) -> Number:
    number = _operand(value)
    return -number if number < 0 else number


def _round(value: Value, places: Value = Fraction(0)) -> Number:
    digits = _integer(places)
    if abs(digits) > 100:
        raise NotationError("it rounds to more than 100 places")
    number = _operand(value)
    return round(number, digits) if isinstance(number, Fraction) else _limited(round(number, digits))


def _factorial(value: Value) -> Number:
    number = _integer(value)
    if not 0 <= number <= _MAX_FACTORIAL:
        raise NotationError(f"factorial takes whole numbers from 0 to {_MAX_FACTORIAL}")
    return Fraction(math.factorial(number))


_OPERATORS: Mapping[type[ast.AST], Callable[..., Value]] = {
    ast.Add: _arithmetic(operator.add),
    ast.Sub: _arithmetic(operator.sub),
    ast.Mult: _arithmetic(operator.mul),
    ast.Div: _arithmetic(operator.truediv),
    ast.FloorDiv: _arithmetic(operator.floordiv),
    ast.Mod: _arithmetic(operator.mod),
    ast.Pow: _arithmetic(_power),
    ast.USub: lambda value: -_operand(value),
    ast.UAdd: lambda value: _operand(value),
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FLOATING = (math.exp, math.log, math.log2, math.log10, math.asin, math.acos, math.atan, math.degrees, math.radians)
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    **{function.__name__: _real(function) for function in _FLOATING},
    **{function.__name__: _dustless(function) for function in (math.sin, math.cos)},
    "tan": _dustless(_tangent),
    "ln": _real(math.log),
    "abs": _magnitude,
    "floor": lambda value: _limited(Fraction(math.floor(_operand(value)))),
    "ceil": lambda value: _limited(Fraction(math.ceil(_operand(value)))),
    "min": _over_all(min),
    "max": _over_all(max),
    "sum": _over_all(lambda items: sum(items, Fraction(0))),
    "gcd": _whole(math.gcd),
    "lcm": _whole(math.lcm),
    "round": _round,
    "sqrt": _sqrt,
    "factorial": _factorial,
}
_NAMES = {"pi": math.pi, "e": math.e}
