import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from anabranch.agents.local.checkpoint import merge_lora, read_weights
from anabranch.agents.local.llama import Cache, Llama, Shape
from anabranch.errors import ConfigurationError
from tests.agents.local.conftest import PEFT_WARNING

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 130,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "tie_word_embeddings": True,
}


def random_weights(shape: Shape, *, hidden: int = 48, inner: int = 80, bias: bool = False) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(7)

    def make(*size: int) -> Tensor:
        return torch.randn(*size, generator=random) * 0.2

    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    weights = {"model.embed_tokens.weight": make(shape.vocab, hidden), "model.norm.weight": 1 + make(hidden)}
    if not shape.tied:
        weights["lm_head.weight"] = make(shape.vocab, hidden)
    for number in range(shape.layers):
        prefix = f"model.layers.{number}."
        for name, rows in (("q", queries), ("k", keys), ("v", keys)):
            weights[f"{prefix}self_attn.{name}_proj.weight"] = make(rows, hidden)
            if bias:
                weights[f"{prefix}self_attn.{name}_proj.bias"] = make(rows)
        weights[f"{prefix}self_attn.o_proj.weight"] = make(hidden, queries)
        weights[f"{prefix}mlp.gate_proj.weight"] = make(inner, hidden)
        weights[f"{prefix}mlp.up_proj.weight"] = make(inner, hidden)
        weights[f"{prefix}mlp.down_proj.weight"] = make(hidden, inner)
        weights[f"{prefix}input_layernorm.weight"] = 1 + make(hidden)
        weights[f"{prefix}post_attention_layernorm.weight"] = 1 + make(hidden)
    return weights


@pytest.fixture
def tiny() -> Llama:
    shape = Shape.of(CONFIG)
    return Llama(shape, random_weights(shape))


@pytest.mark.parametrize("sizes", [(1,) * 40, (7, 1, 1, 16, 15), (17, 5, 18), (39, 1), (40,)])
def test_logits_do_not_depend_on_how_the_tokens_are_split(tiny: Llama, sizes: tuple[int, ...]) -> None:
    tokens = [(31 * place) % 130 for place in range(40)]
    whole = tiny.forward(Cache(tiny.shape), tokens, 40)
    cache, parts = Cache(tiny.shape), []
    for size in sizes:
        start = len(cache.tokens)
        parts.append(tiny.forward(cache, tokens[start : start + size], size))
    assert cache.tokens == tokens
    torch.testing.assert_close(torch.cat(parts), whole, atol=2e-5, rtol=1e-4)


def test_only_the_rows_asked_for_are_computed(tiny: Llama) -> None:
    tokens = list(range(10))
    whole = tiny.forward(Cache(tiny.shape), tokens, 10)
    last = tiny.forward(Cache(tiny.shape), tokens, 3)
    torch.testing.assert_close(last, whole[-3:])


def test_a_cache_grows_and_can_be_cut_and_forked(tiny: Llama) -> None:
    tokens = [place % 130 for place in range(400)]
    cache = Cache(tiny.shape)
    tiny.forward(cache, tokens, 1)
    fork = cache.fork(300)
    del cache.tokens[200:]
    one = tiny.forward(cache, tokens[200:], 1)
    other = tiny.forward(fork, tokens[300:], 1)
    torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


def test_a_base_lends_its_embedding_and_head(tiny: Llama) -> None:
    other = Llama(tiny.shape, random_weights(tiny.shape), tiny)
    expected = tiny.forward(Cache(tiny.shape), [1, 2, 3], 1)
    torch.testing.assert_close(other.forward(Cache(tiny.shape), [1, 2, 3], 1), expected)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "gemma3"},
        {"hidden_act": "gelu"},
        {"mlp_bias": True},
        {"use_sliding_window": True},
        {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
    ],
)
def test_models_that_would_be_computed_wrongly_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="serve this one with vLLM"):
        Shape.of(CONFIG | change)


def test_both_places_of_the_rope_base_are_read() -> None:
    assert Shape.of(CONFIG | {"rope_parameters": {"rope_type": "default", "rope_theta": 5.0}}).rope_theta == 5.0
    assert Shape.of(CONFIG).rope_theta == 10_000.0


@pytest.mark.model
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_logits_are_those_of_transformers(family: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = CONFIG | {"model_type": family, "tie_word_embeddings": family == "llama"}
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config)).eval()
    shape = Shape.of(config)
    weights = random_weights(shape, bias=family == "qwen2")
    theirs.load_state_dict(weights, strict=False)
    tokens = [(31 * place) % 130 for place in range(60)]
    with torch.inference_mode():
        expected = theirs(torch.tensor([tokens])).logits[0]
    found = Llama(shape, weights).forward(Cache(shape), tokens, 60)
    # fp16 weights: a relative error of 2**-11 in each.
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.01)


@pytest.mark.model
def test_logits_of_the_embedded_model_are_those_of_transformers(folder: Path) -> None:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    shape = Shape.of(json.loads((folder / "config.json").read_text()))
    tokens = [(97 * place) % shape.vocab for place in range(80)]
    with torch.inference_mode():
        expected = theirs(torch.tensor([tokens])).logits[0]
        found = Llama(shape, read_weights(folder)).forward(Cache(shape), tokens, 80)
    torch.testing.assert_close(found, expected, atol=0.03, rtol=1e-3)


@pytest.mark.model
@pytest.mark.filterwarnings(PEFT_WARNING)
def test_merged_lora_is_that_of_peft(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    targets = ["q_proj", "v_proj", "down_proj"]
    theirs = get_peft_model(base, LoraConfig(r=4, lora_alpha=16, target_modules=targets, init_lora_weights=False))
    theirs.save_pretrained(tmp_path)
    expected = theirs.merge_and_unload().state_dict()
    merged = merge_lora(read_weights(folder), tmp_path)
    name = "model.layers.7.mlp.down_proj.weight"
    assert not torch.equal(merged[name], read_weights(folder)[name].float())
    for key, weight in merged.items():
        torch.testing.assert_close(weight.float(), expected[key])
