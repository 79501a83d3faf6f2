"""The settings in a transformers model folder."""

import json
from pathlib import Path
from typing import Any

from anabranch.errors import ModelUnavailableError


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a model folder.

    Raises:
        ModelUnavailableError: it is missing or damaged.
    """
    hint = "check the folder, or delete it to have it prepared"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"cannot read {path} ({error}); {hint}") from error
    if not isinstance(data, dict):
        raise ModelUnavailableError(f"{path} is not a JSON object; {hint}")
    return data


def tokenizer_config(folder: Path) -> dict[str, Any]:
    """The settings of a folder's tokenizer, with the chat template wherever that lies.

    Raises:
        ModelUnavailableError: they are missing or damaged.
    """
    config, file = read_json(folder / "tokenizer_config.json"), folder / "chat_template.jinja"
    return config | ({"chat_template": file.read_text(encoding="utf-8")} if file.is_file() else {})


def token_text(token: object) -> str:
    """The text of a token in such settings; empty if there is none."""
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) else ""
