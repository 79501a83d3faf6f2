"""The page in a real browser, end to end."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.tools import tool

from anabranch.serving.door import DoorRules
from tests.browser import Open
from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import plan_json, reader
from tests.serving import live
from tests.serving.conftest import Serve
from tests.serving.page.test_documents import PEOPLE, reads
from tests.serving.page.test_documents import PLAN as LIGHTHOUSE
from tests.serving.test_plans import LINES, lines

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.loopback, pytest.mark.enable_socket, pytest.mark.timeout(180)]


def ask(page: "Page", question: str = live.QUESTION) -> None:
    """Types a question and sends it."""
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def card(page: "Page", id_: int, state: str) -> Any:
    """The card of a sub-question, once it is in a state."""
    found = page.locator(f"li.card[data-state={state}]", has=page.locator(".number", has_text=str(id_)))
    found.wait_for()
    return found


def answer(page: "Page", text: str) -> None:
    """Waits for an answer."""
    page.get_by_role("region", name="Answer").last.get_by_text(text, exact=False).first.wait_for()


class Slow:
    """A search that answers when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = list[str]()

        @tool
        def search(query: str) -> str:
            """Looks facts up."""
            self.asked.append(query)
            if len(self.asked) == 2:
                self.go.wait(60)
            return {"Who founded Craigslist?": "founded by Craig Newmark"}.get(query, "Craig Newmark was born in 1952.")

        self.tool = search


def test_the_plan_comes_to_life(serve: Serve, open_page: Open) -> None:
    slow = Slow()
    model = ScriptedChatModel(script=reader, word_delay=0.0)
    page = open_page(serve(live.parts(lines(live.always(LINES), 0.15), model, [slow.tool]), examples=[live.QUESTION]))
    page.get_by_role("button", name=live.QUESTION).click()
    first = card(page, 1, "draft")
    assert "Who founded Craigslist?" in first.inner_text()
    assert page.locator("li.card").count() == 1
    assert "Craig Newmark" in card(page, 1, "done").inner_text()
    running = card(page, 2, "running")
    assert "When was Craig Newmark born?" in running.inner_text()
    assert page.locator("path.edge.done").count() == 1
    assert page.locator(".bar").count() == 2
    slow.go.set()
    done = card(page, 2, "done")
    answer(page, live.ANSWER)
    done.locator("summary").click()
    assert done.locator("blockquote").inner_text() == "Craig Newmark was born in 1952."
    assert '{"query":"When was Craig Newmark born?"}' in done.inner_text()
    assert "tokens" in page.locator("#spent").inner_text()
    assert "search" in page.locator(".sources").inner_text()


def test_failures_and_new_plans_are_seen(serve: Serve, open_page: Open) -> None:
    plans: list[Reply] = [
        plan_json(("search", "Who founded it?", [])),
        plan_json(("search", "Who founded Craigslist?", []), first_id=2),
    ]

    page = open_page(serve(live.parts(ScriptedChatModel(script=plans))))
    ask(page)
    assert "does not hold the answer" in card(page, 1, "failed").inner_text()
    assert "Planned again: sub-question 1 failed" in page.locator("li.replan").inner_text()
    assert "Craig Newmark" in card(page, 2, "done").inner_text()


def test_a_conversation_is_there_again_and_others_beside_it(serve: Serve, open_page: Open) -> None:
    page = open_page(serve())
    ask(page)
    answer(page, live.ANSWER)
    page.reload()
    answer(page, live.ANSWER)
    assert "Craig Newmark" in card(page, 1, "done").inner_text()
    page.get_by_role("button", name="New conversation").click()
    assert page.locator("article").count() == 0
    ask(page, "When was the founder of another site born?")
    answer(page, live.ANSWER)
    known = page.get_by_role("navigation").locator("button.open")
    assert known.count() == 2
    known.nth(1).click()
    page.get_by_role("heading", name=live.QUESTION).wait_for()
    page.get_by_role("button", name=f"Delete: {live.QUESTION}").click()
    page.get_by_role("button", name=f"Delete: {live.QUESTION}").click()
    page.wait_for_function("document.querySelectorAll('#thread-list li').length === 1")
    assert page.locator("article").count() == 0


def test_a_plan_is_changed_in_place(serve: Serve, open_page: Open) -> None:
    page = open_page(serve())
    page.get_by_label("Review plans").check()
    ask(page)
    form = page.get_by_role("form", name="Shall this plan run?")
    form.get_by_label("Sub-question 2 waits for").wait_for()
    form.get_by_role("button", name="Add a sub-question").click()
    form.get_by_label("Text of sub-question 3").fill("What follows from {9}?")
    form.get_by_role("button", name="Run the plan").click()
    form.get_by_text("that plan cannot run: sub-question 3 refers to {9}").wait_for()
    assert form.get_by_label("Text of sub-question 3").input_value() == "What follows from {9}?"
    form.get_by_role("button", name="Remove sub-question 3").click()
    form.get_by_role("button", name="Remove sub-question 1").click()
    form.get_by_label("Text of sub-question 2").fill("When was Craig Newmark born?")
    form.get_by_label("Sub-question 2 waits for").fill("")
    form.get_by_label("Who answers sub-question 2").select_option("search")
    form.get_by_role("button", name="Run the plan").click()
    answer(page, live.ANSWER)
    assert page.locator("li.card").count() == 1


def test_a_plan_is_rejected_or_asked_for_anew(serve: Serve, open_page: Open) -> None:
    better = plan_json(("search", "When was Craig Newmark born?", []))
    model = ScriptedChatModel(
        script=lambda prompt: better if "not so long" in prompt else plan_json(("search", "a?", []))
    )
    page = open_page(serve(live.parts(model)))
    page.get_by_label("Review plans").check()
    ask(page)
    page.get_by_text("Ask for another plan").click()
    page.get_by_label("What should be different").fill("not so long")
    page.get_by_role("button", name="Plan again").click()
    page.get_by_label("Text of sub-question 1").wait_for()
    page.wait_for_function("document.querySelector('.edit textarea')?.value.includes('Newmark')")
    page.get_by_role("button", name="Reject it").click()
    answer(page, "The plan was rejected.")
    page.get_by_text("There is no answer.").wait_for()


def test_actions_are_decided_on(serve: Serve, open_page: Open) -> None:
    sent = list[str]()

    @tool
    def send(text: str) -> str:
        """Sends a text."""
        sent.append(text)
        return f"sent: {text}"

    send.metadata = {"effects": True}
    plan = plan_json(("send", "Send: hello", []), ("send", "Send: goodbye", []))

    def solver(prompt: str) -> Reply:
        if "Sub-questions and their answers:" in prompt:
            return "Both are done."
        return '{"text": "goodbye"}' if "goodbye" in prompt.rsplit("Send:", 1)[-1] else '{"text": "hello"}'

    page = open_page(serve(live.parts(plan, solver, [send])))
    ask(page, "Will you send hello and then goodbye to them?")
    form = page.get_by_role("form", name="Shall these actions be carried out?")
    first, second = (form.get_by_role("group").nth(place) for place in (0, 1))
    assert "hello" in first.inner_text()
    assert sent == []
    page.reload()  # it still waits
    form.get_by_role("button", name="Send these decisions").click()
    form.get_by_text("decide on action 1").wait_for()
    first.get_by_label("Carry it out", exact=True).check()
    second.get_by_label("Carry it out with other arguments").check()
    second.get_by_label("Arguments as JSON").fill("no JSON")
    form.get_by_role("button", name="Send these decisions").click()
    form.get_by_text("are no JSON object").wait_for()
    second.get_by_label("Arguments as JSON").fill('{"text": "farewell"}')
    form.get_by_role("button", name="Send these decisions").click()
    answer(page, "Both are done.")
    assert sorted(sent) == ["farewell", "hello"]


def test_a_run_is_stopped_and_gone_on_with(serve: Serve, open_page: Open) -> None:
    slow = Slow()
    page = open_page(serve(live.parts(tools=[slow.tool])))
    ask(page)
    card(page, 2, "running")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Go on").wait_for()
    slow.go.set()
    assert "Craig Newmark" in card(page, 1, "done").inner_text()
    page.reload()
    page.get_by_role("article").get_by_text("This was stopped before it was answered.").wait_for()
    page.get_by_role("button", name="Go on").click()
    answer(page, live.ANSWER)
    assert slow.asked.count("Who founded Craigslist?") == 1


def test_documents_are_dropped_and_searched(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    page = open_page(serve(live.parts(LIGHTHOUSE, reads, tools=[])))
    drop = """async ([name, text]) => {
        const data = new DataTransfer();
        data.items.add(new File([text], name));
        document.getElementById("main").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
    }"""
    page.evaluate(drop, ["people.md", PEOPLE.decode()])
    page.get_by_role("button", name="Remove people.md").wait_for()
    page.evaluate(drop, ["people.exe", "MZ"])
    page.get_by_text("people.exe cannot be used: its kind '.exe' is not known").wait_for()
    ask(page, "Who built the lighthouse of Skerry Point?")
    answer(page, "Ottoline Marsh")
    assert "people.md" in page.locator(".sources").inner_text()
    notes = tmp_path / "notes.txt"
    notes.write_text("Another text.")
    page.get_by_label("documents", exact=False).locator("input").or_(page.locator("#files")).first.set_input_files(
        notes
    )
    page.get_by_role("button", name="Remove notes.txt").wait_for()
    page.get_by_role("button", name="Remove people.md").click()
    page.get_by_role("button", name="Remove people.md").wait_for(state="detached")


def test_a_key_is_asked_for(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(rules=DoorRules(keys=("the right one",))), ready=False)
    page.get_by_label("Key", exact=True).fill("another")
    page.get_by_role("button", name="Use it").click()
    page.get_by_text("the API key is missing or not known").wait_for()
    page.get_by_label("Key", exact=True).fill("the right one")
    page.get_by_role("button", name="Use it").click()
    page.wait_for_selector("html[data-ready]")
    ask(page)
    answer(page, live.ANSWER)
    assert page.evaluate("JSON.stringify(localStorage)").find("the right one") < 0


HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> [click](javascript:alert(3)) "
    "[data](data:text/html,<script>alert(4)</script>) <a href='javascript:alert(5)'>x</a> <svg/onload=alert(6)> "
    '`<b>` "]; click q1 call alert(7) %% --> \u202e {{9}} </textarea><script>alert(8)</script>'
)


def test_nothing_that_was_written_is_markup(serve: Serve, open_page: Open) -> None:
    """Of a question, a plan, a tool, an answer and arguments; a dialog would fail the test (`open_page`)."""

    @tool
    def search(query: str) -> str:
        """Looks facts up. <img src=x onerror=alert(9)>"""
        return HOSTILE

    plan = plan_json(("search", f"a? {HOSTILE.replace('{{9}}', '')}", []))
    page = open_page(serve(live.parts(plan, live.always(HOSTILE), [search]), examples=[HOSTILE]))
    page.get_by_label("Review plans").check()
    page.locator("#examples button").click()
    page.get_by_role("button", name="Run the plan").click()
    page.locator(".foot", has_text="joiner").wait_for()
    for summary in page.locator("summary").all():
        summary.click()
    page.wait_for_timeout(300)
    assert page.locator("main script, main img, main iframe, main svg:not(.edges)").count() == 0
    assert page.locator("a[href^='javascript' i], a[href^='data' i], [onerror], [onload], [onclick]").count() == 0
    assert "<script>alert(1)</script>" in page.locator(".answer-text").inner_text()
    assert "<img src=x onerror=alert(2)>" in page.locator("li.card").inner_text()
    assert "click (javascript:alert(3))" in page.locator(".answer-text").inner_text()


def test_links_lead_to_web_pages_in_a_tab_of_their_own(serve: Serve, open_page: Open) -> None:
    text = (
        "Answer: See [the page](https://example.org/a?b=1), **bold** and:\n\n1. `one`\n2. two\n\n```\n<b>code</b>\n```"
    )
    page = open_page(serve(live.parts(plan_json(), live.always(text))))
    ask(page)
    link = page.get_by_role("link", name="the page")
    link.wait_for()
    assert link.get_attribute("href") == "https://example.org/a?b=1"
    assert (link.get_attribute("rel"), link.get_attribute("target")) == ("noopener noreferrer nofollow", "_blank")
    assert page.locator(".answer-text ol li").count() == 2
    assert page.locator(".answer-text pre").inner_text() == "<b>code</b>"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_usable_at_360_pixels_in_light_and_dark(serve: Serve, open_page: Open, scheme: Any) -> None:
    page = open_page(serve(), viewport={"width": 360, "height": 740}, color_scheme=scheme)
    ask(page)
    answer(page, live.ANSWER)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    spent, theme = (page.locator(name).bounding_box() for name in ("#spent", "#theme"))
    assert spent is not None
    assert theme is not None
    assert abs(spent["y"] + spent["height"] / 2 - theme["y"] - theme["height"] / 2) < 4  # in one line
    for control in page.locator("#ask button:visible, #ask label:visible").all():
        box = control.bounding_box()
        assert box is None or box["x"] + box["width"] <= 360
    page.get_by_role("button", name="Conversations").click()
    page.get_by_role("button", name="New conversation").click()
    assert page.locator("article").count() == 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 247, 249)", "dark": "rgb(20, 23, 27)"}[scheme]


def test_a_theme_is_chosen_and_kept(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(), color_scheme="light")
    for _ in range(2):
        page.get_by_role("button", name="Theme").click()
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"


def test_it_is_used_by_keyboard_and_heard(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(live.parts(live.always(plan_json(("search", "Who founded Craigslist?", []))))))
    assert page.evaluate("document.activeElement.id") == "question"
    for role in ("banner", "navigation", "main"):
        assert page.get_by_role(role).count() == 1
    page.keyboard.press("Tab")  # documents
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # review
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("Who founded Craigslist, and when?")
    page.keyboard.press("Enter")
    page.get_by_role("form", name="Shall this plan run?").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Shall this plan run?"
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Run the plan":
            break
    page.keyboard.press("Enter")
    answer(page, "In Craig Newmark")
    said = page.locator("[role=status] span").all_text_contents()
    assert "The plan has 1 sub-question" in said
    assert "Shall this plan run?" in said
    assert "Sub-question 1: Craig Newmark" in said
    assert "Answer: In Craig Newmark" in said
    names = page.evaluate(
        "[...document.querySelectorAll('button, input, select, textarea')].filter((e) => !(e.labels?.length || "
        "e.ariaLabel || e.textContent.trim())).map((e) => e.outerHTML)"
    )
    assert names == []
