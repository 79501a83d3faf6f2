"""Task rows: drawn from schemas, and the teacher's replies that will do."""

import json
import re
from collections.abc import Callable
from random import Random

import pytest

from anabranch.codecs import decode_lines
from anabranch.tools.retrieval import ToolText
from benchmarks.toolplans import families
from benchmarks.toolplans.clauses import Call, Tool, clause
from benchmarks.toolplans.customs import custom
from benchmarks.toolplans.draw import Drawer, asking, hidden, seeds
from benchmarks.toolplans.mixed import mixed
from benchmarks.toolplans.phrases import Made
from benchmarks.toolplans.rows import natural, problem, terse
from benchmarks.toolplans.services import service
from benchmarks.toolplans.things import thing
from benchmarks.toolplans.worlds import world

KINDS = ("boat", "train", "plane", "lorry", "tram", "ferry", "bus", "bike")


def tool(verb: str, kind: str, **parameters: str) -> Tool:
    name, description = f"{verb}_{kind}", f"{verb.capitalize()} a {kind} of the {kind} company"
    return Tool(ToolText(name, description, tuple(parameters)), f"Travel/{kind}", parameters)


TOOLS = [
    made
    for kind in KINDS
    for made in (
        tool("find", kind, town="The town (e.g., Graz, Oslo)"),
        tool("book", kind, booking_id="The booking", day="The day"),
    )
]


def test_what_a_call_is_to_do_has_all_its_values() -> None:
    call = Call(TOOLS[1], {"booking_id": "{1}", "day": "today"})
    assert clause(call) == "Book a boat of the boat company on today with booking id {1}"
    assert clause(call, spoken=True).endswith("with booking id that the first task finds")


def test_seeds_are_plans_over_their_catalogues() -> None:
    for seed in seeds(Drawer(TOOLS, 1), 20):
        plan = decode_lines(seed["completion"])
        routes = [line.partition(": ")[0] for line in seed["messages"][0]["content"].split("Routes:\n")[1].split("\n")]
        assert 1 <= len(plan.sub_questions) <= 6
        assert {question.route for question in plan.sub_questions} <= set(routes)
        assert all(value in seed["messages"][1]["content"] for value in seed["values"])
        assert json.dumps(asking(seed, "teacher", Random(1), 0))


def test_a_hidden_look_up_is_in_the_plan_and_not_in_the_request() -> None:
    (row,) = hidden(Drawer(TOOLS, 2), 1)
    plan = decode_lines(row["completion"])
    assert plan.sub_questions[1].depends_on == (1,)
    assert "that the first" not in row["messages"][1]["content"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Could you book the boat B-12 for today?", None),
        ("Could you book the boat for today?", "a value is lost"),
        ("Sure, book the boat B-12 today.", "it talks of tasks, or is a list"),
        ("Book B-12 today, for 99 people.", "it has a number of its own"),
        ("B-12 today " + "please " * 40, "too short or too long"),
    ],
)
def test_replies_that_will_do(text: str, why: str | None) -> None:
    assert problem(text, {"values": ["B-12", "today"], "tasks": ["Book a boat with booking id B-12 on today"]}) == why


def test_marks_of_the_prompt_go_and_descriptions_may_say_little() -> None:
    text = natural("book boat (booking id = 7; day = today) with what the first task finds", Random(1))
    assert text.startswith("book boat with booking id 7, day today with ")
    assert "task" not in text
    short = terse("Head\nRoutes:\nsolve: alone\nbook_boat: Books a boat.", Random(1))
    assert "Books a boat" not in short
    assert short.split("\n")[2] == "solve: alone"


@pytest.mark.parametrize("maker", [world, service, thing, custom])
def test_requests_over_families_have_every_value_that_their_calls_have(maker: Callable[[Random], Made]) -> None:
    for seed in range(60):
        made = maker(Random(seed))
        assert made.steps
        assert {key for key, _ in made.steps} <= set(made.tools)
        for place, (_, text) in enumerate(made.steps):
            assert all(int(slot) <= place for slot in re.findall(r"\{(\d+)\}", text))
            assert all(number in made.request for number in re.findall(r"\d{3,}", text))


def test_what_a_request_does_not_say_is_found_first() -> None:
    made = next(made for made in map(world, map(Random, range(50))) if re.match(r"Who \w+ \w", made.request))
    assert made.steps[0][0] in ("search", "search_person", "popular", "top", "latest", "upcoming")
    assert "{1}" in made.steps[1][1]


def test_rows_over_families_are_plans_over_their_catalogues_and_none_comes_twice() -> None:
    found = list(families.rows(Drawer(TOOLS, 3), 40))
    requests = [row["messages"][1]["content"] for row in found]
    assert len(set(requests)) == len(found) == 40
    for row in found:
        routes = [line.partition(": ")[0] for line in row["messages"][0]["content"].split("Routes:\n")[1].split("\n")]
        assert {question.route for question in decode_lines(row["completion"]).sub_questions} <= set(routes)


def test_customs_are_kept_that_no_request_says() -> None:
    found = [custom(Random(seed)) for seed in range(400)]
    for made in found:
        keys = [key for key, _ in made.steps]
        if "book" in keys and "search" in made.tools:
            assert keys[keys.index("book") - 1] == "search", made.request
        if "login" in made.tools:
            assert keys[0] == "login"
            assert keys.count("login") == 1
        assert all(keys.count(key) == 1 for key in keys if key != "search"), "one call for several wishes alike"


def test_rows_with_customs_are_plans_over_their_catalogues() -> None:
    found = list(families.rows(Drawer(TOOLS, 3), 30, customs=1.0))
    assert {row["field"] for row in found} == {"families/custom"}
    assert all(decode_lines(row["completion"]).sub_questions for row in found)


def test_two_requests_in_one_do_not_need_each_other() -> None:
    one, other = thing(Random(1)), world(Random(2))
    joined = families.both(one, other)
    assert len(joined.steps) == len(one.steps) + len(other.steps)
    slots = [int(slot) for _, text in joined.steps[len(one.steps) :] for slot in re.findall(r"\{(\d+)\}", text)]
    assert slots
    assert min(slots) > len(one.steps)
    assert families.both(other, world(Random(3))) is other


@pytest.mark.parametrize(("share", "replayed"), [(1.0, 4), (2.0, 8), (9.0, 10)])
def test_a_stage_has_all_task_rows_and_its_own_half_of_the_original_mixture(share: float, replayed: int) -> None:
    tasks, original = [f"task {n}\n" for n in range(4)], [f"old {n}\n" for n in range(20)]
    first, second = (mixed(tasks, original, part, share) for part in (1, 2))
    assert sorted(first)[-4:] == sorted(second)[-4:] == tasks
    olds = [{row for row in rows if row.startswith("old")} for rows in (first, second)]
    assert [len(old) for old in olds] == [replayed, replayed]
    assert not olds[0] & olds[1]
    assert mixed(tasks, original, 1, share) == first != [*tasks, *sorted(olds[0])]


def test_a_wider_adapter_computes_the_same() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.toolplans.widen import widened

    a, b = torch.randn(2, 5).half(), torch.randn(3, 2).half()
    wide = widened({"q.lora_A.weight": a, "q.lora_B.weight": b}, 4)
    wide_a, wide_b = wide["q.lora_A.weight"], wide["q.lora_B.weight"]
    assert (wide_a.shape, wide_b.shape) == ((4, 5), (3, 4))
    assert torch.equal(wide_b.float() @ wide_a.float(), b.float() @ a.float())
    assert wide_a[2:].abs().min() > 0
