"""The board follows the planner's stream; the views draw it without taking text for markup or commands."""

import io
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from rich.console import Console

from anabranch.cli.board import ANSWERING, JOINING, Board
from anabranch.cli.text import clean
from anabranch.cli.views import LineView, LiveView, Silence, pick_view
from anabranch.graphs.channels import plain
from anabranch.plan import Answer, Plan, SubQuestion

PLAN = Plan(
    sub_questions=(
        SubQuestion(id=1, text="Who founded it?", route="search"),
        SubQuestion(id=2, text="When was {1} born?", route="search"),
    )
)


def custom(type_: str, **data: Any) -> dict[str, Any]:
    return {"type": "custom", "data": {"type": type_, **data}}


def planned(plan: Plan = PLAN, new: tuple[int, ...] = (1, 2), problems: tuple[str, ...] = ()) -> dict[str, Any]:
    return custom("plan", plan=plain(plan), new=list(new), problems=list(problems))


def answered(answer: Answer) -> dict[str, Any]:
    return custom("sub_question", **plain(answer))


def token(text: str, id_: str = "m", node: str = "solve") -> dict[str, Any]:
    return {"type": "messages", "data": (AIMessageChunk(content=text, id=id_), {"langgraph_node": node})}


def board(*parts: dict[str, Any]) -> Board:
    shown = Board()
    for part in parts:
        shown.take(part)
    return shown


def screen(shown: Board, *, width: int = 80, busy: bool = True, encoding: str = "utf-8") -> str:
    written = io.BytesIO()
    output = io.TextIOWrapper(written, encoding=encoding)
    console = Console(file=output, width=width, force_terminal=True, color_system=None, markup=False, emoji=False)
    view = LiveView(console)
    console.print(view.render(shown, busy=busy))
    output.flush()
    return written.getvalue().decode(encoding)


def test_sub_questions_tick_off() -> None:
    shown = board(planned(), custom("sub_question", id=1, status="started"))
    assert [row.state for row in shown.rows.values()] == ["running", "pending"]
    assert shown.phase == ANSWERING
    shown.take(answered(Answer(id=1, text="Ann", seconds=0.5)))
    assert [row.state for row in shown.rows.values()] == ["done", "pending"]
    assert shown.text_of(shown.rows[2]) == "When was Ann born?"
    assert shown.news == ["  1 → Ann (0.5 s)"]
    shown.take(answered(Answer(id=2, status="failed", error="no answer within 2 s")))
    assert shown.rows[2].state == "failed"
    assert shown.news == ["  2 → failed: no answer within 2 s (0.0 s)"]
    assert shown.phase == JOINING


def test_a_replan_keeps_what_was_answered() -> None:
    shown = board(planned(), answered(Answer(id=1, text="Ann")), answered(Answer(id=2, status="failed", error="no")))
    shown.take(custom("replan", reason="nobody knows"))
    longer = PLAN.extended([SubQuestion(id=3, text="How old is {1}?")])
    shown.take(planned(longer, new=(3,), problems=("the first draft was no plan",)))
    assert [row.state for row in shown.rows.values()] == ["done", "failed", "pending"]
    assert shown.replans == {2: "nobody knows"}
    assert shown.news == ["a plan was thrown away: the first draft was no plan", "  3 [solve] How old is {1}?"]
    lines = screen(shown).splitlines()
    assert [line.split()[0] for line in lines] == ["✓", "✗", "↻", "·", lines[-1].split()[0]]


def test_an_edited_plan_takes_the_place_of_the_first() -> None:
    edited = Plan(sub_questions=(SubQuestion(id=1, text="Who else?"),))
    shown = board(planned(), {"type": "updates", "data": {"review": {"plan": plain(edited)}}})
    assert [row.question.text for row in shown.rows.values()] == ["Who else?"]
    shown.take({"type": "updates", "data": {"__interrupt__": ()}})


def test_direct_answers_and_tokens() -> None:
    shown = board(planned(Plan(), new=()))
    assert shown.news == ["answering directly"]
    for part in (token("Hello "), token("you"), token("not this", "n", "plan")):
        shown.take(part)
    assert shown.writing == "Hello you"
    shown.take(token("anew", "other"))
    assert shown.writing == "anew"
    assert "anew" in screen(shown)


def test_text_is_neither_markup_nor_a_command() -> None:
    plan = Plan(sub_questions=(SubQuestion(id=1, text="[red]a[/red] :smile: \x1b[2J\x9b2J{x}"),))
    shown = board(planned(plan, new=(1,)), answered(Answer(id=1, text="[/] \x1b]0;title\x07b\n\nc")))
    text = screen(shown)
    assert "[red]a[/red] :smile: " in text
    assert "[/] ]0;titleb c" in text
    assert "\x1b" not in text
    assert "\x9b" not in text


def test_clean_keeps_text() -> None:
    assert clean("héllo\n\tworld \U0001f44b עברית") == "héllo\n\tworld \U0001f44b עברית"
    assert clean("a\x1b[31mb\x1b[0m\r\x00\u202ec") == "abc"


def test_long_answers_are_cut_and_narrow_screens_fold() -> None:
    shown = board(planned(), answered(Answer(id=1, text="word " * 500)))
    text = screen(shown, width=40)
    assert "…" in text
    assert max(map(len, text.splitlines())) <= 40


def test_a_terminal_without_unicode() -> None:
    shown = board(planned(), answered(Answer(id=1, text="Ann")), custom("sub_question", id=2, status="started"))
    assert screen(shown, encoding="ascii").startswith("v 1 search Who founded it? -> Ann")


def test_the_live_view_leaves_the_plan_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    output = io.StringIO()
    view = LiveView(Console(file=output, width=60, force_terminal=True, color_system=None))
    view.status("starting")
    view.update(board(planned(), answered(Answer(id=1, text="Ann"))))
    view.note("documents: [2] files read")
    view.close()
    view.close()
    last = output.getvalue().split("\x1b[2K")[-1]
    assert "documents: [2] files read" in output.getvalue()
    assert "✓ 1 search Who founded it? → Ann" in last
    assert "answering" not in last


def test_lines_are_said_once() -> None:
    output = io.StringIO()
    view = LineView(Console(file=output, width=20))
    view.status("planning")
    view.status("planning")
    view.update(board(planned()))
    view.close()
    assert output.getvalue().splitlines() == [
        "planning",
        "  1 [search] Who founded it?",
        "  2 [search] When was {1} born?",
    ]


def test_a_pipe_gets_lines_and_quiet_gets_nothing() -> None:
    assert isinstance(pick_view(quiet=False), LineView)
    silence = pick_view(quiet=True)
    assert isinstance(silence, Silence)
    silence.status("x")
    silence.update(Board())
    silence.note("x")
    silence.close()
