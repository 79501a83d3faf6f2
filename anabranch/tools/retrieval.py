"""Which tools of a large catalogue fit a request: by their words, without a model or a network.

BM25 (Lucene's variant) over the words of a tool's name, its description and the names of its arguments, with common
English endings cut off. Requests for several things are looked up whole and clause by clause. Part of the places go to
tools that share words with the best ones, first of all to those that search: a request names what it wants and not the
calls on the way to it, such as the search that gives a later call its id. The numbers were chosen on the training rows
of UltraTool and Seal-Tools (docs/toolplans.md).
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from anabranch.tools.terms import STOP_WORDS, tokenize

_SATURATION, _LENGTH = 1.2, 0.75
"""BM25's usual k1 and b."""
_LEAD = 5
"""Tools of which related ones are looked for."""
_RELATED = 0.3
"""What being related to the best tool is worth, as a share of its score."""
_SEARCHING = 2.0
"""How much more a related tool counts that searches for something."""
_LEAST_BEST = 6.0
"""A clause whose best tool scores less than this says little, and counts so much less."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_CLAUSE = re.compile(r"(?<=[.!?;])\s+|[,;]\s+|\b(?:and|then|also|after that|finally)\b", re.IGNORECASE)
_ENDINGS = (
    *("ations", "ation", "ating", "ated", "ates", "ator", "ate", "ings", "ing", "ions", "ion", "ers", "er", "ed", "es"),
    *("ments", "ment", "al", "ly", "e", "y", "s"),
)
_SEARCH_WORDS = ("search", "find", "lookup", "query", "list")


@dataclass(frozen=True)
class ToolText:
    """What is known of a tool in words.

    Attributes:
        name: its name.
        description: what it is for; may be empty.
        arguments: names of its arguments.
    """

    name: str
    description: str = ""
    arguments: tuple[str, ...] = ()


class ToolIndex:
    """Finds tools by the words of a request.

    Args:
        tools: the catalogue.
    """

    def __init__(self, tools: Sequence[ToolText]) -> None:
        self._tools = [Counter(_terms(_text(tool))) for tool in tools]
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        sizes = [terms.total() for terms in self._tools]
        usual = max(1.0, sum(sizes) / max(1, len(sizes)))
        found_in = Counter(term for terms in self._tools for term in terms)
        for place, terms in enumerate(self._tools):
            room = _SATURATION * (1 - _LENGTH + _LENGTH * sizes[place] / usual)
            for term, times in terms.items():
                rarity = math.log(1 + (len(tools) - found_in[term] + 0.5) / (found_in[term] + 0.5))
                self._postings[term].append((place, rarity * times * (_SATURATION + 1) / (times + room)))

    def find(self, request: str, most: int) -> list[int]:
        """Places of the tools that fit, best first; where too few share a word with the request, others follow.

        Args:
            request: in any words.
            most: how many.
        """
        scores = self._fit(request)
        lead = _best(scores, most - most // 2)
        related = self._related(scores)
        for place, score in related.items():
            scores[place] += _RELATED * score
        others = [place for place in _best(scores, most) if place not in lead]
        found = [*lead, *others][:most]
        # Nothing fits: a tool that searches may find what others do not know of.
        searching = [place for place, terms in enumerate(self._tools) if _SEARCH_TERMS.intersection(terms)]
        rest = (place for place in dict.fromkeys([*searching, *range(len(self._tools))]) if place not in found)
        return [*found, *(place for place, _ in zip(rest, range(most - len(found)), strict=False))]

    def _fit(self, request: str) -> defaultdict[int, float]:
        """How well tools fit the whole request, and the clause of it that they fit best: at most 1 for each."""
        whole = self._scores(_terms(request))
        best = max(whole.values(), default=1.0)
        clauses: dict[int, float] = {}
        for clause in _CLAUSE.split(request):
            found = self._scores(_terms(clause)) if len(clause.split()) > 1 else {}
            most = max(_LEAST_BEST, *found.values()) if found else 1.0
            for place, score in found.items():
                clauses[place] = max(clauses.get(place, 0.0), score / most)
        return defaultdict(float, {place: score / best + clauses.get(place, 0.0) for place, score in whole.items()})

    def _related(self, scores: Mapping[int, float]) -> dict[int, float]:
        """How much tools have in common with those that fit best."""
        related: dict[int, float] = defaultdict(float)
        for place in _best(scores, _LEAD):
            alike = self._scores(self._tools[place])
            for other, score in alike.items():
                if other != place:
                    searching = _SEARCHING if _SEARCH_TERMS.intersection(self._tools[other]) else 1.0
                    related[other] += scores[place] * score / alike[place] * searching
        return related

    def _scores(self, terms: Iterable[str]) -> dict[int, float]:
        scores: dict[int, float] = defaultdict(float)
        for term in set(terms):
            for place, weight in self._postings.get(term, ()):
                scores[place] += weight
        return scores


def _best(scores: Mapping[int, float], most: int) -> list[int]:
    return sorted(scores, key=lambda place: (-scores[place], place))[:most]


def words_of_name(name: str) -> str:
    """The words of an identifier: `getBookingById` and `get_booking_by_id` are `get Booking By Id`."""
    return " ".join(_WORD.findall(name))


def _text(tool: ToolText) -> str:
    return " ".join([words_of_name(tool.name), tool.description, *map(words_of_name, tool.arguments)])


def _terms(text: str) -> list[str]:
    return [_stem(term) for term in tokenize(text) if term not in STOP_WORDS]


def _stem(word: str) -> str:
    """A word without its ending: booking, booked and bookings are the same."""
    if len(word) < 4 or not word.isascii():
        return word
    if len(word) < 6:
        return word[:-1] if word[-1] in "ey" else word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= (4 if len(ending) < 3 else 3):
            word = word.removesuffix(ending)
            break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] else word


_SEARCH_TERMS = frozenset(_stem(word) for word in _SEARCH_WORDS)
