"""The page's own files: open to everybody, with a policy that lets nothing else run."""

import re
from pathlib import Path

import httpx
import pytest

from anabranch.serving.door import DoorRules
from anabranch.serving.page import assets
from tests.serving.conftest import Serve
from tests.serving.page.client import Client

FOLDER = Path(assets.__file__).parent / "assets"
SCRIPTS = sorted(FOLDER.glob("*.js"))


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_files_are_open_and_all_else_wants_the_key(serve: Serve) -> None:
    url = serve(rules=DoorRules(keys=("right",), rate="100/minute"))
    for path in assets.paths():
        reply = httpx.get(f"{url}{path}")
        assert reply.status_code == 200
        assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert reply.headers["x-content-type-options"] == "nosniff"
    for method, path in (
        ("GET", "/page/settings"),
        ("GET", "/page/thread"),
        ("POST", "/page/runs"),
        ("PUT", "/page/documents?name=a.txt"),
        ("DELETE", "/page/thread"),
        ("GET", "/page/other"),
        ("GET", "/page/../page/settings"),
    ):
        assert httpx.request(method, f"{url}{path}", json={}).status_code == 401
    assert Client(url, "right").http.get("/page/settings").status_code == 200
    assert Client(url, "wrong").http.get("/page/settings").status_code == 401


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_requests_of_the_page_count_against_the_rate(serve: Serve) -> None:
    client = Client(serve(rules=DoorRules(rate="2/minute")))
    assert [client.http.get("/page/settings").status_code for _ in range(3)] == [200, 200, 429]
    assert client.http.get("/").status_code == 200


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_a_file_that_the_browser_has_is_not_sent_again(serve: Serve) -> None:
    url = serve()
    tag = httpx.get(f"{url}/page/main.js").headers["etag"]
    assert httpx.get(f"{url}/page/main.js", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_there_need_be_no_page(serve: Serve) -> None:
    url = serve(page=False)
    assert httpx.get(f"{url}/").status_code == 404
    assert Client(url).http.get("/page/settings").status_code == 404


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_markup_of_text(script: Path) -> None:
    """The browser would refuse it (Trusted Types); here it is seen before."""
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setTimeout\(\"|srcdoc"
    assert not re.search(banned, script.read_text())
    assert len(script.read_text().splitlines()) <= 400


def test_nothing_comes_from_another_address() -> None:
    for file in FOLDER.iterdir():
        found = set(re.findall(r"https?://[^\s\"'`]+", file.read_text())) - {"http://www.w3.org/2000/svg"}
        # The pattern of links that an answer may have.
        assert not {address for address in found if "\\" not in address}


def test_all_modules_are_asked_for_at_once() -> None:
    """And not each where another is found to import it."""
    page = (FOLDER / "index.html").read_text()
    assert {script.name for script in SCRIPTS} == set(re.findall(r'="/page/([a-z]+\.js)"', page))
