"""Adapters between two."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file, save_file  # noqa: E402 - after the check that it is there

from benchmarks.reinforcement.between import main  # noqa: E402 - likewise


def adapter(folder: Path, seed: int, *, rank: int, alpha: int, base: str = "base") -> Path:
    folder.mkdir()
    torch.manual_seed(seed)
    weights = {"q.lora_A.weight": torch.randn(rank, 12).half(), "q.lora_B.weight": torch.randn(10, rank).half()}
    save_file(weights, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def change(folder: Path) -> Any:
    """What an adapter adds to the layer."""
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    weights = load_file(folder / "adapter_model.safetensors")
    product = weights["q.lora_B.weight"].float() @ weights["q.lora_A.weight"].float()
    return config["lora_alpha"] / config["r"] * product


def made(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["between", *(str(word) for word in words)])
    main()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_changes_are_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    # Ranks whose sum the second one has room for: nothing is cut.
    first, second = adapter(tmp_path / "a", 1, rank=2, alpha=8), adapter(tmp_path / "b", 2, rank=10, alpha=20)
    made(monkeypatch, first, second, tmp_path / "out", "--share", share)
    wanted = (1 - share) * change(first) + share * change(second)
    assert torch.allclose(change(tmp_path / "out"), wanted, atol=0.05)


def test_a_smaller_rank_keeps_the_nearest_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = adapter(tmp_path / "a", 1, rank=4, alpha=8), adapter(tmp_path / "b", 2, rank=4, alpha=8)
    made(monkeypatch, first, second, tmp_path / "out", "--share", 0.5)
    wanted = (change(first) + change(second)) / 2
    u, s, v = torch.linalg.svd(wanted)
    nearest = u[:, :4] * s[:4] @ v[:4]
    assert torch.allclose(change(tmp_path / "out"), nearest, atol=0.05)


def test_adapters_of_other_base_models_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (adapter(tmp_path / name, 1, rank=2, alpha=4, base=name) for name in ("a", "b"))
    with pytest.raises(SystemExit):
        made(monkeypatch, first, second, tmp_path / "out", "--share", 0.5)
    assert not (tmp_path / "out").exists()
