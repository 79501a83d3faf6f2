"""`anabranch distill`: light help, a stage against a real address, resuming, and errors that say what to do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from anabranch.batch.files import read_jsonl, write_jsonl
from anabranch.cli import app
from tests.cli.test_light import HEAVY, PROBE
from tests.distill.test_screen import BAD, OTHER, solver
from tests.openai_server import OpenAIServer, prompt_of

STAGES = (
    "demonstrate",
    "build",
    "read",
    "solutions",
    "draw",
    "screen",
    "train",
    "prefer",
    "reinforce",
    "export",
    "score",
)


def distill(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["distill", *map(str, arguments)])


@pytest.mark.parametrize("arguments", [(), *((stage,) for stage in STAGES), ("score", "plans")])
def test_help_is_light(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", PROBE % (HEAVY,), "distill", *arguments, "--help"]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "HEAVY:"
    assert all(stage in process.stdout for stage in (STAGES if not arguments else ()))


@pytest.fixture
def questions(home: Path) -> Path:
    rows = [{"id": f"q{n}", "question": f"{n} trays of 12 rolls, 7 sold?", "answer": str(12 * n - 7)} for n in (3, 4)]
    write_jsonl(home / "questions.jsonl", rows)
    plans = [{"id": row["id"], "sample": n, "plan": plan} for row in rows for n, plan in enumerate((OTHER, BAD))]
    write_jsonl(home / "plans.jsonl", plans)
    return home


SCREEN = ("screen", "--questions", "questions.jsonl", "--plans", "plans.jsonl", "--work", "work")


@pytest.mark.loopback
def test_a_stage_against_an_address(questions: Path, server: OpenAIServer) -> None:
    server.script = lambda request: solver(prompt_of(request))
    options = ("--solver", server.url, "--price", "1,2", "--held-out", "0")
    result = distill(*SCREEN, *options)
    assert result.exit_code == 0, result.stderr
    made = json.loads(result.stdout)
    assert made["results"]["ok"] == 2
    assert made["solver_took"]["usd"] > 0
    assert "solver_guided.jsonl: 4 of 4 replies" in result.stderr
    assert len(list(read_jsonl(questions / "work" / "pairs.jsonl"))) == 4
    asked = len(server.requests)
    assert distill(*SCREEN, *options, "--quiet").stderr == ""
    assert len(server.requests) == asked


@pytest.mark.loopback
def test_a_failed_stage_says_how_to_go_on(questions: Path, server: OpenAIServer) -> None:
    server.script = lambda request: (400, {"error": {"message": "too long"}})
    result = distill(*SCREEN, "--solver", server.url)
    assert result.exit_code == 1
    assert "too long" in result.stderr
    assert "run the same command again to go on" in result.stderr


@pytest.mark.loopback
def test_a_teacher_s_solutions(questions: Path, server: OpenAIServer) -> None:
    server.script = lambda request: "So many.\nAnswer: 29"
    command = ("solutions", "--questions", "questions.jsonl", "--work", "work", "--teacher", server.url, "--quiet")
    made = json.loads(distill(*command).stdout)
    assert made["rows"] == {"se_a": 1, "se_a_tune": 1, "se_t": 1, "se_t_tune": 1}
    assert made["teacher_right"] == 1
    rows = [row for name in ("se_a", "se_a_tune") for row in read_jsonl(questions / "work" / f"{name}.jsonl")]
    asked = [request["messages"] for request in server.requests]  # at the same time, so in any order
    assert sorted(map(str, asked)) == sorted(str(row["messages"]) for row in rows)
    assert distill(*command).exit_code == 0
    assert len(server.requests) == 2


def test_a_solver_elsewhere(questions: Path) -> None:
    assert json.loads(distill(*SCREEN).stdout) == {"requests": 6}
    rows = list(read_jsonl(questions / "work" / "solver_requests.jsonl"))
    assert [row["body"]["model"] for row in rows] == ["solver"] * 6
    assert json.loads(distill(*SCREEN, "--solver", "batch:m").stdout) == {"requests": 6}
    assert next(read_jsonl(questions / "work" / "solver_requests.jsonl"))["body"]["model"] == "m"
    texts = ({"id": row["custom_id"], "texts": [solver(prompt_of(row["body"]))]} for row in rows)
    write_jsonl(questions / "replies.jsonl", texts)
    made = json.loads(distill(*SCREEN, "--solver", "batch:m", "--replies", "replies.jsonl").stdout)
    assert (made["solver"], made["results"]["ok"]) == ("m", 2)


@pytest.mark.loopback
def test_what_was_screened_is_taken_again(questions: Path, server: OpenAIServer) -> None:
    server.script = lambda request: solver(prompt_of(request))
    first = json.loads(distill(*SCREEN, "--solver", server.url).stdout)
    asked = len(server.requests)
    again = ("screen", "--questions", "questions.jsonl", "--screened", "work/screened.jsonl", "--work", "again")
    made = json.loads(distill(*again, "--quiet").stdout)
    assert (made["results"], made["rows"]) == (first["results"], first["rows"])
    assert len(server.requests) == asked


def test_a_decomposer_elsewhere(questions: Path) -> None:
    command = ("draw", "--questions", "questions.jsonl", "--work", "work", "--decomposer", "batch:m")
    assert json.loads(distill(*command).stdout) == {"requests": 2}
    write_jsonl(questions / "replies.jsonl", [{"id": f"q{n}", "texts": [OTHER]} for n in (3, 4)])
    assert json.loads(distill(*command, "--replies", "replies.jsonl").stdout)["plans"] == 2


TRAIN = ("train", "--rows", "rows.jsonl", "--held-out", "rows.jsonl", "--out", "out")


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ((*SCREEN, "--solver", "local", "--replies", "x"), "goes with --solver batch:NAME", 2),
        (("demonstrate", "--data", "x", "--work", "w", "--replies", "x"), "goes with --teacher batch:NAME", 2),
        ((*SCREEN, "--protocol", "some"), "unknown protocol 'some'", 2),
        ((*SCREEN, "--screened", "plans.jsonl"), "leave out --plans, --solver and --replies", 2),
        (("screen", "--questions", "questions.jsonl", "--work", "work"), "there are no plans", 2),
        ((*SCREEN, "--price", "much"), "is not IN,OUT", 2),
        ((*SCREEN, "--replies", "nowhere.jsonl"), "nowhere.jsonl cannot be read", 2),
        (("demonstrate", "--data", "nowhere", "--work", "work"), "nowhere holds none of", 2),
        (("build", "--data", "nowhere", "--work", "work"), "nowhere holds none of", 2),
        (("build", "--data", ".", "--work", "work", "--leave-out", "x"), "unknown source 'x' to leave out", 2),
        (("solutions", "--questions", "nowhere.jsonl", "--work", "work"), "nowhere.jsonl cannot be read", 2),
        (("solutions", "--questions", "plans.jsonl", "--work", "work"), "no question of plans.jsonl can be used", 2),
        ((*TRAIN, "--base", "no-such-model"), "neither a folder nor a hub id", 2),
        (("export", "--adapter", "nowhere", "--out", "out"), "cannot read nowhere/adapter_config.json", 1),
        (("score", "routes", "--rows", "nowhere.jsonl", "--out", "out"), "nowhere.jsonl cannot be read", 2),
    ],
)
def test_mistakes_are_one_line(questions: Path, arguments: tuple[str, ...], message: str, code: int) -> None:
    result = distill(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_training_runs_where_only_torch_transformers_and_peft_are() -> None:
    """The modules of the training stages import nothing else, so that they run on a bare GPU machine."""
    probe = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pydantic", "pydantic_settings", "langchain_core", "langgraph", "typer", "httpx"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.argv = ["x", "--help"]
from anabranch.distill import MODULE
MODULE.main()
"""
    for module, option in (("train", "--rank"), ("preference", "--beta")):
        code = probe.replace("MODULE", module)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert option in done.stdout
