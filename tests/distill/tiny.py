"""A model of two layers with random weights, and the tokenizer of the embedded model: training in a second."""

import shutil
from pathlib import Path
from typing import Any

from anabranch.batch.files import write_jsonl

BASE = "somebody/tiny"
SYSTEM = {"role": "system", "content": "Write a plan."}


def tiny_model(folder: Path, prepared: Path, **changes: Any) -> Path:
    """Writes the model's folder.

    Args:
        folder: where to.
        prepared: the embedded model's folder, for its tokenizer.
        **changes: of the configuration; `family` is `llama` or `qwen2`.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

    torch.manual_seed(0)
    sizes = {
        "vocab_size": 49152,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
    family = Qwen2Config if changes.pop("family", "llama") == "qwen2" else LlamaConfig
    model = AutoModelForCausalLM.from_config(family(**{**sizes, **changes}))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.randn_like(weight) * (0.3 if weight.dim() > 1 else 0.1) + (1.0 if "norm" in name else 0))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copyfile(prepared / name, folder / name)
    return folder


def messages(number: int) -> list[dict[str, str]]:
    return [SYSTEM, {"role": "user", "content": f"Question: how many are {number} rolls {'and more ' * (number % 3)}?"}]


def plan_rows(path: Path, count: int) -> Path:
    write_jsonl(
        path,
        (
            {"id": f"r{n}", "messages": messages(n), "completion": f"1 [calculator] How many are {n}?"}
            for n in range(count)
        ),
    )
    return path


def pair_rows(path: Path, count: int) -> Path:
    """The better plan of each pair computes, the worse one searches."""
    write_jsonl(
        path,
        (
            {
                "id": f"p{n}",
                "messages": messages(n),
                "chosen": f"1 [calculator] How many are {n}?",
                "rejected": f"1 [search] What is said of {n}?\n2 [solve] So?",
            }
            for n in range(count)
        ),
    )
    return path
