"""The distilled decomposer behind vLLM: which interpreter, which weights, which options."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from anabranch.agents.adapters import shipped_adapter, shipped_adapters
from anabranch.config import read_settings
from anabranch.errors import BackendError, ConfigurationError, MissingExtraError, ModelUnavailableError
from anabranch.options import LOCAL_MODEL
from anabranch.private import private_folder
from anabranch.serving import engines as shared
from anabranch.serving.supervisor import Program, Work
from anabranch.serving.template import safe_template

COMMAND = ("-m", "vllm.entrypoints.cli.main", "serve")
"""`vllm serve`, for an interpreter whose scripts are not on the path."""
OLD_COMMAND = ("-m", "vllm.entrypoints.openai.api_server", "--model")
"""Where the command does not work: CPU builds that are distributed under another name than `vllm`."""
PYTHON_VARIABLE = "ANABRANCH_VLLM_PYTHON"
RUST_VARIABLE = "VLLM_USE_RUST_FRONTEND"
"""With 1, vLLM's front end in Rust takes the requests: faster with a small model (docs/lab/notebook.md)."""
INSTEAD = "or plan in process: anabranch serve app --decomposer local"
PHASES = {
    "Resolved architecture": "reading the configuration",
    "Starting to load model": "loading the weights",
    "Loading weights took": "preparing the model",
    "torch.compile": "compiling",
    "Capturing CUDA graphs": "capturing CUDA graphs",
    "Starting vLLM server": "opening the port",
}
"""What vLLM's log says on the way up."""
ON_A_GPU = {"OMP_NUM_THREADS": "1", "VLLM_USE_FLASHINFER_SAMPLER": "0"}
"""With a thread for each core, an engine of a small model was seen to take two to five cores for its bookkeeping,
while the GPU waited (https://github.com/vllm-project/vllm/pull/45124). Greedy decoding does not need FlashInfer's
sampler, which is compiled when it is first used."""
# What vLLM takes for the largest rank of an adapter.
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
_PROBE = """
from importlib.metadata import packages_distributions
from pathlib import Path
import vllm
from vllm.platforms import current_platform
device = current_platform.device_type
try:
    memory = current_platform.get_device_total_memory() if device and device != "cpu" else 0
except Exception:  # not every platform tells, and one engine does not need it
    memory = 0
rust = (Path(vllm.__file__).parent / "vllm-rs").is_file()
print("found", "vllm" in packages_distributions().get("vllm", ()), device, memory, rust)
"""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Vllm:
    """An environment with vLLM.

    Attributes:
        python: its interpreter.
        device: what vLLM runs on there: `cpu`, `cuda` and so on.
        command: whether the command `vllm serve` works there.
        memory: bytes of its first GPU; 0 where it cannot be told.
        rust: whether it has the front end in Rust.
    """

    python: str
    device: str
    command: bool = True
    memory: int = 0
    rust: bool = False


@dataclass(frozen=True)
class Weights:
    """What to serve.

    Attributes:
        name: the model's name on the server; begins with `decomposer`.
        model: folder of the model.
        adapter: folder of a LoRA adapter beside it; None where the weights are complete.
        rank: the adapter's rank.
    """

    name: str
    model: Path
    adapter: Path | None = None
    rank: int = 0


def find_weights(adapter: str, base: str | None, *, lora: bool, say: Say) -> Weights:
    """The weights that a name or folder stands for.

    Args:
        adapter: name of an adapter that comes with the package, or a folder: of an adapter, or of merged weights.
        base: hub id or folder of the base model; what the adapter was trained on if None.
        lora: serve the adapter beside its base instead of merging it.
        say: told what takes a while.

    Raises:
        ConfigurationError: there is no such adapter, or it does not belong to the base.
        ModelUnavailableError: the base weights cannot be had.
        MissingExtraError: what prepares the weights is not installed.
    """
    folder = shipped_adapter(adapter) or Path(adapter).expanduser()
    name = folder.resolve().name
    name = name if name.startswith("decomposer") else f"decomposer-{name}"
    if not (folder / "adapter_config.json").is_file():
        if not (folder / "config.json").is_file():
            known = ", ".join(shipped_adapters("decomposer"))
            raise ConfigurationError(
                f"{adapter} is neither an adapter nor a model folder; use one of {known}, or the folder of one"
            )
        return Weights(name, folder.resolve())
    rank = _rank(folder)
    prepared = _prepare(base or _base_of(folder), say)
    if lora:
        return Weights(name, prepared, folder.resolve(), rank)
    from anabranch.serving.merged import merged_folder

    cache = read_settings().cache_dir / "models" / "merged"
    return Weights(name, merged_folder(prepared, folder.resolve(), cache, progress=say))


def find_vllm(python: str | None, *, say: Say) -> Vllm:
    """The environment that has vLLM.

    Args:
        python: the interpreter; that of ANABRANCH_VLLM_PYTHON, or else this one, if None.
        say: told what takes a while.

    Raises:
        MissingExtraError: it has no vLLM.
        BackendError: it cannot be run, or its vLLM finds nothing to run on.
    """
    chosen = python or os.environ.get(PYTHON_VARIABLE) or sys.executable
    say("looking for vLLM")
    try:
        done = subprocess.run([chosen, "-c", _PROBE], capture_output=True, text=True, check=False, timeout=300)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"{chosen} cannot be run ({error}); name another interpreter with --python") from error
    if "No module named 'vllm'" in done.stderr:
        raise MissingExtraError(
            f"{chosen} has no vLLM; pip install 'anabranch[serve]' there, name another interpreter with --python, "
            f"{INSTEAD}"
        )
    found = next((line.split() for line in done.stdout.splitlines() if line.startswith("found ")), [])
    if not found:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        raise BackendError(f"vLLM of {chosen} cannot be imported ({last}); repair it, {INSTEAD}")
    if len(found) < 5:
        raise BackendError(f"vLLM of {chosen} finds no GPU here, and is no CPU build; {INSTEAD}")
    _, command, device, memory, rust = found
    return Vllm(chosen, device, command == "True", int(memory), rust == "True")


def program(
    weights: Weights, vllm: Vllm, *, host: str, port: int, arguments: Sequence[str] = (), engines: int = 1
) -> Program:
    """The server's command line, environment and log.

    Args:
        weights: what to serve.
        vllm: what serves them.
        host: address to listen on.
        port: port to listen on.
        arguments: more arguments of vLLM; they override those given here.
        engines: how many engines share the GPU.

    Raises:
        ConfigurationError: vLLM cannot start so many engines there.
        ModelUnavailableError: the model folder has no chat template, or the cache cannot be written.
    """
    logs = read_settings().cache_dir / "vllm"
    rust = os.environ.get(RUST_VARIABLE, "1" if engines > 1 and vllm.rust else "") == "1"
    given = engine_arguments(weights)
    given["chat_template"] = _kept(given["chat_template"], logs / f"{weights.name}-{port}.jinja")
    if rust:  # it has neither this nor the access log; vLLM 0.26 ends at the first
        del given["generation_config"]
    else:
        # A line for each request takes time of the process that is the first to be busy; /metrics has the counts.
        given["disable_uvicorn_access_log"] = True
    command = [vllm.python, *(COMMAND if vllm.command else OLD_COMMAND), str(weights.model)]
    command += ["--host", host, "--port", str(port), *_words(given), *(_for_cpu() if vllm.device == "cpu" else ())]
    if weights.adapter is None:
        command += ["--served-model-name", weights.name]
    else:
        command += ["--lora-modules", f"{weights.name}={weights.adapter}"]
    command += arguments
    lines = [command] if engines == 1 else _shared(command, weights, vllm, engines)
    reached = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else host  # noqa: S104
    return Program(
        name="vLLM",
        command=lines[0],
        health=f"http://{reached}:{port}/health",
        work=_work(f"http://{reached}:{port}", weights.name, arguments),
        log=logs / f"{weights.name}-{port}.log",
        env={**_environment(vllm.device), **({RUST_VARIABLE: "1"} if rust else {})},
        phases=PHASES,
        beside=lines[1:],
    )


def engine_arguments(weights: Weights) -> dict[str, Any]:
    """What vLLM is told of weights however it is started, by the names of its arguments.

    Raises:
        ModelUnavailableError: the model folder has no chat template.
    """
    lora = {"enable_lora": True, "max_lora_rank": next(known for known in _RANKS if known >= weights.rank)}
    return {
        "enable_prefix_caching": True,
        # Greedy is greedy: without the sampling defaults that a folder may bring, such as a penalty on repetition.
        "generation_config": "vllm",
        "chat_template": safe_template(weights.model),
        "chat_template_content_format": "string",
        **(lora if weights.adapter else {}),
    }


def _words(arguments: Mapping[str, Any]) -> list[str]:
    flags = ((f"--{name.replace('_', '-')}", value) for name, value in arguments.items())
    return [word for flag, value in flags for word in ([flag] if value is True else [flag, str(value)])]


def _kept(template: str, path: Path) -> Path:
    try:
        private_folder(path.parent)
        path.write_text(template, encoding="utf-8")
    except OSError as error:
        raise ModelUnavailableError(f"cannot write to {path.parent} ({error}); set ANABRANCH_CACHE_DIR") from error
    return path


def _work(address: str, model: str, arguments: Sequence[str]) -> Work:
    """One token, since vLLM's /health goes on to answer while its engine is stuck."""
    words = [part for argument in arguments for part in argument.split("=", 1)]
    given = dict(pairwise(words)).get("--api-key")
    return Work(
        address=f"{address}/v1/completions",
        body={"model": model, "prompt": "1", "max_tokens": 1, "temperature": 0},
        key=given or os.environ.get("VLLM_API_KEY", ""),
        counters=f"{address}/metrics",
        counter="vllm:generation_tokens_total",
    )


def _shared(command: Sequence[str], weights: Weights, vllm: Vllm, engines: int) -> list[list[str]]:
    if not vllm.command:
        raise ConfigurationError(f"vLLM of {vllm.python} has no command `vllm serve`, so --engines must be 1")
    if placed := next((word for word in command if word.startswith("--data-parallel")), None):
        raise ConfigurationError(f"--engines says how many engines there are; leave out {placed}, or --engines")
    given = any(word.startswith("--kv-cache-memory-bytes") for word in command)
    memory = shared.memory_options(weights.model, engines, vllm.memory) if vllm.memory and not given else []
    return shared.command_lines(command, engines, memory=memory)


def check_address(host: str, port: int, arguments: Sequence[str], *, insecure: bool) -> int:
    """The port to listen on; a free one for 0.

    Raises:
        ConfigurationError: other machines could reach it without a key.
        BackendError: the port is taken.
    """
    keyed = os.environ.get("VLLM_API_KEY") or any(argument.startswith("--api-key") for argument in arguments)
    if host not in ("127.0.0.1", "localhost", "::1") and not keyed and not insecure:
        raise ConfigurationError(
            f"{host} can be reached from other machines and there is no API key; set VLLM_API_KEY, or add --insecure"
        )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise BackendError(f"cannot listen on {host} port {port} ({error}); choose another --host or --port") from error


def _environment(device: str) -> Mapping[str, str]:
    wanted = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
    if device == "cpu":
        # vLLM would take most of the memory, and pin a thread to each core. Where others use the cores too, threads
        # wait for each other: with a thread for each of two busy cores it wrote 10 tokens a second, with one 26.
        threads = str(max(1, (os.cpu_count() or 2) // 2))
        wanted |= {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": threads}
    else:
        wanted |= ON_A_GPU
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _for_cpu() -> list[str]:
    """Options that suit this processor: no bfloat16 where it is emulated, no compilation without a compiler."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        flags = ""
    # Multiplying 512 x 576 by 576 x 1536 on one core without the instructions: bfloat16 5 GFLOP/s, float32 54.
    options = [] if "avx512_bf16" in flags or "amx_bf16" in flags else ["--dtype", "float32"]
    return options if os.environ.get("CXX") or shutil.which("g++") else [*options, "--enforce-eager"]


def _prepare(base: str, say: Say) -> Path:
    try:
        from anabranch.agents.local.weights import prepare
    except ImportError as error:
        raise MissingExtraError(f"preparing the weights needs: pip install 'anabranch[hf]' ({error})") from error
    return prepare(base, progress=say).resolve()


def _base_of(adapter: Path) -> str:
    """What an adapter was trained on, by its manifest or else by peft's configuration."""
    from anabranch.agents.local.model_folder import read_json

    manifest = adapter / "manifest.json"
    recipe = read_json(manifest).get("recipe") if manifest.is_file() else None
    base = recipe.get("base") if isinstance(recipe, dict) else None
    base = base or read_json(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ConfigurationError(f"{adapter} does not say what it was trained on; name it with --base")
    # The default base may be prepared from other sources, or be replaced by the user's copy of it.
    return read_settings().local_model if base == LOCAL_MODEL else base


def _rank(adapter: Path) -> int:
    from anabranch.agents.local.model_folder import read_json

    rank = read_json(adapter / "adapter_config.json").get("r")
    if type(rank) is not int or not 1 <= rank <= _RANKS[-1]:
        raise ConfigurationError(f"{adapter} has the rank {rank!r}; vLLM serves 1 to {_RANKS[-1]}, so merge it")
    return rank
