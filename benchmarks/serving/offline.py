"""Plans a second of vLLM's own offline engine: what a server can at most come close to.

Prompts are tokens already; the engine detokenizes. Started by `run`, in a process of its own: it says `ready` on
standard output once the model is loaded, and measures for each line `{"grammar": ..., "count": ...}` it reads.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.prompts import Grammar, Prompts, as_begun


def measure(llm: Any, tokens: list[Any], prompts: Prompts, lora: Any, *, grammar: Grammar, count: int) -> Any:
    """Figures of the first `count` prompts; those that the grammar was needed for have the tokens of both replies."""

    def generate(some: list[Any], begun: list[list[str] | None]) -> list[Any]:
        parameters = [_parameters(prompts, lines) for lines in begun]
        return list(llm.generate(some, parameters, lora_request=lora, use_tqdm=False)) if some else []

    generate(tokens[-32:], [[]] * 32)
    llm.reset_prefix_cache()
    began = time.monotonic()
    free, spare = tokens[:count], []
    outputs = generate(free, [[] if grammar == "always" else None] * len(free))
    texts = [_text(output) for output in outputs]
    if grammar == "on_demand":
        left = [prompts.to_continue(text, cut=cut) for text, cut in texts]
        again = {n: lines for n, lines in enumerate(left) if lines is not None}
        spare = generate([_after(llm, free[n], lines) for n, lines in again.items()], list(again.values()))
        for (n, lines), output in zip(again.items(), spare, strict=True):
            text, cut = _text(output)
            texts[n] = (as_begun(lines) + text, cut)
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
        "asked_again": len(spare),
        "cut": sum(cut for _, cut in texts),
        "valid": sum(prompts.valid(text, cut=cut) for text, cut in texts),
    }


def _text(output: Any) -> tuple[str, bool]:
    """A reply, and whether it was cut off at the limit of tokens."""
    return output.outputs[0].text, output.outputs[0].finish_reason == "length"


def _after(llm: Any, prompt: Any, lines: Sequence[str]) -> Any:
    """A prompt that goes on after lines."""
    begun = llm.get_tokenizer().encode(as_begun(lines), add_special_tokens=False) if lines else []
    return {"prompt_token_ids": [*prompt["prompt_token_ids"], *begun]}


def _parameters(prompts: Prompts, begun: Sequence[str] | None) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    if begun is None:
        return SamplingParams(temperature=0, max_tokens=prompts.max_tokens, stop=[prompts.grammar.one_too_many])
    held = StructuredOutputsParams(regex=prompts.pattern_after(begun))
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
        rank = json.loads((Path(arguments.adapter) / "adapter_config.json").read_text())["r"]
        engine |= {"enable_lora": True, "max_lora_rank": max(rank, 16)}
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
