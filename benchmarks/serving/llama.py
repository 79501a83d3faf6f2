"""A Llama-like model in plain torch over a cache of fixed slots, so that a step of decoding is one CUDA graph.

It runs folders of Llama and Qwen2 (a bias on queries, keys and values) without scaled rotary embeddings. A sequence
has one slot: `room` rows of the cache, which its keys and values fill from the first on.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from anabranch.agents.local.checkpoint import read_weights


@dataclass(frozen=True)
class Span:
    """Where the queries of a batch lie, and which rows of the cache each sequence sees.

    Attributes:
        starts: [sequences + 1] int32, the first row of each sequence's slot; the last entry is not read.
        used: [sequences] int32, the rows that are seen by the sequence's last query; each query before sees one less.
        queries: [sequences + 1] int32, the first query of each sequence, and the number of all.
        longest: most queries of a sequence.
        room: rows of a slot.
    """

    starts: Tensor
    used: Tensor
    queries: Tensor
    longest: int
    room: int


Attend = Callable[[Tensor, Tensor, Span], Tensor]
"""From queries [tokens, heads, size] and a layer's cache [rows, 2, key heads, size] to what they see, as queries."""


def flash(queries: Tensor, cache: Tensor, span: Span) -> Tensor:
    """FlashAttention as torch has it, which reads the rows in use alone; half precision on a GPU."""
    # torch.nn.attention.varlen has `seqused_k` from torch 2.12 on only; the operator below it has it since 2.4.
    seen = torch.ops.aten._flash_attention_forward(
        *(queries, cache[:, 0], cache[:, 1], span.queries, span.starts, span.longest, span.room),
        *(0.0, span.longest > 1, False),
        seqused_k=span.used,
    )
    return seen[0]  # type: ignore[no-any-return]


def padded(queries: Tensor, cache: Tensor, span: Span) -> Tensor:
    """scaled_dot_product_attention over whole slots with a mask: for every device and type, and slower."""
    device, many = queries.device, len(span.used)
    counts = span.queries.diff()
    sequence = torch.repeat_interleave(torch.arange(many, device=device), counts, output_size=len(queries))
    place = torch.arange(len(queries), device=device) - span.queries[sequence]
    asked = queries.new_zeros(many, span.longest, *queries.shape[1:])
    asked[sequence, place] = queries
    rows = torch.arange(span.room, device=device)
    keys, values = cache[span.starts[:-1, None] + rows].permute(2, 0, 3, 1, 4)
    last = (span.used - counts)[:, None] + torch.arange(span.longest, device=device)
    mask = rows <= last[:, None, :, None]
    seen = functional.scaled_dot_product_attention(asked.transpose(1, 2), keys, values, mask, enable_gqa=True)
    return seen.transpose(1, 2)[sequence, place]


def rotate(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary position embedding of [tokens, heads, size], with [tokens, 1, size / 2] of each."""
    first, second = heads.float().chunk(2, -1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), -1).to(heads.dtype)


def gate(both: Tensor) -> Tensor:
    """The first half through SiLU, times the second."""
    first, second = both.chunk(2, -1)
    return functional.silu(first) * second


@dataclass(frozen=True)
class Layer:
    """One layer's weights, those that read the same input joined."""

    before: Tensor
    attention_in: Tensor
    bias: Tensor | None
    attention_out: Tensor
    after: Tensor
    gate_up: Tensor
    down: Tensor


class Llama:
    """The weights and how a batch of tokens goes through them.

    Args:
        folder: a transformers folder.
        device: where to run.
        dtype: of weights and cache.
        length: most tokens of a sequence.
        attend: `flash` or `padded`.
        compiled: fuse the small operations with torch.compile.
    """

    def __init__(
        self, folder: Path, device: torch.device, dtype: torch.dtype, length: int, attend: Attend, *, compiled: bool
    ) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.device, self.dtype = device, dtype
        self.attend = attend
        self.rotate, self.gate, self.norm = rotate, gate, self._norm
        if compiled:
            self.rotate, self.gate, self.norm = (torch.compile(f, dynamic=True) for f in (rotate, gate, self._norm))
        self.epsilon: float = config["rms_norm_eps"]
        self.heads: int = config["num_attention_heads"]
        self.key_heads: int = config.get("num_key_value_heads", self.heads)
        self.size: int = config.get("head_dim") or config["hidden_size"] // self.heads
        weights = {name: weight.to(device, dtype) for name, weight in read_weights(folder).items()}
        self.embedding = weights["model.embed_tokens.weight"]
        self.head = weights.get("lm_head.weight", self.embedding)
        self.last = weights["model.norm.weight"]
        self.layers = [_layer(weights, f"model.layers.{n}.") for n in range(config["num_hidden_layers"])]
        angles = _angles(config, self.size, length).to(device)
        self.cosines, self.sines = angles.cos()[:, None], angles.sin()[:, None]

    def cache(self, rows: int) -> Tensor:
        """An empty cache, [layers, rows, 2, key heads, size]."""
        shape = (len(self.layers), rows, 2, self.key_heads, self.size)
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def hidden(self, tokens: Tensor, positions: Tensor, rows: Tensor, cache: Tensor, span: Span) -> Tensor:
        """What the model makes of tokens, [tokens, width], before its last product.

        Args:
            tokens: [tokens] int64, the sequences one after the other.
            positions: [tokens] int64, each one's place in its sequence.
            rows: [tokens] int64, where each one's keys and values go in the cache.
            cache: of all layers; is written to.
            span: which tokens belong together, and what they see.
        """
        cosines, sines = self.cosines[positions], self.sines[positions]
        values = self.heads + self.key_heads
        state = functional.embedding(tokens, self.embedding)
        for layer, kept in zip(self.layers, cache, strict=True):
            joined = functional.linear(self.norm(state, layer.before), layer.attention_in, layer.bias)
            heads = joined.view(len(tokens), -1, self.size)
            turned = self.rotate(heads[:, :values], cosines, sines)
            queries, keys = turned[:, : self.heads], turned[:, self.heads :]
            kept.index_copy_(0, rows, torch.stack((keys, heads[:, values:]), 1))
            seen = self.attend(queries, kept, span).reshape(len(tokens), -1)
            state = torch.addmm(state, seen, layer.attention_out.T)
            inner = self.gate(functional.linear(self.norm(state, layer.after), layer.gate_up))
            state = torch.addmm(state, inner, layer.down.T)
        return self.norm(state, self.last)

    def best(self, hidden: Tensor) -> Tensor:
        """The most probable next token of each, int64."""
        return functional.linear(hidden, self.head).argmax(-1)

    def _norm(self, state: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(state, weight.shape, weight, self.epsilon)


def _layer(weights: dict[str, Tensor], name: str) -> Layer:
    parts = [f"{name}self_attn.{part}_proj" for part in "qkv"]
    biased = f"{parts[0]}.bias" in weights
    return Layer(
        before=weights[f"{name}input_layernorm.weight"],
        attention_in=torch.cat([weights[f"{part}.weight"] for part in parts]),
        bias=torch.cat([weights[f"{part}.bias"] for part in parts]) if biased else None,
        attention_out=weights[f"{name}self_attn.o_proj.weight"],
        after=weights[f"{name}post_attention_layernorm.weight"],
        gate_up=torch.cat([weights[f"{name}mlp.{part}_proj.weight"] for part in ("gate", "up")]),
        down=weights[f"{name}mlp.down_proj.weight"],
    )


def _angles(config: dict[str, Any], size: int, length: int) -> Tensor:
    """[length, size / 2] float32."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", "default") != "default":
        raise SystemExit(f"rotary embeddings of the type {rope['rope_type']} are not supported here")
    base = rope.get("rope_theta") or config.get("rope_theta", 10000.0)
    frequencies = 1.0 / base ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
    return torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
