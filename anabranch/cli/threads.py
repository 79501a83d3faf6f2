"""The options of a run, kept with its thread, so that one that was killed goes on as it was begun."""

import json
from collections.abc import Mapping
from typing import Any

FILE = "threads.sqlite"
_OPTIONS_KEY = "anabranch_options"


def remember(options: Mapping[str, Any]) -> dict[str, str]:
    """Metadata that keeps the options of a run with its thread."""
    # As text: of a run's metadata, checkpoints keep only what is not nested.
    return {_OPTIONS_KEY: json.dumps(options)}


def recalled(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The options that metadata keep; none where they keep none that can be read."""
    text = metadata.get(_OPTIONS_KEY)
    try:
        options = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return options if isinstance(options, dict) else {}
