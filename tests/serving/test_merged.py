import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from anabranch.agents.local.kept import MANIFEST, source_of
from anabranch.errors import ConfigurationError, ModelUnavailableError
from anabranch.serving.merged import merged_folder

TARGET = "model.layers.0.mlp.down_proj"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    save_file({f"{TARGET}.weight": torch.zeros(3, 4)}, folder / "model.safetensors")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (folder / MANIFEST).write_text("{}")
    return folder


def _adapter(folder: Path, columns: int = 4, **config: Any) -> Path:
    folder.mkdir()
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "base_model_name_or_path": "org/its-base"} | config
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    prefix = f"base_model.model.{TARGET}"
    tensors = {f"{prefix}.lora_A.weight": torch.ones(2, columns), f"{prefix}.lora_B.weight": torch.ones(3, 2)}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def test_a_wrong_byte_in_merged_weights_is_found_and_they_are_made_again(base: Path, tmp_path: Path) -> None:
    adapter, steps = _adapter(tmp_path / "adapter"), list[str]()
    folder = merged_folder(base, adapter, tmp_path / "cache", progress=steps.append)
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    assert merged_folder(base, adapter, tmp_path / "cache", progress=steps.append) == folder
    assert len(steps) == 1
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert merged_folder(base, adapter, tmp_path / "cache", progress=steps.append) == folder
    assert "damaged (the checksum of model.safetensors is wrong)" in steps[1]
    assert weights.read_bytes() == data
    assert load_file(weights)[f"{TARGET}.weight"].sum() == 24
    assert source_of(folder) == f"{adapter} merged into {base}"


def test_an_adapter_that_does_not_fit_names_its_base(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"does not fit this model .*trained on org/its-base"):
        merged_folder(base, _adapter(tmp_path / "other", columns=5), tmp_path / "cache", progress=print)
    wrong: dict[str, dict[str, Any]] = {"none": {"r": None}, "zero": {"r": 0}, "text": {"lora_alpha": "x"}}
    for name, config in wrong.items():
        with pytest.raises(ConfigurationError, match="not a plain LoRA adapter"):
            merged_folder(base, _adapter(tmp_path / name, **config), tmp_path / "cache", progress=print)
    with pytest.raises(ModelUnavailableError, match=r"is no adapter: it has no adapter_config\.json"):
        merged_folder(base, tmp_path, tmp_path / "cache", progress=print)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
