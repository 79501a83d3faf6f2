"""The data sets of a folder, each read once; malformed rows and missing files are noted and left out."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from anabranch.batch.files import Kinds, digest, read_rows
from anabranch.batch.hub import Hub, fetch, from_musique
from anabranch.distill import templates
from anabranch.distill import vocabulary as words
from anabranch.distill.datasets import Skipped
from anabranch.distill.records import Demonstration
from anabranch.errors import ConfigurationError, DocumentError
from anabranch.plan import slots

GSM8K = "gsm8k_main_train.jsonl"
STRATEGYQA = "strategyqa_train.jsonl"
MUSIQUE = "musique_hipporag_train100_ctx.jsonl"
HOTPOTQA = "hotpotqa_hipporag_train100_ctx.jsonl"
NAMES = (GSM8K, STRATEGYQA, MUSIQUE, HOTPOTQA)
QDMR = "qdmr_sql_gold.jsonl"
TWO_WIKI = "2wiki_train500.jsonl"
"""Both are read only where they are asked for."""

FILES = {
    "gsm8k": GSM8K,
    "strategyqa": STRATEGYQA,
    "musique": MUSIQUE,
    "hotpotqa": HOTPOTQA,
    "qdmr": QDMR,
    "2wiki": TWO_WIKI,
}
"""The data sets by the names that they have on the command line."""

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


def _from_gsm8k(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of openai/gsm8k: the lines of the worked solution, then the answer after `####`."""
    solution, _, answer = row["answer"].rpartition("####")
    steps = [line.strip() for line in solution.splitlines() if line.strip()]
    return {"question": row["question"], "answer": answer.strip(), "meta": {"steps": steps}}


HUBS = {
    # With the ids of the plans in distill_data.
    "gsm8k": Hub("openai/gsm8k", "main", "train", _from_gsm8k, ids="gsm8k_train_"),
    "musique": Hub("dgslibisey/MuSiQue", None, "train", from_musique),
}


class Sources:
    """The data sets of a folder, and of other files.

    Args:
        folder: the folder; files that are not there are left out.
        own: data sets out of other files, or from the hub: `NAME=FILE` or `NAME=hub`, with the names of `FILES`.
        work: folder for what comes from the hub.

    Attributes:
        paths: the file of each data set.
        inputs: hashes of the files that are there.

    Raises:
        ConfigurationError: `own` names no data set, or one that is not taken from the hub.
        DocumentError: there is no file, or one of `own` is missing.
        MissingExtraError: the library that reads the hub is not installed.
        EndpointError: the hub cannot be reached.
    """

    def __init__(self, folder: Path, own: Sequence[str] = (), work: Path | None = None) -> None:
        self.paths = {name: folder / name for name in FILES.values()}
        self.paths |= dict(_own(text, work or folder) for text in own)
        self.inputs = {name: digest(self.paths[name]) for name in NAMES if self.paths[name].is_file()}
        if not self.inputs:
            raise DocumentError(
                f"{folder} holds none of {', '.join(NAMES)}; give the folder of the data sets, or a file with --source"
            )
        self._read: dict[str, tuple[Sequence[Row], dict[str, list[str]]]] = {}

    def rows(self, name: str, skipped: Skipped | None = None) -> Sequence[Row]:
        """The rows of one data set; none where its file is missing.

        Args:
            name: of the file.
            skipped: gets what is left out.
        """
        if name not in self._read:
            bad: dict[str, list[str]] = {}
            there = self.paths[name].is_file()
            read = list(read_rows(self.paths[name], _FIELDS[name], bad)) if there else []
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


def _own(text: str, work: Path) -> tuple[str, Path]:
    """The data set that `NAME=FILE` gives, and its file."""
    kind, _, file = text.partition("=")
    name = FILES.get(kind)
    if name is None or not file:
        raise ConfigurationError(f"{text!r} is not NAME=FILE with one of these names: {', '.join(FILES)}")
    if file == "hub":
        if kind not in HUBS:
            raise ConfigurationError(f"only {' and '.join(HUBS)} come from the hub; give a file: --source {kind}=FILE")
        return name, fetch(HUBS[kind], work / name, f"give a file: --source {kind}=FILE")
    if not Path(file).is_file():
        raise DocumentError(f"{file} cannot be read: there is no such file; check --source {text}")
    return name, Path(file)


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
