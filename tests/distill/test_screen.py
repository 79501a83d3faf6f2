"""Screening: plans are read, tried and graded; leaks and formats; and what goes into which file."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from anabranch.batch.files import read_jsonl, write_jsonl
from anabranch.codecs import decode_lines
from anabranch.distill import screen, screening
from anabranch.distill.options import ScreenOptions, Selection
from anabranch.distill.screen import Alone, Candidate, Outcome, Question
from anabranch.distill.selection import select
from anabranch.errors import ConfigurationError, DocumentError, EndpointError, MissingReplyError
from tests.fakes import ScriptedChatModel

ROLLS = Question(
    id="q", question="3 trays of 12 rolls, half sold. How many are left?", answer="18", results=("36", "18")
)
GOOD = "1 [calculator] How many rolls are in 3 trays of 12?\n2 [calculator] How many are left, if half of {1} are sold?"
OTHER = "1 [solve] How many rolls are there?\n2 [calculator] What is half of {1}?"
BAD = "1 [search] Who baked the rolls?"


def read(text: str) -> list[str]:
    return screen.leaks(decode_lines(text), ROLLS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD, []),
        ("1 [solve] How many are half of 36?", ["36"]),
        ("1 [solve] Are 18 left of 36?", ["18", "36"]),
        ("1 [solve] Are 18.00 left?", ["18"]),
        ("1 [solve] How many are 3 times 12, and 180 and 1.8?", []),
        ("1 [solve] What is 2 times 12?", []),  # half: the 2 is given
    ],
)
def test_numbers_that_the_question_does_not_give_are_leaks(text: str, told: list[str]) -> None:
    assert read(text) == told


def test_answers_in_words_leak_too() -> None:
    question = Question(id="q", question="Where was the writer of Salt born?", answer="Selden", results=("Ada Quist",))
    plan = decode_lines("1 [search] Who wrote Salt, ada quist?\n2 [search] Was {1} born in Seldenham?")
    assert screen.leaks(plan, question) == ["Ada Quist"]
    yes = question.model_copy(update={"answer": "yes", "results": ()})
    assert screen.leaks(decode_lines("1 [solve] Is it yes or no?"), yes) == []


def test_only_plans_that_the_grammar_allows_are_tried() -> None:
    assert screen.plan_of(GOOD)[1] == ""
    assert "not in the plan" in screen.plan_of("1 [solve] What is {7}?")[1]
    assert "not a sub-question" in screen.plan_of("first do this")[1]
    assert "weather" in screen.plan_of("1 [weather] Is it warm?")[1]
    assert "grammar" in screen.plan_of("2 [solve] What?")[1]
    assert [job.id for job in screen.planned_jobs({"q": ROLLS}, [candidate(0, GOOD), candidate(1, "DIRECT")])] == [
        "q/0"
    ]


def candidate(sample: int, plan: str, **more: Any) -> Candidate:
    return Candidate(id="q", sample=sample, plan=plan, **more)


def outcome(each: Candidate, right: int, of: int = 4, **more: Any) -> Outcome:
    return Outcome(**each.model_dump(exclude={"messages"}), right=right, of=of, ok=2 * right >= of, **more)


def selected(
    tried: list[tuple[Candidate, Outcome]], alone: Alone | None = None, **how: Any
) -> dict[str, list[dict[str, Any]]]:
    kept = {"q": alone} if alone else {}
    chosen = Selection(**{"held_out": 0.0, **how})
    return select({"q": ROLLS}, [c for c, _ in tried], [o for _, o in tried], kept, chosen).files


def test_right_and_wrong_plans_are_sorted() -> None:
    plans = [candidate(0, GOOD), candidate(1, BAD), candidate(2, OTHER)]
    files = selected(
        [(plans[0], outcome(plans[0], 4)), (plans[1], outcome(plans[1], 0)), (plans[2], outcome(plans[2], 2))]
    )
    assert [row["id"] for row in files["sd_t"]] == ["q/0", "q/1", "q/2"]
    assert [row["id"] for row in files["sd_r"]] == ["q/0", "q/2"]
    assert [row["sample"] for row in files["negatives"]] == [1]
    assert [row["id"] for row in files["pairs"]] == ["q/0>1", "q/2>1"]
    pair = files["pairs"][0]
    assert decode_lines(pair["chosen"]).sub_questions[0].text == "How many rolls are in 3 trays of 12?"
    assert pair["messages"][0]["role"] == "system"
    assert ROLLS.question in pair["messages"][1]["content"]


def test_both_plans_of_a_pair_are_routed_over_the_catalogue_of_its_prompt() -> None:
    plans = [candidate(0, GOOD), candidate(1, BAD)]
    tried = [(plans[0], outcome(plans[0], 4)), (plans[1], outcome(plans[1], 0))]
    for seed in range(20):
        (pair,) = selected(tried, seed=seed)["pairs"]
        offered = {line.partition(":")[0] for line in pair["messages"][0]["content"].splitlines() if ": " in line}
        for text in (pair["chosen"], pair["rejected"]):
            assert {question.route for question in decode_lines(text).sub_questions} <= offered


def test_a_plan_with_a_prompt_of_its_own_keeps_it() -> None:
    messages = ({"role": "user", "content": "as it was drawn"},)
    plans = [candidate(0, GOOD, messages=messages), candidate(1, BAD, messages=messages)]
    (pair,) = selected([(plans[0], outcome(plans[0], 4)), (plans[1], outcome(plans[1], 0))])["pairs"]
    assert pair["messages"] == list(messages)
    assert (pair["chosen"], pair["rejected"]) == (GOOD, BAD)


def test_leaks_and_bad_formats_are_shown_to_nobody() -> None:
    plans = [candidate(0, GOOD), candidate(1, BAD), candidate(2, "1 [weather] Warm?")]
    tried = [
        (plans[0], outcome(plans[0], 4, leak=("36",))),
        (plans[1], outcome(plans[1], 0)),
        (plans[2], outcome(plans[2], 0, 0, format="unknown route")),
    ]
    files = selected(tried)
    assert [row["id"] for row in files["sd_t"]] == ["q/1"]
    assert "sd_r" not in files
    assert "pairs" not in files
    assert [row["sample"] for row in files["negatives"]] == [1]


def test_a_plan_that_does_not_stop_loses_against_one_that_does() -> None:
    messages = ({"role": "user", "content": "as it was drawn"},)
    longer = f"{GOOD}\n3 [solve] And how many are that?"
    plans = [candidate(0, GOOD, messages=messages), candidate(1, longer, messages=messages)]
    tried = [(plans[0], outcome(plans[0], 4)), (plans[1], outcome(plans[1], 4, repeats=(3,)))]
    files = selected(tried)
    assert [row["id"] for row in files["sd_t"]] == ["q/0"]
    assert [(row["chosen"], row["rejected"]) for row in files["pairs"]] == [(GOOD, longer)]
    tried[1] = (plans[1], outcome(plans[1], 0, repeats=(3,)))
    assert [row["id"] for row in selected(tried)["pairs"]] == ["q/0>1"]
    assert "pairs" not in selected([(plans[1], outcome(plans[1], 4, repeats=(3,)))])


@pytest.mark.parametrize(
    ("right_alone", "direct"),
    [(4, True), (3, True), (2, False), (0, False)],  # the plans are right in 5 of 8 cases
)
def test_where_the_solver_alone_does_as_well_no_plan_is_taught(right_alone: int, direct: bool) -> None:
    plans = [candidate(0, GOOD), candidate(1, BAD)]
    tried = [(plans[0], outcome(plans[0], 4)), (plans[1], outcome(plans[1], 1))]
    files = selected(tried, Alone(right_alone, 4))
    assert files["direct"] == [{"id": "q", "right": right_alone, "of": 4, "direct": direct}]
    assert [row["completion"] == "DIRECT" for row in files["sd_r"]] == [direct]
    ids = {row["id"] for row in files["pairs"]}
    if direct:
        assert ids == {"q/DIRECT>1"}
    else:
        assert ids == {"q/0>1", "q/0>DIRECT"}
    assert all(row["completion"] != "DIRECT" for row in selected(tried, Alone(4, 4), direct=False)["sd_r"])


def test_nothing_is_known_where_neither_way_works() -> None:
    plan = candidate(0, GOOD)
    files = selected([(plan, outcome(plan, 0))], Alone(0, 4))
    assert files["direct"][0]["direct"] is False
    assert "sd_r" not in files


def test_pairs_are_few_differ_and_share_the_plans_out() -> None:
    right = [candidate(n, f"1 [calculator] How many rolls are in {n + 2} trays?") for n in range(3)]
    wrong = [candidate(9, "1 [search] Who baked?"), candidate(8, "1 [solve] Why are rolls round?")]
    same = candidate(7, "1 [search] How many rolls are in 2 trays?")
    tried = [(c, outcome(c, 4)) for c in right] + [(c, outcome(c, 0)) for c in (*wrong, same)]
    ids = [row["id"] for row in selected(tried, pairs=3)["pairs"]]
    assert len(ids) == 3
    assert len({pair.split(">")[0] for pair in ids}) == 3
    assert not any(pair.endswith("0>7") for pair in ids)
    assert len(selected(tried, pairs=0).get("pairs", [])) == 0
    close = [(right[0], outcome(right[0], 2)), (wrong[0], outcome(wrong[0], 1))]
    assert "pairs" not in selected(close)


def test_held_out_questions_have_files_of_their_own() -> None:
    share = sum(screen.held_out(f"row-{n}", 0.2) for n in range(2000)) / 2000
    assert 0.17 < share < 0.23
    assert screen.held_out("a", 1.0)
    assert not screen.held_out("a", 0.0)
    plan = candidate(0, GOOD)
    files = selected([(plan, outcome(plan, 4))], held_out=1.0)
    assert set(files) == {"sd_t_tune", "sd_r_tune"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [
        {"id": f"q{n}", "question": f"{n} trays of 12 rolls, 7 sold. How many are left?", "answer": str(12 * n - 7)}
        for n in range(3, 9)
    ]
    plans = [
        {"id": row["id"], "sample": sample, "plan": plan}
        for row in rows
        for sample, plan in enumerate([OTHER, BAD, "no plan"])
    ]
    write_jsonl(tmp_path / "questions.jsonl", rows)
    write_jsonl(tmp_path / "plans.jsonl", plans)
    return tmp_path


def solver(prompt: str) -> str:
    """Right along plans that compute, wrong along others and without one."""
    trays = int(re.findall(r"(\d+) trays", prompt)[0])
    return f"Well.\nAnswer: {12 * trays - 7 if 'half of' in prompt else 1}"


async def run(data: Path, model: Any, **more: Any) -> dict[str, Any]:
    files: dict[str, Any] = {
        "questions": data / "questions.jsonl",
        "plans": data / "plans.jsonl",
        "work": data / "work",
    }
    how = ScreenOptions(**files, solver=model, alone=2, held_out=0.3, price="1,2", **more)
    return await screening.screen(how)


async def test_the_stage_from_plans_to_files(data: Path) -> None:
    with (data / "plans.jsonl").open("a") as sink:
        sink.write(
            '{"id": "nobody", "plan": "DIRECT"}\n[1]\n{"id": "q3", "sample": 0, "plan": "DIRECT"}\n{"id": "q3"}\n'
        )
    model = ScriptedChatModel(script=solver)
    manifest = await run(data, model)
    assert manifest["results"] == {
        "plans": 18,
        "tried": 12,
        "ok": 6,
        "right_with_a_plan": 0.5,
        "right_alone": 0.0,
        "questions_with_a_right_plan": 6,
        "questions": 6,
        "leaking": 0,
        "repeating": 0,
        "not_in_the_format": 6,
    }
    rows = manifest["rows"]
    assert rows["sd_t"] + rows["sd_t_tune"] == 12
    assert rows["sd_r"] + rows["sd_r_tune"] == 6
    assert rows["pairs"] + rows["pairs_tune"] == 12  # right against wrong, and right against DIRECT
    assert rows["sd_r_tune"] > 0
    assert rows["negatives"] == rows["direct"] == 6
    assert {reason: entry["rows"] for reason, entry in manifest["left_out"].items()} == {
        "of a question that is not there": 1,
        "not a JSON object": 1,
        "a sample number that the question has already": 1,
        "no valid plan": 1,
    }
    assert manifest["solver_took"]["prompts"] == 18
    assert manifest["solver_took"]["usd"] > 0
    assert json.loads((data / "work" / "screen.json").read_text())["rows"] == rows
    held_out = {row["id"].partition("/")[0] for row in read_jsonl(data / "work" / "pairs_tune.jsonl")}
    shown = {row["id"].partition("/")[0] for row in read_jsonl(data / "work" / "pairs.jsonl")}
    assert not held_out & shown
    asked = len(model.prompts)
    assert (await run(data, model))["rows"] == rows
    assert len(model.prompts) == asked  # all answers are there


async def test_a_solver_that_fails_half_way_is_gone_on_with(data: Path) -> None:
    replies = [solver(f" {n} trays half of") if n != 5 else TimeoutError("away") for n in range(3, 9)]
    with pytest.raises(EndpointError, match="away"):
        await run(data, ScriptedChatModel(script=replies))
    kept = len(list(read_jsonl(data / "work" / "solver_guided.jsonl")))
    going_on = ScriptedChatModel(script=solver)
    await run(data, going_on)
    assert kept > 0
    assert len(going_on.prompts) == 12 + 6 * 2 - kept


async def test_a_solver_elsewhere_gets_a_file_of_prompts(data: Path) -> None:
    assert await run(data, None) == {"requests": 18}
    requests = list(read_jsonl(data / "work" / "solver_requests.jsonl"))
    answers = data / "answers.jsonl"
    write_jsonl(
        answers, ({"id": row["custom_id"], "texts": [solver(str(row["body"]["messages"]))]} for row in requests)
    )
    there = await run(data, None, replies=answers)
    live = await run(data, ScriptedChatModel(script=solver))
    assert there["results"] == live["results"]
    assert there["rows"] == live["rows"]
    write_jsonl(answers, list(read_jsonl(answers))[1:])
    with pytest.raises(MissingReplyError, match="lacks 1 of 12 replies"):
        await run(data, None, replies=answers)


async def test_nothing_to_screen_is_said(data: Path) -> None:
    write_jsonl(data / "plans.jsonl", [{"id": "nobody", "plan": "DIRECT"}])
    with pytest.raises(ConfigurationError, match="1 are of a question that is not there"):
        await run(data, None)
    (data / "plans.jsonl").unlink()
    with pytest.raises(DocumentError, match="cannot be read"):
        await run(data, None)


async def test_a_small_solver_runs_plans_step_by_step(data: Path) -> None:
    from anabranch.agents.models import RoleModel

    def step(prompt: str) -> str:
        if '"expression"' in prompt or "arguments" in prompt:
            return '{"expression": "36 / 2"}'
        return "Answer: 1" if "Think step by step" in prompt else "36 rolls"

    small = RoleModel(ScriptedChatModel(script=step), small=True)
    manifest = await run(data, small)
    assert manifest["results"]["tried"] == 12
    texts = [row["texts"] for row in read_jsonl(data / "work" / "solver_run.jsonl")]
    assert ["Answer: 18"] in texts  # half of what was found, by the calculator
