"""Exports, read back by transformers and run by llama.cpp: the same tokens, logits and plans as the adapter's."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anabranch.errors import BackendError, ConfigurationError, ModelUnavailableError
from tests.distill.tiny import BASE, messages, tiny_model

pytestmark = [
    pytest.mark.model,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),  # peft asks for it
]
SHIPPED = Path(__file__).parents[2] / "anabranch" / "adapters" / "decomposer-135m"


@pytest.fixture(scope="module")
def prepared() -> Path:
    from anabranch.agents.local import prepare

    return prepare(None)


def trained(model: Path, folder: Path) -> Path:
    """An adapter that changes what the model says."""
    import torch

    from anabranch.distill.student import Lora, Student

    student = Student(model, BASE, Lora(rank=4, alpha=8))
    with torch.no_grad():
        student.weights.normal_(std=0.2)
    student.save(folder)
    return folder


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def pair(request: pytest.FixtureRequest, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    changes = {"hidden_size": 64, "intermediate_size": 96, "rms_norm_eps": 1e-5}
    model = tiny_model(folder / "base", prepared, family=request.param, **changes)
    return model, trained(model, folder / "adapter")


def prompt_ids(folder: Path, **source: Any) -> list[int]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, **source)
    text = tokenizer.apply_chat_template(messages(7), add_generation_prompt=True, tokenize=False)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def logits(folder: Path, ids: list[int], adapter: Path | None = None, **source: Any) -> Any:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **source)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


def test_merged_weights_say_what_base_and_adapter_do(pair: tuple[Path, Path], tmp_path: Path) -> None:
    import torch

    from anabranch.distill import export

    base, adapter = pair
    made = export.merged(base, adapter, tmp_path / "out")
    assert made["format"] == "merged"
    assert made["bytes"]["model.safetensors"] > 1e6
    ids = prompt_ids(base)
    assert prompt_ids(tmp_path / "out") == ids
    wanted = logits(base, ids, adapter)
    torch.testing.assert_close(logits(tmp_path / "out", ids), wanted, rtol=1e-3, atol=1e-3)
    assert (logits(base, ids) - wanted).abs().max() > 0.1
    assert export.merged(base, adapter, tmp_path / "out")["inputs"] == made["inputs"]  # it is there


def test_a_gguf_file_says_what_base_and_adapter_do(pair: tuple[Path, Path], tmp_path: Path) -> None:
    from anabranch.distill import export

    base, adapter = pair
    export.gguf(base, adapter, tmp_path / "out", "f16")
    ids = prompt_ids(base)
    wanted, found = logits(base, ids, adapter), logits(tmp_path / "out", ids, gguf_file="model.gguf")
    assert (wanted - found).std() < 0.01 * wanted.std()
    assert prompt_ids(tmp_path / "out", gguf_file="model.gguf") == ids
    modelfile = (tmp_path / "out" / "Modelfile").read_text()
    assert modelfile.startswith("FROM ./model.gguf\nTEMPLATE")
    assert 'PARAMETER stop "<|im_end|>"' in modelfile


@pytest.mark.parametrize(("weights", "tolerance"), [("f32", 1e-6), ("q8_0", 0.01)])
def test_gguf_files_hold_the_merged_weights(
    pair: tuple[Path, Path], tmp_path: Path, weights: str, tolerance: float
) -> None:
    import gguf
    import numpy

    from anabranch.agents.local.checkpoint import merge_lora, read_weights
    from anabranch.distill import export

    base, adapter = pair
    export.gguf(base, adapter, tmp_path / "out", weights)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "out" / "model.gguf").tensors}
    merged = merge_lora(read_weights(base), adapter)
    assert len(tensors) == len(merged)
    names = {"blk.1.ffn_down.weight": "model.layers.1.mlp.down_proj.weight", "output_norm.weight": "model.norm.weight"}
    for ours, theirs in names.items():
        found = gguf.dequantize(tensors[ours].data, tensors[ours].tensor_type)
        wanted = merged[theirs].float().numpy()
        assert numpy.abs(found - wanted).max() <= tolerance * numpy.abs(wanted).max()
    assert tensors["blk.1.ffn_down.weight"].tensor_type.name == weights.upper()


def test_an_adapter_merged_into_a_gguf_file_is_the_export_of_both(pair: tuple[Path, Path], tmp_path: Path) -> None:
    import gguf
    import numpy
    from safetensors.torch import load_file, save_file

    from anabranch.agents.local import gguf_file
    from anabranch.agents.local.merging import merge
    from anabranch.distill import export

    base, adapter = shutil.copytree(pair[0], tmp_path / "base"), pair[1]
    rounded = {name: tensor.bfloat16() for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(rounded, base / "model.safetensors", metadata={"format": "pt"})
    gguf_file.write(base, None, tmp_path / "base.gguf", "f32")
    merge(tmp_path / "base.gguf", adapter, tmp_path / "merged.gguf", "f16")
    export.gguf(base, adapter, tmp_path / "out", "f16")
    theirs, ours = (gguf.GGUFReader(tmp_path / name) for name in ("out/model.gguf", "merged.gguf"))
    for one, other in zip(theirs.tensors, ours.tensors, strict=True):
        assert (one.name, list(one.shape)) == (other.name, list(other.shape))
        wanted, found = (gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in (one, other))
        numpy.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    assert [name for name in ours.fields if name != "general.name"] == [
        name for name in theirs.fields if name != "general.name"
    ]


LLAMA_CPP = """
import json, sys
import xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.n_ctx, parameters.n_parallel, parameters.warmup = 512, 1, False
parameters.cpuparams.n_threads = 1
server = xllamacpp.Server(parameters)
request = {"messages": json.loads(sys.argv[2]), "max_tokens": 40, "temperature": 0}
reply = server.handle_chat_completions(request)
print(json.dumps([reply["choices"][0]["message"]["content"], reply["usage"]["prompt_tokens"]]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_llama_cpp_writes_the_plan_that_the_in_process_model_writes(prepared: Path, tmp_path: Path) -> None:
    from langchain_core.messages import HumanMessage, SystemMessage

    from anabranch.agents import prompts
    from anabranch.agents.local import LocalChatModel
    from anabranch.distill import export
    from anabranch.distill.catalogues import shipped
    from anabranch.distill.render import as_messages

    export.gguf(prepared, SHIPPED, tmp_path / "out", "f16")
    question = "A baker makes 12 trays of 24 rolls and sells 250 of them. How many rolls are left?"
    asked = as_messages(prompts.lines_messages(question, shipped("calculator").cards))
    command = [sys.executable, "-c", LLAMA_CPP, str(tmp_path / "out" / "model.gguf"), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    text, read = json.loads(done.stdout.splitlines()[-1])
    here = LocalChatModel(adapter=SHIPPED).invoke(
        [SystemMessage(asked[0]["content"]), HumanMessage(asked[1]["content"])], max_tokens=40
    )
    assert text == here.text
    assert here.usage_metadata is not None
    assert read == here.usage_metadata["input_tokens"]


def test_an_export_is_whole_or_not_there(pair: tuple[Path, Path], tmp_path: Path) -> None:
    from anabranch.distill import export

    base, adapter = pair
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(ConfigurationError, match="holds something else"):
        export.merged(base, adapter, tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="cannot write"):
        export.merged(base, adapter, tmp_path / "file" / "out")
    with pytest.raises(ConfigurationError, match="unknown weights 'q2'"):
        export.gguf(base, adapter, tmp_path / "out", "q2")
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_is_refused(pair: tuple[Path, Path], prepared: Path, tmp_path: Path) -> None:
    from anabranch.distill import export

    base, adapter = pair
    wide = tiny_model(tmp_path / "wide", prepared, hidden_size=96)
    shallow = tiny_model(tmp_path / "shallow", prepared, hidden_size=64, intermediate_size=96, num_hidden_layers=1)
    for other in (wide, shallow):
        with pytest.raises(ConfigurationError, match="does not fit this model"):
            export.merged(other, adapter, tmp_path / "out")
    with pytest.raises(ModelUnavailableError, match=r"holds no adapter_model\.safetensors"):
        export.merged(base, tmp_path, tmp_path / "out")
    assert export.base_of(adapter) == BASE
    with pytest.raises(ModelUnavailableError):
        export.base_of(tmp_path)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "model_type": "gemma"}))
    with pytest.raises(ConfigurationError, match="no GGUF is written for gemma"):
        export.gguf(base, adapter, tmp_path / "out")
    (base / "config.json").write_text(json.dumps(config))
    data = json.loads((base / "tokenizer.json").read_text())
    (base / "tokenizer.json").write_text(json.dumps({**data, "pre_tokenizer": {"type": "Metaspace"}}))
    with pytest.raises(ConfigurationError, match="Metaspace"):
        export.gguf(base, adapter, tmp_path / "out")
    (base / "tokenizer.json").write_text(json.dumps(data))
