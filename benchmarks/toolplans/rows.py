"""Training rows out of seeds and the teacher's replies: what lost a value, or talks of tools, is left out.

Needs the standard library alone, so that it runs on a GPU machine between the teacher and the training.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

TUNE = 300
"""Rows that are held out, of fields that no row to train on is of."""
TERSE = 0.2
"""Share of rows whose catalogue says little."""
_LISTED = re.compile(r"\s*\(([^()]* = [^()]*)\)")
_TASK = re.compile(
    r"(?:that|what|which) (?:the )?(?:first|second|third|fourth|fifth|sixth) task (?:finds|found)", re.IGNORECASE
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_BAD = re.compile(
    r"[{}=]|\n\s*[-\d*]|\b(first|second|third|fourth|fifth|sixth|previous|above|following) (task|step)s?\b|"
    r"\b(sure|certainly|here is|here's the|assistant:)|[a-z]+_[a-z]+\(",
    re.IGNORECASE,
)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def problem(text: str, seed: dict[str, Any]) -> str | None:
    """Why a reply will not do; None if it will."""
    plain = _bare(text)
    if any(_bare(value) not in plain for value in seed["values"]):
        return "a value is lost"
    if _BAD.search(text):
        return "it talks of tasks, or is a list"
    words, told = len(text.split()), len(" ".join(seed["tasks"]).split())
    if not 0.5 * told <= words <= 2.2 * told + 12:
        return "too short or too long"
    figures = set(re.findall(r"\d+", text)) - set(re.findall(r"\d+", " ".join(seed["tasks"])))
    return "it has a number of its own" if figures else None


def _bare(text: str) -> str:
    return re.sub(r"[^\w]+", " ", text.lower()).strip()


def natural(text: str, random: Random) -> str:
    """A reply without the marks of the prompt: `(city = Graz; day = today)`, `that the first task finds`."""
    text = _LISTED.sub(lambda found: f" with {found[1].replace(' = ', ' ').replace('; ', ', ')}", text)
    words = random.choice(("that you get", "from that", "you find there", "from the result", "that comes out"))
    return _TASK.sub(words, text)


def terse(system: str, random: Random) -> str:
    """The same catalogue with descriptions that say no more than the names."""
    head, routes = system.split("\nRoutes:\n")
    solve, *cards = routes.split("\n")
    names = [card.split(": ", 1)[0] for card in cards]
    form = random.choice(("{} tool", "{}", "[{}]", "{} API"))
    short = [f"{name}: {form.format(' '.join(_WORDS.findall(name)).capitalize())}" for name in names]
    return f"{head}\nRoutes:\n" + "\n".join([solve, *short])


def asked(seed: dict[str, Any], text: str, random: Random) -> dict[str, Any]:
    """The seed's row with another request."""
    system, _ = seed["messages"]
    if random.random() < TERSE:
        system = {**system, "content": terse(system["content"], random)}
    messages = [system, {"role": "user", "content": f"Question: {text}"}]
    return {"id": seed["id"], "messages": messages, "completion": seed["completion"]}


def main() -> None:
    """Writes OUT_train.jsonl and OUT_tune.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=Path)
    parser.add_argument("replies", type=Path)
    parser.add_argument("--out", required=True, help="beginning of the files' names")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="rows to train on besides")
    parser.add_argument("--templates", type=float, default=0.15, help="share of seeds that keep their own words")
    args = parser.parse_args()
    seeds = {seed["id"]: seed for seed in rows(args.seeds)}
    random, why = Random(1), Counter[str]()
    kept: list[tuple[str, dict[str, Any]]] = []
    seen: set[str] = set()
    for reply in rows(args.replies):
        choices = ((reply.get("response") or {}).get("body") or {}).get("choices") or []
        text = choices[0]["message"]["content"].strip().strip('"').strip() if choices else ""
        seed = seeds[reply["custom_id"].partition("/")[0]]
        text = natural(text, random)
        found = problem(text, seed) if text else "no reply"
        if not found and text in seen:
            found = "the same again"
        seen.add(text)
        why[found or "kept"] += 1
        if not found:
            kept.append((seed["field"], asked(seed, text, random)))
    for seed in seeds.values():
        if random.random() < args.templates:
            question = natural(seed["messages"][1]["content"].removeprefix("Question: "), random)
            kept.append((seed["field"], asked(seed, question, random)))
    fields = sorted({field.split("/")[0] for field, _ in kept})
    random.shuffle(fields)
    held = set(fields[: max(1, len(fields) // 20)])
    tune = [row for field, row in kept if field.split("/")[0] in held][:TUNE]
    train = [row for field, row in kept if field.split("/")[0] not in held]
    for path in args.more:
        train += rows(path)
    random.shuffle(train)
    for name, part in (("train", train), ("tune", tune)):
        with Path(f"{args.out}_{name}.jsonl").open("w", encoding="utf-8") as sink:
            sink.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in part)
    print(json.dumps({"replies": why, "train": len(train), "tune": len(tune)}))


if __name__ == "__main__":
    main()
