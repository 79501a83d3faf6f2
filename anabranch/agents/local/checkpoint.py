"""Weights of model folders with LoRA adapters merged into them, in torch: for servers and `distill export`."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from anabranch.agents.local.kept import MANIFEST
from anabranch.agents.local.lora import read_lora
from anabranch.errors import ModelUnavailableError

_BESIDE = ("*.json", "*.jinja", "*.model", "*.txt")
"""What lies in a model folder beside its weights."""


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a model folder by name, mapped into memory.

    Raises:
        ModelUnavailableError: there are none, or they are damaged.
    """
    weights: dict[str, Tensor] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        weights.update(_load(file))
    if not weights:
        raise ModelUnavailableError(f"no model*.safetensors in {folder}; give the folder of a transformers model")
    return weights


def merge_lora(weights: Mapping[str, Tensor], adapter: Path) -> dict[str, Tensor]:
    """The weights with a LoRA adapter added to them, in fp32 where it changes them.

    Args:
        weights: the base model's tensors; left as they are.
        adapter: folder with `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        ModelUnavailableError: the adapter is missing or damaged.
        ConfigurationError: it is not plain LoRA, or belongs to another model.
    """
    lora = read_lora(adapter)
    lora.check_fit({name: tuple(weight.shape) for name, weight in weights.items()})
    merged = dict(weights)
    for name, (high, low) in lora.pairs.items():
        factors = torch.from_numpy(high), torch.from_numpy(low)
        merged[name] = torch.addmm(weights[name].float(), *factors, alpha=lora.scale)
    return merged


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
