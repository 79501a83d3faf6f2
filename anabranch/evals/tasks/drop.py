"""DROP: discrete reasoning over paragraphs (Dua et al. 2019, arXiv 1903.00161), by its official rules.

Rules of `allennlp_models/rc/tools/drop.py`: tokens are split at spaces and hyphens, numbers are compared as numbers,
articles and punctuation are dropped, and a reference with numbers scores only against an answer with one of them. An
answer is one span here, as in every generated answer; against that, the official alignment of spans is a maximum.
"""

import re
import string
from collections.abc import Mapping
from typing import Any

from anabranch.batch.examples import Example
from anabranch.batch.hub import Hub
from anabranch.evals.tasks.task import Scores, Task

_ARTICLES = re.compile(r"\b(a|an|the)\b")


def grade(answer: str, reply: str, example: Example) -> Scores:
    """Exact match and F1 with the best of the references."""
    pairs = [(normalized(answer) == normalized(gold), f1(answer, gold)) for gold in example.answers if gold.strip()]
    return {"em": max((em for em, _ in pairs), default=False), "f1": max((score for _, score in pairs), default=0.0)}


def paper_grade(reply: str, example: Example) -> bool:
    """The grade of the paper's released evaluation/evaluation_drop.py: the reference is a substring of the reply."""
    return example.answers[0].lower().replace(",", "") in reply.lower().replace(",", "")


def f1(answer: str, gold: str) -> float:
    """F1 of the sets of tokens, rounded to two digits as officially; 0 if the reference's numbers are missing."""
    said, wanted = set(normalized(answer).split()), set(normalized(gold).split())
    figures = {word for word in wanted if _is_number(word)}
    if figures and not figures & said:
        return 0.0
    common = len(said & wanted)
    precision = common / len(said) if said else 1.0
    recall = common / len(wanted) if wanted else 1.0
    return round(2 * precision * recall / (precision + recall), 2) if precision + recall else 0.0


def normalized(text: str) -> str:
    """A text after the official normalization, token by token."""
    return " ".join(part for token in re.split(" |-", text) if (part := _token(token)))


def _token(token: str) -> str:
    token = token.lower()
    if not _is_number(token):
        token = "".join(character for character in token if character not in string.punctuation)
    if _is_number(token):
        token = str(float(token))
    return " ".join(_ARTICLES.sub(" ", token).split())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def from_hub(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of ucinlp/drop. It lists the spans of all annotators alike, so each counts as a reference."""
    spans = row["answers_spans"]["spans"]
    found = {"id": row["query_id"], "question": row["question"], "context": row["passage"]}
    return {**found, "answer": spans[0], "meta": {"aliases": list(spans)}} if spans else None


TASK = Task(
    name="drop",
    title="DROP",
    metric="f1",
    metrics=("f1", "em"),
    grade=grade,
    paper_grade=paper_grade,
    hint="Answer with a number, a date or the words of the passage.",
    hub=Hub("ucinlp/drop", None, "validation", from_hub),
)
