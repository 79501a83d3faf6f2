"""A few questions written for the tests, and a script that answers them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROWS: list[dict[str, Any]] = [
    {
        "id": "pens",
        "question": "A shop has 14 boxes of 30 pens and sells 95 pens. How many pens are left?",
        "answer": "325",
        "sub_questions": ["How many pens are in 14 boxes of 30?", "How many of #1 are left without 95?"],
    },
    {
        "id": "eggs",
        "question": "A hen lays 2 eggs a day and three of 14 are eaten. How many eggs are left in a week?",
        "answer": "11",
        "sub_questions": ["How many eggs does the hen lay in a week?", "How many of #1 are left?"],
    },
    {"id": "coins", "question": "Ada has 1,200 coins and gives away half. How many are left?", "answer": "600"},
]
PLAN = "1 [calculator] 14 * 30\n2 [solve] How much is {1} without the rest?"


def write(path: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    """The rows as a file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in (ROWS if rows is None else rows)), encoding="utf-8")
    return path


def replying(wrong: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """Replies by the prompt: plans, sub-questions, programs, and answers that are right unless said otherwise."""

    def reply(prompt: str) -> str:
        if "Write one sub-question a line" in prompt or "Reply with JSON only" in prompt:
            if "Asked so far" in prompt:
                return "DONE"
            plan = PLAN if "calculator: " in prompt else PLAN.replace("[calculator]", "[solve]")
            lines = plan.split("\n")
            texts = [line.partition("] ")[2] for line in lines]
            steps = [
                {"id": n, "text": text, "route": "solve", "depends_on": [n - 1] if n > 1 else []}
                for n, text in enumerate(texts, 1)
            ]
            return plan if "one sub-question a line" in prompt else json.dumps({"sub_questions": steps})
        row = next((row for row in ROWS if row["question"] in prompt), None)
        answer = "420" if row is None else (wrong or {}).get(row["id"], row["answer"])
        if "Break the question down" in prompt:
            return "1. How many are there?\n2. How many are left?"
        if "Python program" in prompt:
            return f"```python\nprint({answer})\n```"
        if "in a few words" in prompt or "without any reasoning" in prompt:
            return answer
        return f"So 1 and 2 make it.\nAnswer: {answer}"

    return reply
