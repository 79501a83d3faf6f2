"""What an MCP server asks a person, on the page and over its requests: a real server on standard input and output."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from anabranch.tools import McpServers
from tests.browser import Open
from tests.graphs.scripts import plan_json
from tests.serving import live
from tests.serving.conftest import Serve
from tests.serving.page.client import Client, of_type
from tests.serving.page.test_browser import answer, ask, card
from tests.tools.test_mcp_servers import FIXTURE

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket, pytest.mark.timeout(180)]
QUESTION = "How much is a pizza for all of us?"
SHOWN = "{'count': 2, 'extras': ['basil'], 'gift': True, 'size': 'l'} and {'street': 'Elm Street'}"


def solver(prompt: str) -> str:
    if "9 euros for " in prompt:
        return "Answer: " + prompt[prompt.rindex("9 euros for ") :].splitlines()[0]
    return '{"dish": "pizza"}'


@pytest.fixture
def url(serve: Serve) -> Iterator[str]:
    config = {"mcpServers": {"kitchen": {"command": sys.executable, "args": [str(FIXTURE)]}}}
    with McpServers(config) as servers:
        yield serve(live.parts(plan_json(("quote", "How much is a pizza?", [])), solver, list(servers)))


def test_it_is_asked_and_answered_over_the_pages_requests(url: str) -> None:
    client = Client(url)
    (asked,) = of_type(client.run(question=QUESTION), "interrupts")[0]["interrupts"]
    assert asked["elicitation"]["message"] == "Which pizza?"
    assert client.show()["turns"][0]["interrupts"] == [asked]
    wrong = {"action": "accept", "content": {"size": "m", "count": 1}}
    (again,) = of_type(client.run(decisions={asked["id"]: wrong}), "interrupts")[0]["interrupts"]
    assert again["error"].startswith("size: ")
    events = client.run(decisions={again["id"]: "decline"})
    assert of_type(events, "answer")[0]["answer"] == "9 euros for decline: Which pizza?"


def send(form: Any, count: str) -> None:
    form.get_by_label("Size").select_option(label="Large")
    form.get_by_label("How many").fill(count)
    form.get_by_label("It is a gift").check()
    form.get_by_role("group", name="Extras (optional)").get_by_label("basil").check()
    form.get_by_role("button", name="Send").click()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (360, "light"), (360, "dark")])
def test_it_is_answered_in_a_form(url: str, open_page: Open, width: int, scheme: Any) -> None:
    page = open_page(url, viewport={"width": width, "height": 800}, color_scheme=scheme)
    ask(page, QUESTION)
    form = page.get_by_role("form", name="kitchen asks you")
    form.get_by_text("Which pizza?").wait_for()
    card(page, 1, "waiting")
    assert page.evaluate("document.activeElement.textContent") == "kitchen asks you"
    send(form, "12")
    form.get_by_text("How many: ").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.reload()  # it still waits
    send(form, "2")
    form.get_by_text("Where to?").wait_for()
    form.get_by_label("street").fill("Elm Street")
    page.keyboard.press("Enter")
    answer(page, SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize(("button", "action"), [("Decline", "decline"), ("Cancel", "cancel")])
def test_a_person_need_not_answer(url: str, open_page: Open, button: str, action: str) -> None:
    page = open_page(url)
    ask(page, QUESTION)
    page.get_by_role("form").get_by_role("button", name=button).click()
    answer(page, f"9 euros for {action}: Which pizza?")
