"""Words of a message that look as if they stood for something said before, and that do not.

"When did Marie Curie get her first prize?" says who "her" is; "it" in "Is it legal to fly a drone?", "there" in "Are
there bears in Slovenia?" and "that" in "a hotel that takes dogs" stand for nothing. Told by closed classes of words, by
where they stand and by capital letters. Where that is not enough, a word is taken to stand for something said before.
"""

import re

from anabranch.agents.small_talk import alternatives

SETTLED = "x"
"""Stands in the place of a word that leans on nothing."""


def settle(words: str) -> str:
    """A message with `x` for each word that stands for nothing, or for something in the message itself."""
    return _with_antecedents(_EMPTY.sub(_blanked, _QUOTED.sub(_QUOTATION, words)))


def own_names(words: str) -> list[str]:
    """The words of a message that are written in capitals as names are, without months, days and first words."""
    return [found[0] for found in _NAME_INSIDE.finditer(_QUOTED.sub(_QUOTATION, words))]


def _blanked(found: re.Match[str]) -> str:
    """What was found, with `x` for what its groups hold."""
    text, begin = found[0], found.start()
    for number in range(len(found.groups()), 0, -1):
        if found[number] is not None:
            text = text[: found.start(number) - begin] + SETTLED + text[found.end(number) - begin :]
    return text


def _with_antecedents(words: str) -> str:
    """A message with `x` for each pronoun that has what it stands for before it in the message."""

    def settled(found: re.Match[str]) -> str:
        known = _resolves(words[: found.start()], found[0].casefold(), words[found.end() :])
        return SETTLED if known else found[0]

    return _PERSONAL.sub(settled, words)


def _resolves(before: str, pronoun: str, after: str) -> bool:
    """Whether a pronoun stands for something that its own message has before it."""
    *earlier, sentence = _SENTENCE_END.split(before)
    plural = pronoun in _PLURAL
    if any(_has_antecedent(each, plural=plural, begun=True) for each in earlier):
        return True
    if not _has_antecedent(sentence, plural=plural, begun=bool(earlier)):
        return False
    if pronoun in _POSSESSIVE and _FOLLOWED.match(after):
        # "Is Mina Dahl her boss?" cannot be about Mina Dahl, while "Did Mina Dahl get her job in May?" most often is.
        return not _COPULA.search(sentence)
    return bool(_CLAUSE.search(sentence) if pronoun in _OBJECT else _CLAUSE_END.search(sentence))


def _has_antecedent(text: str, *, plural: bool, begun: bool) -> bool:
    """Whether a text has something that a pronoun after it may stand for.

    Args:
        text: what is before the pronoun.
        plural: whether the pronoun stands for several.
        begun: whether the text's first word may be a name, as it is no question word.
    """
    named = (_NAME if begun else _NAME_INSIDE).search(text)
    return bool(named or _INDEFINITE.search(text) or (plural and _MANY.search(text)))


_CAPITAL = r"(?-i:[A-ZÀ-ÖØ-Þ])"
_CALENDAR = alternatives("""
january|february|march|april|may|june|july|august|september|october|november|december|monday|tuesday|wednesday|thursday
friday|saturday|sunday|mondays|tuesdays|wednesdays|thursdays|fridays|saturdays|sundays|christmas|easter|i|ok|x
""")
NAME = rf"(?={_CAPITAL})(?!(?i:{_CALENDAR})\b)\w+"
"""A word that is written as names are. At the beginning of a sentence all words are."""
_NAME = re.compile(rf"\b{NAME}")
_NAME_INSIDE = re.compile(rf"(?<=[^\W_][,’'\s-]){NAME}")
_QUOTED = re.compile(r"[\"“”„«][^\"“”„«»]+[\"“”»]")
_QUOTATION = " Quoted "
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")

_BEFORE = "in|on|at|of|from|to|for|with|by|about|against|between|around|near|under|over|into|during|through|than"
_UNSAID = f"{_BEFORE}|up|off|out|down|away|rid|there|it|them|then"
# "To get in", "to walk in winter" and "to clean" leave out what they are about.
_DOING = rf"(?=to\s+\w+\s+(?:(?!(?:{_UNSAID})\b)\w|(?:\w+\s+)?(?:{_BEFORE})\s+{_CAPITAL}))"
_PLACED = rf"(?=[^.?!]{{0,80}}\b(?:{_BEFORE}|besides)\s+(?:\w+\s+){{0,2}}{NAME})"
_PLACED_ELSEWHERE = rf"(?=[^.?!]{{0,80}}\b(?:in|à|a|au|aux|en|dans|les|von|nach|de|du)\s+(?:\w+\s+)?{_CAPITAL})"
_DEGREE = r"(?:(?:not|still|really|ever|also|always|usually|too|more|often|\w{1,20}ly)\s+)?"
_WEATHER = "rain|snow|hail|freeze|raining|snowing|cold|hot|warm|dark|sunny|windy"
_TIMES = """
year|month|week|weekend|morning|afternoon|evening|night|century|decade|summer|winter|spring|autumn|season|time of
"""
_TIMES_ELSEWHERE = "jahr|monat|woche|année|mois|semaine|été|hiver|año|mes|semana"
_THINKING = "(?:know|knew|say|said|think|believe|claim|prove|show|mean|sure|certain|true|fact|agree|guarantee)s?"
_GROUPED = (
    rf"\b(?:is|was|isn't|would|will|can|could)\s+(it)\s+(?:be\s+)?{_DEGREE}\w+\s+(?:for\s+\w+\s+)?{_DOING}",
    rf"\b(it)\s+(?:is|was|would\s+be)\s+{_DEGREE}\w+\s+{_DOING}",
    r"\b(?:is|was|isn't)\s+(it)\s+(?:\w+\s+)?(?:true|possible|likely|legal|normal|known|certain)\s+(that)(?=\s+\w)",
    rf"\b(?:does|did|will|would|can)\s+(it)\s+(?:usually\s+)?(?:take|cost)\s+(?:(?:me|us|a\s+\w+)\s+)?{_DOING}",
    rf"\b(?:does|did|will|is|was)\s+(it)\s+{_DEGREE}(?:{_WEATHER}|get\s+\w+){_PLACED}",
    rf"\b(?:when|while|if|before|until|as)\s+(it)(?:\s+is|['’]s|\s+gets)\s+(?:{_WEATHER}|noon|midnight|night)\b",
    r"\b(?:when|while|if)\s+(it)\s+(?:rains|snows|freezes)\b",
    r"\bwhat\s+(?:time|day|date|year)\s+is\s+(it)(?!\s+there)",
    r"\bhow\s+far\s+is\s+(it)\s+(?=(?:by\s+\w+\s+)?from\s+\w+.{0,60}\bto\s+\w)",
    rf"\b(?:is|are|was|were|will|isn't|aren't|has|have)\s+(there)\s+(?:(?:been|be)\s+)?{_PLACED}",
    rf"\b(there)\s+(?:is|are|was|were)\s+{_PLACED}",
    r"\b(?:is|are)\s+(there)\s+(?:in|to)\s+(?:(?:an?|\d+)|(one))\s+(?=\w)",
    r"\b(?:an?|any|some|first|last|only)\s+(?:\w+\s+){1,3}?(that)\s+(?!(?:one|too|also|much|many|long|time)\b)(?=\w)",
    rf"\bthe\s+(?:\w+\s+){{1,2}}?(that)\s+(?!(?:one|too|much|many|i|we|you|{alternatives(_TIMES)}|day)\b)(?=\w+\s+\w)",
    r"\b(both)\s+(?=\w[^.?!]{0,100}\sand\s+\w)",
    r"\b(same)\s+(?=\w+(?:\s+\w+)?\s+as\s+\w)",
    rf"\s{_CAPITAL}\w*[^.?!]{{0,100}}\sand\s+(?:the\s+)?{_CAPITAL}[^.?!]{{0,100}}\bthe\s+(same)\b",
    r"\bso\s+\w+\s+(that)\s+(?=\w)",
    rf"\b{_THINKING}\s+(that)\s+(?=(?:an?|the|all|some|many|most|people|every)\s+\w|{_CAPITAL}|\w+s\s)",
    rf"\b(this)\s+(?=(?:{alternatives(_TIMES)})\b)",
    rf"\b(dieses|diese|diesen|diesem|cette|cet|ce|este|esta)\s+(?=(?:{_TIMES_ELSEWHERE})\b)",
    r"\b(these)\s+(?=days\b)",
    r"\b(?:in|of|per|for|from|than|to|are|is|within|after)\s+(one)\s+(?!(?:of|is|are|was|and|or|in|the)\b)(?=\w)",
    rf"\b(?:does|do|can|could|must|should|would)\s+(one)\s+(?=\w){_PLACED}",
    r"\b(?:if|when|why|where|and)\s+(one)\s+of\s+(?=\d|a\b|my\b)",
    # "Son" is a pronoun in French.
    r"\b(?:my|our|your|the|a|whose|['’]s)\s+(son)\b",
    r"-(?:t-)?(il)\s+(?:vrai|possible|interdit|permis|normal)\b",
    r"\bfaut-(il)\b",
    rf"\b(y)\s+a-t-(il)\b{_PLACED_ELSEWHERE}",
    rf"\b(il)\s+(y)\s+a\b{_PLACED_ELSEWHERE}",
    r"^\W*(?:où|quand|comment|pourquoi|que|combien)\s+\S.{0,60}?\s\w+(?:\s\w+)?-(?:t-)?(ils?|elles?)\b",
    rf"\bgibt\s+(es)\b{_PLACED_ELSEWHERE}",
    r"\bdauert\s+(es),?\s+(?=.{0,60}\bzu\b)",
)
_EMPTY = re.compile("|".join(_GROUPED), re.IGNORECASE)
_PERSONAL = re.compile(
    r"\b(?:he|she|it|they|him|her|them|his|its|their|both|son|sa|ses|leurs?|su|sus|(?:ihr|sein)(?:e|en|em|er|es)?)\b",
    re.IGNORECASE,
)
_PLURAL = frozenset(["they", "them", "their", "both", "leur", "leurs"])
_OBJECT = frozenset(["him", "them", "both", "it", "her"])
_POSSESSIVES = """
his her its their son sa ses leur leurs su sus ihr ihre ihren ihrem ihrer ihres sein seine seinen seinem seiner seines
"""
_POSSESSIVE = frozenset(_POSSESSIVES.split())
_FOLLOWED = re.compile(rf"\s+(?!(?:{_BEFORE}|and|or|too|also|again)\b)\w", re.IGNORECASE)
_COPULA = re.compile(
    rf"\b(?:is|was|are|were|war|ist|est|était|es|era)\s+(?:{NAME}\s+)*(?:not\s+|also\s+)?$", re.IGNORECASE
)
_CLAUSES = "when|after|before|because|while|until|once|although|though|if|and|so"
_CLAUSE = re.compile(rf"\b(?:{_CLAUSES}|who)\b|[,;:]", re.IGNORECASE)
_CLAUSE_END = re.compile(rf"(?:\b(?:{_CLAUSES})|[,;:])\s*$", re.IGNORECASE)
_INDEFINITE = re.compile(
    r"\b(?:an?|which|every|each|any|some|somebody|someone|everybody|my|our|one of|eine?|une?|una)\s+\w", re.IGNORECASE
)
_MANY = re.compile(
    r"\b(?:do|did|can|could|should|must|will|would|may|have|had|are|were|when|if|and)\s+"
    r"(?:(?!(?:his|its|this|was|is|has|does)\b)[^\W\d_]{2,}s|people|children|men|women|mice)\b",
    re.IGNORECASE,
)
