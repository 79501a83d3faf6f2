"""How many weights a model has, as its name tells."""

import re

_SIZE = re.compile(r"(?:^|[-_/])([0-9]+(?:\.[0-9]+)?)([mb])(?=$|[-_@])", re.IGNORECASE)


def size_told(name: str) -> float | None:
    """The number of weights that a name tells: 1.5e9 of `Qwen2.5-Coder-1.5B-Instruct`; None if it tells none."""
    sizes = [float(number) * (1e6 if unit in "mM" else 1e9) for number, unit in _SIZE.findall(name)]
    return sizes[-1] if sizes else None
