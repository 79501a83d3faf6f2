from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import save_file

from anabranch.agents.local.tensors import as_bfloat16, read_folder, read_tensors
from anabranch.errors import ModelUnavailableError


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_values_are_those_that_were_stored(tmp_path: Path, kind: torch.dtype) -> None:
    tensors = {"one": torch.randn(3, 5).to(kind), "two": torch.randn(7).to(kind)}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = read_tensors(tmp_path / "model.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].shape == tuple(tensor.shape)
        assert (torch.tensor(found[name].values()) == tensor.float()).all()


def test_rounding_is_that_of_torch() -> None:
    halves = numpy.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 0.0, -0.0, 3e38, 1e-40, numpy.inf], numpy.float32)
    values = numpy.concatenate([halves, numpy.random.default_rng(1).normal(size=5000).astype(numpy.float32)])
    wanted = torch.from_numpy(values).bfloat16().float()
    assert (torch.from_numpy(as_bfloat16(values)) == wanted).all()


def test_the_files_of_a_folder_together(tmp_path: Path) -> None:
    for number in range(2):
        save_file({f"w{number}": torch.ones(2)}, tmp_path / f"model-0000{number}-of-2.safetensors")
    assert sorted(read_folder(tmp_path)) == ["w0", "w1"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelUnavailableError, match=r"no model.*in .*empty"):
        read_folder(tmp_path / "empty")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    with pytest.raises(ModelUnavailableError, match=r"cannot read .*model.safetensors"):
        read_tensors(file)
    save_file({"w": torch.ones(100)}, file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelUnavailableError, match=r"cannot read .*model.safetensors"):
        read_tensors(file)
    save_file({"w": torch.ones(3, dtype=torch.int64)}, file)
    with pytest.raises(ModelUnavailableError, match="weights of the type I64, not F32, F16, BF16"):
        read_tensors(file)
