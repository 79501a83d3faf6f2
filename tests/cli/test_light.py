"""`--help` and `--version` import nothing heavy."""

import subprocess
import sys

import pytest

# pydantic is not among them: newer versions of typer use it themselves to read options.
HEAVY = (
    "langgraph",
    "langchain_core",
    "langchain_openai",
    "openai",
    "torch",
    "xllamacpp",
    "transformers",
    "rich",
    "httpx",
)

PROBE = """
import sys
sys.argv = ["anabranch", *sys.argv[1:]]
from anabranch.cli import main
try:
    main()
finally:
    print("HEAVY:", *[name for name in %r if name in sys.modules])
"""


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("ask", "--help"), ("plan", "--help"), ()])
def test_help_is_light(arguments: tuple[str, ...]) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROBE % (HEAVY,), *arguments], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0
    assert process.stdout.splitlines()[-1] == "HEAVY:"
    assert process.stderr == ""


def test_help_names_every_option_of_the_issue() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "anabranch.cli", "ask", "--help"], capture_output=True, text=True, check=True
    )
    for option in (
        "--mode",
        "--docs",
        "--solver",
        "--decomposer",
        "--tool",
        "--review",
        "--thread",
        "--batch",
        "--debug",
    ):
        assert option in process.stdout
