"""Reads LoRA adapters: what `peft` saves for `LoraConfig` over linear layers, which is also what vLLM serves."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from safetensors import SafetensorError, deserialize

from anabranch.errors import ConfigurationError, ModelUnavailableError

Array = numpy.ndarray[Any, numpy.dtype[numpy.float32]]
_PEFT_PREFIX = "base_model.model."


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a model folder.

    Raises:
        ModelUnavailableError: it is missing or damaged.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"cannot read {path} ({error}); delete the folder to prepare it again") from error
    if not isinstance(data, dict):
        raise ModelUnavailableError(f"{path} is not a JSON object; delete the folder to prepare it again")
    return data


@dataclass(frozen=True)
class Lora:
    """A LoRA adapter.

    Attributes:
        folder: where it is from.
        base: the model that it was trained on, if it says so.
        pairs: two matrices by the name of the weight that `scale` times their product is added to: [rows, rank] and
            [rank, columns].
        scale: what their product is multiplied by.
    """

    folder: Path
    base: str
    pairs: Mapping[str, tuple[Array, Array]]
    scale: float

    def check_fits(self, name: str, shape: tuple[int, ...] | None) -> None:
        """Sees to it that a weight has the shape of what is added to it.

        Args:
            name: the weight's name.
            shape: its shape, [rows, columns]; None if the model has no such weight.

        Raises:
            ConfigurationError: it has not.
        """
        high, low = self.pairs[name]
        fits = high.ndim == 2 and low.ndim == 2 and high.shape[1] == low.shape[0]
        if not fits or not name.startswith("model.layers.") or shape != (high.shape[0], low.shape[1]):
            raise ConfigurationError(
                f"{self.folder} does not fit this model ({name}); it was trained on {self.base or 'another model'}: "
                "give that as the base"
            )


def read_lora(folder: Path) -> Lora:
    """Reads an adapter.

    Args:
        folder: with `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        ModelUnavailableError: the adapter is missing or damaged.
        ConfigurationError: it is not plain LoRA.
    """
    config = read_json(folder / "adapter_config.json")
    tensors = _tensors(folder / "adapter_model.safetensors")
    down = {name.removesuffix(".lora_A.weight"): t for name, t in tensors.items() if name.endswith(".lora_A.weight")}
    plain = config.get("peft_type") == "LORA" and not config.get("use_dora") and not config.get("fan_in_fan_out")
    patterned = config.get("rank_pattern") or config.get("alpha_pattern")
    rank: Any = config.get("r")
    alpha: Any = config.get("lora_alpha")
    scaled = isinstance(rank, int) and rank > 0 and isinstance(alpha, int | float)
    paired = down and len(tensors) == 2 * len(down) and all(f"{name}.lora_B.weight" in tensors for name in down)
    if not plain or not scaled or patterned or not paired:
        raise ConfigurationError(
            f"{folder} is not a plain LoRA adapter (linear layers, one rank, no DoRA, no bias); "
            "merge it with peft's merge_and_unload() and give the merged model's folder instead"
        )
    pairs = {
        f"{name.removeprefix(_PEFT_PREFIX)}.weight": (tensors[f"{name}.lora_B.weight"], low)
        for name, low in down.items()
    }
    scale = float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)
    return Lora(folder, str(config.get("base_model_name_or_path") or ""), pairs, scale)


def _tensors(file: Path) -> dict[str, Array]:
    """All tensors of a file, in fp32."""
    try:
        found = deserialize(file.read_bytes())  # type: ignore[no-untyped-call]
        return {name: _fp32(part["data"], part["dtype"]).reshape(part["shape"]) for name, part in found}
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelUnavailableError(f"cannot read {file} ({error}); check the folder or prepare it again") from error


def _fp32(data: bytes, kind: str) -> Array:
    if kind == "BF16":  # NumPy has none; it is the upper half of an fp32
        return (numpy.frombuffer(data, "<u2").astype(numpy.uint32) << 16).view(numpy.float32)
    return numpy.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[kind]).astype(numpy.float32)
