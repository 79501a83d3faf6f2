"""The review of a plan in the terminal: approve it, edit it, reject it, or ask for another."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from anabranch.cli.terminal import error_console, need_terminal
from anabranch.cli.text import clean
from anabranch.codecs import decode_lines, encode_lines
from anabranch.errors import ConfigurationError, PlanError
from anabranch.graphs.channels import plain
from anabranch.plan import Plan

HELP = """\
# One sub-question a line: ID [ROUTE] TEXT. In a text, {1} stands for the answer of sub-question 1;
# [ROUTE after 1] waits for it without using it. Lines that start with # are left out.
"""
_CHOICES = "[a]pprove, [e]dit, [r]eject, or ask for a [n]ew plan"


def need_person() -> None:
    """Refuses a review where there is no terminal.

    Raises:
        ConfigurationError: there is none.
    """
    need_terminal("--review")


def decide(value: Mapping[str, Any], max_sub_questions: int) -> dict[str, Any]:
    """Asks what to do with a plan.

    Args:
        value: what the planner's review shows: `question`, `plan` and the `error` of the last decision, if any.
        max_sub_questions: most sub-questions that an edited plan may have.

    Returns:
        A `PlanDecision`, as plain data.
    """
    plan = Plan.model_validate(value["plan"])
    _show(encode_lines(plan))
    if value.get("error"):
        _show(f"that plan cannot run: {value['error']}", style="red")
    while True:
        choice = str(typer.prompt(f"{_CHOICES}", err=True)).strip().lower()[:1]
        if choice == "a":
            return {"type": "approve"}
        if choice == "r":
            return {"type": "reject"}
        if choice == "n":
            return {"type": "respond", "message": str(typer.prompt("what should be different", err=True))}
        if choice == "e" and (edited := _edited(plan, max_sub_questions)) is not None:
            return {"type": "edit", "plan": plain(edited)}


def _edited(plan: Plan, max_sub_questions: int) -> Plan | None:
    """The plan as edited, or None if the person left it as it was; asks again while it is not a plan."""
    before = text = encode_lines(plan)
    while True:
        text = _edit(text)
        if text == before:
            _show("the plan was left as it was", style="dim")
            return None
        try:
            edited = decode_lines(text)
            edited.check({q.route for q in edited.sub_questions}, max_sub_questions)
        except PlanError as error:
            _show(f"that plan cannot run: {error}", style="red")
            if not typer.confirm("edit it again?", default=True, err=True):
                return None
        else:
            return edited


def _edit(text: str) -> str:
    """Opens a text in the person's editor."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.txt"
        path.write_text(HELP + text + "\n", encoding="utf-8")
        try:
            # The command is the person's own setting.
            subprocess.run([*shlex.split(editor), str(path)], check=True)  # noqa: S603
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise ConfigurationError(f"the editor {editor!r} failed ({error}); set EDITOR to one that works") from error
    return "\n".join(line for line in lines if line.strip() and not line.startswith("#"))


def _show(text: str, style: str = "") -> None:
    error_console().print(Text(clean(text), style=style), soft_wrap=True)
