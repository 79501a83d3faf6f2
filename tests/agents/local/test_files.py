"""Files that are made once, by real processes at once, on disks that are full or may only be read."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from anabranch.agents.local.files import ready
from anabranch.agents.local.generation import Options
from anabranch.agents.local.llamacpp import LlamaCppEngine
from anabranch.agents.local.lora import read_lora
from anabranch.agents.local.merging import permuted
from anabranch.errors import ConfigurationError, ModelUnavailableError
from tests.agents.local.test_merging import weights, write_adapter
from tests.agents.local.tiny import HEADS, write_folder, write_tiny


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "base.gguf")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


def test_a_file_without_an_adapter_is_used_as_it_is(base: Path, tmp_path: Path) -> None:
    assert ready(base, None, tmp_path / "cache", progress=print) == base
    assert not (tmp_path / "cache").exists()


def test_it_is_merged_once_and_again_where_one_of_them_changed(base: Path, adapter: Path, tmp_path: Path) -> None:
    told: list[str] = []
    first = ready(base, adapter, tmp_path / "cache", progress=told.append)
    assert ready(base, adapter, tmp_path / "cache", progress=told.append) == first
    assert told == ["merging adapter into base.gguf (once) ..."]
    write_adapter(adapter, lora_alpha=4)
    second = ready(base, adapter, tmp_path / "cache", progress=told.append)
    assert second != first
    write_tiny(base, context=256)
    assert ready(base, adapter, tmp_path / "cache", progress=told.append) not in (first, second)
    with pytest.raises(ModelUnavailableError, match=r"cannot read .*gone.adapter_config.json"):
        ready(base, tmp_path / "gone", tmp_path / "cache", progress=told.append)


def test_a_damaged_file_is_made_again(base: Path, adapter: Path, tmp_path: Path) -> None:
    told: list[str] = []
    made = ready(base, adapter, tmp_path / "cache", progress=told.append)
    whole = made.read_bytes()
    made.write_bytes(whole[:-1000])
    assert ready(base, adapter, tmp_path / "cache", progress=told.append) == made
    assert made.read_bytes() == whole
    assert "is damaged (model.gguf has " in told[1]


_READY = """
import resource, sys
from pathlib import Path
from anabranch.agents.local.files import ready
if sys.argv[4:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
print(ready(*map(Path, sys.argv[1:4]), progress=print))
"""


def test_of_two_processes_one_makes_it(base: Path, adapter: Path, tmp_path: Path) -> None:
    command: list[Any] = [sys.executable, "-c", _READY, base, adapter, tmp_path / "cache"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [process.communicate(timeout=100)[0].splitlines() for process in both]
    assert sorted(len(told) for told in lines) == [1, 2]
    assert lines[0][-1] == lines[1][-1]
    assert [process.returncode for process in both] == [0, 0]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_a_file_that_cannot_be_written_leaves_nothing(base: Path, adapter: Path, tmp_path: Path) -> None:
    command: list[Any] = [sys.executable, "-c", _READY, base, adapter, tmp_path / "cache", "30000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert "ModelUnavailableError: cannot write weights to" in done.stderr
    assert "free space there, or set ANABRANCH_CACHE_DIR" in done.stderr
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def near(found: Any, wanted: Any) -> None:
    """Weights are kept with 8 bits, and a scale for 32 of them: off by about half of a 127th of the largest."""
    assert (abs(found - wanted) <= 0.6 / 127 * abs(wanted).max(axis=1, keepdims=True)).all()


@pytest.mark.parametrize("adapted", [False, True])
def test_a_transformers_folder_becomes_a_file(adapter: Path, tmp_path: Path, adapted: bool) -> None:
    folder, told = write_folder(tmp_path / "folder"), list[str]()
    made = ready(folder, adapter if adapted else None, tmp_path / "cache", progress=told.append)
    assert told == [f"{'merging adapter into' if adapted else 'writing a GGUF file of'} folder (once) ..."]
    stored, found = load_file(folder / "model.safetensors"), weights(made)
    near(found["token_embd.weight"], stored["model.embed_tokens.weight"].float().numpy())
    wanted = stored["model.layers.0.self_attn.q_proj.weight"].float().numpy()
    if adapted:
        wanted = wanted + read_lora(adapter).added("model.layers.0.self_attn.q_proj.weight")
    near(found["blk.0.attn_q.weight"], permuted(wanted, HEADS))
    written = LlamaCppEngine(made).generate([{"role": "user", "content": "hi"}], Options(pattern="[a-z]{5}"))
    assert len(written.text) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "gemma"},
        {"hidden_act": "gelu"},
        {"mlp_bias": True},
        {"use_sliding_window": True},
        {"rope_scaling": {"type": "llama3", "factor": 8.0}},
    ],
)
def test_what_would_be_computed_wrongly_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = write_folder(tmp_path / "folder", **change)
    with pytest.raises(ConfigurationError, match=r"no GGUF is written for .*convert_hf_to_gguf.py"):
        ready(folder, None, tmp_path / "cache", progress=print)
