"""Which of the things that the assistant offers a short reply picks by its place: "the second" of "Oslo or Bergen?"."""

import re
from collections.abc import Mapping

from anabranch.agents.small_talk import words_of

_MAX_WORDS = 5
_MAX_OFFERED_WORDS = 8
_ORDINALS = """
first 1st former erste ersten erster erstes premier premiere primero primera primer primo prima
second 2nd zweite zweiten zweiter zweites deuxieme seconde segundo segunda secondo seconda
third 3rd dritte dritten dritter drittes troisieme tercero tercera tercer terzo terza
fourth 4th vierte vierten vierter viertes quatrieme cuarto cuarta quarto quarta
"""
_LAST = "last latter letzte letzten letzter letztes dernier derniere ultimo ultima"
_AROUND = """
the that please one option number i mean take der die das den bitte ich meine le la l s il vous plait celui celle el por
favor per favore
"""
_CARDINALS = "一二三四"
_PLACES = {word: place for place, words in enumerate(_ORDINALS.strip().splitlines()) for word in words.split()}
_PLACES |= dict.fromkeys(_LAST.split(), -1)
_NUMBERS = {"1": 0, "2": 1, "two": 1, "3": 2, "three": 2, "4": 3, "four": 3}
"""These pick of numbered lists alone: "2" after "how many: two or three?" is no place."""
_FILLERS = frozenset(_AROUND.split())
_UNSPACED = re.compile(rf"(?:我?[要选])?第([{_CARDINALS}])(?:个|種|种|家|本)?[。.]?")
_ITEM = re.compile(r"(?:[-*•]|(\d{1,2})[.)])\s")
_ENDS = ".!?？。！\n"
_BETWEEN = re.compile(r", (?:or|oder|ou|o|oppure) |, | (?:or|oder|ou|o|oppure) |、|，|还是|還是")


def chosen(words: str, question: str) -> str | None:
    """What a reply picks of the things that a question offers, in the question's words.

    Args:
        words: the reply, such as "the second one", "Das dritte." or "2".
        question: the assistant's words before it, which end in a question, or have a list.

    Returns:
        None if the reply picks nothing by its place, or nothing is there.
    """
    lines = [(line, found) for line in map(str.strip, question.splitlines()) if (found := _ITEM.match(line))]
    items = [line[found.end() :].strip(" .;,") for line, found in lines]
    numbered = len(items) > 1 and all(found[1] for _, found in lines)
    offered = items if len(items) > 1 else _offered(question)
    place = _place(words, _PLACES | _NUMBERS if numbered else _PLACES)
    return offered[place] if place is not None and offered and place < len(offered) else None


def _place(words: str, places: Mapping[str, int]) -> int | None:
    if found := _UNSPACED.fullmatch(words.strip()):
        return _CARDINALS.index(found[1])
    said = words_of(words)
    picking = [word for word in said if word not in _FILLERS]
    return places.get(picking[0]) if len(picking) == 1 and len(said) <= _MAX_WORDS else None


def _offered(question: str) -> list[str]:
    """The things that a question without a list offers, at least two, or none."""
    text = question.rstrip(" *)\"'\n")
    begin = max(text.rfind(end, 0, len(text) - 1) for end in _ENDS) + 1
    asked = " ".join(text[begin:].split()) if text.endswith(("?", "？")) else ""
    _, colon, after = asked.rpartition(":")
    parts = [part.strip(" ?？*\"'") for part in _BETWEEN.split(after)]
    if len(parts) < 2 or not all(parts) or any(len(part.split()) > _MAX_OFFERED_WORDS for part in parts[1:]):
        return []
    if not colon:
        # "Do you mean Oslo or Bergen?" begins with words that belong to the question.
        parts[0] = " ".join(parts[0].split()[-len(parts[1].split()) :])
    return parts
