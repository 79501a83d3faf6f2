"""Settings for all tests: repeatable property tests, and no call to a real model endpoint."""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

pytest_plugins = ("tests.browser",)
CREDENTIALS = ("OPENAI_", "AZURE_OPENAI_", "ANTHROPIC_", "ANABRANCH_", "LANGSMITH_", "LANGCHAIN_", "HF_TOKEN")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")

settings.register_profile("local", deadline=None, max_examples=60)
settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "local"))


OTHER_MACHINES: list[str] = []


def pytest_configure() -> None:
    """Keeps all tests on this machine, whichever HTTP library they use, and lets Ctrl-C reach what they start."""
    sys.addaudithook(_refuse_other_machines)
    # A shell that runs the tests in the background lets them ignore Ctrl-C, and the processes that they start as well.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def called_machines() -> Iterator[list[str]]:
    """Fails a test that looked up or connected to another machine, even where the refusal was caught on the way."""
    OTHER_MACHINES.clear()
    yield OTHER_MACHINES
    if OTHER_MACHINES:
        pytest.fail(f"a test called a real endpoint: {', '.join(OTHER_MACHINES)}", pytrace=False)


@pytest.fixture(autouse=True, scope="session")
def no_credentials() -> Iterator[None]:
    """Hides keys, addresses and settings of the machine from the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(CREDENTIALS) or name.lower() in PROXIES:
                patch.delenv(name)
        yield


def _refuse_other_machines(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else host or "localhost"
    if name not in ("localhost", "::1", "0.0.0.0", "::") and not name.startswith("127."):
        OTHER_MACHINES.append(name)
        raise ConnectionRefusedError(f"a test called a real endpoint: {name}")
