"""How fast the in-process model writes a plan: `python -m benchmarks.local_model [-n RUNS] [--fresh RUNS]`.

Each row is the median over a few questions, the prompt's beginning cached, 64 tokens at most: first the base
model, then the decomposer of this package. The last rows are transformers' `generate` with prompt lookup on the
base model's prompts, without a grammar; it reads the whole prompt each time, and gets as many threads as the
engine. CPU seconds tell how much of the time on a busy machine went to others.
"""

import argparse
import os
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
from anabranch.agents.local.engine import LocalEngine
from anabranch.agents.local.generation import Options
from anabranch.codecs import LineGrammar
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

Measured = tuple[int, int]
FRESH = """
from langchain_core.messages import HumanMessage, SystemMessage
from anabranch.agents.local import LocalChatModel
from benchmarks.local_model import PATTERN, QUESTIONS, SYSTEM, TOKENS
messages = [SystemMessage(SYSTEM), HumanMessage(QUESTIONS[0])]
LocalChatModel().invoke(messages, pattern=PATTERN, max_tokens=TOKENS)
"""


def messages(question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def own(engine: LocalEngine, options: Options) -> Callable[[str], Measured]:
    def write(question: str) -> Measured:
        written = engine.generate(messages(question), options)
        return written.output_tokens, written.steps

    return write


def of_transformers(folder: Path, engine: LocalEngine, precision: str) -> Callable[[str], Measured]:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(engine.threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, precision))

    def write(question: str) -> Measured:
        prompt = torch.tensor([engine.tokenizer.encode(engine.tokenizer.render(messages(question)))])
        written = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=TOKENS,
            do_sample=False,
            prompt_lookup_num_tokens=4,
        )
        return written.shape[1] - prompt.shape[1], 0

    return write


def of_decomposer(engine: LocalEngine, lookup: bool) -> Callable[[str], Measured]:
    """The decomposer that comes with the package, with its own prompt, tools and grammar."""
    folder = adapter_folder("decomposer", LOCAL_MODEL)
    assert folder is not None
    engine.add_adapter("decomposer", folder)  # the second time does nothing
    cards = Catalogue([calculator()]).cards
    pattern = LineDecomposer.pattern(PlanRequest("", cards))
    options = Options(adapter="decomposer", max_tokens=TOKENS, pattern=pattern, lookup=lookup)

    def write(question: str) -> Measured:
        prompt = convert_to_openai_messages(prompts.lines_messages(question, cards))
        done = engine.generate([dict(message) for message in prompt], options)
        return done.output_tokens, done.steps

    return write


def row(name: str, write: Callable[[str], Measured], runs: int, questions: Sequence[str] = QUESTIONS) -> None:
    for question in questions:
        write(question)
    seconds, busy, tokens, steps = [], [], [], []
    for question in [*questions] * runs:
        start, start_busy = time.perf_counter(), time.process_time()
        written, passes = write(question)
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - start_busy)
        tokens.append(written)
        steps.append(passes)
    times = f"{statistics.median(seconds):8.2f} {min(seconds):8.2f} {statistics.median(busy):8.2f}"
    counts = f"{statistics.mean(tokens):8.0f} {statistics.mean(steps):8.0f} {sum(tokens) / sum(seconds):8.0f}"
    print(f"{name:34} {times} {counts}", flush=True)


def fresh(runs: int) -> None:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", FRESH], check=True)
        seconds.append(time.perf_counter() - start)
    print(f"fresh process, imports to plan: median {statistics.median(seconds):.2f} s, best {min(seconds):.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=5, help="runs of each question")
    parser.add_argument("--fresh", type=int, default=3, help="fresh processes")
    parser.add_argument("--no-transformers", dest="transformers", action="store_false", help="leave out the slow rows")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 takes the default")
    arguments = parser.parse_args()
    folder = prepare(progress=print)
    engine = LocalEngine(folder, threads=arguments.threads)
    size = len(engine.tokenizer.encode(engine.tokenizer.render(messages(QUESTIONS[0]))))
    print(f"prompt {size} tokens, {os.cpu_count()} cores, {engine.threads} thread(s), load {os.getloadavg()[0]:.1f}")
    print(f"{'':34} {'median s':>8} {'best s':>8} {'CPU s':>8} {'tokens':>8} {'steps':>8} {'tokens/s':>8}")
    row("plain greedy", own(engine, Options(max_tokens=TOKENS, lookup=False)), arguments.n)
    row("+ grammar", own(engine, Options(max_tokens=TOKENS, lookup=False, pattern=PATTERN)), arguments.n)
    row("+ lookup", own(engine, Options(max_tokens=TOKENS)), arguments.n)
    row("+ grammar + lookup", own(engine, Options(max_tokens=TOKENS, pattern=PATTERN)), arguments.n)
    uncached = Options(max_tokens=TOKENS, pattern=PATTERN, reuse=False)
    row("the same, prompt not cached", own(engine, uncached), arguments.n)
    row("decomposer-135m, grammar", of_decomposer(engine, lookup=False), arguments.n, LONG)
    row("decomposer-135m, grammar + lookup", of_decomposer(engine, lookup=True), arguments.n, LONG)
    for precision in ("bfloat16", "float32") if arguments.transformers else ():
        row(f"transformers generate, {precision}", of_transformers(folder, engine, precision), arguments.n)
    if arguments.fresh:
        fresh(arguments.fresh)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
