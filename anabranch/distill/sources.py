"""The data sets' files: which there are, and their rows; malformed ones and missing files are noted and left out."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from anabranch.batch.files import Kinds, digest, read_rows
from anabranch.distill import datasets, templates
from anabranch.distill import vocabulary as words
from anabranch.distill.datasets import Skipped
from anabranch.errors import DocumentError
from anabranch.plan import slots

GSM8K = "gsm8k_main_train.jsonl"
STRATEGYQA = "strategyqa_train.jsonl"
MUSIQUE = "musique_hipporag_train100_ctx.jsonl"
HOTPOTQA = "hotpotqa_hipporag_train100_ctx.jsonl"
NAMES = (GSM8K, STRATEGYQA, MUSIQUE, HOTPOTQA)
QDMR = "qdmr_sql_gold.jsonl"
"""Read only where it is asked for."""

Passage = Mapping[str, str]
_FIELDS: Mapping[str, Mapping[str, Kinds]] = {
    GSM8K: {"id": (str, int), "question": str, "answer": (str, int)},
    STRATEGYQA: {"id": (str, int), "question": str},
    MUSIQUE: {"id": (str, int), "question": str, "sub_questions": list, "context": list, "meta": dict},
    HOTPOTQA: {"id": (str, int), "context": list},
    QDMR: {"id": (str, int), "question": str, "split": str},
}


def check(data: Path) -> dict[str, str]:
    """Hashes of the data sets in a folder.

    Raises:
        DocumentError: there is none.
    """
    found = {name: digest(data / name) for name in NAMES if (data / name).is_file()}
    if not found:
        raise DocumentError(f"{data} holds none of {', '.join(NAMES)}; give the folder of the data sets")
    return found


def rows_of(data: Path, name: str, skipped: Skipped | None = None) -> Iterator[dict[str, Any]]:
    """The rows of one data set; none where its file is missing."""
    noted = skipped if skipped is not None else Skipped()
    if not (data / name).is_file():
        noted.add("a data set that is not there", {"id": name})
        return
    yield from read_rows(data / name, _FIELDS[name], noted.reasons)


def gsm8k_rows(
    data: Path, limit: int | None = None, skipped: Skipped | None = None
) -> Iterator[tuple[dict[str, Any], list[datasets.Calculation], str]]:
    """Rows whose solution can be used, with its steps, and `train` or `tune`: the last rows are for tuning."""
    rows = list(rows_of(data, GSM8K, skipped))
    start = len(rows) - min(datasets.GSM8K_TUNE, len(rows) // 10)
    chosen = list(enumerate(rows))
    if limit is not None:
        chosen = [*chosen[: min(limit, start)], *chosen[start : start + limit]]
    for number, row in chosen:
        steps = datasets.calculations(row)
        if steps:
            yield row, steps, "train" if number < start else "tune"
        elif skipped is not None:
            skipped.add("a solution that does not lead to its answer", row)


def passages(data: Path, limit: int | None = None, skipped: Skipped | None = None) -> list[Passage]:
    """The paragraphs of the training questions, each once."""
    found: dict[str, Passage] = {}
    for name in (MUSIQUE, HOTPOTQA):
        for row in rows_of(data, name, skipped):
            for paragraph in row["context"]:
                if isinstance(paragraph, dict) and isinstance(paragraph.get("text"), str) and paragraph.get("title"):
                    text, title = paragraph["text"], str(paragraph["title"])
                    found.setdefault(text, {"title": title, "text": text})
                elif skipped is not None:
                    skipped.add("a paragraph without title or text", row)
    kept = [p for p in found.values() if len(p["text"].split()) >= 25]
    return kept[:limit]


def chat_questions(data: Path, limit: int | None = None) -> list[tuple[str, str]]:
    """Questions for direct answers, and facts for short ones."""
    random = Random(11)  # noqa: S311
    direct = dict.fromkeys(words.CHAT)
    direct.update(dict.fromkeys(d.question for d in templates.written(random, 4000) if d.source == "written_task"))
    facts: dict[str, None] = {}
    for demonstration in datasets.strategyqa(rows_of(data, STRATEGYQA)):
        facts.update({step.text: None for step in demonstration.steps if not slots(step.text)})
    asked = [("direct", text) for text in direct][:300] + [("step", text) for text in list(facts)[:1200]]
    return asked if limit is None else [*asked[:limit], *asked[-limit:]]
