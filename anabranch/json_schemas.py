"""JSON schemas that others bring, as validators that fetch nothing and end."""

from collections.abc import Mapping
from typing import Any

MAX_BACKTRACKS = 10_000


def validator_of(schema: Mapping[str, Any]) -> Any:
    """A validator of `jsonschema_rs`.

    Raises:
        ValueError: the schema is none, or refers to something outside of it.
    """
    import jsonschema_rs

    return jsonschema_rs.validator_for(
        dict(schema),
        retriever=_fetch_nothing,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_BACKTRACKS),
    )


def _fetch_nothing(uri: str) -> Any:
    raise ValueError("a schema may only refer to its own parts")
