"""Several vLLM engines that share one GPU behind one address.

One engine of a small model keeps one core of the processor busy, and the GPU waits for it: four write more than twice
its plans (`docs/lab/notebook.md`). To vLLM each is a node of a data-parallel deployment, since on one node it
would want a GPU for each; the first has the front end, which spreads requests over all.

Source: https://docs.vllm.ai/en/latest/serving/data_parallel_deployment
"""

import socket
from collections.abc import Sequence
from pathlib import Path

from anabranch.errors import ConfigurationError

GIB = 2**30
BESIDE_WEIGHTS = 2.5 * GIB
"""What an engine takes beside its weights and its cache: CUDA's context, graphs, intermediate results. 1.3 GiB were
seen with 135M parameters, and 2.0 with 1.5B."""
LEAST_CACHE = 1 * GIB
USED = 0.9
"""How much of the GPU's memory all engines may take together, as in vLLM."""


def command_lines(command: Sequence[str], engines: int, *, memory: Sequence[str]) -> list[list[str]]:
    """The command line of each engine; the first also takes the requests.

    Args:
        command: that of one engine.
        engines: how many.
        memory: each one's part of the GPU's memory, as `memory_options` says; `command` may say otherwise.
    """
    place = ["--data-parallel-size", str(engines), "--data-parallel-size-local", "1"]
    place += ["--data-parallel-address", "127.0.0.1", "--data-parallel-rpc-port", str(_free_port())]
    # A node would have a process for its worker beside that of its engine; with one GPU, one is enough.
    place += ["--distributed-executor-backend", "uni", *memory]
    python, module, name, verb, model, *options = command
    first = [python, module, name, verb, model, *place, *options]
    return [first, *([*first, "--headless", "--data-parallel-start-rank", str(rank)] for rank in range(1, engines))]


def memory_options(model: Path, engines: int, total: int) -> list[str]:
    """The options for one engine's part of the GPU's memory.

    The cache of keys and values has a fixed size: vLLM would measure what is free while the others are starting.

    Args:
        model: folder of the weights.
        engines: how many engines share the GPU.
        total: the GPU's memory in bytes.

    Raises:
        ConfigurationError: too little is left for each engine's cache.
    """
    weights = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    cache = int(total * USED / engines - weights - BESIDE_WEIGHTS)
    if cache < LEAST_CACHE:
        most = int(total * USED / (weights + BESIDE_WEIGHTS + LEAST_CACHE))
        raise ConfigurationError(
            f"--engines {engines} leaves too little of the GPU's {total / GIB:.0f} GiB for each; "
            f"use at most {max(most, 1)}, or say how much with -- --kv-cache-memory-bytes BYTES"
        )
    return ["--gpu-memory-utilization", f"{USED / engines:.3f}", "--kv-cache-memory-bytes", str(cache)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
