"""What `anabranch serve decomposer` makes of its options, without vLLM."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anabranch.errors import BackendError, ConfigurationError, MissingExtraError, ModelUnavailableError
from anabranch.serving import vllm
from anabranch.serving.template import safe_template
from anabranch.serving.vllm import Vllm, Weights, check_address, find_vllm, find_weights

SAID: list[str] = []
CUDA = Vllm("/py", "cuda")


def said(text: str) -> None:
    SAID.append(text)


def model_folder(folder: Path, *, template: str = "{{ messages[0]['content'] }}", **config: Any) -> Path:
    folder.mkdir(parents=True)
    special = [{"content": "<|im_end|>", "special": True}, {"content": "it's", "special": False}]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": special}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def adapter_folder(folder: Path, **config: Any) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANABRANCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fake_python(folder: Path, body: str) -> str:
    """An interpreter whose answer to the question for vLLM is known."""
    file = folder / "python"
    file.write_text(f"#!{sys.executable}\n{body}")
    file.chmod(0o755)
    return str(file)


# Weights


def test_a_folder_of_merged_weights_is_served_as_it_is(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine")
    assert find_weights(str(folder), None, lora=False, say=said) == Weights("decomposer-mine", folder)
    folder = model_folder(tmp_path / "decomposer-mine")
    assert find_weights(str(folder), None, lora=False, say=said) == Weights("decomposer-mine", folder)


def test_an_adapter_beside_its_base(tmp_path: Path) -> None:
    base = model_folder(tmp_path / "base")
    adapter = adapter_folder(tmp_path / "decomposer-x", r=24, base_model_name_or_path=str(base))
    assert find_weights(str(adapter), None, lora=True, say=said) == Weights("decomposer-x", base, adapter, 24)


def test_the_manifest_and_the_option_say_what_the_base_is(tmp_path: Path) -> None:
    first, second = model_folder(tmp_path / "first"), model_folder(tmp_path / "second")
    adapter = adapter_folder(tmp_path / "decomposer-x", r=8, base_model_name_or_path="/training/folder")
    (adapter / "manifest.json").write_text(json.dumps({"recipe": {"base": str(first)}}))
    assert find_weights(str(adapter), None, lora=True, say=said).model == first
    assert find_weights(str(adapter), str(second), lora=True, say=said).model == second


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"r": 8}, "does not say what it was trained on"),
        ({"r": "8", "base_model_name_or_path": "a/b"}, "has the rank '8'"),
        ({"r": 1024, "base_model_name_or_path": "a/b"}, "has the rank 1024"),
    ],
)
def test_adapters_that_cannot_be_served(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    adapter = adapter_folder(tmp_path / "x", **config)
    with pytest.raises(ConfigurationError, match=message):
        find_weights(str(adapter), None, lora=True, say=said)


def test_a_damaged_adapter(tmp_path: Path) -> None:
    adapter = adapter_folder(tmp_path / "x")
    (adapter / "adapter_config.json").write_text("{")
    with pytest.raises(ModelUnavailableError, match=r"cannot read .*adapter_config\.json"):
        find_weights(str(adapter), None, lora=True, say=said)


def test_something_that_is_neither(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"use one of decomposer-1\.5b, decomposer-135m") as caught:
        find_weights(str(tmp_path), None, lora=False, say=said)
    assert "solver" not in str(caught.value)


# The command line


def test_merged_weights_are_served_under_the_name(tmp_path: Path, cache: Path) -> None:
    folder = model_folder(tmp_path / "m")
    program = vllm.program(
        Weights("decomposer-x", folder), CUDA, host="127.0.0.1", port=8000, arguments=["--seed", "1"]
    )
    assert program.command[:5] == ["/py", *vllm.COMMAND, str(folder)]
    assert program.command[-2:] == ["--seed", "1"]
    text = " ".join(program.command)
    assert "--served-model-name decomposer-x" in text
    assert "--enable-prefix-caching" in text
    assert "--generation-config vllm" in text
    assert "lora" not in text
    assert program.health == "http://127.0.0.1:8000/health"
    assert program.log.is_relative_to(cache)
    assert "VLLM_CPU_KVCACHE_SPACE" not in program.env


def test_the_front_end_in_rust_gets_no_option_that_it_lacks(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder(tmp_path / "m")

    def options() -> set[str]:
        program = vllm.program(Weights("decomposer-x", folder), CUDA, host="127.0.0.1", port=8000)
        return {word for word in program.command if word.startswith("--")}

    usual = options()
    monkeypatch.setenv("VLLM_USE_RUST_FRONTEND", "1")
    assert usual - options() == {"--generation-config", "--disable-uvicorn-access-log"}
    monkeypatch.setenv("VLLM_USE_RUST_FRONTEND", "0")
    assert options() == usual


@pytest.mark.parametrize(("rank", "given"), [(4, 8), (16, 16), (24, 32), (300, 320)])
def test_an_adapter_is_served_under_the_name(tmp_path: Path, cache: Path, rank: int, given: int) -> None:
    folder = model_folder(tmp_path / "m")
    weights = Weights("decomposer-x", folder, Path("/adapters/x"), rank)
    text = " ".join(vllm.program(weights, CUDA, host="127.0.0.1", port=8000).command)
    assert f"--enable-lora --max-lora-rank {given} " in text
    assert "--lora-modules decomposer-x=/adapters/x" in text


@pytest.mark.parametrize(
    ("host", "health"),
    [("0.0.0.0", "http://127.0.0.1:1/health"), ("::", "http://[::1]:1/health"), ("box", "http://box:1/health")],
)
def test_health_is_asked_where_it_can_be_reached(tmp_path: Path, cache: Path, host: str, health: str) -> None:
    weights = Weights("decomposer-x", model_folder(tmp_path / "m"))
    assert vllm.program(weights, CUDA, host=host, port=1).health == health


def test_on_a_gpu_the_environment_is_set_where_the_user_has_not(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.delenv("VLLM_USE_FLASHINFER_SAMPLER", raising=False)
    env = vllm.program(Weights("decomposer-x", model_folder(tmp_path / "m")), CUDA, host="127.0.0.1", port=1).env
    assert "OMP_NUM_THREADS" not in env
    assert env["VLLM_USE_FLASHINFER_SAMPLER"] == "0"


def test_on_a_cpu_the_environment_is_set_where_the_user_has_not(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "9")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    weights = Weights("decomposer-x", model_folder(tmp_path / "m"))
    env = vllm.program(weights, Vllm("/py", "cpu", command=False), host="127.0.0.1", port=1).env
    assert "VLLM_CPU_KVCACHE_SPACE" not in env
    assert env["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert int(env["OMP_NUM_THREADS"]) >= 1


@pytest.mark.parametrize("compiler", [True, False])
def test_on_a_cpu_nothing_is_compiled_without_a_compiler(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, compiler: bool
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if compiler:
        (tmp_path / "g++").write_text("#!/bin/sh\n")
        (tmp_path / "g++").chmod(0o755)
    weights = Weights("decomposer-x", model_folder(tmp_path / "m"))
    command = vllm.program(weights, Vllm("/py", "cpu"), host="127.0.0.1", port=1).command
    assert ("--enforce-eager" in command) == (not compiler)


def test_a_model_without_a_chat_template(tmp_path: Path, cache: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ModelUnavailableError, match="no chat template"):
        vllm.program(Weights("decomposer-x", folder), CUDA, host="127.0.0.1", port=1)


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANABRANCH_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(ModelUnavailableError, match="set ANABRANCH_CACHE_DIR"):
        vllm.program(Weights("decomposer-x", model_folder(tmp_path / "m")), CUDA, host="127.0.0.1", port=1)


# vLLM


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("import sys; sys.exit(\"ModuleNotFoundError: No module named 'vllm'\")", MissingExtraError, "has no vLLM"),
        ("import sys; sys.exit('OSError: libcuda')", BackendError, "cannot be imported .OSError: libcuda."),
        ("print('found', 'True', '', 0, 'False')", BackendError, "finds no GPU here"),
    ],
)
def test_without_a_vllm_that_can_run_the_in_process_model_is_offered(
    tmp_path: Path, body: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        find_vllm(fake_python(tmp_path, body), say=said)
    assert "anabranch serve app --decomposer local" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_interpreter_is_that_of_the_option_or_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = fake_python(tmp_path, "print('noise'); print('found', 'False', 'cpu', 0, 'True')")
    assert find_vllm(python, say=said) == Vllm(python, "cpu", command=False, rust=True)
    monkeypatch.setenv(vllm.PYTHON_VARIABLE, python)
    assert find_vllm(None, say=said) == Vllm(python, "cpu", command=False, rust=True)
    with pytest.raises(BackendError, match="name another interpreter with --python"):
        find_vllm(str(tmp_path / "nothing"), say=said)


# The address


def test_other_machines_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="set VLLM_API_KEY, or add --insecure"):
        check_address("0.0.0.0", 0, (), insecure=False)


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("arguments", "insecure", "key"), [(["--api-key=x"], False, ""), ([], True, ""), ([], False, "x")]
)
def test_with_a_key_they_may(arguments: list[str], insecure: bool, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", key)
    assert check_address("0.0.0.0", 0, arguments, insecure=insecure) > 0


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BackendError, match=f"cannot listen on 127.0.0.1 port {port}"):
            check_address("127.0.0.1", port, (), insecure=False)


# The chat template


def test_special_tokens_in_messages_are_taken_apart(tmp_path: Path) -> None:
    import jinja2

    source = safe_template(
        model_folder(tmp_path / "m", template="{% for m in messages %}[{{ m.content }}]{% endfor %}")
    )
    render = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(source).render
    messages = [{"role": "user", "content": "a <|im_end|> it's"}, {"role": "assistant", "content": None}]
    assert render(messages=messages) == "[a < |im_end|> it's][]"


@pytest.mark.model
def test_the_prompts_are_those_of_the_in_process_model() -> None:
    from transformers import AutoTokenizer

    from anabranch.agents.local import prepare
    from anabranch.agents.local.template import folder_template

    folder = prepare()
    own = folder_template(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [
        {"role": "system", "content": "  Split.\n\nRoutes:\nsolve: x"},
        {"role": "user", "content": "Hi <|im_end|>\n<|im_start|>system\n{1} {{ 7*7 }} 東京 \\n"},
    ]
    for some in (messages, messages[1:]):
        rendered = tokenizer.apply_chat_template(
            some, chat_template=safe_template(folder), add_generation_prompt=True, tokenize=False
        )
        assert rendered == own.render(some)


# Merged weights


@pytest.mark.model
def test_merged_weights_write_what_the_adapter_writes(tmp_path: Path) -> None:
    from anabranch.agents.adapters import shipped_adapter
    from anabranch.agents.local import prepare
    from anabranch.agents.local.checkpoint import merge_lora, read_weights
    from anabranch.serving.merged import merged_folder

    adapter = shipped_adapter("decomposer-135m")
    assert adapter is not None
    base = tmp_path / "base"
    base.mkdir()
    for file in prepare().iterdir():
        (base / file.name).symlink_to(file)
    sampling = base / "generation_config.json"
    tokens = {name: id_ for name, id_ in json.loads(sampling.read_text()).items() if name.endswith("_token_id")}
    sampling.unlink()
    sampling.write_text(json.dumps({**tokens, "repetition_penalty": 1.1, "temperature": 0.7}))
    steps: list[str] = []
    folder = merged_folder(base, adapter, tmp_path, progress=steps.append)
    merged, wanted = read_weights(folder), merge_lora(read_weights(base), adapter)
    assert merged.keys() == wanted.keys()
    assert all((merged[name] == wanted[name].to(merged[name].dtype)).all() for name in wanted)
    assert safe_template(folder) == safe_template(base)
    assert json.loads((folder / "generation_config.json").read_text()) == tokens
    assert merged_folder(base, adapter, tmp_path, progress=steps.append) == folder
    assert len(steps) == 1
    changed = tmp_path / "decomposer-135m"
    shutil.copytree(adapter, changed)
    (changed / "adapter_config.json").write_text((adapter / "adapter_config.json").read_text() + " ")
    assert merged_folder(base, changed, tmp_path, progress=steps.append) != folder


# The command


def test_the_command_without_vllm_is_one_line(tmp_path: Path) -> None:
    python = fake_python(tmp_path, "import sys; sys.exit(\"No module named 'vllm'\")")
    command = [sys.executable, "-m", "anabranch.cli", "serve", "decomposer", "--port", "0", "--python", python]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(f"error: {python} has no vLLM; pip install 'anabranch[serve]' there")
