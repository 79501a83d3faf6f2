"""How fast the in-process model writes a plan: `python -m benchmarks.local_model [-n RUNS] [--fresh RUNS]`.

Each row is the median over a few questions, the prompt's beginning cached, 64 tokens at most: first the base
model, then the decomposer of this package. The last row is `hf:`, transformers' `generate` on the base model's prompts,
which reads the whole prompt each time. CPU seconds tell how much of the time on a busy machine went to others.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from langchain_core.messages import convert_to_openai_messages

from anabranch.agents import prompts
from anabranch.agents.adapters import adapter_folder
from anabranch.agents.decomposer import LineDecomposer, PlanRequest
from anabranch.agents.local import prepare
from anabranch.agents.local.files import ready
from anabranch.agents.local.generation import Engine, Options
from anabranch.agents.local.hf import TransformersEngine
from anabranch.agents.local.llamacpp import LlamaCppEngine
from anabranch.agents.local.weights import located
from anabranch.codecs import LineGrammar
from anabranch.config import read_settings
from anabranch.options import LOCAL_MODEL
from anabranch.tools import Catalogue, calculator

SYSTEM = """Split the question into sub-questions, one a line: ID [ROUTE] TEXT
Routes: solve (reasoning), search (facts in documents), calculator (arithmetic).
{1} stands for the answer of sub-question 1. Write DIRECT where no plan is needed.

Question: How much older is the founder of Craigslist than the founder of eBay?
1 [search] Who founded Craigslist?
2 [search] When was {1} born?
3 [search] Who founded eBay?
4 [search] When was {3} born?
5 [calculator] {4} - {2}

Question: What is the tallest building in the capital of the country where Rolex was founded?
1 [search] Where was Rolex founded?
2 [search] What is the capital of the country {1}?
3 [search] What is the tallest building in {2}?"""
QUESTIONS = [
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?",
    "Who is older, the director of Jaws or the director of Star Wars?",
    "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes of babysitting. How much did she earn?",
]
LONG = [
    "Who is older, the director of Jaws or the director of Star Wars?",
    "Which is higher, the mountain where the Rhine begins or the mountain where the Rhone begins?",
    "How many years passed between the birth of the founder of Craigslist and the birth of the founder of eBay?",
]
"""Questions whose plans take about 64 tokens."""
PATTERN = LineGrammar(["search", "calculator"], 8, empty=None).pattern
TOKENS = 64

FRESH = """
from langchain_core.messages import HumanMessage, SystemMessage
from anabranch.agents.local import LocalChatModel
from benchmarks.local_model import PATTERN, QUESTIONS, SYSTEM, TOKENS
messages = [SystemMessage(SYSTEM), HumanMessage(QUESTIONS[0])]
LocalChatModel().invoke(messages, pattern=PATTERN, max_tokens=TOKENS)
"""


def messages(question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def of_base(engine: Engine, options: Options) -> Callable[[str], int]:
    return lambda question: engine.generate(messages(question), options).output_tokens


def of_decomposer(engine: Engine) -> Callable[[str], int]:
    """The decomposer that comes with the package, with its own prompt, tools and grammar."""
    cards = Catalogue([calculator()]).cards
    options = Options(max_tokens=TOKENS, pattern=LineDecomposer.pattern(PlanRequest("", cards)))

    def write(question: str) -> int:
        prompt = convert_to_openai_messages(prompts.lines_messages(question, cards))
        return engine.generate([dict(message) for message in prompt], options).output_tokens

    return write


def row(name: str, write: Callable[[str], int], runs: int, questions: Sequence[str] = QUESTIONS) -> None:
    for question in questions:
        write(question)
    seconds, busy, tokens = [], [], []
    for question in [*questions] * runs:
        start, start_busy = time.perf_counter(), time.process_time()
        tokens.append(write(question))
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - start_busy)
    times = f"{statistics.median(seconds):8.2f} {min(seconds):8.2f} {statistics.median(busy):8.2f}"
    print(f"{name:34} {times} {statistics.mean(tokens):8.0f} {sum(tokens) / sum(seconds):8.0f}", flush=True)


def fresh(runs: int) -> None:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", FRESH], check=True)
        seconds.append(time.perf_counter() - start)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"fresh process, imports to plan: median {statistics.median(seconds):.2f} s, best {min(seconds):.2f} s")
    print(f"at most {most:.0f} MiB, the mapped weights included")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=5, help="runs of each question")
    parser.add_argument("--fresh", type=int, default=3, help="fresh processes")
    parser.add_argument("--no-transformers", dest="transformers", action="store_false", help="leave out the slow row")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 takes the default")
    arguments = parser.parse_args()
    if arguments.fresh:
        fresh(arguments.fresh)
    source = located(progress=print)

    def engine(adapter: Path | None) -> LlamaCppEngine:
        cache = read_settings().cache_dir / "models" / "gguf"
        return LlamaCppEngine(ready(source, adapter, cache, progress=print), threads=arguments.threads)

    base, decomposer = engine(None), engine(adapter_folder("decomposer", LOCAL_MODEL))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':34} {'median s':>8} {'best s':>8} {'CPU s':>8} {'tokens':>8} {'tokens/s':>8}")
    row("plain greedy", of_base(base, Options(max_tokens=TOKENS)), arguments.n)
    row("+ grammar", of_base(base, Options(max_tokens=TOKENS, pattern=PATTERN)), arguments.n)
    uncached = Options(max_tokens=TOKENS, pattern=PATTERN, reuse=False)
    row("the same, prompt not cached", of_base(base, uncached), arguments.n)
    row("decomposer-135m, grammar", of_decomposer(decomposer), arguments.n, LONG)
    if arguments.transformers:
        theirs = TransformersEngine(prepare(progress=print))
        row("transformers generate, grammar", of_base(theirs, Options(max_tokens=TOKENS, pattern=PATTERN)), arguments.n)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
