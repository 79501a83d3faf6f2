"""The LoRA adapters that are installed, and how a name becomes a folder."""

import json
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from anabranch.config import read_settings
from anabranch.errors import ConfigurationError
from anabranch.options import LOCAL_MODEL

Role = Literal["decomposer", "solver"]
SHIPPED: dict[Role, str] = {"decomposer": "decomposer-135m", "solver": "solver-135m"}
DISTRIBUTED = "decomposer-1.5b"
"""The adapter that is a distribution of its own, `anabranch-decomposer-1.5b`."""
NONE = "none"
FOLDER = Path(__file__).parents[1] / "adapters"
GROUP = "anabranch.adapters"
CONFIG = "adapter_config.json"


def adapter_folder(role: Role, model: str) -> Path | None:
    """The adapter that the in-process model wears in a role.

    Args:
        role: the role.
        model: hub id, folder or GGUF file of the base model; the shipped adapters fit the default one only.

    Returns:
        The adapter's folder; None for the base weights.

    Raises:
        ConfigurationError: the settings name a folder that holds no adapter.
    """
    settings = read_settings()
    wanted = settings.local_adapter if role == "decomposer" else settings.local_solver_adapter
    if wanted == NONE:
        return None
    if wanted is None:
        return shipped_adapter(SHIPPED[role]) if model == LOCAL_MODEL else None
    return named_adapter(wanted, f", or {NONE!r}")


def named_adapter(name: str, otherwise: str = "") -> Path:
    """The folder of an adapter, by the name under which it is installed or by its path.

    Args:
        name: the name or path.
        otherwise: what else could have been named, for the message.

    Raises:
        ConfigurationError: there is no adapter.
    """
    folder = shipped_adapter(name) or Path(name).expanduser()
    if not (folder / CONFIG).is_file():
        otherwise += f", or pip install anabranch-{name}" if name == DISTRIBUTED else ""
        raise ConfigurationError(f"{name} holds no adapter; name a folder with adapter_config.json{otherwise}")
    return folder


def model_and_adapter(name: str) -> tuple[str, Path | None]:
    """What `MODEL`, `MODEL+ADAPTER` or `ADAPTER` stands for: a base model, and an adapter's folder if one is named.

    An adapter alone, by the name under which it is installed or by its folder, is worn by the model that it was trained
    on.

    Raises:
        ConfigurationError: there is no such adapter, or it does not say which model it was trained on.
    """
    folder = shipped_adapter(name) or Path(name).expanduser()
    if (folder / CONFIG).is_file():
        return _base_of(folder), folder
    base, plus, adapter = name.rpartition("+")
    if not plus or folder.exists():
        return name, None
    if not base:
        raise ConfigurationError(f"{name!r} names no model before the +; write MODEL+ADAPTER, or the adapter alone")
    return base, named_adapter(adapter)


def _base_of(folder: Path) -> str:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(base, str) or not base:
        raise ConfigurationError(
            f"{folder / CONFIG} does not say which model the adapter was trained on; name both: MODEL+ADAPTER"
        )
    return base


def shipped_adapter(name: str) -> Path | None:
    """The folder of an adapter that is installed under a name; None if there is none.

    Some come with the package. Others are distributions of their own, which name, as an entry point of the group
    `anabranch.adapters`, a package with a folder of the adapter's name.
    """
    folder = FOLDER / name
    if not (folder / CONFIG).is_file():
        entry = next(iter(entry_points(group=GROUP, name=name)), None)
        spec = find_spec(entry.module) if entry else None
        folder = Path(spec.origin).parent / name if spec and spec.origin else folder
    return folder if (folder / CONFIG).is_file() else None


def shipped_adapters(prefix: str = "") -> list[str]:
    """Names of the adapters that are installed, those that begin with `prefix`."""
    here = {config.parent.name for config in FOLDER.glob(f"*/{CONFIG}")}
    return sorted(name for name in here | entry_points(group=GROUP).names if name.startswith(prefix))
