"""Multi-hop questions with paragraphs: HotpotQA, 2WikiMultihopQA and MuSiQue.

The paragraphs of a question are the documents of its search tool; systems without tools are shown what one search for
the question finds. How many of the supporting passages were retrieved is reported as `recall`.
Sources: arXiv 1809.09600, 2011.01060, 2108.00573.
"""

from collections.abc import Mapping
from typing import Any

from anabranch.batch.examples import Example
from anabranch.batch.hub import Hub, from_musique
from anabranch.evals.tasks.task import Scores, Task
from anabranch.grading import exact_match, token_f1


def grade(answer: str, reply: str, example: Example) -> Scores:
    """Exact match and F1 as the three official scripts compute them, with the best of the references."""
    return {"em": exact_match(answer, example.answers), "f1": token_f1(answer, example.answers)}


def from_hotpotqa(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of hotpotqa/hotpot_qa or of framolfese/2WikiMultihopQA, which has the same form."""
    parts = zip(row["context"]["title"], row["context"]["sentences"], strict=True)
    return {
        "id": row["id"],
        "question": row["question"],
        "answer": row["answer"],
        "context": [{"title": title, "text": "".join(sentences)} for title, sentences in parts],
        "meta": {"supporting_facts": {"title": list(row["supporting_facts"]["title"])}},
    }


def _task(name: str, title: str, hub: Hub) -> Task:
    hint = "Answer with a name, a number or a few words, or with yes or no."
    return Task(name=name, title=title, metric="f1", metrics=("f1", "em"), grade=grade, hint=hint, hub=hub)


TASKS = (
    _task("hotpotqa", "HotpotQA", Hub("hotpotqa/hotpot_qa", "distractor", "validation", from_hotpotqa)),
    _task("2wiki", "2WikiMultihopQA", Hub("framolfese/2WikiMultihopQA", None, "validation", from_hotpotqa)),
    _task("musique", "MuSiQue", Hub("dgslibisey/MuSiQue", None, "validation", from_musique)),
)
