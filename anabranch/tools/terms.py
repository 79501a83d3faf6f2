"""The terms of a text: what an index stores and a query looks for."""

import re
import unicodedata


def tokenize(text: str, *, indexing: bool = False) -> list[str]:
    """Terms of a text: lower case, without accents, plurals and thousands separators, and without what is not seen.

    Arabic and Hebrew vowel signs are left out, too: they are seldom written. Digits become Western ones. Scripts
    without spaces between words give pairs of neighbouring characters.

    Args:
        text: in any script.
        indexing: also give what an index needs besides: single characters of those scripts, for queries of one, and
            words that are broken at the end of a line as a whole, besides their halves.
    """
    text = _INVISIBLE.sub("", text.casefold())
    text = re.sub(r"(?<=\d)[,'’\u00a0\u2009\u202f](?=\d{3}(?!\d))", "", text)
    if not text.isascii():
        # A raised number is a note, as in `1911²`, or a power; a term of its own it is in either case.
        text = re.sub(r"[⁰¹²³⁴-⁹]+", r" \g<0> ", text).translate(_LETTERS)
        text = re.sub(r"[^\D0-9]", lambda digit: str(unicodedata.decimal(digit[0])), text)
        text = _SIGNS.sub("", unicodedata.normalize("NFKD", text))
        text = unicodedata.normalize("NFC", text)
        text = _BROKEN_UNSPACED.sub("", text)
    terms: list[str] = []
    for match in _TERM.finditer(text):
        run = match[0]
        if match.lastgroup == "word":
            terms.append(_singular(run))
            continue
        terms += [run[i : i + 2] for i in range(len(run) - 1)]
        if indexing or len(run) == 1:
            terms += run
    if indexing and _BROKEN_LINE.search(text):
        terms += [_singular(re.sub(r"[-‐¬]\s+", "", match[0])) for match in _BROKEN_WORD.finditer(text)]
    return terms


UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    r"\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Letters of scripts with few or no spaces between words, for a regular expression's character class."""
# The vowel signs of Indian scripts are no `\w`, yet belong to their word.
_MARK = r"[\u0900-\u0963\u0966-\u0dff]"
_WORD = rf"[^\W_{UNSPACED}]+(?:{_MARK}+[^\W_{UNSPACED}]*)*"
_TERM = re.compile(rf"(?P<word>{_WORD})|(?P<unspaced>[{UNSPACED}]+)")
_BROKEN_LINE = re.compile(r"[-‐¬][ \t]*\r?\n")
_WHOLE_WORD = rf"[^\W_{UNSPACED}]++(?:{_MARK}++[^\W_{UNSPACED}]*+)*+"
_BROKEN_WORD = re.compile(rf"(?<![^\W_{UNSPACED}])(?<!{_MARK}){_WHOLE_WORD}(?:[-‐¬][ \t]*\r?\n[ \t]*{_WHOLE_WORD})++")
_BROKEN_UNSPACED = re.compile(rf"(?<=[{UNSPACED}])[ \t]*\r?\n[ \t]*(?=[{UNSPACED}])")
# Letters that people write who lack others, and letters that look alike: Arabic and Persian keyboards differ.
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
_LETTERS |= str.maketrans({"ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ٱ": "ا"})
# Soft hyphens (with the end of the line at which they break a word), joiners, marks of direction, controls, tags.
_INVISIBLE = re.compile(
    r"\u00ad[ \t]*\r?\n[ \t]*"
    r"|[\x00-\x08\x0e-\x1f\x7f\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e01ef]"
)
# Accents, and what is seldom written or only stretches a word: Hebrew points, Arabic vowel signs and tatweel, Syriac.
_SIGNS = re.compile(
    r"[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    r"\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)


def _singular(word: str) -> str:
    """Without the commonest English plural endings (Harman's S stemmer, 1991)."""
    if len(word) < 4 or not word.isascii() or not word.endswith("s") or word.endswith(("us", "ss", "is")):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word[:-1]


_FUNCTION_WORDS = """
a about after also an and any are as at be been before but by can could did do does during each for from had has have
he her his how i if in into is it its itself many me more most much my no not of on or our she should so some such than
that the their them then there these they this those to too under until was we were what when where which while who
whom whose why will with would you your s t
"""
STOP_WORDS = frozenset(map(_singular, _FUNCTION_WORDS.split()))
"""Words of a query that tell nothing, unless it has no others; in the form that `tokenize` gives them."""
