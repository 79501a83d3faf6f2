"""GGUF files that are ready to load: a LoRA adapter merged into one, once.

llama.cpp can add an adapter while it computes, too, but that is slower for each token, and it forgets the prompts that
it has read when the adapter changes.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from anabranch.agents.local.kept import kept
from anabranch.errors import ModelUnavailableError

_WEIGHTS = "q8_0"
_NAME = "model.gguf"


def with_adapter(file: Path, adapter: Path, cache: Path, *, progress: Callable[[str], None]) -> Path:
    """The file of the merged weights, written on first use.

    Args:
        file: the base model.
        adapter: folder of the adapter.
        cache: where it is kept; a changed adapter or base gets another one.
        progress: told what takes a while.

    Raises:
        ConfigurationError: the adapter is not plain LoRA, or belongs to another model.
        ModelUnavailableError: the file or the adapter is missing or damaged, or the merged file cannot be written.
    """

    def make(temporary: Path) -> tuple[Path, str]:
        progress(f"merging {adapter.name} into {file.name} (once) ...")
        folder = temporary / "model"
        folder.mkdir()
        from anabranch.agents.local.merging import merge  # NumPy takes a while to import

        merge(file, adapter, folder / _NAME, _WEIGHTS)
        return folder, f"{adapter.resolve()} merged into {file.resolve()}"

    return kept(cache / f"{adapter.name}-{_digest(file, adapter)}", make, progress=progress) / _NAME


def _digest(file: Path, adapter: Path) -> str:
    """A hash of the adapter, of the file's place, size and time, and of the precision."""
    found = hashlib.sha256(_WEIGHTS.encode())
    try:
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            found.update((adapter / name).read_bytes())
        found.update(f"{file.resolve()} {file.stat().st_size} {file.stat().st_mtime_ns}".encode())
    except OSError as error:
        raise ModelUnavailableError(f"cannot read {error.filename} ({error.strerror}); check the name") from error
    return found.hexdigest()[:12]
