"""Reinforcement of a tiny model over a real corpus: rewards rise, runs go on, and bad rewards and inputs are told."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.batch.files import write_jsonl
from anabranch.errors import ConfigurationError, ModelError
from tests.distill.tiny import BASE, tiny_model
from tests.fakes import ScriptedChatModel

pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),  # peft asks for it
]

TOWNS = ("Arle", "Brix", "Corvo", "Dunn", "Esk", "Fara")
SEARCH, DIRECT = "1 [search] Mill", "DIRECT"


def question(town: str, number: int) -> dict[str, Any]:
    return {
        "id": f"{town}-{number}",
        "question": f"Where is the mill that {town} has had for {number} years?",
        "answer": "by the river",
        "context": [{"title": "Mill", "text": "The mill is by the river.", "is_supporting": True}],
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from anabranch.agents.local import prepare

    torch.set_num_threads(1)
    return tiny_model(tmp_path_factory.mktemp("tiny"), prepare(None))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from anabranch.distill.options import Inputs

    folder = tmp_path_factory.mktemp("files")
    write_jsonl(folder / "questions.jsonl", (question(town, n) for town in TOWNS for n in (2, 3)))
    write_jsonl(folder / "tune.jsonl", (question(town, 7) for town in TOWNS[:4]))
    return Inputs(questions=(folder / "questions.jsonl",), tune=(folder / "tune.jsonl",))


@pytest.fixture(scope="module")
def adapter(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that has learnt to write either plan, DIRECT more often."""
    from anabranch.agents import prompts
    from anabranch.distill.catalogues import shipped
    from anabranch.distill.recipes import Recipe
    from anabranch.distill.render import as_messages
    from anabranch.distill.train import train

    folder = tmp_path_factory.mktemp("first")

    def rows() -> Iterator[dict[str, Any]]:
        for town in TOWNS[:3]:
            for number in (2, 7):
                asked = question(town, number)["question"]
                messages = as_messages(prompts.lines_messages(asked, shipped("search").cards))
                yield from ({"messages": messages, "completion": plan} for plan in (SEARCH, DIRECT, DIRECT))

    write_jsonl(folder / "rows.jsonl", rows())
    how = Recipe(base=BASE, rank=8, learning_rate=1e-2, epochs=40, batch_tokens=1024, evaluations=1)
    return train(model, folder / "rows.jsonl", folder / "rows.jsonl", folder / "adapter", how)


def solver(prompt: str) -> str:
    """Finds the answer where the passage is shown, and knows nothing by itself."""
    return "by the river" if "Result:" in prompt or "by the river" in prompt else "in the hills"


def reinforced(model: Path, adapter: Path, files: Any, out: Path, **changes: Any) -> dict[str, Any]:
    from anabranch.distill.recipes import Reinforcement
    from anabranch.distill.reinforce import reinforce

    more = {name: changes.pop(name) for name in ("reward", "solver") if name in changes}
    settings = {
        **{"rounds": 6, "questions_a_round": 6, "samples": 6, "evaluate_every": 2, "learning_rate": 5e-3},
        **{"batch_tokens": 2048, "replay_rows": 2, "plan_tokens": 12, "temperature": 0.5},
        **changes,
    }
    how = Reinforcement(base=BASE, **settings)
    asked = more.pop("solver", ScriptedChatModel(script=solver))
    made = reinforce(model, adapter, files, out, asked, how, **more)
    assert made == out
    return dict(json.loads((out / "manifest.json").read_text()))


def curve(out: Path) -> list[dict[str, str]]:
    with (out / "curve.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_reward_rises_and_the_best_round_is_kept(model: Path, adapter: Path, files: Any, tmp_path: Path) -> None:
    made = reinforced(model, adapter, files, tmp_path / "out", rounds=12)
    rows = curve(tmp_path / "out")
    assert len(rows) == 13
    drawn = [float(row["reward"]) for row in rows[1:]]
    assert sum(drawn[-3:]) > sum(drawn[:3]) + 0.9, drawn
    assert float(made["chosen"]["row"]["tune_reward"]) > float(rows[0]["tune_reward"]) + 0.5
    assert made["chosen"]["row"]["tune_recall"] == 1.0
    assert made["stopped"] == "done"
    picture = (tmp_path / "out" / "curve.svg").read_text()
    assert picture.startswith("<svg")
    assert picture.count("<polyline") == 2
    for folder in ("out", "out/latest"):
        assert (tmp_path / folder / "adapter_model.safetensors").is_file()


def test_a_stopped_run_ends_as_if_it_had_not_been(model: Path, adapter: Path, files: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    whole = reinforced(model, adapter, files, tmp_path / "whole", rounds=4)
    reinforced(model, adapter, files, tmp_path / "parts", rounds=2)
    parts = reinforced(model, adapter, files, tmp_path / "parts", rounds=4)
    assert whole["chosen"]["round"] == parts["chosen"]["round"]
    for name in ("adapter_model.safetensors", "latest/adapter_model.safetensors"):
        first, second = load_file(tmp_path / "whole" / name), load_file(tmp_path / "parts" / name)
        assert all(first[key].equal(second[key]) for key in first)
    columns = ("round", "reward", "distinct", "gradient", "tune_reward")
    one, two = ([[row[c] for c in columns] for row in curve(tmp_path / name)] for name in ("whole", "parts"))
    assert one == two
    with pytest.raises(ConfigurationError, match="other settings or files"):
        reinforced(model, adapter, files, tmp_path / "parts", learning_rate=1e-9)


def test_groups_whose_reward_fails_are_left_out_and_told(
    model: Path, adapter: Path, files: Any, tmp_path: Path
) -> None:
    def partly(outcome: Any) -> float:
        if "Brix" in outcome.example.question:
            raise KeyError("no such town")
        return float("nan") if "Corvo" in outcome.example.question else float(outcome.plan is not None)

    made = reinforced(model, adapter, files, tmp_path / "out", rounds=2, questions_a_round=12, samples=2, reward=partly)
    rows = curve(tmp_path / "out")
    assert [row["left_out"] for row in rows[1:]] == ["4", "4"], "two towns, two questions each"
    assert [row["plans"] for row in rows[1:]] == ["16", "16"]
    told = made["groups_left_out"]
    assert told["count"] == 2 * 4 + 2 * 2, "in both rounds, and of the tuning questions twice"
    assert set(told["first"]) == {
        "the reward function raised KeyError: 'no such town'",
        "the reward function returned nan",
    }


def test_a_reward_that_always_fails_ends_the_run_with_the_adapter_kept(
    model: Path, adapter: Path, files: Any, tmp_path: Path
) -> None:
    calls = []

    def late(outcome: Any) -> float:
        calls.append(outcome)
        if len(calls) > 4:
            raise ZeroDivisionError
        return 1.0

    with pytest.raises(ConfigurationError, match=r"no plan of a round has a reward: .*ZeroDivisionError"):
        reinforced(model, adapter, files, tmp_path / "out", reward=late)
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    assert [row["round"] for row in curve(tmp_path / "out")] == ["0"]


def test_out_of_memory_is_told_and_the_last_round_gone_on_with(
    model: Path, adapter: Path, files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from anabranch.distill.student import Student

    out = tmp_path / "out"
    reinforced(model, adapter, files, out, rounds=1)
    kept = (out / "latest" / "adapter_model.safetensors").read_bytes()

    log_probs = Student.log_probs
    calls: list[int] = []

    def full(*_: Any) -> Any:
        calls.append(0)
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Student, "log_probs", full)
    with pytest.raises(ConfigurationError, match="does not fit into the device's memory"):
        reinforced(model, adapter, files, out, rounds=2)
    assert len(calls) == 2, "it tried shorter passes before it gave up"
    assert (out / "latest" / "adapter_model.safetensors").read_bytes() == kept

    def once(*arguments: Any) -> Any:
        if len(calls) < 1:
            calls.append(0)
            raise torch.OutOfMemoryError
        return log_probs(*arguments)

    calls.clear()
    monkeypatch.setattr(Student, "log_probs", once)
    reinforced(model, adapter, files, out, rounds=2)
    assert [row["round"] for row in curve(out)] == ["0", "1", "2"]


def test_an_adapter_that_cannot_be_written_leaves_the_one_before(
    model: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anabranch.distill import student as module
    from anabranch.distill.student import Student

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    student = Student(model, BASE, adapter)
    student.save(tmp_path)
    names = ["adapter_config.json", "adapter_model.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    before = (tmp_path / names[1]).read_bytes()
    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        student.save(tmp_path)
    assert (tmp_path / names[1]).read_bytes() == before
    monkeypatch.undo()
    student.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_gradient_that_is_no_number_leaves_the_weights(
    model: Path, adapter: Path, files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anabranch.distill.policy import Drawn, Policy
    from anabranch.distill.recipes import Updating
    from anabranch.distill.student import Student

    student = Student(model, BASE, adapter)
    policy, before = Policy(student, Updating()), student.weights.detach().clone()
    log_probs = Student.log_probs
    monkeypatch.setattr(Student, "log_probs", lambda *arguments: log_probs(*arguments) * float("inf"))
    with pytest.raises(ModelError, match="lower the learning rate"):
        policy.step([Drawn([{"role": "user", "content": "a"}], "b", True, 1.0)])
    assert student.weights.equal(before)
    monkeypatch.undo()
    told = policy.step([Drawn([{"role": "user", "content": "a"}], "b", True, 1.0)])
    assert 0 < told["gradient"] < float("inf")
    assert not student.weights.equal(before)


def test_a_step_makes_better_plans_likelier_and_worse_ones_less_so(model: Path, adapter: Path) -> None:
    from anabranch.distill.policy import Drawn, Policy
    from anabranch.distill.recipes import Updating
    from anabranch.distill.student import Student
    from anabranch.distill.tokens import on_device

    policy = Policy(Student(model, BASE, adapter), Updating(learning_rate=1e-3, kl=0.1))
    prompt = [{"role": "user", "content": "Where?"}]
    better, worse = Drawn(prompt, SEARCH, True, 1.0), Drawn(prompt, DIRECT, True, -1.0)

    def likely(plan: Drawn) -> float:
        batch = on_device([(policy._sample(plan),)], (0,), policy.student.device)
        return policy.student.log_probs(batch.ids, batch.places, batch.targets).sum().item()

    before = likely(better), likely(worse)
    first = policy.step([better, worse])
    assert first["kl"] == pytest.approx(0.0, abs=1e-5), "the first adapter is where it begins"
    assert likely(better) > before[0]
    assert likely(worse) < before[1]
    assert policy.step([better, worse])["kl"] > first["kl"]


def test_bad_inputs_are_named(model: Path, adapter: Path, files: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    from anabranch.distill.rewards import reward_named

    other = tmp_path / "corpus.jsonl"
    write_jsonl(other, [{"title": "Bridge", "text": "The bridge is old."}])
    with pytest.raises(ConfigurationError, match="supporting passages of none of the 12 questions, for example not"):
        reinforced(model, adapter, replace(files, corpus=(other,)), tmp_path / "out")
    with pytest.raises(ConfigurationError, match="is a tuning question, too"):
        reinforced(model, adapter, replace(files, tune=files.questions), tmp_path / "out")
    with pytest.raises(ConfigurationError, match="name another folder"):
        reinforced(model, adapter, files, adapter)
    bare, tune = tmp_path / "bare.jsonl", tmp_path / "tune.jsonl"
    for path, asked in ((bare, "Where?"), (tune, "When?")):
        write_jsonl(path, [{"id": asked, "question": asked, "answer": "here"}])
    with pytest.raises(ConfigurationError, match="give --corpus"):
        reinforced(model, adapter, replace(files, questions=(bare,), tune=(tune,)), tmp_path / "out")
    for name in ("no_colon", "no_such_module:f", "json:no_such_function", "json:__doc__"):
        with pytest.raises(ConfigurationError, match=r"reward function|is no function"):
            reward_named(name)
    assert reward_named("math:exp")(0) == 1.0  # type: ignore[arg-type]


def test_a_server_gets_each_round_s_adapter(model: Path, adapter: Path, tmp_path: Path) -> None:
    import asyncio

    import httpx

    from anabranch.batch.chat import Server
    from anabranch.distill.plan_source import Served
    from anabranch.distill.policy import Policy
    from anabranch.distill.recipes import Updating
    from anabranch.distill.student import Student
    from anabranch.errors import EndpointError

    asked: list[tuple[str, dict[str, Any]]] = []
    refusing: list[bool] = []

    def reply(request: httpx.Request) -> httpx.Response:
        path, body = request.url.path.removeprefix("/v1/"), json.loads(request.content)
        asked.append((path, body))
        if refusing:
            return httpx.Response(400, text="no room")
        if path == "load_lora_adapter":
            there = (Path(body["lora_path"]) / "adapter_model.safetensors").is_file()
            return httpx.Response(200 if there else 404)
        if path == "chat/completions":
            choice = {"message": {"content": DIRECT}, "finish_reason": "stop"}
            return httpx.Response(200, json={"choices": [choice] * body.get("n", 1)})
        return httpx.Response(200)

    async def run() -> None:
        policy = Policy(Student(model, BASE, adapter), Updating())
        async with Server("http://there/v1", "", transport=httpx.MockTransport(reply)) as server:
            served = Served(policy, server, tmp_path, 16)
            await served.take(0)
            prompts = [[{"role": "user", "content": "a"}]]
            assert await served.draw(prompts, 3, 1.0) == [[(DIRECT, True)] * 3]
            await served.take(1)
            await served.draw(prompts, 3, 0.0)
            refusing.append(True)
            with pytest.raises(
                EndpointError, match=r"does not take the adapter .*start it where .*serve decomposer --.*--lora"
            ):
                await served.take(2)

    asyncio.run(run())
    assert [path for path, _ in asked][:5] == [
        "load_lora_adapter",
        "chat/completions",
        "load_lora_adapter",
        "unload_lora_adapter",
        "chat/completions",
    ]
    first, second = asked[0][1]["lora_name"], asked[2][1]["lora_name"]
    assert asked[1][1]["model"] == first
    assert asked[1][1]["n"] == 3
    assert asked[3][1] == {"lora_name": first}
    assert asked[4][1]["model"] == second != first
    assert asked[4][1]["temperature"] == 0
    assert len(list(tmp_path.glob("round-*"))) <= 2, "earlier ones are cleared away"


def test_the_command_names_what_is_wrong(adapter: Path, files: Any, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from anabranch.cli import app

    command = ["distill", "reinforce", "--adapter", str(adapter), "--questions", str(files.questions[0])]
    command += ["--tune", str(files.tune[0]), "--out", str(tmp_path / "out")]
    wrong = CliRunner().invoke(app, [*command, "--reward", "nowhere"])
    assert wrong.exit_code == 2
    assert "'nowhere' names no reward function; write module:function" in wrong.stderr
    assert not (tmp_path / "out").exists()


def test_requests_over_tools_are_learnt_beside_questions(
    model: Path, adapter: Path, files: Any, tmp_path: Path
) -> None:
    from dataclasses import replace

    from anabranch.agents import prompts
    from anabranch.distill.catalogues import shipped
    from anabranch.distill.render import as_messages

    def rows(number: int) -> Iterator[dict[str, Any]]:
        for town in TOWNS:
            asked = question(town, number)["question"]
            messages = as_messages(prompts.lines_messages(asked, shipped("search").cards))
            yield {"messages": messages, "completion": SEARCH}

    write_jsonl(tmp_path / "requests.jsonl", rows(2))
    write_jsonl(tmp_path / "tune.jsonl", rows(7))
    both = replace(files, requests=(tmp_path / "requests.jsonl",), tune_requests=(tmp_path / "tune.jsonl",))
    # Questions are worth the same whatever is planned, so that all there is to learn is what the requests tell.
    made = reinforced(model, adapter, both, tmp_path / "out", rounds=10, requests_a_round=6, reward=lambda outcome: 0.0)
    found = curve(tmp_path / "out")
    assert float(made["chosen"]["row"]["tune_request_reward"]) > float(found[0]["tune_request_reward"]) + 0.5
    assert found[0]["tune_reward"] == found[0]["tune_request_reward"]
    assert (made["requests"], made["tuning_requests"]) == (6, 6)
