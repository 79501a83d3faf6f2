"""How many plans a second one vLLM engine writes without HTTP: what the engine can do, whatever its front end.

python -m benchmarks.serving.offline MERGED --data gsm8k_main_test.jsonl [--engine '{"async_scheduling": false}']

It runs in vLLM's environment. Each of --clients has one plan under way at a time; a plan that fits not is put right
under the grammar as the decomposer does. Prompts are tokens, made before the clock runs.
"""

import argparse
import json
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from anabranch.on_demand import Ask, Reply, asks
from benchmarks.serving.load import percentile, steady
from benchmarks.serving.prompts import Grammar, Prompts

OPTIONS: dict[str, Any] = {
    "enable_prefix_caching": True,
    "generation_config": "vllm",
    "max_model_len": 4096,
    "max_num_seqs": 1024,
    "max_num_batched_tokens": 16384,
    "disable_log_stats": True,
}
"""Of the engine, unless --engine says otherwise."""


@dataclass
class Writing:
    """One plan under way: the prompt's number, when it began, and what is to be asked next."""

    number: int
    began: float
    asked: Generator[Ask, Reply, Reply] | None
    times: int = 0


@dataclass
class Run:
    """One pass over prompts.

    Attributes:
        engine: vLLM's.
        prompts: what is to be written, and its grammar.
        ids: the prompts' tokens.
        tokenizer: for the prompts of plans that are gone on with.
        grammar: which replies are held.
        tokens_only: the engine makes no text, so that its front process has less to do.
        under_way: by the number of the request.
    """

    engine: Any
    prompts: Prompts
    ids: Sequence[Sequence[int]]
    tokenizer: Any
    grammar: Grammar
    tokens_only: bool = False
    under_way: dict[str, Writing] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    again: int = 0
    valid: int = 0
    tokens: int = 0
    sent: int = 0

    def figures(self, clients: int) -> dict[str, Any]:
        """Writes all plans, and gives what it took."""
        self.texts = [""] * len(self.ids)
        began = time.monotonic()
        following = iter(range(len(self.ids)))
        for number in (n for n, _ in zip(following, range(clients), strict=False)):
            self._begin(number)
        while self.under_way:
            for output in self.engine.step():
                if output.finished and self._take(output) and (number := next(following, -1)) >= 0:
                    self._begin(number)
        seconds = time.monotonic() - began
        return {
            "concurrency": clients,
            "grammar": self.grammar,
            "requests": len(self.ids),
            "seconds": seconds,
            "plans_per_s": len(self.ids) / seconds,
            "steady_plans_per_s": steady(self.ends, clients),
            "tokens_out": self.tokens,
            "latency_p50": percentile(self.latencies, 50),
            "latency_p99": percentile(self.latencies, 99),
            "asked_again": self.again,
            "valid": self.valid,
        }

    def _begin(self, number: int) -> None:
        asked = asks(self.prompts.grammar) if self.grammar == "on_demand" else None
        writing = Writing(number, time.monotonic(), asked)
        self._send(writing, next(asked) if asked else self.prompts.first(self.grammar))

    def _send(self, writing: Writing, ask: Ask) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        ids = list(self.ids[writing.number])
        if ask.begun:
            ids = self.tokenizer(self.tokenizer.decode(ids) + ask.begun, add_special_tokens=False)["input_ids"]
        held = None if ask.pattern is None else StructuredOutputsParams(regex=ask.pattern)
        params = SamplingParams(
            temperature=0,
            max_tokens=self.prompts.max_tokens,
            stop=None if held or self.tokens_only else [self.prompts.grammar.one_too_many],
            detokenize=not self.tokens_only,
            structured_outputs=held,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        name, self.sent = str(self.sent), self.sent + 1
        self.under_way[name] = writing
        self.engine.add_request(name, {"prompt_token_ids": ids}, params)

    def _take(self, output: Any) -> bool:
        """Whether the plan is whole; if not, asks for what is missing."""
        writing = self.under_way.pop(output.request_id)
        reply = output.outputs[0]
        self.tokens += len(reply.token_ids)
        text = self.tokenizer.decode(reply.token_ids, skip_special_tokens=True) if self.tokens_only else reply.text
        cut = reply.finish_reason == "length"
        if writing.asked is not None:
            try:
                ask = writing.asked.send((text, cut))
            except StopIteration as done:
                text, cut = done.value
            else:
                self.again += writing.times == 0
                writing.times += 1
                self._send(writing, ask)
                return False
        self.texts[writing.number] = text
        self.valid += self.prompts.valid(text, cut=cut)
        self.ends.append(time.monotonic())
        self.latencies.append(self.ends[-1] - writing.began)
        return True


def main() -> None:
    """Prints and keeps the figures of each pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of merged weights")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="JSON lines: id, question")
    parser.add_argument("--engine", type=json.loads, default={}, help="JSON of more options of the engine")
    parser.add_argument("--clients", type=int, nargs="+", default=[1024])
    parser.add_argument("--grammar", nargs="+", choices=get_args(Grammar), default=["never", "on_demand"])
    parser.add_argument("--requests", type=int, default=2048, help="plans of a pass")
    parser.add_argument("--tokens-only", action="store_true", help="the engine makes no text, nor stops at one")
    parser.add_argument("--begin", type=Path, help="measure once this file is there: several engines start together")
    parser.add_argument("--label", default="offline", help="kept with the figures")
    parser.add_argument("--out", type=Path, default=Path("offline.jsonl"))
    parser.add_argument("--texts", type=Path, help="file for the texts of the last pass")
    arguments = parser.parse_args()
    from transformers import AutoTokenizer
    from vllm import EngineArgs, LLMEngine

    prompts = Prompts.of(arguments.data, arguments.requests)
    engine = LLMEngine.from_engine_args(EngineArgs(model=str(arguments.model), **OPTIONS | arguments.engine))
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    ids = prompts.encode(tokenizer, arguments.requests)
    while arguments.begin and not arguments.begin.exists():
        time.sleep(0.1)
    # The grammar is compiled, and what is compiled on first use.
    for grammar in ("always", "never"):
        Run(engine, prompts, ids[:32], tokenizer, grammar).figures(32)
    for clients in arguments.clients:
        for grammar in arguments.grammar:
            some = ids[: max(24, 20 * clients)]
            run = Run(engine, prompts, some, tokenizer, grammar, tokens_only=arguments.tokens_only)
            figures = {"label": arguments.label, **run.figures(clients), "engine": arguments.engine}
            print(json.dumps(figures), flush=True)
            with arguments.out.open("a", encoding="utf-8") as sink:
                sink.write(json.dumps(figures) + "\n")
    if arguments.texts:
        arguments.texts.write_text(json.dumps(run.texts), encoding="utf-8")


if __name__ == "__main__":
    main()
