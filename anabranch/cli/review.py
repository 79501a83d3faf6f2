"""What a person decides in the terminal: on a plan, on actions before they are carried out, on what tools ask."""

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from anabranch.cli.elicitation import ask_person
from anabranch.cli.terminal import need_terminal, show
from anabranch.codecs import decode_lines, encode_lines
from anabranch.errors import ConfigurationError, PlanError
from anabranch.graphs.channels import plain
from anabranch.plan import Plan
from anabranch.tools.elicitation import ELICITATION

HELP = """\
# One sub-question a line: ID [ROUTE] TEXT. In a text, {1} stands for the answer of sub-question 1;
# [ROUTE after 1] waits for it without using it. Lines that start with # are left out.
"""
ARGUMENTS_HELP = "# The arguments as a JSON object. Lines that start with # are left out.\n"
_ACTION_CHOICES = "[a]pprove, [e]dit, [r]eject, or [g]ive its result yourself"
_CHOICES = "[a]pprove, [e]dit, [r]eject, or ask for a [n]ew plan"


def need_person() -> None:
    """Refuses a review where there is no terminal.

    Raises:
        ConfigurationError: there is none.
    """
    need_terminal("--review")


def decide(value: Any, max_sub_questions: int) -> Any:
    """Asks what to do with a plan or with proposed actions, or what a tool asks.

    Args:
        value: what the planner shows: `question` and `plan`, `action_requests`, or `elicitation`, and the `error` of
            the last decision, if any; or whatever else a tool asks by itself.
        max_sub_questions: most sub-questions that an edited plan may have.

    Returns:
        A `PlanDecision`, the decisions on all actions, or a reply, as plain data.

    Raises:
        ConfigurationError: there is no terminal to ask in.
    """
    if not isinstance(value, Mapping) or value.keys().isdisjoint(("action_requests", "plan", ELICITATION)):
        need_terminal("a tool")
        show(f"a tool asks: {value}")
        return str(typer.prompt("your reply", err=True))
    if ELICITATION in value:
        return ask_person(value)
    if "action_requests" in value:
        if value.get("error"):
            show(f"that cannot be done: {value['error']}", style="red")
        return {"decisions": [_decide_action(action) for action in value["action_requests"]]}
    plan = Plan.model_validate(value["plan"])
    show(encode_lines(plan))
    if value.get("error"):
        show(f"that plan cannot run: {value['error']}", style="red")
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


def _decide_action(action: Mapping[str, Any]) -> dict[str, Any]:
    """Asks what to do with one action, a call of a tool that changes something."""
    name, arguments = str(action["name"]), dict(action["args"])
    need_terminal(f"the action {name}")
    show(f"{name} {json.dumps(arguments, ensure_ascii=False)}")
    show(str(action.get("description", "")), style="dim")
    while True:
        choice = str(typer.prompt(_ACTION_CHOICES, err=True)).strip().lower()[:1]
        if choice == "a":
            return {"type": "approve"}
        if choice == "r":
            return {"type": "reject", "message": str(typer.prompt("why", default="", show_default=False, err=True))}
        if choice == "g":
            return {"type": "respond", "message": str(typer.prompt("the result", err=True))}
        if choice == "e" and (edited := _edited_arguments(arguments)) is not None:
            return {"type": "edit", "edited_action": {"name": name, "args": edited}}


def _edited_arguments(arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments as edited, or None if they are no JSON object."""
    text = _edit(json.dumps(arguments, ensure_ascii=False, indent=2), ARGUMENTS_HELP)
    try:
        edited = json.loads(text)
    except (ValueError, RecursionError) as error:
        show(f"that is no JSON: {error}", style="red")
        return None
    if not isinstance(edited, dict):
        show("that is no JSON object", style="red")
        return None
    return edited


def _edited(plan: Plan, max_sub_questions: int) -> Plan | None:
    """The plan as edited, or None if the person left it as it was; asks again while it is not a plan."""
    before = text = encode_lines(plan)
    while True:
        text = _edit(text, HELP)
        if text == before:
            show("the plan was left as it was", style="dim")
            return None
        try:
            edited = decode_lines(text)
            edited.check({q.route for q in edited.sub_questions}, max_sub_questions)
        except PlanError as error:
            show(f"that plan cannot run: {error}", style="red")
            if not typer.confirm("edit it again?", default=True, err=True):
                return None
        else:
            return edited


def _edit(text: str, instructions: str) -> str:
    """Opens a text in the person's editor, below instructions."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.txt"
        path.write_text(instructions + text + "\n", encoding="utf-8")
        try:
            # The command is the person's own setting.
            subprocess.run([*shlex.split(editor), str(path)], check=True)  # noqa: S603
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise ConfigurationError(f"the editor {editor!r} failed ({error}); set EDITOR to one that works") from error
    return "\n".join(line for line in lines if line.strip() and not line.startswith("#"))
