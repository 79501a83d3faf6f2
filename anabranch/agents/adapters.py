"""The LoRA adapters that come with the package, and how a name becomes a folder."""

from pathlib import Path
from typing import Literal

from anabranch.config import LOCAL_MODEL, read_settings
from anabranch.errors import ConfigurationError

Role = Literal["decomposer", "solver"]
SHIPPED: dict[Role, str] = {"decomposer": "decomposer-135m", "solver": "solver-135m"}
NONE = "none"
FOLDER = Path(__file__).parents[1] / "adapters"


def adapter_folder(role: Role, model: str) -> Path | None:
    """The adapter that the in-process model wears in a role.

    Args:
        role: the role.
        model: hub id or folder of the base model; the shipped adapters fit the default one only.

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
    folder = shipped_adapter(wanted) or Path(wanted).expanduser()
    if not (folder / "adapter_config.json").is_file():
        raise ConfigurationError(f"{wanted} holds no adapter; name a folder with adapter_config.json, or {NONE!r}")
    return folder


def shipped_adapter(name: str) -> Path | None:
    """The folder of an adapter that comes with the package; None if there is none of this name."""
    folder = FOLDER / name
    return folder if (folder / "adapter_config.json").is_file() else None


def shipped_adapters(prefix: str = "") -> list[str]:
    """Names of the adapters that come with the package, those that begin with `prefix`."""
    folders = (FOLDER).glob(f"{prefix}*/adapter_config.json")
    return sorted(config.parent.name for config in folders)
