"""The command line: `anabranch ask` and `anabranch plan`.

`app` declares the commands and imports nothing heavy, so that `--help` is instant; their bodies are in `ask`, `batch`
and `planning`.
"""

from anabranch.cli.commands import app, main

__all__ = ["app", "main"]
