"""What Windows does not have is not imported on the common path."""

import subprocess
import sys

MISSING = """
import os, signal, sys
import mcp.server.stdio  # it looks at the real system to know whether there is fcntl
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"):
    sys.modules[name] = None
for name in ("SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGALRM", "SIGSTOP", "SIGCHLD", "SIGPIPE", "alarm"):
    delattr(signal, name)
for name in ("fork", "killpg", "getuid", "getgid", "setsid", "geteuid", "chown", "mkfifo"):
    delattr(os, name)
"""
USE = """
import importlib, pkgutil, sys
import anabranch
for name in anabranch.__all__:
    getattr(anabranch, name)
for layer in ("agents", "graphs", "tools", "batch", "serving", "serving.page", "serving.agui", "evals", "cli"):
    folder = importlib.import_module(f"anabranch.{layer}")
    for module in pkgutil.iter_modules(folder.__path__, f"anabranch.{layer}."):
        if module.name.rpartition(".")[2] not in ("ray", "__main__"):  # Ray has an environment of its own
            importlib.import_module(module.name)
from langchain_core.language_models import FakeListChatModel
planner = anabranch.create_planner(solver=FakeListChatModel(responses=["an answer"]), gate=lambda _: False,
                                   tools=[anabranch.calculator(), anabranch.python_sandbox()])
assert planner.invoke({"messages": [("user", "Why?")]})["answer"] == "an answer"
from anabranch.cli import main
sys.argv = ["anabranch", "ask", "--help"]
main()
"""


def test_a_planner_runs_without_what_only_posix_has() -> None:
    done = subprocess.run([sys.executable, "-c", MISSING + USE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--solver" in done.stdout
