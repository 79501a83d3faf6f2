"""Questions about encyclopaedia paragraphs whose answers are found by patterns, so that no teacher is needed.

The first sentences of such paragraphs say the same things in the same ways: when somebody was born, who directed a
film. Where a paragraph has no word about it, the question is one that it does not answer.
"""

import re
from collections.abc import Iterator, Sequence

from anabranch.distill.sources import Passage

_WORD = r"(?:[A-Z][\w'’-]+|[A-Z]\.)"
_NAME = rf"({_WORD}(?: (?:de|von|van|del|da|al|bin))?(?: {_WORD}){{1,3}})"
_PLACE = r"([A-Z][\w'’-]+(?:,? [A-Z][\w'’-]+){0,3})"
_DATE = r"(\d{1,2} [A-Z][a-z]+ \d{4}|[A-Z][a-z]+ \d{1,2}, \d{4})"
_OPENING = 350
"""Characters of a paragraph that are about its title."""

_PATTERNS: Sequence[tuple[str, str, tuple[str, ...]]] = (
    (rf"\bdirected by {_NAME}", r"direct", ("Who directed {t}?", "Who is the director of {t}?")),
    (rf"\(born [^()]*?{_DATE}", r"\bborn\b|[–-]", ("When was {t} born?", "What is the date of birth of {t}?")),
    (rf"\([^()]*?{_DATE} ?[–-] ?[^()]*\)", r"\bborn\b|[–-]", ("When was {t} born?", "On which date was {t} born?")),
    (rf"[–-] ?{_DATE}\)", r"\bdied\b|death|[–-]|killed", ("When did {t} die?", "What is the date of death of {t}?")),
    (rf"\bborn (?:on [^.]*? )?in {_PLACE}", r"\bborn\b|native|from",
     ("Where was {t} born?", "What is the birthplace of {t}?")),
    (rf"\bcomposed by {_NAME}", r"compos|music", ("Who composed {t}?", "Who is the composer of {t}?")),
    (rf"\bwritten by {_NAME}", r"writ|author|wrote", ("Who wrote {t}?", "By whom was {t} written?")),
    (rf"\bproduced by {_NAME}", r"produc", ("Who produced {t}?", "Who was the producer of {t}?")),
    (rf"\b(?:recorded|sung|performed) by {_NAME}", r"record|sung|perform|song", ("Who performed {t}?",)),
    (r"\b(?:is|was) an? (\d{4}) [^.]{0,40}?\bfilm", r"\d{4}",
     ("In which year did {t} come out?", "When was {t} released?")),
    (rf"\breleased (?:in|on) (?:{_DATE[1:-1]}|\d{{4}})", r"\d{4}|releas", ("When was {t} released?",)),
    (r"\b(?:founded|established) in (\d{4})", r"found|establish|\d{4}",
     ("When was {t} founded?", "In which year was {t} founded?")),
    (rf"\bfounded (?:in \d{{4}} )?by {_NAME}", r"found", ("Who founded {t}?", "Who was the founder of {t}?")),
    (rf"\blocated in {_PLACE}", r"locat|\bin\b", ("Where is {t}?", "Where is {t} located?")),
    (r"\bpopulation (?:of|was) ([\d,]+\d)", r"population|inhabitant|people",
     ("What is the population of {t}?", "How many people live in {t}?")),
    (rf"\bpublished (?:in|on) (?:{_DATE[1:-1]}|\d{{4}})", r"publi", ("When was {t} published?",)),
)  # fmt: skip
_KINDS = {
    "film": (0, 5, 6, 7, 9),
    "person": (1, 3, 4),
    "place": (13, 14),
    "company": (11, 12),
}
_KIND_OF = (
    (re.compile(r"\bfilm\b|\bmovie\b"), "film"),
    (re.compile(r"\bborn\b|\b(?:actor|actress|singer|politician|footballer|player|writer|director)\b"), "person"),
    (re.compile(r"\b(?:village|town|city|municipality)\b"), "place"),
    (re.compile(r"\b(?:company|corporation|organi[sz]ation|club|university)\b"), "company"),
)


def facts(passage: Passage) -> Iterator[tuple[str, str]]:
    """Questions about a paragraph, with answers that stand in it; empty where it does not answer.

    Args:
        passage: with `title` and `text`.
    """
    title = re.sub(r"\([^()]*\)$", "", passage["title"]).strip()
    opening = passage["text"][:_OPENING]
    if len(title) < 4:
        return
    asked = set[str]()
    for number, (pattern, _, questions) in enumerate(_PATTERNS):
        found = re.search(pattern, opening)
        answer = (found[1] if found.groups() else found[0].split(" ", 2)[2]) if found else ""
        answer = answer.strip(" .,")
        ways = [q for q in questions if q not in asked]
        if answer and ways and answer not in title:
            asked.update(questions)
            yield ways[(number + len(title)) % len(ways)].replace("{t}", title), answer
    kind = next((kind for words, kind in _KIND_OF if words.search(opening)), "")
    for number in _KINDS.get(kind, ()):
        _, words, questions = _PATTERNS[number]
        if not asked.intersection(questions) and not re.search(words, passage["text"], re.IGNORECASE):
            yield questions[len(title) % len(questions)].replace("{t}", title), ""
            return
