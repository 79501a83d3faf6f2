"""The stage `read`: what a small solver learns reading from.

Made-up pages, whose right answers are known (`pages`), need no teacher. A teacher words their questions in other ways,
writes pages on many subjects, and asks about them and about the paragraphs of the training questions; what it says is
taken where it stands in the passage and where the teacher, asked again, reads the same out of it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.documents import Document

from anabranch.agents import prompts
from anabranch.batch.chat import Model, answered
from anabranch.batch.files import write_jsonl
from anabranch.batch.jobs import Job, Sampling
from anabranch.distill import datasets, teacher, templates
from anabranch.distill.pages import NO_WORDINGS, Asked, questions, section, table_names
from anabranch.distill.paragraph_facts import facts
from anabranch.distill.readings import ABSENT_SHARE, drawn_rows, readings, reasoned_rows, row_of, talk_rows
from anabranch.distill.render import as_messages
from anabranch.distill.solving import PASSAGES, Row, row
from anabranch.distill.sources import Passage
from anabranch.replies import says_not_found, short_reply
from anabranch.tools.documents import load_documents, split_passages
from anabranch.tools.passage_index import PassageIndex
from anabranch.tools.search import shown

REWORD = Sampling(n=3, temperature=0.9, top_p=0.95, max_tokens=160, seed=1)
WRITE = Sampling(n=10, temperature=0.9, top_p=0.95, max_tokens=650, seed=1)
QUIZ = Sampling(n=2, temperature=0.5, max_tokens=250, seed=1)
READ = Sampling(max_tokens=40)
_SHARE = 60
HELD_OUT_TABLES = 7
"""Tables of `pages.txt` that training never shows."""

_REWORD = """\
Word the question in five other ways, as people ask who look something up: some short, some longer. Keep the words in \
capitals as they are. Write one a line and nothing else."""
_WRITE = """\
Write the text of a document: {subject}. Write 150 to 300 words in Markdown with a title, as a real organisation would \
have it. Invent all names, times, amounts and prices, and be exact.{table} Reply with the document alone."""
_TABLE = " Put a table with five to nine rows and three to five columns into it."


def drawn(work: Path, count: int, *, seed: int, name: str, wordings: Mapping[str, Sequence[str]] = NO_WORDINGS) -> Path:
    """Writes rows over made-up pages, on all processors; the last tables are kept for the tuning rows.

    Args:
        work: folder for the rows.
        count: how many rows.
        seed: source of chance.
        name: of the file; `tune` in it takes the tables that training never shows.
        wordings: other wordings of the questions.
    """
    known = table_names()
    tables = known[-HELD_OUT_TABLES:] if "tune" in name else known[:-HELD_OUT_TABLES]
    size = max(1, min(2000, count // 16))
    shares = [(seed * 1000 + part, min(size, count - start)) for part, start in enumerate(range(0, count, size))]
    with ProcessPoolExecutor() as pool:
        parts = pool.map(partial(_share, tables=tables, wordings=dict(wordings)), shares)
        path = work / f"{name}.jsonl"
        write_jsonl(path, (each for part in parts for each in part))
    return path


def _share(share: tuple[int, int], tables: Sequence[str], wordings: Mapping[str, Sequence[str]]) -> list[Row]:
    seed, count = share
    random = Random(seed)  # noqa: S311
    return [
        {**each, "id": f"{seed}/{each['id']}"} for each in drawn_rows(random, count, tables=tables, wordings=wordings)
    ]


async def reworded(work: Path, model: Model) -> dict[str, list[str]]:
    """Other wordings of the questions about made-up pages."""
    asked = {f"reword/{number}": question for number, question in enumerate(questions())}
    jobs = [Job(id=id_, messages=_told(_REWORD, _in_capitals(question))) for id_, question in asked.items()]
    found: dict[str, list[str]] = {}
    for replies in await answered(jobs, work / "reword.jsonl", model, role="teacher", sampling=REWORD):
        question = asked[replies.id]
        ways = {_with_slots(line) for text in replies.texts for line in text.splitlines()}
        wanted = sorted(_slots(question))
        found[question] = sorted(w for w in ways if w.endswith("?") and len(w) < 120 and sorted(_slots(w)) == wanted)
    return found


def _told(instruction: str, text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": instruction}, {"role": "user", "content": text}]


def _slots(text: str) -> list[str]:
    return re.findall(r"\{\w\}", text)


def _in_capitals(question: str) -> str:
    """A question with words in capitals in place of its slots."""
    return re.sub(r"\{(\w)\}", lambda slot: f"NAME{slot[1].upper()}", question)


def _with_slots(line: str) -> str:
    bare = re.sub(r"^[\s\d.)*-]+", "", line).strip()
    return re.sub(r"NAME([R0-9])\b", lambda name: f"{{{name[1].lower()}}}", bare)


async def written(work: Path, model: Model) -> list[str]:
    """Pages that the teacher writes, in Markdown."""
    jobs = []
    for number, subject in enumerate(section("subjects")):
        for form in ("", _TABLE):
            told = _WRITE.format(subject=subject, table=form)
            jobs.append(Job(id=f"page/{number}/{len(form)}", messages=[{"role": "user", "content": told}]))
    texts: list[str] = []
    for replies in await answered(jobs, work / "pages.jsonl", model, role="teacher", sampling=WRITE):
        for text, whole in zip(replies.texts, replies.finished, strict=True):
            bare = re.sub(r"^```\w*\n|\n```\s*$", "", text.strip())
            if whole and len(bare.split()) > 60:
                texts.append(bare)
    return list(dict.fromkeys(texts))


async def asked_of(work: Path, model: Model, passages: Sequence[Passage], name: str) -> list[list[tuple[str, str]]]:
    """Questions with answers about each passage: copied from it, and read out of it a second time."""
    jobs = [Job(id=f"quiz/{n}", messages=teacher.quiz_prompt(p["title"], p["text"])) for n, p in enumerate(passages)]
    found: list[dict[str, str]] = [{} for _ in passages]
    for n, replies in enumerate(await answered(jobs, work / f"{name}.jsonl", model, role="teacher", sampling=QUIZ)):
        for reply in replies.texts:
            found[n].update(teacher.quiz(reply, passages[n]["title"], passages[n]["text"]))
    checks = [
        Job(id=f"check/{n}/{k}", messages=as_messages(prompts.read_messages(question, _as_shown(passages[n]))))
        for n, pairs in enumerate(found)
        for k, question in enumerate(pairs)
    ]
    read = await answered(checks, work / f"{name}_checked.jsonl", model, role="teacher", sampling=READ)
    said = {each.id: short_reply(each.texts[0]) for each in read}
    return [
        [(q, a) for k, (q, a) in enumerate(pairs.items()) if _agree(said.get(f"check/{n}/{k}", ""), a)]
        for n, pairs in enumerate(found)
    ]


def _as_shown(passage: Passage) -> str:
    return f"[1] {passage['title']}: {passage['text']}"


def _agree(one: str, other: str) -> bool:
    first, second = (re.findall(r"\w+", text.lower()) for text in (one, other))
    if says_not_found(one) or not first or not second:
        return False
    shorter, longer = sorted((first, second), key=len)
    together = any(longer[start : start + len(shorter)] == shorter for start in range(len(longer) - len(shorter) + 1))
    return together and len(longer) <= len(shorter) + 3


def paragraph_rows(
    passages: Sequence[Passage],
    pairs: Sequence[Sequence[tuple[str, str]]],
    random: Random,
    prefix: str,
    absent_share: float = ABSENT_SHARE,
) -> Iterator[Row]:
    """Questions about paragraphs, with what the search finds among all of them.

    Args:
        passages: the paragraphs.
        pairs: for each of them its questions with answers; an empty answer says that it does not answer.
        random: source of chance.
        prefix: what the rows' ids and sources are named after.
        absent_share: how often the paragraph that answers is not shown.
    """
    if not passages:
        return
    documents = [_document(passage, random) for passage in passages]
    index = PassageIndex(documents)
    place = {id(document): number for number, document in enumerate(documents)}
    number = 0
    for n, asked in enumerate(pairs):
        for question, answer in asked:
            found = index.search(question, PASSAGES + 2)
            absent = not answer or random.random() < absent_share
            others = [
                p for p in found if place[id(p)] != n and not (answer and answer.lower() in p.page_content.lower())
            ]
            own = [documents[n]] if not (absent and answer) else []
            chosen = [*own, *others[: random.choice((1, 2, 3, 3, 3))]]
            if random.random() < 0.5:
                random.shuffle(chosen)
            if chosen:
                completion = prompts.NOT_FOUND if absent else answer
                messages = as_messages(prompts.read_messages(question, shown(chosen)))
                yield row(f"{prefix}/{number}", f"read_{prefix}", messages, completion)
                number += 1


def fact_rows(paragraphs: Sequence[Passage], chains: Iterable[Mapping[str, Any]], random: Random) -> list[Row]:
    """Questions about the paragraphs of the training questions, as patterns find them and as people wrote them.

    Args:
        paragraphs: of the training questions.
        chains: MuSiQue's rows.
        random: source of chance.
    """
    rows = list(paragraph_rows(paragraphs, [list(facts(p)) for p in paragraphs], random, "fact", 0.1))
    people = [reading for each in chains for reading in datasets.musique_readings(each)]
    return [*rows, *paragraph_rows([p for _, _, p in people], [[(q, a)] for q, a, _ in people], random, "musique")]


def _document(passage: Passage, random: Random) -> Document:
    title = passage["title"]
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "document"
    heading = random.choice(("", f"# {title}\n\n", f"{title}\n\n"))
    source = random.choice((f"{name}.md", f"{name}.txt", f"{name}.html", title, f"{name}.pdf"))
    page = {"page": random.randint(1, 30)} if source.endswith(".pdf") else {}
    return Document(heading + " ".join(passage["text"].split()[:150]), metadata={"source": source, **page})


def page_rows(
    pages: Sequence[str], pairs: Sequence[Sequence[tuple[str, str]]], random: Random, *, rounds: int = 2
) -> Iterator[Row]:
    """Questions about pages that a teacher wrote, a few of them in a folder at a time.

    Some questions are about a page that is not in the folder, or about a row or a column that no table there has.
    """
    cells = [list(table_questions(page, random)) for page in pages]
    for number in range(rounds):
        order = random.sample(range(len(pages)), len(pages))
        for start in range(0, len(order) - 8, 6):
            chosen, elsewhere = order[start : start + 6], order[start + 6 : start + 8]
            asked = [Asked((q,), a, (a,)) for n in chosen for q, a in pairs[n]]
            asked += [Asked((q,), "", (a,)) for n in elsewhere for q, a in pairs[n]]
            asked += [each for n in chosen for each in cells[n]]
            asked += [Asked(each.questions, "", each.marks) for n in elsewhere for each in cells[n][:4]]
            for place, found in enumerate(readings(asked, _passages([pages[n] for n in chosen]), random)):
                yield row_of(f"page/{number}/{start}/{place}", "read_page", found)


def _passages(pages: Iterable[str]) -> list[Document]:
    with TemporaryDirectory() as folder:
        for number, page in enumerate(pages):
            title = re.sub(r"[^a-z0-9]+", "-", page.strip().splitlines()[0].lower()).strip("-")[:40] or "page"
            Path(folder, f"{title}-{number}.md").write_text(page, encoding="utf-8")
        return split_passages(load_documents(folder).documents)


_FORMS = ("What is the {c} of {r}?", "What is the {c} for {r}?", "{r}: what is the {c}?", "Which {c} does {r} have?")


def table_questions(page: str, random: Random) -> Iterator[Asked]:
    """What can be asked of the tables of a page in Markdown, cell by cell."""
    lines = [line.strip().strip("|") for line in page.splitlines() if line.strip().startswith("|")]
    table = [[cell.strip(" *`") for cell in line.split("|")] for line in lines if not set(line) <= set("|-: ")]
    if len(table) < 4 or len({len(cells) for cells in table}) > 1 or len(table[0]) < 2:
        return
    header, rows = table[0], table[1:]
    names = [cells[0] for cells in rows]
    if len(set(names)) < len(names) or not all(names):
        return
    for cells in random.sample(rows, min(5, len(rows))):
        column = random.randrange(1, len(header))
        if cells[column] and len(cells[column].split()) <= 8 and header[column]:
            yield Asked((_cell_question(header[column], cells[0], random),), cells[column], (cells[0], cells[column]))


def _cell_question(column: str, name: str, random: Random) -> str:
    low = column.lower() if not column.isupper() else column
    if re.search(r"price|cost|fee|rate", low) and random.random() < 0.6:
        return random.choice((f"How much is {name}?", f"What does {name} cost?", f"How much does {name} cost?"))
    return random.choice(_FORMS).format(c=low, r=name)


async def taught_rows(paragraphs: Sequence[Passage], work: Path, model: Model, *, seed: int = 1) -> dict[str, int]:
    """Asks the teacher for everything, and writes `wordings.json` rows and `taught.jsonl`.

    Args:
        paragraphs: of the training questions.
        work: folder for the replies and the rows.
        model: the teacher.
        seed: source of chance.
    """
    wordings = await reworded(work, model)
    write_jsonl(work / "wordings.jsonl", ({"question": q, "ways": ways} for q, ways in wordings.items()))
    pages = await written(work, model)
    as_passages = [{"title": page.strip().splitlines()[0].strip("# "), "text": page} for page in pages]
    page_pairs = await asked_of(work, model, as_passages, "page_quiz")
    pairs = await asked_of(work, model, paragraphs, "quiz")
    rows = _over_pages(pages, page_pairs, seed) + _over_paragraphs(paragraphs, pairs, seed)
    write_jsonl(work / "taught.jsonl", rows)
    return {
        "wordings": sum(map(len, wordings.values())),
        "pages": len(pages),
        "page_pairs": sum(map(len, page_pairs)),
        "pairs": sum(map(len, pairs)),
        "rows": len(rows),
    }


def _over_pages(pages: Sequence[str], pairs: Sequence[Sequence[tuple[str, str]]], seed: int) -> list[Row]:
    """`page_rows`, on all processors."""
    order = Random(seed).sample(range(len(pages)), len(pages))  # noqa: S311
    shares = [order[start : start + _SHARE] for start in range(0, len(order), _SHARE)]
    with ProcessPoolExecutor() as pool:
        taken = [([pages[n] for n in share], [pairs[n] for n in share]) for share in shares]
        parts = [pool.submit(_page_share, *each, seed + number) for number, each in enumerate(taken)]
        return [{**each, "id": f"{n}/{each['id']}"} for n, part in enumerate(parts) for each in part.result()]


def _page_share(pages: Sequence[str], pairs: Sequence[Sequence[tuple[str, str]]], seed: int) -> list[Row]:
    return list(page_rows(pages, pairs, Random(seed)))  # noqa: S311


def _over_paragraphs(passages: Sequence[Passage], pairs: Sequence[Sequence[tuple[str, str]]], seed: int) -> list[Row]:
    """`paragraph_rows`, on all processors: each has all passages, and asks about some."""
    size = max(1, -(-len(passages) // 16))
    with ProcessPoolExecutor() as pool:
        parts = []
        for start in range(0, len(passages), size):
            mine = [each if start <= n < start + size else [] for n, each in enumerate(pairs)]
            parts.append(pool.submit(_paragraph_share, passages, mine, seed + start))
        return [{**each, "id": f"{n}/{each['id']}"} for n, part in enumerate(parts) for each in part.result()]


def _paragraph_share(passages: Sequence[Passage], pairs: Sequence[Sequence[tuple[str, str]]], seed: int) -> list[Row]:
    return list(paragraph_rows(passages, pairs, Random(seed), "paragraph"))  # noqa: S311


def small_rows(seed: int, count: int = 8000) -> list[Row]:
    """Steps that reason over what was found, and greetings."""
    random = Random(seed)  # noqa: S311
    turns = [("Who leads the archive?", "Ada Moreau"), ("What does a day ticket cost?", "12 EUR"), ("When?", "9:30")]
    reasoned: list[Any] = list(reasoned_rows(templates.written(random, count)))
    return [*reasoned, *talk_rows(random, turns)]
