"""How often follow-up questions are understood: `python -m benchmarks.conversations --solver MODEL [--split NAME]`.

Each line of `conversations.jsonl` has the turns before a message, the message, and what it means: the question must
hold certain words (`must`; of a list inside it, any one), must not hold others, or must be the `same` as the message;
and it is a question of its own, or something about the conversation, which is answered from that alone (`turn`). Near
misses lean on earlier turns though they look as if they did not, as "Is Mina Dahl her boss?" does.
`--split held_out` are conversations that nothing was tuned on before their first score (docs/results.md).
`--gguf FILE` serves a model with xllamacpp for the while. `--small` measures what an in-process model gets, which is
not asked to rewrite anything. `--replies FILE` keeps each reply with a hash of its prompt, so that a change of what
is made of the replies needs no new calls.
"""

import argparse
import asyncio
import hashlib
import json
import time
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration

from anabranch.agents.conversation import Understood, understand
from anabranch.agents.ledger import Ledger, booking
from anabranch.agents.models import RoleModel, resolve_model

FILE = Path(__file__).with_suffix(".jsonl")
Row = Mapping[str, Any]


def rows(split: str) -> list[Row]:
    """The conversations of a split, `tuning` or `held_out`, or `all`."""
    found = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    return [row for row in found if split in ("all", row["split"])]


def messages(row: Row) -> list[BaseMessage]:
    """A conversation as LangChain messages."""
    said: list[BaseMessage] = []
    for place, text in enumerate(row["turns"]):
        said.append(AIMessage(text) if place % 2 else HumanMessage(text))
    return [*said, HumanMessage(row["asked"])]


def right(row: Row, found: Understood) -> bool:
    """Whether a message was understood."""
    asks = found.turn != "conversation"
    if asks is not (row["turn"] == "question"):
        return False
    if row.get("same"):
        return _bare(found.question) == _bare(row["asked"])
    text = found.question.lower()
    wanted = all(_holds(text, words) for words in row.get("must", []))
    return wanted and not any(word.lower() in text for word in row.get("must_not", []))


def _holds(text: str, words: str | list[str]) -> bool:
    options = [words] if isinstance(words, str) else words
    return any(word.lower() in text for word in options)


def _bare(text: str) -> str:
    """A text without white space and punctuation."""
    return "".join(character for character in text if unicodedata.category(character)[0] in "LN")


class Replies(BaseCache):
    """Replies of one model in a file, a line each. What is asked besides the prompt is not minded."""

    def __init__(self, file: Path) -> None:
        """Reads the replies that the file has."""
        self.file, self.kept = file, dict[str, str]()
        if file.exists():
            lines = file.read_text(encoding="utf-8").splitlines()
            self.kept = {row["prompt"]: row["reply"] for row in map(json.loads, lines)}

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """The reply to a prompt, if it is known."""
        reply = self.kept.get(_hash(prompt))
        return None if reply is None else [ChatGeneration(message=AIMessage(reply))]

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keeps the reply to a prompt."""
        key, reply = _hash(prompt), return_val[0].text
        self.kept[key] = reply
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"prompt": key, "reply": reply}, ensure_ascii=False) + "\n")

    def clear(self, **kwargs: Any) -> None:
        """Forgets all replies."""
        self.kept.clear()
        self.file.unlink(missing_ok=True)


def _hash(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:24]


async def measure(model: RoleModel, split: str, *, verbose: bool) -> None:
    """Understands all conversations of a split and prints how many rightly."""
    good, all_, calls, began = Counter[str](), Counter[str](), Counter[int](), time.monotonic()
    whole = 0
    for row in rows(split):
        with booking(Ledger()) as ledger:
            found = await understand(model, messages(row))
        ok = right(row, found)
        all_[row["kind"]] += 1
        good[row["kind"]] += ok
        calls[ledger.total.calls] += 1
        whole += ok and found.question != row["asked"] and found.question.endswith(row["asked"])
        if verbose and not ok:
            print(f"{row['id']}: {row['asked']!r} -> {found.turn}: {found.question!r}")
    for kind, count in all_.items():
        print(f"{kind:15} {good[kind]:3} of {count}")
    total = sum(all_.values())
    print(f"{split:15} {good.total():3} of {total} = {good.total() / total:.1%}")
    print(f"{whole} of these are the message after the turns before it, which nobody could rewrite")
    print(f"calls: {dict(sorted(calls.items()))}, {(time.monotonic() - began) / total:.1f} s each")


def serve(path: Path, threads: int) -> tuple[Any, str]:
    """Serves a GGUF file on loopback; gives the server, which must be kept, and its address."""
    xllamacpp: Any = import_module("xllamacpp")  # untyped
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path.expanduser())
    parameters.n_ctx, parameters.n_parallel, parameters.warmup = 4096, 1, False
    parameters.cpuparams.n_threads = threads
    server = xllamacpp.Server(parameters)
    return server, f"{server.listening_address}/v1#model"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solver", default="local", help="names as for anabranch ask")
    parser.add_argument("--gguf", type=Path, help="a GGUF file to serve as the solver")
    parser.add_argument("--threads", type=int, default=2, help="of --gguf")
    parser.add_argument("--split", choices=["tuning", "held_out", "all"], default="tuning")
    parser.add_argument("--small", action="store_true", help="as an in-process model is treated")
    parser.add_argument("--replies", type=Path, help="a file in which replies are kept; one for each model")
    parser.add_argument("--verbose", action="store_true", help="show what went wrong; not with held_out, if you tune")
    arguments = parser.parse_args()
    server, spec = serve(arguments.gguf, arguments.threads) if arguments.gguf else (None, arguments.solver)
    model = resolve_model(spec)
    if arguments.replies:
        set_llm_cache(Replies(arguments.replies))
    asyncio.run(measure(replace(model, small=arguments.small), arguments.split, verbose=arguments.verbose))
    del server


if __name__ == "__main__":
    main()
