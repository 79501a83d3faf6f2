"""The stage `export`: an adapter merged into its base, as a model folder or as a GGUF file.

A model folder is what vLLM, transformers and the in-process model load; a GGUF file, what llama.cpp and Ollama do. The
adapter by itself is already in peft's format. The merge is that of the in-process model.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anabranch.batch.files import digest, write_manifest
from anabranch.errors import BackendError, ConfigurationError, ModelUnavailableError

_MANIFEST = "export.json"


def base_of(adapter: Path) -> str:
    """The name of the base model that an adapter was trained on.

    Raises:
        ModelUnavailableError: the folder holds no adapter, or it names no base.
    """
    from anabranch.agents.local.model_folder import read_json

    name = read_json(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise ModelUnavailableError(f"{adapter} names no base model; say which one with --base")
    return name


def merged(base: Path, adapter: Path, out: Path) -> dict[str, Any]:
    """Writes a model folder: weights in the base's precision, and its tokenizer and chat template as they are.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter.
        out: folder to write; an export of the same adapter that is there already is left as it is.

    Returns:
        The manifest, which is also in the folder.

    Raises:
        ConfigurationError: the adapter does not fit the base, or the folder holds something else.
        ModelUnavailableError: weights are missing or damaged.
        BackendError: the folder cannot be written.
    """

    def write(folder: Path) -> None:
        from anabranch.agents.local.checkpoint import write_merged

        write_merged(base, adapter, folder)

    return _exported(out, {**_facts(base, adapter), "format": "merged"}, write)


def gguf(base: Path, adapter: Path, out: Path, weights: str = "q8_0") -> dict[str, Any]:
    """Writes `model.gguf` and a `Modelfile` for Ollama beside it.

    Args:
        base: folder of the base model, of the Llama or Qwen2 architecture.
        adapter: folder of the adapter.
        out: folder to write; an export of the same adapter that is there already is left as it is.
        weights: `f16`, `q8_0` (8 bits, half the size) or `f32`.

    Returns:
        The manifest, which is also in the folder.

    Raises:
        ConfigurationError: the adapter does not fit the base, llama.cpp does not know the architecture or tokenizer
            under a name here, or the folder holds something else.
        ModelUnavailableError: weights are missing or damaged.
        BackendError: the folder cannot be written.
    """
    from anabranch.agents.local import gguf_file

    gguf_file.check(weights)

    def write(folder: Path) -> None:
        gguf_file.write(base, adapter, folder / "model.gguf", weights)
        (folder / "Modelfile").write_text(gguf_file.modelfile(base), encoding="utf-8")

    return _exported(out, {**_facts(base, adapter), "format": "gguf", "weights": weights}, write)


def _facts(base: Path, adapter: Path) -> dict[str, Any]:
    if not (adapter / "adapter_model.safetensors").is_file():
        raise ModelUnavailableError(f"{adapter} holds no adapter_model.safetensors; give a folder that train wrote")
    hashes = {"adapter": digest(adapter / "adapter_model.safetensors"), "base": digest(base / "config.json")}
    return {"stage": "export", "base": base.name, "adapter": adapter.resolve().name, "inputs": hashes}


def _exported(out: Path, facts: dict[str, Any], write: Callable[[Path], None]) -> dict[str, Any]:
    """Writes a folder whole or not at all."""
    if (out / _MANIFEST).is_file():
        there = json.loads((out / _MANIFEST).read_text(encoding="utf-8"))
        if all(there.get(name) == value for name, value in facts.items()):
            return dict(there)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"{out} is there already and holds something else; name another folder, or delete it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".exporting-", dir=out.parent) as temporary:
            folder = Path(temporary) / "export"
            folder.mkdir()
            write(folder)
            sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
            write_manifest(folder / _MANIFEST, {**facts, "bytes": sizes})
            if out.is_dir():
                out.rmdir()
            folder.rename(out)
    except OSError as error:
        raise BackendError(f"cannot write {out}: {error}; make room and run again") from error
    return {**facts, "bytes": sizes}
