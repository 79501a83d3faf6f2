import json
from pathlib import Path
from typing import Any

import gguf
import numpy
import pytest
from safetensors.numpy import save_file

from anabranch.agents.local.header import read_header
from anabranch.agents.local.lora import read_lora
from anabranch.agents.local.merging import merge, permuted
from anabranch.agents.local.tensors import as_bfloat16
from anabranch.errors import ConfigurationError
from tests.agents.local.tiny import HEADS, WIDTH, write_tiny

NAMES = {"self_attn.q_proj": "attn_q", "self_attn.v_proj": "attn_v"}


def write_adapter(folder: Path, *, columns: int = WIDTH, kind: Any = numpy.float32, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    random = numpy.random.default_rng(3)
    tensors = {}
    for name in NAMES:
        prefix = f"base_model.model.model.layers.0.{name}"
        tensors[f"{prefix}.lora_A.weight"] = random.normal(size=(2, columns)).astype(kind)
        tensors[f"{prefix}.lora_B.weight"] = random.normal(size=(WIDTH, 2)).astype(kind)
    save_file(tensors, folder / "adapter_model.safetensors")
    plain = {"peft_type": "LORA", "r": 2, "lora_alpha": 3, "base_model_name_or_path": "org/base"}
    (folder / "adapter_config.json").write_text(json.dumps(plain | config))
    return folder


def weights(path: Path) -> dict[str, Any]:
    return {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize(("precision", "tolerance"), [("f16", 1e-3), ("q8_0", 0.2)])
def test_the_product_is_added_to_what_training_saw(tmp_path: Path, precision: str, tolerance: float) -> None:
    base, adapter = write_tiny(tmp_path / "base.gguf"), write_adapter(tmp_path / "adapter", kind=numpy.float16)
    merge(base, adapter, tmp_path / "merged.gguf", precision)
    before, after = weights(base), weights(tmp_path / "merged.gguf")
    lora = read_lora(adapter)
    assert list(before) == list(after)
    for theirs, ours in NAMES.items():
        high, low = lora.pairs[f"model.layers.0.{theirs}.weight"]
        added = numpy.float32(1.5) * (high @ low)
        added = permuted(added, HEADS) if ours == "attn_q" else added
        name = f"blk.0.{ours}.weight"
        wanted = as_bfloat16(before.pop(name)) + added
        numpy.testing.assert_allclose(after.pop(name), wanted, rtol=tolerance, atol=tolerance)
    for name, values in before.items():
        matrix = values.ndim == 2 and precision == "f16"
        wanted = as_bfloat16(values).astype(numpy.float16) if matrix else values
        assert (after[name] == wanted).all()
    assert read_header(tmp_path / "merged.gguf").values == read_header(base).values


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"columns": WIDTH + 1}, r"does not fit this model .*_proj.*trained on org/base: give that as the base"),
        ({"use_dora": True}, "not a plain LoRA adapter"),
    ],
)
def test_adapters_that_do_not_fit(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    base, adapter = write_tiny(tmp_path / "base.gguf"), write_adapter(tmp_path / "adapter", **config)
    with pytest.raises(ConfigurationError, match=message):
        merge(base, adapter, tmp_path / "merged.gguf", "f16")


def test_an_architecture_that_is_not_known_here(tmp_path: Path) -> None:
    base = write_tiny(tmp_path / "base.gguf")
    base.write_bytes(base.read_bytes().replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0gemma", 1))
    with pytest.raises(ConfigurationError, match=r"of gemma, but into one of llama or qwen2; merge it"):
        merge(base, write_adapter(tmp_path / "adapter"), tmp_path / "merged.gguf", "f16")
