"""Made-up pages of handbooks, manuals, price lists and minutes, with the questions that they answer and do not answer.

All values are drawn, so the right answer to each question is known: the cell of a table, a time, a price, a name. Rows,
columns and sentences are held back, and what asks for them is answered nowhere. What pages say is in `words/pages.txt`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from types import MappingProxyType

from anabranch.distill import vocabulary as words
from anabranch.distill.templates import person
from anabranch.distill.vocabulary import FOLDER

NO_WORDINGS: Mapping[str, Sequence[str]] = MappingProxyType({})
_REWORDED = 0.5
_SLOT = re.compile(r"\{([^{}]+)\}")
_RANGE = re.compile(r"(n|dec):(\d+)-(\d+)(.*)")
_STREETS = ("Road", "Street", "Lane", "Square", "Avenue", "Row", "Hill", "Quay", "Gardens", "Court")
_FIRMS = ("Ltd", "Brothers", "Group", "& Sons", "Services", "Mutual", "Logistics", "Trust", "Works", "Partners")
_TOWNS = ("", "", "ton", "bury", " Quay", "ford", " Hill", "wick", "ham", "stad", "berg")


@dataclass(frozen=True)
class Asked:
    """Something that can be asked of a page.

    Attributes:
        questions: ways to ask for it.
        answer: what the page says; empty if it does not.
        marks: what stands together in the passage that answers it.
    """

    questions: tuple[str, ...]
    answer: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """A part of a page: a heading, sentences or a table, and what can be asked of it."""

    title: str
    sentences: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    asked: tuple[Asked, ...] = ()


@cache
def section(name: str) -> tuple[str, ...]:
    """The lines of a section of `pages.txt`.

    Args:
        name: the section's name.
    """
    text = (FOLDER / "pages.txt").read_text(encoding="utf-8")
    body = text.partition(f"== {name}\n")[2].partition("\n== ")[0]
    return tuple(line for line in body.splitlines() if line.strip())


@cache
def _lists() -> dict[str, list[str]]:
    return {name: values.split(",") for name, _, values in (line.partition("=") for line in section("lists"))}


@cache
def topics() -> dict[str, list[str]]:
    """The facts of each topic."""
    found: dict[str, list[str]] = {}
    for line in section("facts"):
        if line.startswith("# "):
            found[line[2:]] = facts = []
        else:
            facts.append(line)
    return found


class Drawn:
    """Draws values; one for each set of pages, which write money in one way.

    Args:
        random: source of chance.
        wordings: other wordings of the questions in `pages.txt`.
    """

    def __init__(self, random: Random, wordings: Mapping[str, Sequence[str]] = NO_WORDINGS) -> None:
        self.random = random
        self._wordings = wordings
        self.currency = random.choice(("{} EUR", "{} EUR", "€{}", "${}", "£{}", "{} pounds", "{} crowns", "CHF {}"))
        self._kinds: dict[str, Callable[[], str]] = {
            "person": self._person,
            "time": self._time,
            "date": lambda: f"{random.randint(1, 28)} {random.choice(_lists()['month'])}",
            "money": self._money,
            "year": lambda: str(random.randint(1890, 2025)),
            "street": lambda: f"{random.randint(1, 99)} {random.choice(words.WORDS)} {random.choice(_STREETS)}",
            "town": lambda: f"{random.choice(words.WORDS)}{random.choice(_TOWNS)}",
            "firm": lambda: f"{random.choice((*words.WORDS, *words.LAST))} {random.choice(_FIRMS)}",
            "phone": lambda: f"0{random.randint(100, 999)} {random.randint(10, 99)} {random.randint(100, 999)}",
            "mail": lambda: (
                f"{random.choice(words.LAST + words.WORDS).lower()}@{random.choice(words.WORDS).lower()}.org"
            ),
            "product": lambda: f"{random.choice(words.WORDS)} {random.choice('ABCDKMTX')}{random.randint(1, 90) * 10}",
            "code": lambda: f"{random.choice('AFHPLU')}{random.randint(0, 99):02}",
            "sku": lambda: f"{random.choice('ABCDKMTX')}{random.choice('RSTVZ')}-{random.randint(10, 9999)}",
            "big": lambda: f"{random.randint(4, 90) * random.choice((50, 100, 125)):,}",
            "project": lambda: f"{random.choice(words.WORDS)} {random.choice(('', 'II', 'Next', '2.0'))}".strip(),
            "line": lambda: f"line {random.randint(1, 99)}",
        }

    def value(self, kind: str) -> str:
        """A value of a kind: a name, a name of a list, or `n:1-9`, `dec:1-9`, `big` with a unit."""
        if number := _RANGE.fullmatch(kind):
            low, high = int(number[2]), int(number[3])
            if number[1] == "dec":
                return f"{self.random.randint(low * 10, high * 10) / 10:g}{number[4]}"
            return f"{self.random.randint(low, high)}{number[4]}"
        if kind in self._kinds:
            return self._kinds[kind]()
        if kind.startswith("big "):
            return f"{self.value('big')}{kind[3:]}"
        return self.random.choice(_lists()[kind])

    def values(self, pool: str, count: int) -> list[str]:
        """Different values of a kind or a list, as many as there are."""
        if "," in pool:
            named = pool.split(",")
            start = self.random.randint(0, max(0, len(named) - count))
            in_order = pool.startswith("Monday")
            return named[start : start + count] if in_order else self.random.sample(named, min(count, len(named)))
        return list(dict.fromkeys(self.value(pool) for _ in range(3 * count)))[:count]

    def ways(self, questions: Sequence[str]) -> list[str]:
        """Questions, some in other wordings."""
        found = []
        for question in questions:
            others = self._wordings.get(question, ())
            found.append(self.random.choice(others) if others and self.random.random() < _REWORDED else question)
        return found

    def _person(self) -> str:
        title = self.random.choice(("Dr ", "Ms ", "Mr ")) if self.random.random() < 0.06 else ""
        return f"{title}{person(self.random)}"

    def _time(self) -> str:
        hour, minute = self.random.randint(5, 22), self.random.choice(("00", "00", "15", "30", "30", "45"))
        return f"{hour}:{minute}"

    def _money(self) -> str:
        chance, random = self.random.random(), self.random
        amount = f"{random.randint(1, 60)}.{random.choice(('50', '90', '20', '95', '00'))}" if chance < 0.4 else ""
        amount = amount or str(random.randint(2, 300) if chance < 0.75 else random.randint(3, 90) * 5)
        return self.currency.format(amount if chance < 0.93 else f"{random.randint(10, 900) * 100:,}")


def facts_block(draw: Drawn, topic: str) -> Block:
    """Sentences on a topic, some of them held back."""
    random, asked, sentences = draw.random, list[Asked](), list[str]()
    lines = random.sample(topics()[topic], min(random.randint(4, 11), len(topics()[topic])))
    for line in lines:
        sentence, *parts = line.split("|")
        values = [draw.value(slot[1]) for slot in _SLOT.finditer(sentence)]
        if len(set(values)) < len(values):
            continue
        text = sentence
        for each in values:
            text = _SLOT.sub(each, text, count=1)
        text = text[0].upper() + text[1:]
        held_back = random.random() < 0.2
        for part in parts:
            told, _, questions = part.partition(":")
            place, _, form = told.partition(" ")
            ways = tuple(_filled(question, values) for question in draw.ways(questions.split("/")))
            answer = "" if held_back else _filled(form.replace("_", values[int(place)]), values)
            asked.append(Asked(ways, answer, () if held_back else (text,)))
        if not held_back:
            sentences.append(text)
    for sentence in random.sample(section("filler"), random.randint(0, 3)):
        sentences.insert(random.randint(0, len(sentences)), sentence)
    return Block(topic, tuple(sentences), asked=tuple(asked))


def _filled(text: str, values: Sequence[str]) -> str:
    return _SLOT.sub(lambda slot: values[int(slot[1])], text)


def table_names() -> list[str]:
    """The tables there are, by their lines."""
    return list(section("tables"))


def table_block(draw: Drawn, line: str) -> Block:
    """A table, some rows and columns of which are held back."""
    title, noun, pool, told = line.split("|")
    random = draw.random
    names = draw.values(pool, random.randint(3, 12))
    columns = [column.partition("=")[::2] for column in told.split(";")]
    random.shuffle(columns)
    # Kinds hold colons; questions begin after the last colon that a letter follows.
    parsed = [(name, *_kind(rest)) for name, rest in columns[: random.randint(2, 6)]]
    cells = {(r, c[0]): draw.value(c[1]) for r in names for c in parsed}
    lost_rows = set(random.sample(names, 1 if len(names) < 6 else 2))
    lost_columns = {parsed[-1][0]} if len(parsed) > 2 and random.random() < 0.6 else set()
    shown = [c for c in parsed if c[0] not in lost_columns]
    asked = []
    for r in names:
        for name, _, questions in parsed:
            there = r not in lost_rows and name not in lost_columns
            ways = tuple(question.replace("{r}", r) for question in draw.ways(questions))
            asked.append(Asked(ways, *((cells[r, name], (r, cells[r, name])) if there else ())))
    kept = [r for r in names if r not in lost_rows]
    asked += _turned_round(noun, kept, [(c[0], c[1]) for c in shown], cells)
    header = (noun.capitalize(), *(c[0] for c in shown))
    rows = tuple((r, *(cells[r, c[0]] for c in shown)) for r in kept)
    return Block(title, header=header, rows=rows, asked=tuple(asked))


def _kind(rest: str) -> tuple[str, tuple[str, ...]]:
    """The kind of a column's values, and its questions."""
    colon = re.search(r":(?=[A-Z])", rest)
    end = colon.start() if colon else len(rest)
    return rest[:end], tuple(rest[end + 1 :].split("/"))


def _turned_round(
    noun: str, names: Sequence[str], columns: Sequence[tuple[str, str]], cells: dict[tuple[str, str], str]
) -> Iterator[Asked]:
    """Questions for the row: that with a value, and that with the most or the least of something."""
    for column, kind in columns:
        values = {r: cells[r, column] for r in names}
        for value in dict.fromkeys(values.values()):
            there = [r for r, other in values.items() if other == value]
            low = column.lower()
            ways = (
                f"Which {noun} has the {low} {value}?",
                f"For which {noun} is the {low} {value}?",
                f"What is the {noun} with {value} as {low}?",
            )
            if len(there) <= 3:
                yield Asked(ways, ", ".join(there), (there[0], value))
        comparable = kind == "money" or _RANGE.match(kind) or kind.startswith("big")
        amounts = {r: float(found[0]) for r, v in values.items() if comparable and (found := _numbers(v))}
        if len(names) > 2 and len(amounts) == len(names) == len(set(amounts.values())) and len(names) <= 8:
            for word, choose in (("highest", max), ("lowest", min)):
                best = choose(amounts, key=lambda r: amounts[r])
                yield Asked(
                    (f"Which {noun} has the {word} {column.lower()}?",),
                    best,
                    tuple(part for r in names for part in (r, values[r])),
                )


def _numbers(value: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)?", value.replace(",", "")) if ":" not in value else []


def questions() -> list[str]:
    """All questions of `pages.txt`, with their slots."""
    found: dict[str, None] = {}
    for facts in topics().values():
        for line in facts:
            for part in line.split("|")[1:]:
                found.update(dict.fromkeys(part.partition(":")[2].split("/")))
    for line in table_names():
        for column in line.split("|")[3].split(";"):
            found.update(dict.fromkeys(_kind(column.partition("=")[2])[1]))
    return list(found)
