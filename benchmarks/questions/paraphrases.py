"""How often the right passage is found for questions in other words: `python -m benchmarks.questions.paraphrases`.

`paraphrases.jsonl` has questions whose words are not in the passage that answers them ("Who is the boss?"), on the sets
of `benchmarks.questions` and the example documents (`valley`). A question's passage is the one of its `source` that
says `says`. Its set is searched alone, and in one index with all other sets (`pooled`). The facts among the questions
of `benchmarks.questions` are the ordinary ones: their passages are those that say an accepted answer.

The weight of meaning was chosen on the sets `handbook`, `manual` and `course`; the others are held out.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.documents import Document

from anabranch.tools.documents import load_documents, split_passages
from anabranch.tools.embedder import FORMS, STATIC, Embedder
from anabranch.tools.kept_index import with_embeddings
from anabranch.tools.passage_index import PassageIndex
from benchmarks.questions.__main__ import FOLDER, holds, rows, tokens

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"
K = 4
HELD_OUT = ("town", "shop", "valley")
WIDTHS = (("words", 8), ("words and meaning", 20))


class Asked(NamedTuple):
    """A question, the set that it is on, and the texts of which a passage has to say one."""

    kind: str
    set: str
    question: str
    says: Sequence[str]
    source: str = ""

    def found_in(self, passages: Iterable[Document]) -> bool:
        """Whether one of the passages answers it."""
        return any(self._answered_by(passage) for passage in passages)

    def _answered_by(self, passage: Document) -> bool:
        about = passage.metadata
        if about["set"] != self.set or self.source not in ("", about["source"]):
            return False
        said = tokens(passage.page_content)
        return any(holds(said, tokens(text)) for text in self.says)


def questions() -> list[Asked]:
    """The questions in other words, and the ordinary ones."""
    lines = (FOLDER / "paraphrases.jsonl").read_text(encoding="utf-8").splitlines()
    others = [Asked("other words", r["set"], r["question"], [r["says"]], r["source"]) for r in map(json.loads, lines)]
    facts = [row for row in rows() if row["kind"] == "fact"]
    return others + [Asked("ordinary", row["set"], row["question"], row["accept"]) for row in facts]


def passages(name: str) -> list[Document]:
    """The passages of a set."""
    folder = EXAMPLES if name == "valley" else FOLDER / "sets" / name
    split = split_passages(load_documents(folder).documents)
    return [Document(each.page_content, metadata={**each.metadata, "set": name}) for each in split]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embeddings", default=STATIC, help=FORMS)
    embedder = Embedder(parser.parse_args().embeddings)
    asked = questions()
    sets = {name: passages(name) for name in dict.fromkeys(each.set for each in asked)}
    sets["pooled"] = [passage for each in sets.values() for passage in each]
    words = {name: PassageIndex(each) for name, each in sets.items()}
    both = {name: with_embeddings(each, embedder, print) for name, each in words.items()}
    found: Counter[Any] = Counter()
    count: Counter[Any] = Counter()
    for each in asked:
        part = "held out" if each.set in HELD_OUT else "tuning"
        if not each.found_in(sets[each.set]):
            continue  # its answer is put together out of several passages
        for scope in ("set", "pooled"):
            row, name = (each.kind, part, scope), each.set if scope == "set" else scope
            count[row] += 1
            for how, indexes in (("words", words), ("words and meaning", both)):
                found[row, how] += each.found_in(indexes[name].search(each.question, K))
    print(f"recall at {K}{'':28}{'n':>5}{'words':>8}{'words and meaning':>20}")
    for row, total in count.items():
        numbers = "".join(f"{found[row, how] / total:>{width}.1%}" for how, width in WIDTHS)
        print(f"{' '.join(row):38}{total:>5}{numbers}")


if __name__ == "__main__":
    main()
