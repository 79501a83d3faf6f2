"""Questions to reinforce on: those of the training files, and new ones over the same paragraphs.

700 questions with supporting passages are few for a hundred rounds. But their paragraphs tell of films, directors and
dates in much the same words, so that patterns read these facts, and any two of them make a question in the manner of
2WikiMultihopQA whose answer and supporting passages are known.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

HINT = "Answer with a name, a number or a few words, or with yes or no."
"""What `anabranch eval` says of the answer's form in these tasks."""
FILES = ("hotpotqa_hipporag_train100_ctx.jsonl", "musique_hipporag_train100_ctx.jsonl", "2wiki_train500.jsonl")
TUNED = (30, 30, 60)
"""Tuning questions from each file."""
_DATE = r"\d{1,2} [A-Z][a-z]+ \d{4}|[A-Z][a-z]+ \d{1,2}, \d{4}"
_FILM = re.compile(
    r"(?:is|was) an? (\d{4})[^.]{0,80}?\b(?:film|movie)\b[^.]*?directed by ((?:[A-Z][\w.'-]*\.? ?){1,4})"
)
_LIFE = re.compile(rf"^[^.]{{0,80}}?\([^)]*?({_DATE})(?:[^)]*?[–-]\s*({_DATE}))?[^)]*\)")
_BORN_IN = re.compile(r"\bborn (?:on [^.]{0,30} )?in ((?:[A-Z][\w'-]*,? ?){1,4})")
_NATION = re.compile(r"\b(?:is|was) an? ([A-Z][a-z]+(?:an|ish|ese|ian|ench|man|utch|eek|iss|sh))\b")

Row = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """What is known of a person; dates as they are written."""

    title: str
    born: str
    died: str = ""
    place: str = ""
    nation: str = ""


@dataclass(frozen=True)
class Film:
    """A film whose director has a paragraph, too."""

    title: str
    year: str
    director: Person


def parsed(date: str) -> datetime:
    """A written date."""
    return datetime.strptime(date, "%d %B %Y" if date[0].isdigit() else "%B %d, %Y")


def people(paragraphs: Sequence[Row]) -> dict[str, Person]:
    """The people with a date of birth, by title."""
    found = {}
    for paragraph in paragraphs:
        life = _LIFE.search(paragraph["text"])
        if not life:
            continue
        try:
            for date in filter(None, life.groups()):
                parsed(date)
        except ValueError:
            continue
        place, nation = _BORN_IN.search(paragraph["text"]), _NATION.search(paragraph["text"])
        found[paragraph["title"]] = Person(
            paragraph["title"],
            life[1],
            life[2] or "",
            place[1].strip(" ,") if place else "",
            nation[1] if nation else "",
        )
    return found


def films(paragraphs: Sequence[Row], known: dict[str, Person]) -> list[Film]:
    """The films whose director is known."""
    found = []
    for paragraph in paragraphs:
        match = _FILM.search(paragraph["text"][:400])
        if match and (director := known.get(match[2].strip(" ."))):
            found.append(Film(paragraph["title"], match[1], director))
    return found


def _of_one(film: Film) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    person, support = film.director, (film.title, film.director.title)
    yield f"When was the director of film {film.title} born?", person.born, support
    yield f"What is the date of birth of the director of film {film.title}?", person.born, support
    if person.died:
        yield f"When did the director of film {film.title} die?", person.died, support
        yield f"What is the date of death of the director of film {film.title}?", person.died, support
    if person.place:
        yield f"Where was the director of film {film.title} born?", person.place, support
    if person.nation:
        yield f"What nationality is the director of film {film.title}?", person.nation, support


def _of_two_films(a: Film, b: Film) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    p, q = a.director, b.director
    if p == q:
        return
    support = (a.title, p.title, b.title, q.title)
    older = a.title if parsed(p.born) < parsed(q.born) else b.title
    yield f"Which film has the director who was born earlier, {a.title} or {b.title}?", older, support
    yield f"Which film has the director who is older, {a.title} or {b.title}?", older, support
    younger = b.title if older == a.title else a.title
    yield f"Which film has the director who was born later, {a.title} or {b.title}?", younger, support
    if p.died and q.died:
        first = a.title if parsed(p.died) < parsed(q.died) else b.title
        yield f"Which film has the director who died earlier, {a.title} or {b.title}?", first, support
        yield f"Which film whose director died first, {a.title} or {b.title}?", first, support
    if p.nation and q.nation:
        same = "yes" if p.nation == q.nation else "no"
        yield f"Do the directors of films {a.title} and {b.title} have the same nationality?", same, support
    if a.year != b.year:
        first = a.title if a.year < b.year else b.title
        yield f"Which film came out first, {a.title} or {b.title}?", first, (a.title, b.title)


def _of_two_people(p: Person, q: Person) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    support = (p.title, q.title)
    older = p.title if parsed(p.born) < parsed(q.born) else q.title
    yield f"Who was born first, {p.title} or {q.title}?", older, support
    yield f"Who is older, {p.title} or {q.title}?", older, support
    yield f"Who was born later, {p.title} or {q.title}?", q.title if older == p.title else p.title, support
    if p.died and q.died:
        first = p.title if parsed(p.died) < parsed(q.died) else q.title
        yield f"Who died first, {p.title} or {q.title}?", first, support
    if p.nation and q.nation:
        same = "yes" if p.nation == q.nation else "no"
        yield f"Are {p.title} and {q.title} of the same nationality?", same, support


def composed(paragraphs: Sequence[Row], count: int, random: Random) -> list[Row]:
    """Questions over what the paragraphs tell: half of one film, three in ten of two films, the rest of two people.

    Args:
        paragraphs: the corpus.
        count: how many questions, at most.
        random: source of chance.
    """
    known = people(paragraphs)
    made, persons = films(paragraphs, known), list(known.values())
    one = [item for film in made for item in _of_one(film)]
    pairs = [random.sample(made, 2) for _ in range(count)]
    couples = [random.sample(persons, 2) for _ in range(count)]
    two = [random.choice(found) for a, b in pairs if (found := list(_of_two_films(a, b)))]
    who = [random.choice(found) for p, q in couples if (found := list(_of_two_people(p, q)))]
    random.shuffle(one)
    chosen = [*one[: count // 2], *two[: 3 * count // 10], *who[: count // 5]]
    facts = ((question, answer, [[title, 0] for title in support]) for question, answer, support in chosen)
    return [
        {"id": f"composed-{number}", "question": question, "answer": answer, "meta": {"supporting_facts": support}}
        for number, (question, answer, support) in enumerate(facts)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--composed", type=int, default=1700)
    parser.add_argument("--hinted", type=float, default=0.7, help="share of training questions with the answer's form")
    arguments = parser.parse_args()
    random = Random(1)
    train: list[Row] = []
    tune: list[Row] = []
    corpus: dict[tuple[str, str], Row] = {}
    for name, held in zip(FILES, TUNED, strict=True):
        rows = [json.loads(line) for line in (arguments.data / name).read_text(encoding="utf-8").splitlines()]
        for row in rows:
            corpus |= {(p["title"], p["text"]): {"title": p["title"], "text": p["text"]} for p in row["context"]}
            facts = row["meta"].get("supporting_facts") or []
            support = [p["title"] for p in row["context"] if p.get("is_supporting")] or [fact[0] for fact in facts]
            row["meta"] = {"aliases": row["meta"].get("aliases", []), "supporting_facts": [[t, 0] for t in support]}
            del row["context"]
        random.shuffle(rows)
        tune += rows[:held]
        # Human questions are asked more often than composed ones: twice, those of the small files eight times.
        for copy in range(8 if len(rows) < 200 else 2):
            train += [{**row, "id": f"{row['id']}/{copy}"} for row in rows[held:]]
    held_out = {row["question"] for row in tune}
    train += [
        row for row in composed(list(corpus.values()), arguments.composed, random) if row["question"] not in held_out
    ]
    for row in train:
        if random.random() < arguments.hinted:
            row["question"] = f"{row['question']} {HINT}"
    for row in tune:
        row["question"] = f"{row['question']} {HINT}"
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("tune", tune), ("corpus", list(corpus.values()))):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (arguments.out / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{name}: {len(rows)}")


if __name__ == "__main__":
    main()
