"""What is measured, by importance. All servers have prefix caching; the grammar is the pattern of all plans.

A variant is started once. Its steps reuse it, so a step costs seconds where another variant costs a start.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from benchmarks.serving.prompts import Grammar

Step = tuple[int, int, Grammar]
"""Concurrent clients, requests, grammar. For the offline engine the first is 0."""

LEVELS: tuple[Step, ...] = (
    (1024, 4096, "on_demand"),
    (256, 2048, "on_demand"),
    (32, 640, "on_demand"),
    (1, 24, "on_demand"),
)
MOST: tuple[Step, ...] = (LEVELS[0], (1024, 4096, "never"), *LEVELS[1:])
ALWAYS: tuple[Step, ...] = ((1024, 4096, "always"),)
LARGE: tuple[Step, ...] = MOST[:2]
OFFLINE: tuple[Step, ...] = ((0, 4096, "on_demand"), (0, 4096, "never"))
MANY: dict[str, Any] = {"max_num_seqs": 1024, "max_num_batched_tokens": 16384}


@dataclass(frozen=True)
class Variant:
    """A process and its measurements.

    Attributes:
        name: its name on the command line and in the table.
        about: one line for the table.
        engine: engine arguments, by their Python names.
        servers: API server processes of an engine; 0 for the offline engine.
        engines: engines that share the accelerator, each a server of its own; with a small model, one
            engine's processor core may be the limit, and not the accelerator.
        merged: whether the adapter is merged into the weights.
        rust: whether vLLM's front end in Rust takes the requests, in place of Python processes; several engines then
            have one address, and vLLM spreads requests over them (each is a node of its own to it, so that all of them
            may be on one accelerator).
        environment: variables of its processes; empty ones are taken away.
        steps: what is measured, in this order.
    """

    name: str
    about: str
    engine: dict[str, Any] = field(default_factory=dict)
    servers: int = 1
    engines: int = 1
    merged: bool = False
    rust: bool = False
    steps: tuple[Step, ...] = MOST
    environment: dict[str, str] = field(default_factory=dict)


def _backend(name: str) -> dict[str, Any]:
    return {"structured_outputs_config": {"backend": name}}


GRAPHS = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]
QUICK = {"compilation_config": {"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY", "cudagraph_capture_sizes": GRAPHS}}
"""Nothing is compiled, and only decoding has CUDA graphs."""
NGRAM = {"speculative_config": {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}}
MPS = {"CUDA_MPS_PIPE_DIRECTORY": "/tmp/mps"}
"""Processes of several engines run on the accelerator at the same time, not in turns; to be started before, with
`CUDA_MPS_PIPE_DIRECTORY=/tmp/mps CUDA_MPS_LOG_DIRECTORY=/tmp/mps nvidia-cuda-mps-control -d`.

Source: https://docs.nvidia.com/deploy/mps
"""
PART: dict[str, Any] = {"max_num_seqs": 256, "max_num_batched_tokens": 16384}
"""For engines that share an accelerator: each has a part of the clients."""
MANY_LEVELS: tuple[Step, ...] = (
    (1024, 8192, "on_demand"),
    (1024, 8192, "never"),
    (2048, 16384, "on_demand"),
    *LEVELS[1:],
)


def _rust(engines: int, *, mps: bool) -> "Variant":
    """Engines behind one front end in Rust, as `anabranch serve decomposer --engines` has them."""
    about = f"{engines} engines behind one front end in Rust, {'at the same time' if mps else 'in turns'} on the GPU"
    name, environment = f"merged-rust-x{engines}{'-mps' if mps else ''}", MPS if mps else {}
    return Variant(name, about, PART, 1, engines, merged=True, rust=True, steps=MANY_LEVELS, environment=environment)


VARIANTS = [
    Variant("offline-merged", "vLLM's own engine, merged weights", MANY, 0, merged=True, steps=OFFLINE),
    Variant("merged", "merged weights, 4 API processes", MANY, 4, merged=True),
    Variant("merged-always", "merged weights, 4 API processes", MANY, 4, merged=True, steps=ALWAYS),
    Variant(
        "merged-quick",
        "not compiled, CUDA graphs of decoding alone",
        MANY | QUICK,
        4,
        merged=True,
        steps=LARGE,
    ),
    Variant(
        "merged-threads",
        "as many threads for the processor's part as there are cores (vLLM's default)",
        MANY,
        4,
        merged=True,
        steps=LARGE,
        environment={"OMP_NUM_THREADS": ""},
    ),
    Variant("offline", "vLLM's own engine, LoRA", MANY, 0, steps=OFFLINE),
    Variant("lora", "server, LoRA, 4 API processes", MANY, 4),
    Variant(
        "merged-x4", "4 engines on one accelerator, 1 API process each", MANY | QUICK, 1, 4, merged=True, steps=LARGE
    ),
    Variant(
        "merged-throughput",
        "vLLM's performance mode throughput",
        MANY | {"performance_mode": "throughput"},
        4,
        merged=True,
        steps=LARGE,
    ),
    Variant(
        "merged-graphs",
        "CUDA graphs for up to 1,024 sequences (512 otherwise)",
        MANY | {"max_cudagraph_capture_size": 1024},
        4,
        merged=True,
        steps=LARGE,
    ),
    Variant("merged-rust", "1 engine, vLLM's front end in Rust", MANY, 1, merged=True, rust=True),
    *(_rust(count, mps=mps) for count in (4, 8, 16) for mps in (True, False)),
    Variant("merged-x2", "2 engines on one accelerator, 2 API processes each", MANY, 2, 2, merged=True, steps=LARGE),
    Variant("merged-api1", "1 API process", MANY, 1, merged=True, steps=LARGE),
    Variant("merged-api8", "8 API processes", MANY, 8, merged=True, steps=LARGE),
    Variant(
        "merged-guidance",
        "llguidance, not xgrammar",
        MANY | _backend("guidance"),
        4,
        merged=True,
        steps=ALWAYS,
    ),
    Variant(
        "merged-ngram", "n-gram speculation, 4 tokens", MANY | NGRAM, 4, merged=True, steps=(LEVELS[0], *LEVELS[2:])
    ),
    Variant("merged-fp8", "merged weights as fp8", MANY | {"quantization": "fp8"}, 4, merged=True, steps=LARGE),
    Variant("merged-seqs256", "at most 256 sequences (vLLM's default)", {}, 4, merged=True, steps=LARGE),
    Variant("merged-eager", "without CUDA graphs", MANY | {"enforce_eager": True}, 4, merged=True, steps=LARGE[:1]),
]


def flags(engine: dict[str, Any]) -> list[str]:
    """Engine arguments as the server's options."""
    found = []
    for name, value in engine.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            found.append(option)
        else:
            found += [option, json.dumps(value) if isinstance(value, dict) else str(value)]
    return found
