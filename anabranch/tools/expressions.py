"""Arithmetic expressions with slots: answers are put into them as numbers that keep their meaning, or not at all.

`{1}^2` with the answer -5 is `(-5)^2`; `{1} - 1900` with the answer `1911-1915` is no expression. Where an answer
could be read in two ways there is none either: the solver, who sees the words, writes the expression then.
"""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal

from anabranch.bounds import MAX_FILLED_CHARS
from anabranch.plan import fill
from anabranch.tools.calculator import find_expression
from anabranch.tools.notation import without_raised

_MAX_CHARS = 80

_SPACES = "\u00a0\u2007\u2009\u202f "
_CURRENCY = r"(?:(?:US|CA|AU|NZ|HK)?\$|[€£¥₹₽₩₺₴₫₪₱]|\b(?:USD|EUR|GBP|JPY|CHF|CNY|INR|SEK|NOK|DKK|PLN|CZK|CAD|AUD)\b)"
_CURRENCY_NAMES = {"$": "dollar", "us$": "dollar", "usd": "dollar", "€": "euro", "eur": "euro"}
_CURRENCY_NAMES |= {"£": "pound", "gbp": "pound", "¥": "yen", "jpy": "yen"}
_BEFORE = re.compile(
    r"(?:[=≈~]|(?:about|approximately|approx\.?|around|roughly|nearly|ca\.?|c\.|circa|in|the year)\s)\s*", re.IGNORECASE
)
_SIGNED = re.compile(
    rf"(?P<sign>[-+−–]|(?:minus|negative)\s)?\s*(?P<currency>{_CURRENCY})?\s*(?P<inner>[-−–])?\s*"
    rf"(?P<number>\d[\d.,'’_{_SPACES}]*\d|\d|\.\d+)(?P<power>e[-+]?\d+)?"
    r"(?:\s*[×x*·]\s*10\s*(?:\^|\*\*)\s*(?P<tens>[-+−]?\d+|\([-+−]?\d+\)))?",
    re.IGNORECASE,
)
_FRACTION = re.compile(r"(?P<sign>[-−])?\s*(?P<over>\d{1,6})\s*[/⁄]\s*(?P<under>[1-9]\d{0,5})(?P<rest>\s.*)?")
_PLAIN = re.compile(r"(?:\d+(?:\.\d+)?|\.\d+)")
# One separator throughout: 1,234,567.8 or 1 234 567.8 or 12,34,567 as in India.
_GROUPED = re.compile(rf"\d{{1,3}}(?:(?P<by>[,'’_{_SPACES}])\d{{3}}(?:(?P=by)\d{{3}})*|(?:,\d\d)+,\d{{3}})(?:\.\d+)?")
_CONTINENTAL = re.compile(
    rf"\d{{1,3}}(?:\.\d{{3}})+,\d+|\d{{1,3}}(?:\.\d{{3}}){{2,}}|\d{{1,3}}(?:[{_SPACES}]\d{{3}})+,\d+"
)
_DECIMAL_COMMA = re.compile(r"\d+,(?:\d{1,2}|\d{4,})")

_MULTIPLES = {"hundred": 2, "thousand": 3, "million": 6, "millions": 6, "billion": 9, "billions": 9, "trillion": 12}
_SHORT_MULTIPLES = {"k": 3, "m": 6, "mn": 6, "mio": 6, "b": 9, "bn": 9, "tn": 12}
_MULTIPLE = re.compile(r"\s*(?P<word>[^\W\d_]+)\.?(?=$|\W)")
_PERCENT = re.compile(r"\s*(?:%|per\s?cent\b)", re.IGNORECASE)
_WORD = r"(?:[^\W\d_]+|[°º'′″Ωµ]+[^\W\d_]*)\.?(?:\^?-?[23]|[²³])?"
_UNIT = re.compile(rf"{_WORD}(?:(?:\s*/\s*|\s*[·*]\s*|\s+){_WORD}){{0,3}}")
# Words that change what the number says: `5 to 10`, `44 BC`, `12 less than Ann`, `20th`, `the 1990s`.
_CHANGING = """
to or and less more fewer than of times plus minus over under above below before after ago bc bce bis dozen score half
quarter third thirds pair pairs st nd rd th s x e percent percentage point points until through till versus vs against
"""
_CHANGES = frozenset(_CHANGING.split())
_SPAN = re.compile(r"(?<![\d.])(\d+)[-/](\d+)[-/](\d+)(?![\d.])|(?<![\d.])(\d[\d.]*)-(\d[\d.]*)")


def filled_expression(text: str, answers: Mapping[int, str]) -> str | None:
    """The arithmetic expression that a sub-question asks for, with the answers it depends on in its slots.

    Args:
        text: the sub-question's text, with its slots.
        answers: answer text by sub-question id.

    Returns:
        The expression; None if there is none, or if an answer is not one number without doubt.
    """
    marked = fill(without_raised(text), {id_: f"\ue000{id_}\ue001" for id_ in answers})
    pieces = re.split("\ue000(\\d+)\ue001", marked)
    words, ids = pieces[::2], pieces[1::2]
    units: set[str] = set()
    expression = words[0]
    for id_, before, after in zip(ids, words, words[1:], strict=False):
        value = _in_place(answers[int(id_)], before, after, units)
        if value is None:
            return None
        expression = re.sub(r"[$€£¥]\s*$", "", expression) + value + after
        if len(expression) > MAX_FILLED_CHARS:
            return None
    return find_expression(expression) if len(units) < 2 else None


def span_in(expression: str, answers: Mapping[int, str]) -> str | None:
    """The first answer that is a range or a date and stands in an expression as if it were a subtraction."""
    squeezed = _squeezed(expression)
    for answer in answers.values():
        for match in _SPAN.finditer(_squeezed(answer[:_MAX_CHARS])):
            standing = re.search(rf"(?<![\d.]){re.escape(match[0])}(?![\d.])", squeezed)
            if standing and (match[1] or _ascends(match[4], match[5])):
                return " ".join(answer.split())
    return None


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", re.sub(r"[−–—‒]|\bto\b", "-", text))


def _ascends(start: str, end: str) -> bool:
    """Whether `5-10` or `1914-18` is a range; `8-3` may be a score, whose difference may be asked for."""
    if re.fullmatch(r"\d{4}", start) and re.fullmatch(r"\d\d", end):
        end = start[:2] + end
    return [len(start.split(".")[0]), start] < [len(end.split(".")[0]), end]


def _in_place(answer: str, before: str, after: str, units: set[str]) -> str | None:
    """An answer as it may stand between two pieces of an expression; its unit goes to `units`."""
    if re.search(r"[\w.]$", before) or re.match(r"\w|\.\d", after):
        return None
    found = _number(answer)
    if re.search(r"[a-z]\s*\($", before, re.IGNORECASE) and re.match(r"\s*\)", after):
        if items := _list(answer):
            return ", ".join(items)
        if found and "," in answer and found[1] == "":
            return None
    if found is None:
        return None
    value, unit = found
    units |= {unit} if unit else set()
    if value.endswith("%"):
        if re.match(r"\s*%", after):
            value = value[:-1]
        elif re.match(r"\s*(?:\^|\*\*)", after):
            return f"({value})"
        else:
            return value if not value.startswith("-") else None
    touches = re.search(r"[-–−/]$", before) or re.match(r"[-–−/]", after)
    return f"({value})" if touches or not _PLAIN.fullmatch(value) else value


def _list(answer: str) -> list[str] | None:
    """The numbers of an answer that is a list of them."""
    text = answer.strip().rstrip(".")
    text = text[1:-1] if re.fullmatch(r"\[.*\]|\(.*\)", text, re.DOTALL) else text
    items = [
        item
        for item in re.split(r",\s+and\s+|,\s+|;\s*|\n|(?<!\s)[^\S\n]+and\s+|(?<=\n)[^\S\n]+and\s+", text)
        if item.strip()
    ]
    numbers = [_number(item) for item in items]
    if len(items) < 2 or any(number is None or number[1] for number in numbers):
        return None
    return [number[0] for number in numbers if number]


def _number(answer: str) -> tuple[str, str] | None:
    """A number in plain notation and its unit (or an empty text), if the answer is nothing but one number."""
    text = _undecorated(answer)
    if len(text) > _MAX_CHARS:
        return None
    if fraction := _FRACTION.fullmatch(text):
        return _fraction(fraction)
    match = _SIGNED.match(text)
    if not match or (match["sign"] and match["inner"]):
        return None
    currency, rest = match["currency"] or "", text[match.end() :]
    if not currency and (behind := re.match(rf"\s*({_CURRENCY})(?=$|[\s.])", rest, re.IGNORECASE)):
        currency, rest = behind[1], rest[behind.end() :]
    percent = _PERCENT.match(rest)
    rest = rest[percent.end() :] if percent else rest
    zeros, rest = (0, rest) if percent else _multiple(rest, bool(currency))
    unit = _unit(rest)
    if unit is None or (currency and unit):
        return None
    plain = _plain_digits(match["number"], currency=bool(currency), unit=bool(unit or currency or percent))
    if plain is None:
        return None
    exponent = zeros + int(re.sub(r"[()]", "", (match["tens"] or "0")).replace("−", "-"))
    exponent += int(match["power"][1:]) if match["power"] else 0
    if abs(exponent) > 300:
        return None
    number = format(Decimal(plain).scaleb(exponent), "f") if exponent else plain
    sign = "-" if match["inner"] or (match["sign"] or "+").strip() != "+" else ""
    unit = _CURRENCY_NAMES.get(currency.casefold() or unit, currency.casefold() or unit)
    return f"{sign}{number}{'%' if percent else ''}", unit


def _undecorated(answer: str) -> str:
    """Without Markdown, quotes, references, words such as `about`, a full stop at the end; with Western digits."""
    text = (
        re.sub(r"(?<=\w)(?:\s*\[\d{1,3}\])+[\s.]*$", "", answer).strip().strip('*_`"“”').strip().rstrip(".!;").strip()
    )
    text = re.sub("(?<=10)[⁺⁻]?[⁰¹²³⁴-⁹]+", lambda match: without_raised(match[0]), text)
    text = "".join(str(unicodedata.decimal(c, c)) for c in text).replace("٬", ",").replace("٫", ".")
    text = text.strip("*_`").strip()
    if len(text) > 1 and text[0] == text[-1] == "$":
        text = text[1:-1].replace("\\", "")
    match = _BEFORE.match(text)
    return text[match.end() :] if match else text


def _fraction(match: re.Match[str]) -> tuple[str, str] | None:
    unit = _unit(match["rest"] or "")
    if unit is None or int(match["over"]) >= int(match["under"]):
        return None
    return f"{'-' if match['sign'] else ''}{int(match['over'])}/{match['under']}", unit


def _multiple(rest: str, money: bool) -> tuple[int, str]:
    match = _MULTIPLE.match(rest)
    word = match["word"].casefold() if match else ""
    known = _MULTIPLES | _SHORT_MULTIPLES if money else _MULTIPLES | {"bn": 9, "mio": 6}
    return (known[word], rest[match.end() :]) if match and word in known else (0, rest)


def _unit(rest: str) -> str | None:
    """What follows a number as a unit (without plural), an empty text where nothing does; None if it is no unit."""
    rest = rest.strip()
    if not rest:
        return ""
    words = re.findall(r"[^\W\d_]+", rest.casefold())
    if not _UNIT.fullmatch(rest) or _CHANGES.intersection(words) or set(words) & _MULTIPLES.keys():
        return None
    return " ".join(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in rest.casefold().split())


def _plain_digits(number: str, *, currency: bool, unit: bool) -> str | None:
    """Digits without separators; None where a comma or point could separate thousands as well as decimals."""
    if _PLAIN.fullmatch(number):
        # No price has three decimals: `1.234 €` may be either.
        return number if not (currency and re.fullmatch(r"\d{1,3}\.\d{3}", number)) else None
    if _GROUPED.fullmatch(number):
        return re.sub(r"[^\d.]", "", number)
    if _CONTINENTAL.fullmatch(number) or (unit and _DECIMAL_COMMA.fullmatch(number)):
        return re.sub(r"[^\d,]", "", number).replace(",", ".")
    return None
