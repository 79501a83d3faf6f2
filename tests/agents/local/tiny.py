"""A tiny random model, whose tokens are bytes, as a GGUF file or a transformers folder: real runs in milliseconds."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WIDTH, HEADS, INNER = 32, 2, 64


def write_tiny(
    path: Path, *, template: str | None = CHATML, context: int = 512, end: int | None = None, **fields: Any
) -> Path:
    """Writes the file.

    Args:
        path: the file.
        template: the chat template.
        context: tokens of context.
        end: number of the token that ends a turn, says the file, and that is the most probable one at all times, before
            `a`; None for a model that says anything.
        **fields: further ones, such as `tokenizer_ggml_add_bos_token=True`.
    """
    vocabulary = [*SPECIAL, *_bytes()]
    writer = gguf.GGUFWriter(path, "llama")
    _add_shape(writer, context)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * 256)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2 if end is None else end)
    if template is not None:
        writer.add_chat_template(template)
    for name, value in fields.items():
        writer.add_bool(name.replace("_", ".", 2), value)
    for name, weight in _weights(len(vocabulary), end).items():
        writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_folder(folder: Path, **changes: Any) -> Path:
    """Writes a transformers folder of bf16 weights.

    Args:
        folder: where to.
        **changes: of the configuration.
    """
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    random = torch.Generator().manual_seed(7)
    tokens = [*SPECIAL, *_bytes(), "ab"]
    shapes: dict[str, tuple[int, ...]] = {f"self_attn.{name}_proj": (WIDTH, WIDTH) for name in "qkvo"}
    shapes |= {"mlp.gate_proj": (INNER, WIDTH), "mlp.up_proj": (INNER, WIDTH), "mlp.down_proj": (WIDTH, INNER)}
    shapes |= dict.fromkeys(("input_layernorm", "post_attention_layernorm"), (WIDTH,))
    shapes = {f"model.layers.0.{name}": shape for name, shape in shapes.items()}
    shapes |= {"model.embed_tokens": (len(tokens), WIDTH), "model.norm": (WIDTH,)}
    weights = {f"{name}.weight": torch.randn(shape, generator=random).bfloat16() for name, shape in shapes.items()}
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"model_type": "llama", "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": 1}
    config |= {"num_attention_heads": HEADS, "max_position_embeddings": 512, "rms_norm_eps": 1e-5}
    config |= {"vocab_size": len(tokens), "tie_word_embeddings": True, "eos_token_id": 2}
    tokenizer = Tokenizer(models.BPE({text: number for number, text in enumerate(tokens)}, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "chat_template": CHATML}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


def _add_shape(writer: Any, context: int) -> None:
    writer.add_name("tiny")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)


def _weights(tokens: int, end: int | None) -> dict[str, Any]:
    """Random weights; with an end, those of a model that always says it."""
    random = numpy.random.default_rng(7)
    shapes = {
        "token_embd.weight": (tokens, WIDTH),
        "blk.0.attn_q.weight": (WIDTH, WIDTH),
        "blk.0.attn_k.weight": (WIDTH, WIDTH),
        "blk.0.attn_v.weight": (WIDTH, WIDTH),
        "blk.0.attn_output.weight": (WIDTH, WIDTH),
        "blk.0.ffn_gate.weight": (INNER, WIDTH),
        "blk.0.ffn_up.weight": (INNER, WIDTH),
        "blk.0.ffn_down.weight": (WIDTH, INNER),
    }
    weights = {name: random.normal(size=shape).astype(numpy.float32) for name, shape in shapes.items()}
    if end is not None:
        weights["token_embd.weight"][:, 0] = 100.0
        weights["blk.0.attn_output.weight"][:] = weights["blk.0.ffn_down.weight"][:] = 0.0
        weights["output.weight"] = numpy.zeros_like(weights["token_embd.weight"])
        weights["output.weight"][end, 0] = 2.0
        weights["output.weight"][len(SPECIAL) + ord("a"), 0] = 1.0
    norms = ("blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight")
    return weights | {name: numpy.ones(WIDTH, numpy.float32) for name in norms}


def _bytes() -> list[str]:
    """The characters that GPT-2's tokenizer writes bytes as."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]
