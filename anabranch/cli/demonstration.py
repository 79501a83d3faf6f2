"""`anabranch demo`: the page over example documents. Importing this imports LangGraph."""

import os
import sys
import threading
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anabranch
from anabranch.cli.failures import complain
from anabranch.cli.options import Options
from anabranch.cli.serve import defaults
from anabranch.cli.serving import run_app
from anabranch.errors import DocumentError

EXAMPLES = (
    "Where was the founder of the Hollin Quay ferry born?",
    "How many years after the Hollin Quay ferry was founded was the Aldous Bridge opened?",
    "In which town was the engineer of the Aldous Bridge born?",
)
"""Questions that take several look-ups in the example documents."""


def run(values: Mapping[str, Any]) -> None:
    """Serves the page, and opens it.

    Args:
        values: the command's options, by name.

    Raises:
        UserError, BackendError: as `run_app`.
    """
    served = {**defaults(), **values, "docs": [str(documents())]}

    def listening(url: str) -> None:
        complain(f"the page is at {url} (Ctrl-C ends it)")
        if values["browser"] and _has_screen():
            # Some browsers return only when they are closed.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    run_app(Options.of(served), served, examples=EXAMPLES, listening=listening)


def documents() -> Path:
    """The folder with the example documents: part of the package, or of its repository.

    Raises:
        DocumentError: it is in neither.
    """
    package = Path(anabranch.__file__).parent
    for folder in (package / "example_documents", package.parent / "examples" / "documents"):
        if folder.is_dir():
            return folder
    raise DocumentError("the example documents are not there; install anabranch again, or use serve app --docs")


def _has_screen() -> bool:
    """Whether a browser has somewhere to be shown; without, the system's could be one that takes the terminal."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
