"""An MCP server of the command line, spoken to over its standard input and output without an SDK."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cli import scenario


def served(folder: Path, options: Sequence[str], calls: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Starts `serve mcp`, calls its tools, and ends its input.

    Args:
        folder: where it runs.
        options: of the command.
        calls: the parameters of each call.

    Returns:
        All that it wrote to standard output, a reply a line, that to the start first; and its standard error.
    """
    start = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    messages = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": start},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        *({"jsonrpc": "2.0", "id": id_, "method": "tools/call", "params": call} for id_, call in enumerate(calls, 1)),
    ]
    process = subprocess.Popen(
        scenario.command("serve", "mcp", *options),
        cwd=folder,
        env=scenario.environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
    process.stdin.flush()
    lines = [process.stdout.readline() for _ in range(len(calls) + 1)]
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return [json.loads(line) for line in [*lines, *out.splitlines()]], err
