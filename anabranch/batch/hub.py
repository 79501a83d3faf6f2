"""Data sets of the Hugging Face hub, written once into files of our format."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anabranch.errors import EndpointError, MissingExtraError

_TIMEOUT = 5.0


@dataclass(frozen=True)
class Hub:
    """A data set on the Hugging Face hub.

    Attributes:
        name: its name.
        config: its configuration, if it has several.
        split: the split to take.
        convert: turns a row into one of ours (see `examples.read_examples`); None to leave it out.
        ids: what the id of a row that has none begins with; its place follows.
    """

    name: str
    config: str | None
    split: str
    convert: Callable[[Mapping[str, Any]], dict[str, Any] | None]
    ids: str = ""


def fetch(hub: Hub, out: Path, form: str) -> Path:
    """Downloads a data set into a file of our format, once.

    Args:
        hub: the data set.
        out: the file; taken as it is if it exists. A file beside it says of which commit of the data set it is.
        form: what an error says of files to give instead.

    Raises:
        MissingExtraError: the library that reads it is not installed.
        EndpointError: the hub cannot be reached, or the data set has another form now.
    """
    if out.exists():
        return out
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError(f"{hub.name} is read with: pip install 'anabranch[eval]'; or {form}") from error
    try:
        commit = _commit(hub.name)
        rows = load_dataset(hub.name, hub.config, split=hub.split, revision=commit)
        found = [_row(hub, number, row) for number, row in enumerate(rows)]
    except Exception as error:  # its library's own errors, those of its HTTP client, and rows of another form
        reason = " ".join(str(error).split())[:200]
        raise EndpointError(f"{hub.name} cannot be had ({type(error).__name__}: {reason}); {form}") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in found if row)
    partial = out.with_name(f"{out.name}.part")
    partial.write_text("".join(lines), encoding="utf-8")
    source = f"https://huggingface.co/datasets/{hub.name}, split {hub.split}, commit {commit or 'unknown'}\n"
    out.with_name(f"{out.name}.source.txt").write_text(source, encoding="utf-8")
    return partial.replace(out)


def _row(hub: Hub, number: int, row: Mapping[str, Any]) -> dict[str, Any] | None:
    made = hub.convert(row)
    return {"id": f"{hub.ids}{number}", **made} if made and hub.ids else made


def _commit(name: str) -> str | None:
    """The commit that a data set is at; None where the hub cannot say, such as for a copy that is used offline."""
    try:
        from huggingface_hub import HfApi

        return HfApi().dataset_info(name, timeout=_TIMEOUT).sha
    except Exception:  # its own errors, and those of its HTTP client
        return None


def from_musique(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of dgslibisey/MuSiQue, with its plan; those that cannot be answered are left out."""
    if not row.get("answerable", True):
        return None
    paragraphs = [
        {"title": part["title"], "text": part["paragraph_text"], "is_supporting": part["is_supporting"]}
        for part in row["paragraphs"]
    ]
    steps = row["question_decomposition"]
    return {
        "id": row["id"],
        "question": row["question"],
        "answer": row["answer"],
        "context": paragraphs,
        "sub_questions": [step["question"] for step in steps],
        "meta": {
            "aliases": list(row["answer_aliases"]),
            "sub_answers": [step["answer"] for step in steps],
            "support": [step.get("paragraph_support_idx") for step in steps],
        },
    }
