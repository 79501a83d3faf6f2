"""The report: the numbers of the run, whatever models wrote escaped, and nothing from elsewhere."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from anabranch.batch.examples import Example
from anabranch.errors import ConfigurationError
from anabranch.evals.records import Described, Manifest, Record, RunFolder, Tokens
from anabranch.evals.report import write_report
from anabranch.evals.report.drawing import draw
from anabranch.evals.report.markup import Markup, element, text
from anabranch.evals.report.plot import Point, front, scatter
from anabranch.evals.summary import summarize
from anabranch.plan import Answer, Plan, SubQuestion

EVIL = "<script>alert(1)</script> & \"'\x00\x1b[31m\u202e]]>"
PLAN = Plan(sub_questions=(SubQuestion(id=1, text=f"a {EVIL}"), SubQuestion(id=2, text="b {1}")))
VOID = {"meta", "line", "rect", "circle", "path", "polyline", "br"}


def described(name: str, **more: object) -> Described:
    values = {"name": name, "label": f"{name} (solver m)", "fingerprint": name, "solver": "m", **more}
    return Described.model_validate(values)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Ten questions: chain of thought gets five right, the plan other five and one more, at three times the tokens."""
    made = RunFolder(tmp_path / "run")
    examples = [Example(id=f"q{n}", question=f"{n}? {EVIL}", answers=(str(n),)) for n in range(10)]
    price = {"price": (1.0, 2.0)}
    systems = (described("cot", **price), described("static", decomposer="d", decomposer_price=(0.1, 0.1), **price))
    manifest = Manifest(
        task="gsm8k", data="q.jsonl", data_hash="x", seed=1, limit=None, systems=systems, problems=(f"line 3: {EVIL}",)
    )
    made.open(manifest, examples)
    file = made.appending()
    for n in range(10):
        right = n < 5
        file.add(
            Record(
                system=systems[0].label,
                fingerprint="cot",
                id=f"q{n}",
                reply=f"so {EVIL}\nAnswer: {n if right else EVIL}",
                solving=Tokens(calls=1, input=60, output=40),
                seconds=1.0 + n,
            ).line
        )
        file.add(
            Record(
                system=systems[1].label,
                fingerprint="static",
                id=f"q{n}",
                reply=f"{EVIL}\nAnswer: {n if n >= 4 else 77}",
                plan=PLAN,
                answers=(Answer(id=1, text=EVIL), Answer(id=2, status="failed", error=EVIL)),
                problems=(EVIL,),
                flags=("refused",) if n == 9 else (),
                extra={"program": EVIL},
                decomposing=Tokens(calls=1, input=100, output=50),
                solving=Tokens(calls=1, input=100, output=50),
            ).line
        )
    file.close()
    return made


def test_the_numbers(folder: RunFolder) -> None:
    summary = summarize(folder)
    cot, static = summary.systems
    assert (cot.metrics["em"].value, static.metrics["em"].value) == (50, 60)
    assert static.versus is not None
    assert (static.versus.value, static.versus.n) == (10, 10)
    assert static.versus.low < 10 < static.versus.high
    assert (cot.tokens_each, static.tokens_each) == (100, 300)
    assert cot.usd_each == pytest.approx((60 + 80) / 1e6)
    assert static.money.decomposing == pytest.approx(10 * 15 / 1e6)
    assert static.money.total == pytest.approx(10 * (15 + 200) / 1e6)
    assert cot.seconds == (5.5, 10.0, 10)
    assert [ours.example.id for ours, _ in summary.hurt(static)] == ["q0", "q1", "q2", "q3"]
    assert [ours.example.id for ours, _ in summary.helped(static)] == [f"q{n}" for n in range(5, 10)]
    equal = summary.at_equal_cost(static)
    assert equal is not None
    assert (equal[0].system.name, equal[1].value) == ("cot", 10)
    assert summary.at_equal_cost(cot) is None
    other = summarize(folder, baseline="static", paper_grading=True)
    assert other.systems[0].versus is not None
    assert other.systems[0].versus.value == -10
    assert other.systems[0].metrics["paper"].value == 50
    with pytest.raises(ConfigurationError, match="no system 'x'; use one of: cot"):
        summarize(folder, baseline="x")


class Checker(HTMLParser):
    """Every element is closed, and none loads or runs anything."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href", "action", "style")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(folder: RunFolder) -> None:
    shown = write_report(summarize(folder), folder.path)
    page = (folder.path / "report.html").read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert {"table", "svg", "details", "figure", "style"} <= set(checker.seen)
    assert not re.search(r"url\(|@import|https?://", page)
    assert page.count("<script") == 0
    assert "&lt;script&gt;" in page
    assert not re.search("[\x00\x1b\u202e]", page)
    assert "prefers-color-scheme: dark" in page
    assert "cot right, static not: 4" in page
    assert "static right, cot not: 5" in page
    assert "| static | 10 | 60.0 ± 16.3 |" in shown


def test_markdown_and_json_say_the_same(folder: RunFolder) -> None:
    write_report(summarize(folder), folder.path)
    data = json.loads((folder.path / "report.json").read_text(encoding="utf-8"))
    static = data["systems"][1]
    assert static["metrics"]["em"]["value"] == 60
    assert static["hurt"] == ["q0", "q1", "q2", "q3"]
    assert static["usd"]["total"] == pytest.approx(0.00215)
    assert len(static["records"]) == 10
    assert data["reference"]["rows"][0] == {"system": "single stage, no reasoning", "closest": "direct", "value": 20.3}
    text_ = (folder.path / "report.md").read_text(encoding="utf-8")
    assert "67.0 / 67.8" in text_
    assert "it is not comparable" in text_
    assert "line 3" in text_
    for line in text_.splitlines():
        if line.startswith("| static"):
            assert len(re.findall(r"(?<!\\)\|", line)) > 2


def test_an_unpriced_model_is_unknown_and_not_free(folder: RunFolder) -> None:
    manifest = folder.manifest()
    systems = tuple(system.model_copy(update={"price": None}) for system in manifest.systems)
    (folder.path / "manifest.json").write_text(manifest.model_copy(update={"systems": systems}).model_dump_json())
    summary = summarize(folder)
    assert [system.usd_each for system in summary.systems] == [None, None]
    assert summary.systems[1].money.decomposing is not None
    assert "unknown" in write_report(summary, folder.path)


def test_nothing_answered_yet_is_a_report_too(tmp_path: Path) -> None:
    made = RunFolder(tmp_path)
    manifest = Manifest(task="own", data="d", data_hash="x", seed=0, limit=None, systems=(described("cot"),))
    made.open(manifest, [Example(id="1", question="q?", answers=("a",))])
    assert "| cot | 0 |" in write_report(summarize(made), tmp_path)
    assert "Nothing is answered yet" in (tmp_path / "report.html").read_text()


def test_elements_escape_what_is_not_markup() -> None:
    drawn = element("p", "<b>", Markup("<i></i>"), class_='x"y', data_id=3, hidden=True, title=None)
    assert drawn == '<p class="x&quot;y" data-id="3" hidden>&lt;b&gt;<i></i></p>'
    assert text("a\x00\ud800b") == "ab"
    assert element("line", x1=1) == '<line x1="1"/>'


def test_a_drawn_plan_is_well_formed_and_has_a_box_for_each() -> None:
    answers = {1: Answer(id=1, text=EVIL), 2: Answer(id=2, status="failed", error="away")}
    root = ElementTree.fromstring(draw(PLAN, answers))
    boxes = [group for group in root.iter("g") if (group.get("class") or "").startswith("box")]
    assert [box.get("class") for box in boxes] == ["box done", "box failed"]
    assert len(list(root.iter("path"))) == 1
    svg = next(root.iter("svg"))
    assert "Plan of 2 sub-questions." in (svg.get("aria-label") or "")
    width = float(svg.get("width") or 0)
    assert all(float(rect.get("x") or 0) + float(rect.get("width") or 0) <= width for rect in root.iter("rect"))
    assert "answered directly" in draw(Plan(), {})


def test_the_pareto_front() -> None:
    points = [
        Point(1, 50, 1, "a"),
        Point(2, 40, 1, "b"),
        Point(3, 60, 1, "c"),
        Point(3, 70, 1, "d"),
        Point(9, 70, 1, "e"),
    ]
    assert [point.name for point in front(points)] == ["a", "d"]
    root = ElementTree.fromstring(scatter(points, x_title="x <", y_title="y"))
    places = [float(circle.get("cx") or 0) for circle in root.iter("circle")]
    assert places == sorted(places)
    assert all(0 < place < 720 for place in places)
    for alone in ([Point(0, 0, 0, "a")], [Point(5, 100, 0, "a")], [Point(1, 10, 0, "a"), Point(1e6, 10, 0, "b")]):
        drawn = ElementTree.fromstring(scatter(alone, x_title="x", y_title="y"))
        assert all(0 < float(circle.get("cy") or 0) < 380 for circle in drawn.iter("circle"))
