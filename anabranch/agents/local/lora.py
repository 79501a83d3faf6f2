"""Reads LoRA adapters: what `peft` saves for `LoraConfig` over linear layers, which is also what vLLM serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from anabranch.agents.local.model_folder import read_json
from anabranch.agents.local.tensors import Array, read_tensors
from anabranch.errors import ConfigurationError

_PEFT_PREFIX = "base_model.model."


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

    def added(self, name: str) -> Array:
        """What is added to a weight, [rows, columns]."""
        high, low = self.pairs[name]
        product: Array = (high @ low) * numpy.float32(self.scale)
        return product

    def check_fit(self, shapes: Mapping[str, tuple[int, ...]], names: Mapping[str, str] | None = None) -> None:
        """Sees to it that weights have the shapes of what is added to them.

        Args:
            shapes: of the weights, [rows, columns], by name.
            names: what they are called there, where that is not what they are called here.

        Raises:
            ConfigurationError: one has not, or is not there.
        """
        for name, (high, low) in self.pairs.items():
            fits = high.ndim == 2 and low.ndim == 2 and high.shape[1] == low.shape[0]
            shape = shapes.get(name if names is None else names.get(name, ""))
            if not fits or not name.startswith("model.layers.") or shape != (high.shape[0], low.shape[1]):
                raise ConfigurationError(
                    f"{self.folder} does not fit this model ({name}); it was trained on "
                    f"{self.base or 'another model'}: give that as the base"
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
    found = read_tensors(folder / "adapter_model.safetensors")
    tensors = {name: tensor.values() for name, tensor in found.items()}
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
