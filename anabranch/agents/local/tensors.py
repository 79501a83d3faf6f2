"""Tensors of safetensors files in NumPy, bfloat16 included."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from safetensors import SafetensorError, safe_open

from anabranch.errors import ModelUnavailableError

Array = numpy.ndarray[Any, numpy.dtype[numpy.float32]]
_KINDS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a file has it.

    Attributes:
        kind: its type in safetensors: `F32`, `F16` or `BF16`.
        shape: its dimensions, the outermost first.
        data: its bytes.
    """

    kind: str
    shape: tuple[int, ...]
    data: numpy.ndarray[Any, numpy.dtype[numpy.uint8]]

    def values(self) -> Array:
        """Its values in fp32."""
        found: Any = self.data.view(_KINDS[self.kind])
        if self.kind == "BF16":  # NumPy has none; it is the upper half of an fp32
            found = (found.astype(numpy.uint32) << 16).view(numpy.float32)
        values: Array = found.astype(numpy.float32).reshape(self.shape)
        return values


def as_bfloat16(values: Array) -> Array:
    """Finite values rounded to the nearest of bfloat16, the even one of two, in fp32."""
    bits = numpy.ascontiguousarray(values).view(numpy.uint32)
    rounded = bits + (numpy.uint32(0x7FFF) + ((bits >> 16) & 1))
    return (rounded & numpy.uint32(0xFFFF0000)).view(numpy.float32)


def read_tensors(file: Path) -> dict[str, StoredTensor]:
    """All tensors of a file by name, mapped into memory.

    Raises:
        ModelUnavailableError: it is missing or damaged, or holds other types.
    """
    try:
        with safe_open(file, framework="np"), file.open("rb") as opened:  # the first checks the places in the header
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        data = numpy.memmap(file, numpy.uint8, "r", offset=8 + length)
        return {name: _stored(part, data) for name, part in header.items()}
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelUnavailableError(f"cannot read {file} ({error}); check the folder or prepare it again") from error


def read_folder(folder: Path) -> dict[str, StoredTensor]:
    """All tensors of a model folder by name, mapped into memory.

    Raises:
        ModelUnavailableError: there are none, or they are damaged, or of other types.
    """
    tensors = {
        name: one for file in sorted(folder.glob("model*.safetensors")) for name, one in read_tensors(file).items()
    }
    if not tensors:
        raise ModelUnavailableError(f"no model*.safetensors in {folder}; give the folder of a transformers model")
    return tensors


def _stored(part: Mapping[str, Any], data: Any) -> StoredTensor:
    if part["dtype"] not in _KINDS:
        raise ValueError(f"weights of the type {part['dtype']}, not {', '.join(_KINDS)}")
    begin, end = part["data_offsets"]
    return StoredTensor(part["dtype"], tuple(part["shape"]), data[begin:end])
