"""A dozen rows, written for the tests in the form of the data sets."""

from typing import Any


def gsm8k(number: int) -> dict[str, Any]:
    trays, rolls, sold = number + 3, 12, 7
    made = trays * rolls
    return {
        "id": f"row-{number}",
        "question": f"A baker makes {trays} trays of {rolls} rolls and sells {sold}. How many rolls are left?",
        "answer": str(made - sold),
        "meta": {
            "steps": [
                f"He makes {trays}*{rolls} = <<{trays}*{rolls}={made}>>{made} rolls.",
                f"So {made}-{sold} = <<{made}-{sold}={made - sold}>>{made - sold} are left.",
            ]
        },
    }


GSM8K = [gsm8k(number) for number in range(12)]
STRATEGYQA: list[dict[str, Any]] = [
    {
        "id": "s-1",
        "question": "Is the old mill older than the quay?",
        "sub_questions": ["When was the old mill built?", "When was the quay built?", "Is #1 before #2?"],
        "meta": {"evidence": [[[["Mill-1"]], [["Quay-1"]], ["operation"]]] * 3},
    },
    {"id": "s-2", "question": "A row without a plan?", "sub_questions": None, "meta": {}},
    {"id": "s-3", "question": "A row that refers forward?", "sub_questions": ["Is #2 red?", "What?"], "meta": {}},
]
MUSIQUE: list[dict[str, Any]] = [
    {
        "id": "m-1",
        "question": "Where was the writer of The Salt Road born?",
        "sub_questions": ["The Salt Road >> author", "where was #1 born"],
        "meta": {"sub_answers": ["Ada Quist", "Selden"], "support": [0, 1]},
        "context": [
            {"title": "The Salt Road", "text": "The Salt Road is a novel by Ada Quist. " + "It is long. " * 20},
            {"title": "Ada Quist", "text": "Ada Quist was born in Selden. " + "She wrote of salt. " * 20},
            *({"title": f"Other {n}", "text": f"Passage {n} is about something else. " * 9} for n in range(12)),
        ],
    }
]
