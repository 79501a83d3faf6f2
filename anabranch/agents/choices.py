"""Which of the things that the assistant offers a short reply picks by its place: "the second" of "Oslo or Bergen?"."""

import re

from anabranch.agents.small_talk import alternatives, words_of

_MAX_WORDS = 5
_MAX_OFFERED_WORDS = 8
_ORDINALS = """
first|1st|former|erste|ersten|erster|erstes|premier|premiere|primero|primera|primer|primo|prima
second|2nd|zweite|zweiten|zweiter|zweites|deuxieme|seconde|segundo|segunda|secondo|seconda
third|3rd|dritte|dritten|dritter|drittes|troisieme|tercero|tercera|tercer|terzo|terza
fourth|4th|vierte|vierten|vierter|viertes|quatrieme|cuarto|cuarta|quarto|quarta
"""
_LAST = "last|latter|letzte|letzten|letzter|letztes|dernier|derniere|ultimo|ultima"
_AROUND = """
the|that|please|one|option|number|i mean|i take|der|die|das|den|bitte|ich meine|le|la|l|s il vous plait|celui|celle|el
por favor|il|per favore
"""
_CARDINALS = "一二三四"


def _picking(words: str) -> re.Pattern[str]:
    around = f"(?:(?:{alternatives(_AROUND)}) )*"
    return re.compile(f" {around}(?:{alternatives(words)}) {around}")


_PLACES = [*enumerate(map(_picking, _ORDINALS.strip().splitlines())), (-1, _picking(_LAST))]
_NUMBERS = [*enumerate(map(_picking, ("1|one", "2|two", "3|three", "4|four")))]
"""These pick of numbered lists alone: "2" after "how many: two or three?" is no place."""
_UNSPACED = re.compile(rf"(?:我?[要选])?第([{_CARDINALS}])(?:个|種|种|家|本)?[。.]?")
_ITEM = re.compile(r"^\s*(?:[-*•]|(\d{1,2})[.)])\s+(.+?)[\s.;,]*$", re.MULTILINE)
_QUESTION = re.compile(r"[^.!?？。！\n]*[?？]\W*$")
_BETWEEN = re.compile(r"\s*(?:,\s*(?:or|oder|ou|o|oppure)\s+|[、，]|,\s|\s+(?:or|oder|ou|oppure|o)\s+|还是|還是)\s*")


def chosen(words: str, question: str) -> str | None:
    """What a reply picks of the things that a question offers, in the question's words.

    Args:
        words: the reply, such as "the second one", "Das dritte." or "2".
        question: the assistant's words before it, which end in a question, or have a list.

    Returns:
        None if the reply picks nothing by its place, or nothing is there.
    """
    items = _ITEM.findall(question)
    numbered = len(items) > 1 and all(number for number, _ in items)
    offered = [item for _, item in items] if len(items) > 1 else _offered(question)
    place = _place(words, [*_PLACES, *_NUMBERS] if numbered else _PLACES)
    return offered[place] if place is not None and offered and place < len(offered) else None


def _place(words: str, places: list[tuple[int, re.Pattern[str]]]) -> int | None:
    if found := _UNSPACED.fullmatch(words.strip()):
        return _CARDINALS.index(found[1])
    said = words_of(words)
    if len(said) > _MAX_WORDS:
        return None
    return next((place for place, picking in places if picking.fullmatch(f" {' '.join(said)} ")), None)


def _offered(question: str) -> list[str]:
    """The things that a question without a list offers, at least two, or none."""
    found = _QUESTION.search(question.strip())
    _, colon, after = (found[0] if found else "").rpartition(":")
    parts = [part.strip(" ?？*\"'") for part in _BETWEEN.split(after)]
    if len(parts) < 2 or not all(parts) or any(len(part.split()) > _MAX_OFFERED_WORDS for part in parts[1:]):
        return []
    if not colon:
        # "Do you mean Oslo or Bergen?" begins with words that belong to the question.
        parts[0] = " ".join(parts[0].split()[-len(parts[1].split()) :])
    return parts
