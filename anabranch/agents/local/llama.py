"""A compact Llama forward pass for one sequence on the CPU.

transformers' own forward spends more time in Python than in arithmetic at this size, and importing transformers alone
takes longer than writing a plan. This one runs about twenty operations a layer, keeps the keys and values of a
sequence in one preallocated buffer, and multiplies by weights packed as fp16 (FBGEMM on x86) with fp32 activations:
half the memory traffic of fp32, which is what decoding waits for, and more precise than bf16. A test holds its logits
to those of transformers.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from anabranch.errors import ConfigurationError

FAMILIES = ("llama", "qwen2")
_ROOM = 256
_FEW = 16
_PACKERS = 2

Linear = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Shape:
    """What of a model's `config.json` the forward pass needs."""

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    eps: float
    rope_theta: float
    tied: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Shape":
        """Reads a `config.json`.

        Raises:
            ConfigurationError: not a model that this forward pass computes.
        """
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        kind = rope.get("rope_type", rope.get("type", "default"))
        special = config.get("mlp_bias") or config.get("use_sliding_window") or config.get("hidden_act") != "silu"
        if config.get("model_type") not in FAMILIES or kind != "default" or special:
            raise ConfigurationError(
                f"the in-process model must be a plain {' or '.join(FAMILIES)}, not {config.get('model_type')!r} with "
                f"{kind!r} positions; serve this one with vLLM, llama.cpp or Ollama and give its address instead"
            )
        heads = int(config["num_attention_heads"])
        return cls(
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
            vocab=int(config["vocab_size"]),
            context=int(config["max_position_embeddings"]),
            eps=float(config["rms_norm_eps"]),
            rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
            tied=bool(config.get("tie_word_embeddings", False)),
        )


class Cache:
    """Keys and values of one sequence. `tokens` says of which; its length is the number of valid positions.

    Attributes:
        tokens: the tokens whose keys and values are in the buffer.
    """

    def __init__(self, shape: Shape, tokens: list[int] | None = None, buffer: Tensor | None = None) -> None:
        self.tokens: list[int] = tokens or []
        self._shape = shape
        self._buffer = buffer if buffer is not None else self._allocate(_ROOM)

    def _allocate(self, positions: int) -> Tensor:
        shape = self._shape
        return torch.empty(shape.layers, 2, shape.kv_heads, positions, shape.head_dim)

    def reserve(self, positions: int) -> Tensor:
        """The buffer, [layer, key or value, head, position, channel], with room for this many positions."""
        if self._buffer.shape[3] < positions:
            grown = self._allocate(min(max(positions + _ROOM, len(self.tokens) * 3 // 2), self._shape.context + _ROOM))
            grown[:, :, :, : len(self.tokens)] = self._buffer[:, :, :, : len(self.tokens)]
            self._buffer = grown
        return self._buffer

    def fork(self, length: int) -> "Cache":
        """A copy of the first `length` positions."""
        copy = Cache(self._shape, self.tokens[:length], self._allocate(length + _ROOM))
        copy._buffer[:, :, :, :length] = self._buffer[:, :, :, :length]
        return copy


@dataclass(frozen=True)
class _Layer:
    attention_norm: Tensor
    qkv: Linear
    output: Linear
    mlp_norm: Tensor
    gate_up: Linear
    down: Linear


class Llama:
    """The weights of one model, packed for `forward`.

    Args:
        shape: the model's shape.
        weights: its tensors by name, as in its safetensors file.
        base: a model with the same embedding and head, whose packed ones are used again.
    """

    def __init__(self, shape: Shape, weights: Mapping[str, Tensor], base: "Llama | None" = None) -> None:
        self.shape = shape
        # Packing takes a second or two. The first prompt is read meanwhile, layer by layer as they are ready.
        packers = ThreadPoolExecutor(_PACKERS, thread_name_prefix="anabranch-weights")
        prefixes = [f"model.layers.{number}." for number in range(shape.layers)]
        self._layers = [packers.submit(_layer, shape, weights, prefix) for prefix in prefixes]
        self._norm = _norm_weight(weights["model.norm.weight"])
        self._floor = torch.tensor((len(self._norm) * shape.eps) ** 0.5)
        if base is None:
            self._embedding = weights["model.embed_tokens.weight"]
            self._head = packers.submit(_pack, self._embedding if shape.tied else weights["lm_head.weight"])
        else:
            self._embedding, self._head = base._embedding, base._head
        packers.shutdown(wait=False)
        frequencies = shape.rope_theta ** -(torch.arange(0, shape.head_dim, 2, dtype=torch.float64) / shape.head_dim)
        angles = torch.outer(torch.arange(shape.context, dtype=torch.float64), frequencies)
        self._rotation = torch.polar(torch.ones_like(angles), angles).to(torch.complex64).unsqueeze(1)

    def forward(self, cache: Cache, tokens: list[int], rows: int) -> Tensor:
        """Reads tokens after those in the cache, and adds them to it.

        Args:
            cache: the sequence so far.
            tokens: what follows it.
            rows: of how many of the last tokens the logits are wanted.

        Returns:
            Logits, [rows, vocabulary], fp32.
        """
        shape, start, count = self.shape, len(cache.tokens), len(tokens)
        end = start + count
        buffer = cache.reserve(end)
        hidden = functional.embedding(torch.tensor(tokens), self._embedding).float()
        rotation = self._rotation[start:end]
        mask = _causal_mask(start, count) if count > 1 else None
        written = buffer[:, :, :, start:end].unbind(0)
        keys, values = buffer[:, 0, :, :end].unbind(0), buffer[:, 1, :, :end].unbind(0)
        turned, floor = shape.heads + shape.kv_heads, self._floor
        for number, packed in enumerate(self._layers):
            layer = packed.result()
            heads = layer.qkv(_normed(hidden, layer.attention_norm, floor)).view(count, -1, shape.head_dim)
            torch.view_as_complex(heads[:, :turned].view(count, turned, -1, 2)).mul_(rotation)
            written[number].copy_(heads[:, shape.heads :].view(count, 2, shape.kv_heads, -1).permute(1, 2, 0, 3))
            query = heads[:, : shape.heads].view(count, shape.kv_heads, -1, shape.head_dim).permute(1, 2, 0, 3)
            hidden += layer.output(_attend(query, keys[number], values[number], mask))
            gate, up = layer.gate_up(_normed(hidden, layer.mlp_norm, floor)).chunk(2, dim=1)
            hidden += layer.down(functional.silu(gate).mul_(up))
        cache.tokens += tokens
        return self._head.result()(_normed(hidden[count - rows :], self._norm, floor))


def _normed(hidden: Tensor, weight: Tensor, floor: Tensor) -> Tensor:
    """RMS norm, its weight already multiplied by the root of the width: hidden / sqrt(sum of squares + width * eps)."""
    # functional.rms_norm is a dozen small operations on the CPU, which at this size cost more than the matrices do.
    length = torch.hypot(torch.linalg.vector_norm(hidden, dim=1, keepdim=True), floor)
    return (hidden / length).mul_(weight)


def _attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of queries [group, head in group, token, channel] over [group, position, channel]."""
    groups, members, count, width = query.shape
    if count > _FEW:
        size = (groups, members, *keys.shape[1:])
        attended = functional.scaled_dot_product_attention(
            query, keys[:, None].expand(size), values[:, None].expand(size), attn_mask=mask
        )
        return attended.permute(2, 0, 1, 3).reshape(count, -1)
    scores = torch.baddbmm(
        keys.new_empty(1) if mask is None else mask.repeat(members, 1),
        query.reshape(groups, members * count, width),
        keys.mT,
        beta=0 if mask is None else 1,
        alpha=width**-0.5,
    )
    attended = torch.bmm(torch.softmax(scores, -1), values).view(groups, members, count, width)
    return attended.permute(2, 0, 1, 3).reshape(count, -1)


def _layer(shape: Shape, weights: Mapping[str, Tensor], prefix: str) -> _Layer:
    attention = f"{prefix}self_attn."
    names = [(f"{attention}{name}_proj.", heads) for name, heads in (("q", shape.heads), ("k", shape.kv_heads))]
    qkv = [_interleaved(weights[f"{name}weight"], heads) for name, heads in names]
    qkv.append(weights[f"{attention}v_proj.weight"])
    bias = None
    if f"{attention}q_proj.bias" in weights:
        biases = [_interleaved(weights[f"{name}bias"], heads) for name, heads in names]
        bias = torch.cat([*biases, weights[f"{attention}v_proj.bias"]])
    return _Layer(
        attention_norm=_norm_weight(weights[f"{prefix}input_layernorm.weight"]),
        qkv=_pack(torch.cat(qkv), bias),
        output=_pack(weights[f"{attention}o_proj.weight"]),
        mlp_norm=_norm_weight(weights[f"{prefix}post_attention_layernorm.weight"]),
        gate_up=_pack(torch.cat([weights[f"{prefix}mlp.gate_proj.weight"], weights[f"{prefix}mlp.up_proj.weight"]])),
        down=_pack(weights[f"{prefix}mlp.down_proj.weight"]),
    )


def _norm_weight(weight: Tensor) -> Tensor:
    scaled: Tensor = weight.float() * len(weight) ** 0.5
    return scaled


def _interleaved(rows: Tensor, heads: int) -> Tensor:
    """Puts the two halves of a rotary pair next to each other, so that rotating is one complex multiplication."""
    turned: Tensor = rows.view(heads, 2, -1, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)
    return turned


def _causal_mask(start: int, count: int) -> Tensor:
    positions = torch.arange(start + count)
    return torch.zeros(count, start + count).masked_fill_(positions > positions[start:, None], -torch.inf)


def _pack(weight: Tensor, bias: Tensor | None = None) -> Linear:
    weight, bias = weight.float(), None if bias is None else bias.float()
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return partial(functional.linear, weight=weight, bias=bias)
    packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
    multiply = torch.ops.quantized.linear_dynamic_fp16.default

    def linear(inputs: Tensor) -> Tensor:
        product: Tensor = multiply(inputs, packed)
        return product

    return linear
