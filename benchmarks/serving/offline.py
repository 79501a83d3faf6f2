"""Plans a second of vLLM's own offline engine: what a server can at most come close to.

Prompts are tokens already; the engine detokenizes. Started by `run`, in a process of its own: it says `ready` on
standard output once the model is loaded, and measures for each line `{"grammar": ..., "count": ...}` it reads.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.serving.prompts import Grammar, Prompts


def measure(llm: Any, tokens: list[Any], prompts: Prompts, lora: Any, *, grammar: Grammar, count: int) -> Any:
    """Figures of the first `count` prompts; those that the grammar was needed for have the tokens of both replies."""

    def generate(some: list[Any], *, held: bool) -> list[Any]:
        return list(llm.generate(some, _parameters(prompts, held=held), lora_request=lora, use_tqdm=False))

    generate(tokens[-32:], held=True)
    llm.reset_prefix_cache()
    began = time.monotonic()
    outputs = generate(tokens[:count], held=grammar == "always")
    again = [n for n, output in enumerate(outputs) if not _is_plan(output, prompts)] if grammar == "on_demand" else []
    spare = [outputs[n] for n in again]
    for n, output in zip(again, generate([tokens[n] for n in again], held=True) if again else [], strict=True):
        outputs[n] = output
    seconds = time.monotonic() - began
    texts = [output.outputs[0] for output in outputs]
    return {
        "concurrency": "offline",
        "grammar": grammar,
        "requests": len(outputs),
        "errors": 0,
        "seconds": seconds,
        "plans_per_s": len(outputs) / seconds,
        "tokens_in": sum(len(output.prompt_token_ids) for output in [*outputs, *spare]),
        "tokens_out": sum(len(output.outputs[0].token_ids) for output in [*outputs, *spare]),
        "asked_again": len(again),
        "cut": sum(text.finish_reason == "length" for text in texts),
        "valid": sum(prompts.valid(text.text, cut=text.finish_reason == "length") for text in texts),
    }


def _parameters(prompts: Prompts, *, held: bool) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    pattern = StructuredOutputsParams(regex=prompts.pattern) if held else None
    return SamplingParams(temperature=0, max_tokens=prompts.max_tokens, structured_outputs=pattern)


def _is_plan(output: Any, prompts: Prompts) -> bool:
    text = output.outputs[0]
    return text.finish_reason != "length" and prompts.valid(text.text, cut=False)


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
