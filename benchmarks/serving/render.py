"""Writes the prompts of the other scripts: `python -m benchmarks.serving.render OUT --data FILE.jsonl ...`.

Each line of the data has the fields `id` and `question`. The prompts are those that the distilled decomposer gets, with
the catalogue of the tools named.
"""

import argparse
import json
from pathlib import Path

from langchain_core.messages import convert_to_openai_messages

from anabranch.agents import prompts
from anabranch.agents.decomposer import PlanRequest
from anabranch.tools import Catalogue, builtin_tool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("-n", type=int, default=0, help="most questions; 0 takes all")
    parser.add_argument("--tools", nargs="*", default=["calculator"], help="names of built-in tools")
    parser.add_argument("--max-tokens", type=int, default=320)
    arguments = parser.parse_args()
    cards = Catalogue(builtin_tool(name) for name in arguments.tools).cards
    rows = [json.loads(line) for file in arguments.data for line in _lines(file)]
    questions = {row["id"]: row["question"] for row in rows}
    chosen = list(questions.items())[: arguments.n or None]
    rendered = {
        "routes": [card.name for card in cards],
        "max_sub_questions": PlanRequest("", cards).max_sub_questions,
        "max_tokens": arguments.max_tokens,
        "version": prompts.version(),
        "prompts": [
            {"id": id_, "messages": convert_to_openai_messages(prompts.lines_messages(question, cards))}
            for id_, question in chosen
        ],
    }
    arguments.out.write_text(json.dumps(rendered, ensure_ascii=False), encoding="utf-8")
    print(f"{len(chosen)} prompts in {arguments.out}")


def _lines(file: Path) -> list[str]:
    # Not splitlines(): JSON may hold U+2028, which is no end of a line.
    return [line for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]


if __name__ == "__main__":
    main()
