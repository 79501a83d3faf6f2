"""Plans a second of vLLM's own offline engine: what a server can at most come close to.

Prompts are tokens already; the engine detokenizes. Started by `run`, in a process of its own: it says `ready` on
standard output once the model is loaded, and measures for each line `{"grammar": ..., "count": ...}` it reads.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anabranch.on_demand import Ask, Reply, asks
from anabranch.serving.vllm import max_lora_rank
from benchmarks.serving.prompts import Grammar, Prompts


def measure(llm: Any, tokens: list[Any], prompts: Prompts, lora: Any, *, grammar: Grammar, count: int) -> Any:
    """Figures of the first `count` prompts; those that the grammar was needed for have the tokens of all replies."""

    def generate(some: Sequence[Any], wanted: Sequence[Ask]) -> list[Any]:
        parameters = [_parameters(prompts, ask) for ask in wanted]
        return list(llm.generate(some, parameters, lora_request=lora, use_tqdm=False))

    generate(tokens[-32:], [prompts.first("always")] * 32)
    llm.reset_prefix_cache()
    began = time.monotonic()
    outputs = generate(tokens[:count], [prompts.first(grammar)] * count)
    texts, spare, again = [_text(output) for output in outputs], list[Any](), 0
    if grammar == "on_demand":
        texts, spare, again = _gone_on(llm, tokens[:count], texts, prompts, generate)
    seconds = time.monotonic() - began
    return {
        "concurrency": "offline",
        "grammar": grammar,
        "requests": len(outputs),
        "errors": 0,
        "seconds": seconds,
        "plans_per_s": len(outputs) / seconds,
        "tokens_in": sum(len(output.prompt_token_ids) for output in [*outputs, *spare]),
        "tokens_out": sum(len(output.outputs[0].token_ids) for output in [*outputs, *spare]),
        "asked_again": again,
        "cut": sum(cut for _, cut in texts),
        "valid": sum(prompts.valid(text, cut=cut) for text, cut in texts),
    }


def _gone_on(
    llm: Any, tokens: Sequence[Any], texts: Sequence[Reply], prompts: Prompts, generate: Callable[..., list[Any]]
) -> tuple[list[Reply], list[Any], int]:
    """Plans of replies, all that were not plans asked again at once; with the outputs of that, and how many it were."""
    plans, spare = list(texts), list[Any]()
    writings = [asks(prompts.grammar) for _ in texts]
    for writing in writings:
        next(writing)
    replies, again = dict(enumerate(texts)), 0
    while replies:
        wanted = {}
        for place, reply in replies.items():
            try:
                wanted[place] = writings[place].send(reply)
            except StopIteration as done:
                plans[place] = done.value
        again = again or len(wanted)
        some = [_after(llm, tokens[place], ask.begun) for place, ask in wanted.items()]
        outputs = generate(some, list(wanted.values())) if some else []
        spare += outputs
        replies = dict(zip(wanted, map(_text, outputs), strict=True))
    return plans, spare, again


def _text(output: Any) -> Reply:
    """A reply, and whether it was cut off at the limit of tokens."""
    return output.outputs[0].text, output.outputs[0].finish_reason == "length"


def _after(llm: Any, prompt: Any, begun: str) -> Any:
    """A prompt with the beginning of its reply."""
    said = llm.get_tokenizer().encode(begun, add_special_tokens=False) if begun else []
    return {"prompt_token_ids": [*prompt["prompt_token_ids"], *said]}


def _parameters(prompts: Prompts, ask: Ask) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    if ask.pattern is None:
        return SamplingParams(temperature=0, max_tokens=prompts.max_tokens, stop=[prompts.grammar.one_too_many])
    held = StructuredOutputsParams(regex=ask.pattern)
    return SamplingParams(temperature=0, max_tokens=prompts.max_tokens, structured_outputs=held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter")
    parser.add_argument("--engine", type=json.loads, default={}, help="engine arguments as JSON")
    arguments = parser.parse_args()
    from vllm import LLM
    from vllm.lora.request import LoRARequest

    prompts = Prompts.read(arguments.prompts)
    engine = {"generation_config": "vllm", **arguments.engine}
    lora = None
    if arguments.adapter:
        engine |= {"enable_lora": True, "max_lora_rank": max_lora_rank(Path(arguments.adapter))}
        lora = LoRARequest("decomposer", 1, arguments.adapter)
    llm = LLM(model=arguments.model, **engine)
    tokenizer = llm.get_tokenizer()
    rendered = [
        tokenizer.apply_chat_template(row["messages"], add_generation_prompt=True, tokenize=False)
        for row in prompts.rows
    ]
    tokens = [{"prompt_token_ids": ids} for ids in tokenizer(rendered, add_special_tokens=False)["input_ids"]]
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        figures = measure(llm, tokens, prompts, lora, grammar=order["grammar"], count=order["count"])
        print(f"result {json.dumps(figures)}", flush=True)


if __name__ == "__main__":
    main()
