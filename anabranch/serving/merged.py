"""The base weights with a LoRA adapter merged into them, as a model folder that any server can load.

Merged weights are served faster than the adapter beside the base: vLLM computes both products for each token, and on a
CPU it copies the adapter's rows for each token of a prompt besides (minutes for a few prompts).
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from anabranch.errors import ModelUnavailableError
from anabranch.serving.template import safe_template


def merged_folder(base: Path, adapter: Path, cache: Path, *, progress: Callable[[str], None]) -> Path:
    """The folder of the merged weights, written on first use; its chat template is `safe_template`.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter.
        cache: where the folder is kept; a changed adapter or base gets another one.
        progress: told what takes a while.

    Raises:
        ConfigurationError: the adapter is not plain LoRA, or belongs to another model.
        ModelUnavailableError: weights are missing or damaged, or the folder cannot be written.
    """

    def make(temporary: Path) -> tuple[Path, str]:
        progress(f"merging {adapter.name} into its base weights (once)")
        _write(base, adapter, temporary / "model")
        return temporary / "model", f"{adapter.resolve()} merged into {base.resolve()}"

    from anabranch.agents.local.kept import kept

    return kept(cache / f"{adapter.name}-{_digest(base, adapter)}", make, progress=progress, thorough=True)


def _write(base: Path, adapter: Path, folder: Path) -> None:
    from anabranch.agents.local.checkpoint import write_merged

    folder.mkdir()
    write_merged(base, adapter, folder)
    _forget_sampling(folder / "generation_config.json")
    (folder / "chat_template.jinja").write_text(safe_template(base), encoding="utf-8")


def _forget_sampling(path: Path) -> None:
    """Keeps the tokens alone: a penalty on repetition that a folder brings would change plans, and vLLM's front end in
    Rust (0.26) has no option against it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    if isinstance(found, dict):
        kept = {name: value for name, value in found.items() if name.endswith("_token_id")}
        path.write_text(json.dumps(kept, indent=2), encoding="utf-8")


def _digest(base: Path, adapter: Path) -> str:
    """A hash of the adapter, of the base's place, size and time, and of what is done with the base's settings."""
    found = hashlib.sha256(b"no sampling defaults")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (adapter / name).is_file():
            raise ModelUnavailableError(f"{adapter} is no adapter: it has no {name}; give the folder of a LoRA adapter")
    found.update((adapter / "adapter_config.json").read_bytes())
    with (adapter / "adapter_model.safetensors").open("rb") as file:
        found.update(hashlib.file_digest(file, "sha256").digest())
    for path in sorted(base.glob("model*.safetensors")):
        found.update(f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return found.hexdigest()[:12]
