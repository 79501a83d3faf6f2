"""Merges a LoRA adapter into a GGUF file, with neither torch nor transformers."""

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy

from anabranch.agents.local.header import Header, TensorInfo, read_header
from anabranch.agents.local.lora import Lora, read_lora
from anabranch.agents.local.tensors import Array, as_bfloat16
from anabranch.errors import ConfigurationError

_ARCHITECTURES = ("llama", "qwen2")


def merge(base: Path, adapter: Path, out: Path, weights: str) -> None:
    """Writes a GGUF file: the fields of the base as they are, and the matrices that the adapter changes anew.

    What is written anew is rounded to bfloat16 before the adapter is added: adapters are trained over such weights.

    Args:
        base: file of the base model, of the Llama or Qwen2 architecture.
        adapter: folder of the adapter.
        out: the file.
        weights: precision of the matrices that change, `q8_0` or `f16`. With `f16` the others are written in it, too,
            since llama.cpp rounds what it multiplies quantised ones with; else they stay as they are.

    Raises:
        ConfigurationError: the adapter is not plain LoRA, or belongs to another model.
        ModelUnavailableError: the file or the adapter is missing or damaged.
        OSError: the file cannot be written.
    """
    import gguf

    header, lora = read_header(base), read_lora(adapter)
    architecture = str(header.values.get("general.architecture"))
    if architecture not in _ARCHITECTURES:
        known = " or ".join(_ARCHITECTURES)
        raise ConfigurationError(
            f"no adapter is merged into a GGUF file of {architecture}, but into one of {known}; merge it with peft's "
            "merge_and_unload(), convert that with llama.cpp's convert_hf_to_gguf.py, and name that file"
        )
    names = _names(lora, header, gguf)
    kind, full = gguf.GGMLQuantizationType[weights.upper()], gguf.GGMLQuantizationType.F16
    kinds = {tensor.name: gguf.GGMLQuantizationType(tensor.kind) for tensor in header.tensors}
    anew = [t for t in header.tensors if t.name in names or (kind == full and len(t.shape) == 2)]
    kinds |= {t.name: full if t.shape[0] % gguf.GGML_QUANT_SIZES[kind][0] else kind for t in anew}
    data = numpy.memmap(base, numpy.uint8, "r", offset=header.data)
    with out.open("wb") as file:
        _write_head(file, base, header, [(int(kinds[t.name]), _bytes(t, kinds[t.name])) for t in header.tensors])
        for tensor in header.tensors:
            old = gguf.GGMLQuantizationType(tensor.kind)
            raw = data[tensor.offset : tensor.offset + _bytes(tensor, old)]
            if tensor in anew:
                weight = as_bfloat16(gguf.quants.dequantize(_rows(raw, tensor), old))
                if tensor.name in names:
                    weight += _added(lora, names[tensor.name], header)
                raw = gguf.quants.quantize(weight, kinds[tensor.name])
            file.write(raw.tobytes())
            file.write(bytes(-file.tell() % header.alignment))


def _names(lora: Lora, header: Header, gguf: Any) -> dict[str, str]:
    """The names that the adapter's weights have in transformers, by those in the file."""
    shapes = {tensor.name: tensor.shape[::-1] for tensor in header.tensors}
    architecture = header.values["general.architecture"]
    kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    known = gguf.get_tensor_name_map(kind, int(header.values[f"{architecture}.block_count"]))
    ours = {name: known.get_name(name, try_suffixes=(".weight",)) or "" for name in lora.pairs}
    lora.check_fit(shapes, ours)
    return {found: name for name, found in ours.items()}


def _bytes(tensor: TensorInfo, kind: Any) -> int:
    import gguf

    block, size = gguf.GGML_QUANT_SIZES[kind]
    return int(math.prod(tensor.shape) // block * size)


def _rows(raw: Any, tensor: TensorInfo) -> Any:
    """The bytes of a matrix, [rows, bytes]; plain numbers as such."""
    if tensor.kind == 0:
        return raw.view(numpy.float32).reshape(tensor.shape[::-1])
    if tensor.kind == 1:
        return raw.view(numpy.float16).reshape(tensor.shape[::-1])
    return raw.reshape(tensor.shape[1], -1)


def _added(lora: Lora, name: str, header: Header) -> Array:
    """What is added to a weight, in the order of rows that the file has."""
    added = lora.added(name)
    if header.values["general.architecture"] != "llama":
        return added
    heads = int(header.values["llama.attention.head_count"])
    if ".k_proj." in name:
        heads = int(header.values.get("llama.attention.head_count_kv", heads))
    return permuted(added, heads) if ".q_proj." in name or ".k_proj." in name else added


def permuted(rows: Array, heads: int) -> Array:
    """The rows of queries or keys of a Llama as llama.cpp has them.

    It turns neighbouring rows, transformers those half a head apart.
    """
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def _write_head(file: BinaryIO, base: Path, header: Header, kinds: Sequence[tuple[int, int]]) -> None:
    """Writes all that comes before the tensors, given the type and the bytes of each."""
    with base.open("rb") as source:
        file.write(source.read(header.fields_end))
    alignment, offset = header.alignment, 0
    for tensor, (kind, size) in zip(header.tensors, kinds, strict=True):
        name = tensor.name.encode()
        file.write(struct.pack(f"<Q{len(name)}sI", len(name), name, len(tensor.shape)))
        file.write(struct.pack(f"<{len(tensor.shape)}QIQ", *tensor.shape, kind, offset))
        offset += size + -size % alignment
    file.write(bytes(-file.tell() % alignment))
