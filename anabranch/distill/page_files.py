"""Made-up pages as files in several forms: Markdown, web pages, separated values, plain text."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from random import Random

from anabranch.distill.pages import NO_WORDINGS, Asked, Block, Drawn, facts_block, table_block, table_names, topics

_HEADINGS = ("General", "Good to know", "Details", "Rules", "In short", "Questions and answers", "More", "Please note")


def write_set(
    folder: Path, random: Random, tables: Sequence[str] = (), wordings: Mapping[str, Sequence[str]] = NO_WORDINGS
) -> list[Asked]:
    """Writes the files of a made-up set of documents.

    Args:
        folder: an empty folder.
        random: source of chance.
        tables: the tables to choose from, as lines of `pages.txt`; all if empty.
        wordings: other wordings of the questions in `pages.txt`, for example a teacher's.

    Returns:
        What can be asked of them.
    """
    draw = Drawn(random, wordings)
    known = list(tables or table_names())
    chosen = random.sample(known, min(len(known), random.randint(3, 7)))
    blocks = [table_block(draw, line) for line in chosen]
    blocks += [facts_block(draw, topic) for topic in random.sample(list(topics()), random.randint(2, 5))]
    random.shuffle(blocks)
    owner = draw.value("firm") if random.random() < 0.4 else ""
    left = list(blocks)
    while left:
        several = random.choice((1, 1, 1, 2))
        part, left = left[:several], left[several:]
        name = re.sub(r"[^a-z0-9]+", "-", part[0].title.lower()).strip("-")
        ending, text = _file(part, owner, random)
        (folder / f"{name}.{ending}").write_text(text, encoding="utf-8")
    return [asked for block in blocks for asked in block.asked]


def _file(blocks: Sequence[Block], owner: str, random: Random) -> tuple[str, str]:
    """A file's ending and text."""
    title = blocks[0].title
    title = random.choice((f"{owner}: {title}", f"{title} ({owner})", title)) if owner else title
    if len(blocks) == 1 and blocks[0].rows and random.random() < 0.15:
        return "csv", _separated(blocks[0], random)
    if random.random() < 0.15:
        body = "\n".join(_web(block, head=place > 0) for place, block in enumerate(blocks))
        page = (
            f"<html><head><title>{escape(title)}</title></head>\n<body><h1>{escape(title)}</h1>\n{body}\n</body></html>"
        )
        return "html", page
    plain = random.random() < 0.1
    parts = [title if plain else f"# {title}"]
    for place, block in enumerate(blocks):
        if place or random.random() < 0.15:
            parts.append(block.title if plain else f"## {block.title}")
        parts += _rows_as_text(block, random) if block.rows else _paragraphs(block, random, plain=plain)
    return "txt" if plain else "md", "\n\n".join(parts) + "\n"


def _paragraphs(block: Block, random: Random, *, plain: bool) -> list[str]:
    left, parts = list(block.sentences), []
    bullets = random.random() < 0.25
    headings = random.sample(_HEADINGS, 4)
    while left:
        count = random.randint(2, 6)
        part, left = left[:count], left[count:]
        if headings and not plain and random.random() < 0.4:
            parts.append(f"## {headings.pop()}")
        parts.append("\n".join(f"- {sentence}" for sentence in part) if bullets else " ".join(part))
    return parts


def _rows_as_text(block: Block, random: Random) -> list[str]:
    form = random.choices(("table", "bullets", "prose"), (70, 15, 15))[0]
    named = block.header[1:]
    if form == "table":
        lines = [block.header, tuple("---" for _ in block.header), *block.rows]
        return ["\n".join(f"| {' | '.join(cells)} |" for cells in lines)]
    if form == "bullets":
        mark, between = random.choice((("**{}**", ", "), ("{}", "; "), ("{}", ", ")))
        told = [between.join(map(": ".join, zip(named, row[1:], strict=True))) for row in block.rows]
        items = (f"- {mark.format(row[0])}: {text}" for row, text in zip(block.rows, told, strict=True))
        return ["\n".join(items)]
    if len(named) == 1:
        return [" ".join(f"{row[0]}: {row[1]}." for row in block.rows)]
    return [
        f"{row[0]}. {' '.join(f'{name}: {cell}.' for name, cell in zip(named, row[1:], strict=True))}"
        for row in block.rows
    ]


def _separated(block: Block, random: Random) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=random.choice(",,;"), lineterminator="\n")
    writer.writerows([block.header, *block.rows])
    return sink.getvalue()


def _web(block: Block, *, head: bool) -> str:
    lines = [f"<h2>{escape(block.title)}</h2>"] if head else []
    if block.rows:
        lines.append("<table>")
        lines.append("".join(["<tr>", *(f"<th>{escape(cell)}</th>" for cell in block.header), "</tr>"]))
        lines += ["".join(["<tr>", *(f"<td>{escape(cell)}</td>" for cell in row), "</tr>"]) for row in block.rows]
        lines.append("</table>")
    else:
        lines += [f"<p>{escape(sentence)}</p>" for sentence in block.sentences]
    return "\n".join(lines)
