"""Several vLLM engines behind one address: their command lines and their parts of the GPU's memory, without vLLM."""

from pathlib import Path

import pytest

from anabranch.errors import ConfigurationError
from anabranch.serving import engines, vllm
from anabranch.serving.vllm import Vllm, Weights
from tests.serving.test_vllm import model_folder

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]  # a free port is looked for
H100 = Vllm("/py", "cuda", memory=80 * engines.GIB, rust=True)


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv(vllm.RUST_VARIABLE, raising=False)


def option(command: object, name: str) -> str:
    words = list(command)  # type: ignore[call-overload]
    return str(words[words.index(name) + 1])


def test_the_first_engine_takes_the_requests_and_the_others_join_it(tmp_path: Path) -> None:
    weights = Weights("decomposer-x", model_folder(tmp_path / "m"))
    more = ["--max-num-seqs", "256"]
    program = vllm.program(weights, H100, host="127.0.0.1", port=8000, arguments=more, engines=3)
    assert len(program.beside) == 2
    lines = [program.command, *program.beside]
    for line in lines:
        assert line[:5] == ["/py", *vllm.COMMAND, str(weights.model)]
        assert option(line, "--data-parallel-size") == "3"
        assert option(line, "--max-num-seqs") == "256"
        assert option(line, "--data-parallel-rpc-port") == option(lines[0], "--data-parallel-rpc-port")
    assert "--headless" not in program.command
    assert [option(line, "--data-parallel-start-rank") for line in program.beside] == ["1", "2"]
    assert all("--headless" in line for line in program.beside)


def test_one_engine_has_nothing_beside_it(tmp_path: Path) -> None:
    program = vllm.program(Weights("decomposer-x", model_folder(tmp_path / "m")), H100, host="127.0.0.1", port=8000)
    assert len(program.beside) == 0
    assert not [word for word in program.command if "parallel" in word or "memory" in word]
    assert vllm.RUST_VARIABLE not in program.env


@pytest.mark.parametrize(("there", "wanted", "taken"), [(True, None, True), (False, None, False), (True, "0", False)])
def test_several_engines_have_the_front_end_in_rust_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, wanted: str | None, taken: bool
) -> None:
    if wanted is not None:
        monkeypatch.setenv(vllm.RUST_VARIABLE, wanted)
    found = Vllm("/py", "cuda", memory=80 * engines.GIB, rust=there)
    weights = Weights("decomposer-x", model_folder(tmp_path / "m"))
    program = vllm.program(weights, found, host="127.0.0.1", port=8000, engines=2)
    assert (program.env.get(vllm.RUST_VARIABLE) == "1") == taken
    assert ("--generation-config" in program.command) == (not taken)


def test_engines_share_the_memory(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"x" * 2**20)
    words = engines.memory_options(folder, 8, 80 * engines.GIB)
    each = int(option(words, "--kv-cache-memory-bytes")) + 2**20 + engines.BESIDE_WEIGHTS
    assert 8 * each == pytest.approx(engines.USED * 80 * engines.GIB, rel=1e-6)
    assert float(option(words, "--gpu-memory-utilization")) * 8 <= 1


def test_more_engines_than_the_memory_bears(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    with pytest.raises(ConfigurationError, match=r"--engines 7 leaves .* 24 GiB for each; use at most 6"):
        engines.memory_options(folder, 7, 24 * engines.GIB)
    engines.memory_options(folder, 6, 24 * engines.GIB)


def test_who_says_how_much_memory_is_not_told_what_is_too_much(tmp_path: Path) -> None:
    weights = Weights("decomposer-x", model_folder(tmp_path / "m"))
    small = Vllm("/py", "cuda", memory=4 * engines.GIB)
    with pytest.raises(ConfigurationError, match="--kv-cache-memory-bytes BYTES"):
        vllm.program(weights, small, host="127.0.0.1", port=1, engines=2)
    own = ["--kv-cache-memory-bytes", "1000", "--gpu-memory-utilization", "0.4"]
    program = vllm.program(weights, small, host="127.0.0.1", port=1, arguments=own, engines=2)
    assert [word for word in program.command if word.startswith("--") and "memory" in word] == own[::2]


def test_what_does_not_go_with_several_engines(tmp_path: Path) -> None:
    weights = Weights("decomposer-x", model_folder(tmp_path / "m"))
    with pytest.raises(ConfigurationError, match=r"leave out --data-parallel-size=2, or --engines"):
        vllm.program(weights, H100, host="127.0.0.1", port=1, arguments=["--data-parallel-size=2"], engines=2)
    with pytest.raises(ConfigurationError, match="so --engines must be 1"):
        vllm.program(weights, Vllm("/py", "cpu", command=False), host="127.0.0.1", port=1, engines=2)
