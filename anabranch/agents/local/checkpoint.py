"""Reads and merges model folders (config, safetensors, LoRA adapters) without importing transformers or peft.

Those two take longer to import than a plan takes to write. Only plain LoRA is read here: what `peft` saves for
`LoraConfig` over linear layers, which is also what vLLM serves.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from anabranch.agents.local.kept import MANIFEST
from anabranch.errors import ConfigurationError, ModelUnavailableError

_PEFT_PREFIX = "base_model.model."
_BESIDE = ("*.json", "*.jinja", "*.model", "*.txt")
"""What lies in a model folder beside its weights."""


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


class Weights(dict[str, Tensor]):
    """Tensors by name; one that is missing is a damaged model."""

    def __missing__(self, name: str) -> Tensor:
        raise ModelUnavailableError(f"the weights lack {name}; prepare or download the model again")


def read_weights(folder: Path) -> Weights:
    """All tensors of a model folder by name, mapped into memory.

    Raises:
        ModelUnavailableError: there are none, or they are damaged.
    """
    weights = Weights()
    for file in sorted(folder.glob("model*.safetensors")):
        weights.update(_load(file))
    if not weights:
        raise ModelUnavailableError(f"no model*.safetensors in {folder}; give the folder of a transformers model")
    return weights


def merge_lora(weights: Mapping[str, Tensor], adapter: Path) -> Weights:
    """The weights with a LoRA adapter added to them, in fp32 where it changes them.

    Args:
        weights: the base model's tensors; left as they are.
        adapter: folder with `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        ModelUnavailableError: the adapter is missing or damaged.
        ConfigurationError: it is not plain LoRA, or belongs to another model.
    """
    config = read_json(adapter / "adapter_config.json")
    tensors = _load(adapter / "adapter_model.safetensors")
    down = {name.removesuffix(".lora_A.weight"): t for name, t in tensors.items() if name.endswith(".lora_A.weight")}
    plain = config.get("peft_type") == "LORA" and not config.get("use_dora") and not config.get("fan_in_fan_out")
    patterned = config.get("rank_pattern") or config.get("alpha_pattern")
    rank: Any = config.get("r")
    alpha: Any = config.get("lora_alpha")
    scaled = isinstance(rank, int) and rank > 0 and isinstance(alpha, int | float)
    if not plain or not scaled or patterned or not down or len(tensors) != 2 * len(down):
        raise ConfigurationError(
            f"{adapter} is not a plain LoRA adapter (linear layers, one rank, no DoRA, no bias); "
            "merge it with peft's merge_and_unload() and give the merged model's folder instead"
        )
    scale = float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)
    merged = Weights(weights)
    for name, low in down.items():
        target = f"{name.removeprefix(_PEFT_PREFIX)}.weight"
        high = tensors.get(f"{name}.lora_B.weight")
        if high is None or not target.startswith("model.layers.") or not _fits(weights.get(target), high, low):
            trained_on = config.get("base_model_name_or_path") or "another model"
            raise ConfigurationError(
                f"{adapter} does not fit this model ({target}); it was trained on {trained_on}: give that as the base"
            )
        merged[target] = torch.addmm(weights[target].float(), high.float(), low.float(), alpha=scale)
    return merged


def _fits(weight: Tensor | None, high: Tensor, low: Tensor) -> bool:
    """Whether the product of an adapter's two matrices has the shape of the weight that it is added to."""
    if weight is None or high.dim() != 2 or low.dim() != 2 or high.shape[1] != low.shape[0]:
        return False
    return weight.shape == (high.shape[0], low.shape[1])


def write_merged(base: Path, adapter: Path, folder: Path) -> None:
    """Writes a model folder: an adapter merged into its base, in its precision, and what lies beside the weights.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter.
        folder: where to write; it is there, and empty.

    Raises:
        ConfigurationError, ModelUnavailableError: as `merge_lora` and `read_weights`.
        OSError: the folder cannot be written.
    """
    before = read_weights(base)
    after = merge_lora(before, adapter)
    tensors = {name: tensor.to(before[name].dtype).contiguous() for name, tensor in after.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for pattern in _BESIDE:
        for file in base.glob(pattern):
            if not file.name.endswith(".safetensors.index.json") and file.name != MANIFEST:
                shutil.copyfile(file, folder / file.name)


def _load(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelUnavailableError(f"cannot read {file} ({error}); check the folder or prepare it again") from error
