"""Where models, data and interpreters are, which servers there are, and how the run goes.

A trained adapter has one name in all places: `d` writes plans, `s` answers; `135`, `05` and `15` are SmolLM2-135M and
Qwen2.5-Coder-0.5B and -1.5B; `m` and `x` were trained on mathematics alone and on all else, `t` and `a` on a teacher's
solutions and on the data's own, `w` on more demonstrations that templates wrote; `p` and `q` are after a preference
stage, `r` after training on the plans that screening kept. `kept15` and `kept135` are the adapters that the package has
already.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results.stage import GATE, Interpreter

ON_A_GPU = {"OMP_NUM_THREADS": "1", "VLLM_USE_FLASHINFER_SAMPLER": "0"}
"""As `anabranch serve decomposer` sets it (see `anabranch/serving/vllm.py`)."""

REPO = Path(__file__).resolve().parents[2]
SMOLLM2, QWEN05, QWEN15 = "smollm2", "qwen05", "qwen15"
HUB = {
    SMOLLM2: "HuggingFaceTB/SmolLM2-135M-Instruct",
    QWEN05: "Qwen/Qwen2.5-Coder-0.5B-Instruct",
    QWEN15: "Qwen/Qwen2.5-Coder-1.5B-Instruct",
}
FETCHED = {SMOLLM2: "conv_s", QWEN05: "conv_05", QWEN15: "conv_15"}
"""The stage that makes a model's folder."""


MORE = "w3_more"
"""Folder of rows with four times as many demonstrations from templates."""
KEPT = {"kept15": "decomposer-1.5b", "kept135": "decomposer-135m"}
"""Adapters of the package, by their names here."""


@dataclass(frozen=True)
class Server:
    """A vLLM server of a base model.

    Attributes:
        stage: the stage that starts it.
        port: on the loopback interface.
        model: the base model.
        adapters: those that are put on it once they are trained.
        gpu: which of several accelerators it is on.
        spare: whether it repeats another one, and is left out where there is one accelerator.
    """

    stage: str
    port: int
    model: str
    adapters: tuple[str, ...] = ()
    gpu: int = 0
    spare: bool = False

    @property
    def letter(self) -> str:
        """Its letter."""
        return self.stage.removeprefix("srv")

    @property
    def serves(self) -> tuple[str, tuple[str, ...]]:
        """What is the same for servers that repeat one another."""
        return self.model, self.adapters


LARGE = ("d15", "d15p", "d15q", "d15r", "kept15")
SERVERS = (
    Server("srvA", 8001, QWEN15),
    Server("srvB", 8002, SMOLLM2, ("d135", "d135w", "kept135", "s135"), 3),
    Server("srvC", 8003, QWEN05, ("d05", "s05t", "s05a", "d05m", "d05x", "s05x"), 2),
    Server("srvD", 8004, QWEN15, LARGE, 1),
    Server("srvE", 8005, QWEN15, (), 1, spare=True),
    Server("srvF", 8006, QWEN15, (), 2, spare=True),
    Server("srvG", 8007, QWEN15, (), 3, spare=True),
    Server("srvH", 8008, QWEN15, (), 0, spare=True),
    Server("srvI", 8009, QWEN15, (), 2, spare=True),
    Server("srvJ", 8011, QWEN15, (), 0, spare=True),
    Server("srvK", 8010, QWEN15, LARGE, 3, spare=True),
)
"""The large model is served many times: an engine is limited by its processor core, and all need a solver."""
SHARDS = (("D", "J"), ("K", "E"), ("D", "F"), ("K", "G"), ("D", "H"), ("K", "I"))
"""Of the questions that plans are drawn for: the servers of the decomposer and of the solver."""


@dataclass(frozen=True)
class Settings:
    """Where things are, and how the run goes.

    Attributes:
        models: folder of the base models.
        data: folder that `prepare.py` wrote.
        out: for adapters, records and the state.
        training: a Python with torch, transformers and peft (and gguf, for models that come as such).
        package: one with `anabranch[eval]`.
        vllm: one with vLLM and aiohttp.
        install: shell command that servers wait for; empty for none.
        kept: folder of the package's adapters.
        gpus: accelerators to spread over.
        by_hand: whether models and the install wait for gates.
        slower: how much longer everything may take than on the machine that our results are from.
        skip: evaluations that are left out: a regular expression for GROUP/NAME; empty for none.
        dry: whether everything is tiny, on a processor, with one server for all names.
    """

    models: Path
    data: Path
    out: Path
    training: Interpreter
    package: Interpreter
    vllm: Interpreter
    install: str = ""
    kept: Path = REPO / "anabranch" / "adapters"
    gpus: int = 1
    by_hand: bool = False
    slower: float = 1.0
    skip: str = ""
    dry: bool = False

    @property
    def control(self) -> Path:
        """The scheduler's folder of control files."""
        return self.out / "ctl"

    def gate(self, name: str) -> tuple[str, ...]:
        """The need for a gate, when the run goes by hand."""
        return (GATE + name,) if self.by_hand else ()

    def model(self, name: str) -> str:
        """The folder of a base model."""
        return str(self.models / name)

    def adapter(self, name: str) -> Path:
        """The folder of an adapter."""
        return self.kept / KEPT[name] if name in KEPT else self.out / name

    def on(self, gpu: int) -> dict[str, str]:
        """Variables of a process on one of several accelerators."""
        return {"CUDA_VISIBLE_DEVICES": str(gpu % self.gpus)} if self.gpus > 1 else {}

    @property
    def servers(self) -> tuple[Server, ...]:
        """Those that there are."""
        return tuple(server for server in SERVERS if self.gpus > 1 or not server.spare)

    def server(self, letter: str) -> Server:
        """The server with this letter; the one that it repeats, where it is left out."""
        wanted = next(server for server in SERVERS if server.letter == letter)
        return next(s for s in (wanted, *SERVERS) if s in self.servers and s.serves == wanted.serves)

    def at(self, letter: str, name: str) -> str:
        """A model on the server with this letter, as anabranch is told."""
        return f"{self.address(self.server(letter))}/v1#{name}"

    def address(self, server: Server) -> str:
        """Of a server; in a dry run there is one."""
        return f"http://127.0.0.1:{SERVERS[0].port if self.dry else server.port}"

    @property
    def vllm_environment(self) -> dict[str, str]:
        """For vLLM: no threads that compete with its own, and no sampler, which greedy decoding does not need."""
        return {**self.environment(self.vllm), **ON_A_GPU}

    def runs(self, python: Interpreter, module: str, *options: object) -> tuple[str, ...]:
        """A command that runs one of the project's modules."""
        return (*python.words, "-m", module, *map(str, options))

    def environment(self, python: Interpreter, **more: str) -> dict[str, str]:
        """For one of the project's modules. Some libraries import JAX, which would take most of the GPU's memory."""
        return {**python.seeing(REPO).environment, "PYTHONUNBUFFERED": "1", "JAX_PLATFORMS": "cpu", **more}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that `read_settings` reads."""
    parser.add_argument(
        "--models", type=Path, default=Path("models"), help="folder of the base models (see weights.py)"
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder that prepare.py wrote")
    parser.add_argument("--out", type=Path, default=Path("results"), help="for all that is made")
    for name, about in (("training", "torch, transformers, peft"), ("package", "anabranch[eval]"), ("vllm", "vLLM")):
        parser.add_argument(
            f"--{name}",
            type=Interpreter.read,
            default=Interpreter(),
            metavar="'[NAME=VALUE ...] PYTHON'",
            help=f"a Python with {about}; this one where none is given",
        )
    parser.add_argument("--kept", type=Path, default=Settings.kept, help="folder of the package's adapters")
    parser.add_argument("--gpus", type=int, default=1, help="accelerators to spread over")
    parser.add_argument("--install", default="", help="shell command that the servers wait for, if any")
    parser.add_argument(
        "--by-hand",
        action="store_true",
        help="models (gates ev-s, ev-c, ev-q), the install (ev-v) and serving speeds (ev-b) wait for gates",
    )
    parser.add_argument("--slower", type=float, default=1.0, help="all times and time limits are so many times as long")
    parser.add_argument("--skip", default="", help="evaluations to leave out: a regular expression for GROUP/NAME")
    parser.add_argument("--dry", action="store_true", help="tiny, on a processor, one server for all names")


def read_settings(arguments: argparse.Namespace) -> Settings:
    """The settings that the command line gives."""
    return Settings(
        models=arguments.models.resolve(),
        data=arguments.data.resolve(),
        out=arguments.out.resolve(),
        training=arguments.training,
        package=arguments.package,
        vllm=arguments.vllm,
        install=arguments.install,
        kept=arguments.kept.resolve(),
        gpus=arguments.gpus,
        by_hand=arguments.by_hand,
        slower=arguments.slower,
        skip=arguments.skip,
        dry=arguments.dry,
    )
