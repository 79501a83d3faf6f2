import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from anabranch.agents.local.checkpoint import merge_lora, read_weights
from anabranch.agents.local.model_folder import read_json
from anabranch.errors import ConfigurationError, ModelUnavailableError
from tests.agents.local.conftest import PEFT_WARNING

TARGET = "model.layers.0.mlp.down_proj"
PLAIN: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 8}


def write_adapter(folder: Path, config: dict[str, Any] | None = None, target: str = TARGET, columns: int = 4) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps(PLAIN | (config or {})))
    prefix = f"base_model.model.{target}"
    tensors = {f"{prefix}.lora_A.weight": torch.ones(2, columns), f"{prefix}.lora_B.weight": torch.ones(3, 2)}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize(("config", "scale"), [({}, 4.0), ({"use_rslora": True}, 8 / 2**0.5)])
def test_lora_is_added_with_its_scale(config: dict[str, Any], scale: float, tmp_path: Path) -> None:
    base = {f"{TARGET}.weight": torch.zeros(3, 4), "model.norm.weight": torch.ones(4)}
    merged = merge_lora(base, write_adapter(tmp_path, config))
    torch.testing.assert_close(merged[f"{TARGET}.weight"], torch.full((3, 4), 2 * scale))
    assert base[f"{TARGET}.weight"].sum() == 0
    assert merged["model.norm.weight"] is base["model.norm.weight"]


@pytest.mark.parametrize(
    "config",
    [{"peft_type": "IA3"}, {"use_dora": True}, {"fan_in_fan_out": True}, {"rank_pattern": {"q_proj": 4}}],
)
def test_adapters_of_other_kinds_are_refused(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="merge_and_unload"):
        merge_lora({f"{TARGET}.weight": torch.zeros(3, 4)}, write_adapter(tmp_path, config))


@pytest.mark.parametrize(("target", "columns"), [(TARGET, 5), ("model.layers.9.mlp.down_proj", 4), ("lm_head", 4)])
def test_adapters_of_another_model_are_refused(target: str, columns: int, tmp_path: Path) -> None:
    weights = {f"{TARGET}.weight": torch.zeros(3, 4), "lm_head.weight": torch.zeros(3, 4)}
    with pytest.raises(ConfigurationError, match="does not fit this model"):
        merge_lora(weights, write_adapter(tmp_path, target=target, columns=columns))


def test_a_missing_adapter(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"adapter_config\.json"):
        merge_lora({}, tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelUnavailableError, match=r"model\.safetensors"):
        read_weights(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelUnavailableError, match="not a JSON object"):
        read_json(tmp_path / "config.json")


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="no model"):
        read_weights(tmp_path)


@pytest.mark.model
@pytest.mark.filterwarnings(PEFT_WARNING)
def test_merged_lora_is_that_of_peft(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    targets = ["q_proj", "v_proj", "down_proj"]
    theirs = get_peft_model(base, LoraConfig(r=4, lora_alpha=16, target_modules=targets, init_lora_weights=False))
    theirs.save_pretrained(tmp_path)
    expected = theirs.merge_and_unload().state_dict()
    merged = merge_lora(read_weights(folder), tmp_path)
    name = "model.layers.7.mlp.down_proj.weight"
    assert not torch.equal(merged[name], read_weights(folder)[name].float())
    for key, weight in merged.items():
        torch.testing.assert_close(weight.float(), expected[key])
