"""GGUF files that are ready to load, made once: of transformers folders, and of models with a LoRA adapter.

llama.cpp can add an adapter while it computes, too, but that is slower for each token, and it forgets the prompts that
it has read when the adapter changes.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from anabranch.agents.local.kept import kept
from anabranch.errors import ModelUnavailableError

_NAME = "model.gguf"
_FORM = "weights as q8_0; a GGUF file's are rounded to bfloat16 first"


def ready(source: Path, adapter: Path | None, cache: Path, *, progress: Callable[[str], None]) -> Path:
    """The GGUF file of a model, written on first use; a GGUF file without an adapter is used as it is.

    Args:
        source: the model: a GGUF file, or a transformers folder of the Llama or Qwen2 architecture.
        adapter: folder of a LoRA adapter; None for the base weights.
        cache: where it is kept; a changed adapter or model gets another one.
        progress: told what takes a while.

    Raises:
        ConfigurationError: the adapter is not plain LoRA, or belongs to another model; or the folder's architecture
            is another.
        ModelUnavailableError: the model or the adapter is missing or damaged, or the file cannot be written.
    """
    if adapter is None and not source.is_dir():
        return source

    def make(temporary: Path) -> tuple[Path, str]:
        merged = "" if adapter is None else f"{adapter.resolve()} merged into "
        into = f"merging {adapter.name} into" if adapter else "writing a GGUF file of"
        progress(f"{into} {source.name} (once) ...")
        folder = temporary / "model"
        folder.mkdir()
        _write(source, adapter, folder / _NAME)
        return folder, f"{merged}{source.resolve()}"

    name = source.stem if adapter is None else adapter.name
    return kept(cache / f"{name}-{_digest(source, adapter)}", make, progress=progress) / _NAME


def _write(source: Path, adapter: Path | None, out: Path) -> None:
    # NumPy takes a while to import, and is not needed where the file is there.
    if adapter is None or source.is_dir():
        from anabranch.agents.local import gguf_file

        gguf_file.write(source, adapter, out, "q8_0")
    else:
        from anabranch.agents.local.merging import merge

        merge(source, adapter, out, "q8_0")


def _weights(source: Path) -> list[Path]:
    return sorted(source.glob("model*.safetensors")) if source.is_dir() else [source]


def _digest(source: Path, adapter: Path | None) -> str:
    """A hash of the adapter, of the place, size and time of the model's weights, and of what is done with them."""
    found = hashlib.sha256(_FORM.encode())
    try:
        if adapter is not None:
            for name in ("adapter_config.json", "adapter_model.safetensors"):
                found.update((adapter / name).read_bytes())
        for path in _weights(source):
            found.update(f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    except OSError as error:
        raise ModelUnavailableError(f"cannot read {error.filename} ({error.strerror}); check the name") from error
    return found.hexdigest()[:12]
