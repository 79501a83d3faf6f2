"""How a message leans on what was said before, told by its words, before any model is asked.

Only closed classes of words are looked at: pronouns, articles, conjunctions, question words. They are few, they hardly
change, and nobody can lean on earlier turns in English, German or French without one of them, unless by leaving words
out. Other languages leave the subject out of whole sentences, so that their messages never count as standing alone.
"""

import re
from typing import Literal

from anabranch.agents.antecedents import NAME, SETTLED, own_names, settle
from anabranch.agents.small_talk import alternatives, has_question_word, words_of
from anabranch.tools.terms import UNSPACED

Form = Literal["alone", "referring", "question", "fragment", "reply"]
"""What a message looks like: a question that stands by itself; one with a word for something said before; one that may
lean on earlier turns; a few words, or a correction, whose sentence is in an earlier turn; the answer to a question of
the assistant's."""
MARKS = "?？؟;；⸮"
_FEW_WORDS = 3
_WORDS_OF_A_SENTENCE = 6
_WORDS_OF_A_SUB_QUESTION = 10
_PRONOUN_WITHIN = 7
"""Among the first words of a message, pronouns most often stand for something said before."""


def form_of(words: str, *, asked_back: bool) -> Form:
    """What a message looks like.

    Args:
        words: the message.
        asked_back: whether the assistant's last words were a question.
    """
    words = _without_preamble(words)
    if _is_whole_task(words):
        return "alone"
    if asked_back and not asks_something(words):
        return "reply"
    said = f" {' '.join(words_of(words))} "
    if _CORRECTING.search(said):
        return "fragment"
    opening = _OPENING.match(said)
    rest = said[opening.end() :] if opening else words
    length = _length(rest)
    begins = asks_something(rest.rstrip(f" {MARKS}")) or (not opening and is_task(words))
    if length < _FEW_WORDS or _PARTIAL.match(rest) or (not begins and (opening or length <= _WORDS_OF_A_SENTENCE)):
        return "fragment"
    settled = settle(words)
    first = words_of(rest if opening else settled)[:_PRONOUN_WITHIN]
    if (opening and begins) or not _PRONOUNS.isdisjoint(first) or _PHRASES.search(rest.lower()):
        return "referring"
    return "alone" if begins and length > _FEW_WORDS and not _leans(settled) else "question"


def asks_something(words: str) -> bool:
    """Whether a message is a question, by its mark or its first word."""
    said = words_of(words)
    begun = said[1:] if said and said[0] in _PREPOSITIONS else said
    asks = bool(begun) and (begun[0] in _FIRST_WORDS or has_question_word(" ".join(begun)))
    return asks or any(mark in words for mark in MARKS)


def says_what_differs(words: str) -> bool:
    """Whether a message names what is different from the question before: "and in May?", "no, the red one"."""
    said = f" {' '.join(words_of(words))} "
    return bool(_OPENING.match(said) or _CORRECTING.search(said))


def rewords(words: str) -> bool:
    """Whether a message wants what was said in another form: "in one sentence", "can you turn that into a mail?"."""
    return bool(_REWORDING.search(words) or _DOING_TO_IT.search(words))


def stands_without_opening(words: str) -> bool:
    """Whether a message would stand by itself without the "and" at its beginning."""
    found = _OPENING.match(f" {' '.join(words_of(words))} ")
    places = [word.start() for word in _WORD.finditer(words)]
    opening = len(found[0].split()) if found else 0
    return len(places) > opening and form_of(words[places[opening] :], asked_back=False) == "alone"


def definite(words: str) -> list[str]:
    """The words that come after "the" in a message, up to three of each place."""
    return [word for found in _ARTICLE.finditer(words) for word in words_of(words[found.end() :])[:3]]


def new_names(words: str, before: str = "") -> list[str]:
    """The names in a message that were not said before; none in German, where all nouns look like names."""
    if not _GERMAN.isdisjoint(words_of(words)):
        return []
    return [name for name in own_names(words) if name.casefold() not in before.casefold()]


def content_of(words: str) -> str:
    """A message without the words of closed classes, in lower case and without accents."""
    said = _CORRECTING.sub(" ", _OPENING.sub(" ", f" {' '.join(words_of(words))} "))
    return " ".join(word for word in said.split() if word not in _CLOSED)


def references(words: str) -> int:
    """Number of words and phrases for something said before, without "it is", "there is" and "one needs"."""
    said = _PRONOUNS.intersection(words_of(words)) - {"it", "there", "one"}
    return len(said) + len(_PHRASES.findall(words.lower()))


def lacks_its_subject(words: str) -> bool:
    """Whether a short question has a pronoun and nothing in itself that it may stand for: "What is their number?"."""
    said = words_of(settle(words))
    return len(said) <= _WORDS_OF_A_SUB_QUESTION and not (_PERSONAL.isdisjoint(said) or new_names(words))


def addresses(words: str) -> bool:
    """Whether a message has a word for the one who is spoken to: "can you put that into a table?"."""
    words = _without_preamble(words)
    return not _ADDRESSING.isdisjoint(words_of(words)) or any(word in words for word in _UNSPACED_ADDRESSING)


def asks_what_was_meant(words: str) -> bool:
    """Whether a message is about the last answer whatever was said: "what do you mean by that?", "say it in French"."""
    return bool(_WHAT_WAS_MEANT.match(words))


def speaks_of_a_person(words: str) -> bool:
    """Whether a message has "he", "her" or the like."""
    return not _PERSONS.isdisjoint(words_of(words))


def begins_with_a_question_word(words: str) -> bool:
    """Whether the first word of a message is one that asks."""
    return bool(words_of(words)) and words_of(words)[0] in _ASKING


def speaks_of_somebody(words: str) -> bool:
    """Whether a message has a word for the user, the assistant or what was said before, as remarks have."""
    return _points(settle(words)) or not _SPEAKING.isdisjoint(words_of(words))


def _length(words: str) -> int:
    """Number of words; two characters count as one in scripts without spaces."""
    return sum(max(1, (len(_UNSPACED.findall(word)) + 1) // 2) for word in words_of(words))


def _without_preamble(words: str) -> str:
    """A message without thanks, "something else:" and "tell me" before its question; whole if that leaves few words."""
    rest = words
    while found := _PREAMBLE.match(rest):
        rest = rest[found.end() :]
    return rest if _length(rest) > _FEW_WORDS else words


def _is_whole_task(words: str) -> bool:
    """Whether a message tells to do something, with an object of its own, and has no word that may lean on earlier
    turns: "write a poem about rain".
    """
    found = _TASK.match(words)
    return is_task(words) and not _points(settle(words[found.end() :] if found else words))


def is_task(words: str) -> bool:
    """Whether a message tells to do something that is no change of the last answer."""
    if _UNSPACED_TASK.match(words):
        return True
    found = _TASK.match(words)
    return bool(found and _AIMED.search(words, found.end() - 1) and not _REWORDING.search(words))


def _leans(words: str) -> bool:
    """Whether a question in English, German or French has a word that may lean on earlier turns, or is in another
    language.
    """
    first, *said = words_of(words)
    asks = first in _ASKING or (first in _PREPOSITIONS and said[0] in _ASKING)
    return not asks or _points(words)


def _points(words: str) -> bool:
    """Whether a message has a word that may stand for something said before."""
    if not (_PRONOUNS | _POINTING).isdisjoint(words_of(words)):
        return True
    # "The company" is one that was named before; "the Golden Gate Bridge" and "the price of bread" need not be.
    articles = _ARTICLE.finditer(words)
    return any(not (_NAMED_IN_GERMAN if found[1] else _NAMED).match(words, found.end()) for found in articles)


def _spelt(phrases: str) -> str:
    """Phrases, of which some may have accents, as a pattern for texts that are not folded."""
    return alternatives(phrases).replace(" ", r"\s+")


_THANKS = """
thanks|thank you|ok thanks|okay thanks|ok thank you|great|perfect|cool|nice|good morning|good afternoon|good evening|hi
hi again|hello|hello again|hey|danke|vielen dank|super|guten morgen|guten tag|hallo|merci|merci beaucoup|bonjour|gracias
muchas gracias|hola|buenos dias
"""
_ASKING_WORDS = """
who whom whose what when where which why how whats wheres whos hows is are was were do does did can could should would
will shall has have had may might isn aren doesn don didn wer wen wem was wann wo wie warum wieso weshalb wohin woher
woran womit wofur worauf wovon wozu welche welcher welches welchen welchem ist sind war hat haben kann konnen konnte
muss darf soll sollte gibt wird qui quoi quand ou comment combien quel quelle quels quelles pourquoi est sont peut
peux puis dois faut
"""
_LITTLE_WORDS = """
first second third last the der die das den dem ein eine einen einer les une las los una and but not with just please
yes yeah yep sure okay und oder aber nicht mit nur bitte mais pas avec oui pero con por favor
"""
_ADDRESSING_WORDS = "you your du dir dich dein deine kannst tu te toi ton ta vous votre peux pouvez puedes podrias"
_SPEAKING_WORDS = "i we me us my our ich wir mich mir mein meine je nous mon ma moi yo nosotros mi io noi 我 我们"
_PREPOSITION_WORDS = """
about in at on to for since by from with until seit bis von mit fur aus an auf a de en con para por
"""
_GERMAN_WORDS = "der die das den dem wer wann wo wie warum ist sind gibt und nicht ein eine ich auf von"
_SPANISH_VERBS = "hay es son puedo puede tiene quantos quantas quais cuantos cuantas cuales"
_PRONOUN_WORDS = """
he she it him her his hers its they them their theirs this that these those there one ones same former latter both else
er sie ihn ihm ihr ihre ihren ihrem ihrer ihres sein seine seinen seinem seiner seines deren dessen dies diese dieser
dieses diesem diesen dort dabei dafur damit daran darauf daraus davon dazu dagegen dadurch darin daruber darum danach
davor beide beiden elle ils elles lui leur leurs cet cette ces cela ca ceci celui celle ceux celles eux il son sa ses
ella ello ellos ellas su sus esto estos estas ese esa eso esos esas aquel aquella aquello alli suyo suya
"""
_POINTING_WORDS = """
here then such other others another neither either too also instead again answer answers reply explanation summary
conversation question you your es da dann hier auch noch andere anderen anderer anderes solche eins antwort frage du
dein deine ce y en l alors aussi autre autres meme ici reponse tu vous ta ton votre
"""
_PREPOSITIONS = frozenset(_PREPOSITION_WORDS.split())
_ASKING = frozenset(_ASKING_WORDS.split())
_FIRST_WORDS = _ASKING.union(_SPANISH_VERBS.split())
_PERSONS = frozenset(["he", "she", "him", "her", "his", "hers"])
_PERSONAL_WORDS = """
he she it him her hers his its they them their theirs er sie ihn ihm ihr ihre ihren ihrem ihrer ihres sein seine seinen
seinem seiner seines elle elles lui leur leurs son sa ses ella ellos ellas su sus suyo suya
"""
_PERSONAL = frozenset(_PERSONAL_WORDS.split())
_SPEAKING = frozenset(_SPEAKING_WORDS.split())
_ADDRESSING = frozenset(_ADDRESSING_WORDS.split())
_UNSPACED_ADDRESSING = ("你", "您")
_PRONOUNS = frozenset(_PRONOUN_WORDS.split())
_PHRASES = re.compile(
    r"\b(?:the two|the three|les deux|die beiden|los dos|las dos)\b"
    r"|[他她它这這那此其]|彼女?|[それこあ]れ|その|そこ|그것|거기"
)
_GERMAN = frozenset(_GERMAN_WORDS.split())
_POINTING = frozenset(_POINTING_WORDS.split())
_CLOSED = _FIRST_WORDS.union(_LITTLE_WORDS.split()) | _PREPOSITIONS | _ADDRESSING | _PRONOUNS | _POINTING
_ARTICLE = re.compile(r"\b(?:the|le|la|les|du|au|aux|(der|die|das|den|dem|des))\s+", re.IGNORECASE)
_OF = r"[^\W_]+\s+(?i:of|for|between|von|für|de|des|du)\s"
# "The speed limit on motorways in France", "the tallest building in the world", "the law that protects data".
_WORDS = r"(?:[^\W_]+\s+)"
_SAID_WHICH = (
    rf"{_WORDS}{{1,4}}(?:in|on|at|from|to|by|about|with|into)\s+{_WORDS}{{0,3}}{NAME}|{_WORDS}{{1,3}}{SETTLED}\s"
)
_UNIQUE = "(?i:sun|moon|earth|world|universe|internet|sky|sea|equator|following)\\b"
_BEST = rf"(?:[^\W_]+est|best|first|most\s+[^\W_]+)\s+{_WORDS}?[^\W_]+\s+(?:in|on|of|to)\s+(?!it|them|there)"
# All nouns of German have a capital letter.
_NAMED = re.compile(rf"(?:[^\W_]+[\s-]+){{0,2}}(?:[A-ZÀ-Þ]|{_OF})|{_SAID_WHICH}|{_UNIQUE}|{_BEST}")
_NAMED_IN_GERMAN = re.compile(rf"(?:[^\W_]+[\s-]+){{0,2}}{_OF}")
_INTERJECTIONS = "lol|haha|oh|ah|well|ok|okay|hm|hmm|ach"
_OPENINGS = """
and|or|but|no|nope|not|sorry|wait|oops|actually|wrong|that s wrong|that is wrong|what about|how about|why not|und|oder
aber|nein|nicht|doch|moment|wie ware|was ist mit|et|mais|non|pas|pardon|qu en est il|y|o|pero|perdon|que tal|e|ed
oppure|maar|nee|niet|och|eller|и|а|или|нет|не|ve|ya
"""
_CORRECTIONS = """
i mean|i meant|i wanted|i was asking|i asked|i didn t ask|i did not ask|i said|i should have said|ich meine|ich meinte
ich wollte|je veux dire|je voulais|quise decir|queria decir|me refiero|me referia|digo|mi riferivo
intendevo|je parlais|intendo|volevo dire|quero dizer|bedoel|bedoelde
"""
# "Y a-t-il" begins a question in French.
_OPENING = re.compile(f" (?!y a t il )(?:(?:{alternatives(_INTERJECTIONS)}) ){{0,5}}(?:{alternatives(_OPENINGS)}) ")
_CORRECTING = re.compile(
    f"(?<= )(?:{alternatives(_CORRECTIONS)})(?= )|(?: (?:actually|instead|stattdessen|oops)|呢) $"
    "|^ 不 |^ 不[是对]|我[问说指]的是|我是说"
)
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_TASK_WORDS = """
write|draft|compose|translate|convert|calculate|compute|list|name|find|show|give|tell|explain|describe|compare|recommend
suggest|remind|define|look up|search for|book|order|create|make|plan|schreib|schreibe|ubersetze|berechne|nenne|erklare
vergleiche|zeig|zeige|such|suche|finde|gib|empfiehl|ecris|traduis|calcule|explique|compare|donne|cite|cherche|trouve
escribe|traduce|calcula|explica|compara|busca|nombra
"""
_TASK = re.compile(
    rf"\W*(?:(?:can|could|would|will)\s+you\s+)?(?:please\s+|bitte\s+)?(?:{_spelt(_TASK_WORDS)})\s+"
    r"(?:me\s+|us\s+|mir\s+|moi\s+)?(?!(?:it|this|that|these|those|them|das|dies|es|ça|cela)\b)(?=\S)",
    re.IGNORECASE,
)
_UNSPACED_TASK = re.compile(r"请?(?:帮我)?(?:写|翻译|列出|介绍|推荐|计算)(?!得|成)\w{4}")
# "How many in 1950?" leaves out of what.
_PARTIAL = re.compile(
    r"\W*(?:how\s+(?:many|much)|which)\s+(?:in|at|on|for|from|by|with|during)\s+\S+(?:\s+\S+){0,2}$", re.IGNORECASE
)
# What the task is about: a clause, or what comes after a preposition.
_AIMED = re.compile(
    r"(?:^|\s)(?:about|of|for|from|to|into|between|with|on|in|who|how|why|what|which|when|where|whether|because|über|von"
    r"|auf|ins?|sur|de|des|en|sobre|al|con|und|and|et|y|since)\s+(?:an?\s+)?\S*[^\W_]{2}",
    re.IGNORECASE,
)
_REWORDING = re.compile(
    r"\b(?:answers?|repl(?:y|ies)|summary|version|sentences?|words|points?|bullets?|table|paragraphs?|examples?|details?"
    r"|summari[sz]e|rephrase|repeat|ripet\w+|répéte[rz]?|repet\w+|reword|paraphrase|shorten|simplify"
    r"|steps?|more|less|shorter|longer|simpler|easier|clearer|better|briefly|antwort|satz|sätzen?|worten|beispiele?"
    r"|stichpunkten?|tabelle|kürzer|einfacher|réponse|phrases?|mots|exemples?|tableau|respuesta|frases?|palabras|ejemplos?"
    r"|tabla|lista)\b",
    re.IGNORECASE,
)
_DOING_TO_IT = re.compile(
    r"\b(?:you|du|tu)\s+(?:please\s+|bitte\s+)?(?:(?!that\b)[^\W_]+\s+)?(?:me\s+|us\s+|mir\s+|uns\s+)?"
    r"(?:it|this|that|these|those|them|das|dies|es|le|la|les|cela|ça)\b",
    re.IGNORECASE,
)
_WHAT_WAS_MEANT = re.compile(
    r"\W*(?:(?:sorry|ok|hm+)\W+)?(?:what\s+(?:do|did)\s+you\s+mean\b|was\s+meinst\s+du\b|was\s+meinen\s+sie\b"
    r"|que\s+veux[\s-]tu\s+dire\b|qué\s+quieres\s+decir\b|cosa\s+intendi\b|che\s+vuoi\s+dire\b"
    r"|i\s+(?:don['’]?t|didn['’]?t|do\s+not|did\s+not)\s+(?:get|understand)(?:\s+(?:it|that|this))?\W*$"
    r"|(?:please\s+)?(?:say|put|write|explain|translate|repeat|rephrase|shorten|simplify|summari[sz]e|make|turn)"
    r"\s+(?:it|this|that)\s*(?:\W*$|(?:again|once|please|in|into|as|for|more|to|with|short|a\s+(?:bit|little))\b))",
    re.IGNORECASE,
)
_PREAMBLES = """
something else|another question|a different question|different question|one more question|a new question|new question
other question|on another note|on a different note|another topic|different topic|new topic|another thing|one more thing
by the way|changing the subject|unrelated|andere frage|eine andere frage|noch eine frage|neue frage|was anderes
etwas anderes|anderes thema|ubrigens|autre question|autre chose|au fait|otra pregunta|otra cosa|cambiando de tema
por cierto|never mind|nevermind|forget it|forget that|vergiss es|egal|laisse tomber|peu importe|olvidalo|no importa
that helps|that helped|that works|got it|good to know|now
"""
_PREAMBLE = re.compile(
    rf"\W*(?:{_spelt(_PREAMBLES)}|(?:{_spelt(_THANKS)})(?=\s*[.,!:]))\b\s*[.,!:;–-]*\s+"
    r"|\W*(?:please\s+)?(?:(?:can|could) you\s+)?tell me\s+(?=(?:who|what|when|where|which|why|how)\b)"
    r"|\W*do you know\s+(?=(?:who|what|when|where|which|why|how)\b)",
    re.IGNORECASE,
)
