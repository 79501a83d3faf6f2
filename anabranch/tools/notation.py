"""From arithmetic as people and models write it to arithmetic as Python parses it.

Nothing is evaluated here. Where a text could mean two things (`100 - 20%`, `round(1,234.5, 2)`), a `NotationError`
says how to write it without doubt: a wrong number is worse than none.
"""

import re

MAX_CHARS = 1000

_SYMBOLS = str.maketrans(
    {"×": "*", "✕": "*", "✖": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "∕": "/", "⁄": "/"}
    | {"−": "-", "–": "-", "—": "-", "π": "pi", "≤": "<=", "≥": ">=", "≠": "!="}
    | {"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\t": " "}
)
_RAISED = re.compile("[⁺⁻]?[⁰¹²³⁴-⁹]+")
_RAISED_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_COMMANDS = {r"\times": "*", r"\cdot": "*", r"\div": "/"}
_ALLOWED = re.compile(r"[0-9a-z_ .+\-*/%()\[\],<>=!^$€£¥]*")
_NUMBER = r"(?:\d[\d_]*(?:\.\d*)?|\.\d+)"
_GROUPED = r"\d{1,3}(?:,\d{3})+(?![\d])"
_PERCENT = re.compile(rf"(?<![\w.])({_NUMBER})\s?%(?=\s*(?:$|[*/),<>=!]|of\b)|\s+[+-]\s|[+-]{_NUMBER}%)")
_ADDED_PERCENT = re.compile(rf"({_NUMBER}\s?%?|\))\s*[+-]\s*{_NUMBER}\s?%(?=\s*(?:$|[),<>=!+-]))")


_YEAR, _MONTH, _DAY = r"(?:1\d|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
# Only as people write dates, without spaces: 12-31 and 8-3-2 are subtractions, 2024 - 3 - 1 is one, too.
_DATE = re.compile(
    rf"(?<![\w.,)])(?:{_YEAR}(?P<by>[-/.–]){_MONTH}(?P=by){_DAY}|{_YEAR}[-–]0[1-9]"
    rf"|(?:{_MONTH}(?P<then>[-/.–]){_DAY}|{_DAY}(?P<or>[-/.–]){_MONTH})(?(then)(?P=then)|(?P=or)){_YEAR})(?![\w(]|[.,]\d)"
)


class NotationError(ValueError):
    """The text is not one arithmetic expression, or could be read in two ways."""


def to_python(text: str) -> str:
    """Rewrites one arithmetic expression in Python's notation.

    Args:
        text: such as `$1,234.50 × 3 =`, `20% of 50`, `2^3`, `7 x 8`, `5!`.

    Raises:
        NotationError: the text is empty, too long, has foreign characters, or is ambiguous.
    """
    if len(text) > MAX_CHARS:
        raise NotationError(f"it has {len(text):,} characters, more than {MAX_CHARS:,}")
    text = _strip(text)
    if date := _DATE.search(text):
        raise NotationError(
            f"it has the date {date[0]}, and a calculator has no dates; write numbers with spaces around - and /"
        )
    for command, symbol in _COMMANDS.items():
        text = text.replace(command, symbol)
    text = without_raised(text).translate(_SYMBOLS).lower()
    if not text:
        raise NotationError("it is empty")
    if not _ALLOWED.fullmatch(text):
        strange = next(c for c in text if not _ALLOWED.fullmatch(c))
        raise NotationError("it has more than one line" if strange == "\n" else f"it has the character {strange!r}")
    return _percentages(_operators(_numbers(_times(text))))


def without_raised(text: str) -> str:
    """With `^` for raised digits: `10⁻⁶` becomes `10^(-6)`."""
    return _RAISED.sub(lambda match: f"^({match[0].translate(_RAISED_DIGITS)})", text)


def _strip(text: str) -> str:
    """Without code marks around the expression and without what only asks for the result."""
    text = text.strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in "`'\"":
        text = text[1:-1].strip()
    return re.sub(r"(?<![\s=?.;])[\s=?.;]+$", "", text).removeprefix("=").strip()


def _times(text: str) -> str:
    """With `*` for an x between two operands."""
    if re.search(r"(?<![\w.])0[xbo][\da-f]", text):
        raise NotationError("it has a hexadecimal, octal or binary number, or an x without spaces after 0")
    return re.sub(r"(?<=[\d).%])\s*x\s*(?=[\d(.$€£¥-])", " * ", text)


def _numbers(text: str) -> str:
    """Without currency signs, thousands separators and leading zeros."""
    text = re.sub(rf"[$€£¥]\s*({_GROUPED})", lambda match: match[1].replace(",", ""), text)
    text = re.sub(r"[$€£¥]\s*(?=[\d.])", "", text)
    return re.sub(r"(?<![\w.])0+(?=\d)", "", _commas(text))


def _commas(text: str) -> str:
    """Without thousands separators; those between arguments stay: `max(100,200)`, but `max(2, 3) * 1,200`."""
    result, inside, last = "", 0, 0
    for match in re.finditer(rf"(?<![\d.]){_GROUPED}|[\[(\])]", text):
        bracket = match[0]
        if bracket in "([":
            is_call = bracket == "[" or bool(re.search(r"[a-z]\d*\s*$", text[: match.start()]))
            inside += 1 if is_call or inside else 0
        elif bracket in ")]":
            inside -= 1 if inside else 0
        elif inside and ", " in text:
            raise NotationError("its commas are ambiguous: write numbers without thousands separators")
        elif not inside:
            result += text[last : match.start()] + bracket.replace(",", "")
            last = match.end()
    return result + text[last:]


def _operators(text: str) -> str:
    text = re.sub(r"(?<![\w.])(\d+)\s?!(?!=)", r"factorial(\1)", text.replace("^", "**"))
    if re.search(r"\d[a-z]", re.sub(r"(?<![\w.])\d+(?:\.\d*)?e[+-]?\d+", "0", text)):
        raise NotationError("a number touches a letter: write 2 * pi, and no units")
    return text


def _percentages(text: str) -> str:
    for match in _ADDED_PERCENT.finditer(text):
        whole = match[1].strip() == "1" and text[: match.start()].rstrip()[-1:] in ("", "(", ",")
        if not whole and not match[1].endswith("%"):
            raise NotationError("it does not say of what the percentage is taken: write 100 - 20% of 100")
    if re.search(rf"/\s*{_NUMBER}\s?%\s*of\b", text):
        raise NotationError("it divides by a percentage of something: put that in parentheses")
    text = _PERCENT.sub(r"(\1/100)", text)
    if re.search(r"[\d.]%[+-]", text):
        raise NotationError("% may mean percent or remainder in it: write spaces around + and -, or around %")
    text = re.sub(r"(?<=/100\))\s*of\b", " *", text)
    return re.sub(r"(?<![\w.*/])(\d+\s?/\s?\d+)\s+of\s+(?=[\d(.])", r"(\1) * ", text)
