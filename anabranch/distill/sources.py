"""The data sets of a folder, each read once; malformed rows and missing files are noted and left out."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from anabranch.batch.files import Kinds, digest, read_rows
from anabranch.distill import templates
from anabranch.distill import vocabulary as words
from anabranch.distill.datasets import Skipped
from anabranch.distill.records import Demonstration
from anabranch.errors import DocumentError
from anabranch.plan import slots

GSM8K = "gsm8k_main_train.jsonl"
STRATEGYQA = "strategyqa_train.jsonl"
MUSIQUE = "musique_hipporag_train100_ctx.jsonl"
HOTPOTQA = "hotpotqa_hipporag_train100_ctx.jsonl"
NAMES = (GSM8K, STRATEGYQA, MUSIQUE, HOTPOTQA)
QDMR = "qdmr_sql_gold.jsonl"
TWO_WIKI = "2wiki_train500.jsonl"
"""Both are read only where they are asked for."""

Row = Mapping[str, Any]
Passage = Mapping[str, str]
_FIELDS: Mapping[str, Mapping[str, Kinds]] = {
    GSM8K: {"id": (str, int), "question": str, "answer": (str, int)},
    STRATEGYQA: {"id": (str, int), "question": str},
    MUSIQUE: {"id": (str, int), "question": str, "sub_questions": list, "context": list, "meta": dict},
    HOTPOTQA: {"id": (str, int), "context": list},
    QDMR: {"id": (str, int), "question": str, "split": str},
    TWO_WIKI: {"context": list},
}


class Sources:
    """The data sets of a folder.

    Args:
        folder: the folder.

    Attributes:
        inputs: hashes of the files that are there.

    Raises:
        DocumentError: there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs = {name: digest(folder / name) for name in NAMES if (folder / name).is_file()}
        if not self.inputs:
            raise DocumentError(f"{folder} holds none of {', '.join(NAMES)}; give the folder of the data sets")
        self._read: dict[str, tuple[Sequence[Row], dict[str, list[str]]]] = {}

    def rows(self, name: str, skipped: Skipped | None = None) -> Sequence[Row]:
        """The rows of one data set; none where its file is missing.

        Args:
            name: of the file.
            skipped: gets what is left out.
        """
        if name not in self._read:
            bad: dict[str, list[str]] = {}
            there = (self.folder / name).is_file()
            read = list(read_rows(self.folder / name, _FIELDS[name], bad)) if there else []
            self._read[name] = read, bad if there else {"a data set that is not there": [name]}
        rows, left_out = self._read[name]
        if skipped is not None:
            skipped.take(left_out)
        return rows

    def passages(self, skipped: Skipped | None = None) -> list[Passage]:
        """The paragraphs of the training questions, each once."""
        found: dict[str, Passage] = {}
        for row in [*self.rows(MUSIQUE, skipped), *self.rows(HOTPOTQA, skipped)]:
            for paragraph in row["context"]:
                if isinstance(paragraph, dict) and isinstance(paragraph.get("text"), str) and paragraph.get("title"):
                    text, title = paragraph["text"], str(paragraph["title"])
                    found.setdefault(text, {"title": title, "text": text})
                elif skipped is not None:
                    skipped.add("a paragraph without title or text", row)
        return _long(found.values())

    def more_passages(self) -> list[Passage]:
        """The paragraphs of 2WikiMultihopQA's training questions, where they are there."""
        texts = {p["text"]: p["title"] for row in self.rows(TWO_WIKI) for p in row["context"]}
        return _long({"title": title, "text": text} for text, title in texts.items())


def _long(passages: Iterable[Passage]) -> list[Passage]:
    return [passage for passage in passages if len(passage["text"].split()) >= 25]


def chat_questions(strategies: Iterable[Demonstration], limit: int | None = None) -> list[tuple[str, str]]:
    """Questions for direct answers, and facts for short ones.

    Args:
        strategies: StrategyQA's plans, whose look-ups are the facts.
        limit: only so many of each kind.
    """
    random = Random(11)  # noqa: S311
    direct = dict.fromkeys(words.CHAT)
    direct.update(dict.fromkeys(d.question for d in templates.written(random, 4000) if d.source == "written_task"))
    facts = dict.fromkeys(step.text for each in strategies for step in each.steps if not slots(step.text))
    asked = [("direct", text) for text in direct][:300] + [("step", text) for text in list(facts)[:1200]]
    return asked if limit is None else [*asked[:limit], *asked[-limit:]]
