"""Whether the values of a tool call's arguments come from somewhere, or were made up by the model that wrote them."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_SMALL = frozenset(
    {
        "0",
        "a",
        "an",
        "and",
        "at",
        "by",
        "de",
        "der",
        "die",
        "das",
        "du",
        "el",
        "en",
        "et",
        "for",
        "from",
        "i",
        "in",
        "is",
    }
    | {"it", "la", "le", "my", "of", "on", "or", "the", "to", "und", "we", "with"}
)
_AFTERNOON = re.compile(r"\b(1[01]|\d)(?::\d\d)?\s*p\.?\s?m\b")
_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"),
    "december",
)
_FREE_TEXT_WORDS = 6
"""From so many words on, a value is taken for a text that the model was to write, such as a message."""


def made_up(arguments: Mapping[str, Any], parameters: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """The arguments whose values occur nowhere in what is known.

    Words are compared without case and accents; numbers by their value, also where they are written as words or as
    months; a date or an address occurs if its parts do. A text of several words may be the model's own, if some of its
    words occur. Values that the schema gives (choices, defaults) and yes or no need no source.

    Args:
        arguments: what was written.
        parameters: JSON schema of the tool's arguments.
        known: the conversation and the answers so far.

    Returns:
        Argument names with the first such value of each.
    """
    words = {word for text in known for word in _words(text)}
    text = " ".join(_plain(text) for text in known)
    properties: Mapping[str, Any] = parameters.get("properties", {})
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        given = set(map(str, _given(properties.get(name, {}), parameters)))
        for leaf in _leaves(value):
            if str(leaf) not in given and not _occurs(leaf, words, text):
                found.setdefault(name, leaf)
    return found


def _occurs(value: Any, words: set[str], text: str) -> bool:
    if value is None or isinstance(value, bool) or not str(value).strip():
        return True
    if _plain(str(value)) in text:
        return True
    # Numbers with two points are dates, or addresses: their parts count, not fractions.
    plain = re.sub(r"\.", " ", str(value)) if re.search(r"\d\.\d+\.", str(value)) else str(value)
    parts = [word for word in _words(plain) if word not in _SMALL]
    if not parts:
        return isinstance(value, str)  # signs alone
    known = sum(part in words for part in parts)
    return known * 3 >= len(parts) if len(parts) >= _FREE_TEXT_WORDS else known == len(parts)


def _words(text: str) -> Iterator[str]:
    """Words and numbers; numbers in one form, small ones and months also from words."""
    plain = _ungrouped(_plain(text))
    yield from (str(int(match[1]) + 12) for match in _AFTERNOON.finditer(plain))
    for match in _WORD.finditer(plain):
        word = match[0]
        yield _number(word) if word[0].isdigit() else word
        if word in _NUMBERS:
            yield str(_NUMBERS.index(word))
        elif word in ("a", "an"):
            yield "1"
        elif month := next((n for n, name in enumerate(_MONTHS, 1) if name == word or name[:3] == word), None):
            yield str(month)


def _ungrouped(text: str) -> str:
    """Without the commas between thousands."""
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)


def _number(digits: str) -> str:
    return f"{float(digits):g}" if "." in digits else digits.lstrip("0") or "0"


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in folded if not unicodedata.combining(c)).split())


def _leaves(value: Any) -> Iterator[Any]:
    """All single values in a value."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _given(schema: Any, root: Mapping[str, Any], depth: int = 0) -> Iterator[Any]:
    """The values that a schema itself gives."""
    if not isinstance(schema, Mapping) or depth > 8:
        return
    yield from schema.get("enum", ())
    yield from (schema[key] for key in ("const", "default") if key in schema)
    reference = str(schema.get("$ref", "")).rpartition("/")[2]
    inner = [*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ()), schema.get("items")]
    nested = schema.get("properties")
    inner += nested.values() if isinstance(nested, Mapping) else []
    definitions = root.get("$defs", {})
    for each in [*inner, definitions.get(reference) if isinstance(definitions, Mapping) else None]:
        yield from _given(each, root, depth + 1)


_LIST_MARK = re.compile(r"^[^\S\n]*\d{1,2}[.)]\s", re.MULTILINE)
_NAME = re.compile(r"(?<![^\W_])[^\W\d_]+")
_BEFORE_A_SENTENCE = re.compile(r"[\s\"'(*#>-]*")
_SHORT_ANSWER_WORDS = 5
_STEM = 4


def out_of_thin_air(answer: str, known: Sequence[str]) -> list[str]:
    """What an answer says that stands nowhere in what is known: its numbers, and its names if most of them do not.

    Names are words with a capital, those at the beginning of a sentence only in an answer of a few words. Other words
    are the answer's own, as it may be in another language.

    Args:
        answer: the answer.
        known: the question, and what was found.
    """
    words = {word for text in known for word in _words(text)}
    stems = {word[:_STEM] for word in words}
    text = _LIST_MARK.sub("", answer)
    numbers = list(written_numbers(text))
    short = len(text.split()) <= _SHORT_ANSWER_WORDS
    names = [_plain(name) for name, begins in _names_in(text) if short or not begins]
    names = [name for name in names if name not in _SMALL and name not in _SHORT_ANSWERS]
    strange = [name for name in names if name[:_STEM] not in stems]
    return [number for number in numbers if number not in words] + (strange if 2 * len(strange) > len(names) else [])


def numbers_in(text: str) -> Iterator[str]:
    """All numbers of a text in one form, small ones also from words."""
    return (word for word in _words(text) if word[0].isdigit())


def written_numbers(text: str) -> Iterator[str]:
    """The numbers of a text that are written with digits, in one form."""
    plain = _ungrouped(_plain(text))
    return (_number(match[0]) for match in _WORD.finditer(plain) if match[0][0].isdigit())


def _names_in(text: str) -> Iterator[tuple[str, bool]]:
    """Words with a capital, and whether a sentence begins with them."""
    end = 0
    for match in _NAME.finditer(text):
        if match[0][0].isupper():
            between = text[end : match.start()][::-1]
            gap = _BEFORE_A_SENTENCE.match(between)
            opening = gap[0] if gap else ""
            before = between[len(opening) : len(opening) + 1]
            yield match[0], "\n" in opening or before in tuple(".!?:") or (not before and not end)
        end = match.end()


_SHORT_ANSWERS = frozenset(
    {
        "yes",
        "no",
        "not",
        "none",
        "never",
        "always",
        "true",
        "false",
        "ja",
        "nein",
        "nicht",
        "oui",
        "non",
        "si",
        "da",
        "nee",
    }
)
