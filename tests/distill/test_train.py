"""Fine-tuning and preferences on a tiny model: what is learnt, resumed, refused, and that the fast pass is exact."""

import json
import os
import resource
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from anabranch.errors import BackendError, ConfigurationError, DocumentError, ModelError, ModelUnavailableError
from tests.distill.tiny import BASE, pair_rows, plan_rows, tiny_model

pytestmark = [
    pytest.mark.model,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),  # peft asks for it
]


@pytest.fixture(scope="module")
def prepared() -> Path:
    import torch

    from anabranch.agents.local import prepare

    torch.set_num_threads(1)
    return prepare(None)


@pytest.fixture(scope="module")
def model(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), prepared)


@pytest.fixture
def rows(tmp_path: Path) -> tuple[Path, Path]:
    return plan_rows(tmp_path / "rows.jsonl", 24), plan_rows(tmp_path / "held_out.jsonl", 4)


@pytest.fixture
def adapter(model: Path, rows: tuple[Path, Path], tmp_path: Path) -> Path:
    return fine_tuned(model, rows, tmp_path / "adapter", recipe(epochs=1))


def recipe(**changes: Any) -> Any:
    from anabranch.distill.recipes import Recipe

    settings = {"rank": 4, "batch_tokens": 256, "learning_rate": 5e-3, "evaluations": 3, "epochs": 2}
    return Recipe(base=BASE, **{**settings, **changes})


def preferences(**changes: Any) -> Any:
    from anabranch.distill.recipes import PreferenceRecipe

    settings = {"batch_tokens": 512, "learning_rate": 5e-3, "evaluations": 2, "epochs": 2}
    return PreferenceRecipe(base=BASE, **{**settings, **changes})


def fine_tuned(model: Path, rows: tuple[Path, Path], out: Path, how: Any) -> Path:
    from anabranch.distill.train import train

    return train(model, *rows, out, how, {"teacher": "nobody"})


def manifest(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text()))


def test_the_loss_falls_and_the_manifest_says_what_made_it(
    model: Path, rows: tuple[Path, Path], tmp_path: Path
) -> None:
    with rows[0].open("a") as sink:
        sink.write('not json\n{"id": "x", "messages": []}\n{"id": "y", "messages": ["?"], "completion": "z"}\n')
        sink.write(
            json.dumps({"id": "long", "messages": [{"role": "user", "content": "a " * 3000}], "completion": "z"})
        )
    made = manifest(fine_tuned(model, rows, tmp_path / "out", recipe()))
    assert made["losses"][-1]["held_out"] < made["losses"][0]["held_out"]
    assert made["best"] == min(entry["held_out"] for entry in made["losses"])
    assert made["train"]["rows"] == 24
    assert {reason: entry["rows"] for reason, entry in made["train"]["left_out"].items()} == {
        "not a JSON object": 1,
        "no valid completion": 1,
        "messages that the chat template refuses": 1,
        "longer than 1536 tokens": 1,
    }
    assert made["train"]["left_out"]["not a JSON object"]["first"] == ["rows.jsonl:25"]
    assert made["tokens"] == 2 * made["train"]["tokens"]
    assert made["stopped"] == "done"
    assert made["teacher"] == "nobody"
    assert made["recipe"]["base"] == BASE
    assert len(made["inputs"]["rows"]) == 16
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == BASE


@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("recompute", [False, True])
def test_the_fast_pass_has_the_loss_and_gradients_of_transformers_and_peft(
    prepared: Path, tmp_path: Path, family: str, recompute: bool
) -> None:
    import torch

    from anabranch.distill.student import Lora, Student
    from anabranch.distill.tokens import on_device, tokenized

    folder = tiny_model(tmp_path / "base", prepared, family=family)
    student = Student(folder, BASE, Lora(rank=4, alpha=12), recompute=recompute)
    with torch.no_grad():
        student.weights.normal_(std=0.1)  # LoRA's B starts at zero, which hides its A
    groups = tokenized(plan_rows(tmp_path / "rows.jsonl", 3), student.tokenizer, ["completion"], 400).groups
    batch = on_device(groups, (0, 1, 2), student.device)
    assert len({len(group[0].ids) for group in groups}) > 1  # so there is padding
    fast = student.log_probs(batch.ids, batch.places, batch.targets)
    fast.sum().backward()  # type: ignore[no-untyped-call]
    assert student.weights.grad is not None
    gradient = student.weights.grad.clone()
    student.weights.grad.zero_()
    network = student.network
    attended = torch.tensor([[1] * len(g[0].ids) + [0] * (batch.ids.shape[1] - len(g[0].ids)) for g in groups])
    logits = network(input_ids=batch.ids, attention_mask=attended, use_cache=False).logits.flatten(0, 1)
    slow = torch.log_softmax(logits[batch.places].float(), -1).gather(1, batch.targets[:, None])[:, 0]
    slow.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient, student.weights.grad, rtol=1e-3, atol=1e-4 * gradient.abs().max().item())
    assert gradient.abs().max() > 0


def test_the_fast_pass_in_bf16_is_near_that_in_fp32(model: Path, tmp_path: Path) -> None:
    """What a GPU computes: base and products in bf16, the adapter's own weights and gradients in fp32."""
    import torch

    from anabranch.distill.student import Lora, Student
    from anabranch.distill.tokens import on_device, tokenized

    student = Student(model, BASE, Lora(rank=4, alpha=8))
    with torch.no_grad():
        student.weights.normal_(std=0.05)
    groups = tokenized(plan_rows(tmp_path / "rows.jsonl", 4), student.tokenizer, ["completion"], 400).groups
    batch = on_device(groups, (0, 1, 2, 3), student.device)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        student.dtype = dtype
        student.network.get_base_model().to(dtype)
        loss = -student.log_probs(batch.ids, batch.places, batch.targets).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        assert student.weights.grad is not None
        assert student.weights.grad.dtype == torch.float32
        found.append((loss.item(), student.weights.grad.clone()))
        student.weights.grad.zero_()
    assert found[0][0] == pytest.approx(found[1][0], rel=0.02)
    assert torch.cosine_similarity(found[0][1], found[1][1], dim=0) > 0.98


def test_other_families_take_the_general_pass(prepared: Path, rows: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "base", prepared, hidden_act="gelu")
    made = manifest(fine_tuned(folder, rows, tmp_path / "out", recipe(recompute=True)))
    assert made["losses"][-1]["held_out"] < made["losses"][0]["held_out"]


def test_only_completions_have_a_loss(model: Path, tmp_path: Path) -> None:
    import torch

    from anabranch.distill.student import Lora, Student
    from anabranch.distill.tokens import on_device, tokenized

    student = Student(model, BASE, Lora(rank=2, alpha=4))
    groups = tokenized(plan_rows(tmp_path / "rows.jsonl", 2), student.tokenizer, ["completion"], 400).groups
    batch = on_device(groups, (1, 0), student.device)
    texts = [student.tokenizer.decode(batch.targets[batch.owner == row]) for row in (0, 1)]
    assert texts == ["1 [calculator] How many are 1?<|im_end|>", "1 [calculator] How many are 0?<|im_end|>"]
    assert torch.equal(batch.ids.flatten()[batch.places + 1], batch.targets)


def test_a_stopped_training_ends_as_if_it_had_not_been(
    model: Path, rows: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    from anabranch.distill.loop import Loop

    whole = fine_tuned(model, rows, tmp_path / "whole", recipe())
    evaluate = Loop._evaluate

    def stops(loop: Any, *arguments: Any) -> None:
        evaluate(loop, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "_evaluate", stops)
    with pytest.raises(KeyboardInterrupt):
        fine_tuned(model, rows, tmp_path / "stopped", recipe())
    monkeypatch.undo()
    resumed = fine_tuned(model, rows, tmp_path / "stopped", recipe())
    weights = [load_file(folder / "adapter_model.safetensors") for folder in (whole, resumed)]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    assert [entry["held_out"] for entry in manifest(whole)["losses"]] == [
        entry["held_out"] for entry in manifest(resumed)["losses"]
    ]


def test_a_checkpoint_of_other_settings_or_damaged_is_refused(
    model: Path, rows: tuple[Path, Path], adapter: Path
) -> None:
    with pytest.raises(ConfigurationError, match="other settings or rows"):
        fine_tuned(model, rows, adapter, recipe(epochs=1, learning_rate=1e-4))
    with rows[0].open("a") as sink:
        sink.write("{}\n")
    with pytest.raises(ConfigurationError, match="other settings or rows"):
        fine_tuned(model, rows, adapter, recipe(epochs=1))
    (adapter / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ConfigurationError, match="delete it to start again"):
        fine_tuned(model, rows, adapter, recipe(epochs=1))


def test_training_stops_early_or_in_time(model: Path, rows: tuple[Path, Path], tmp_path: Path) -> None:
    never = recipe(epochs=40, evaluations=40, patience=2, learning_rate=0.0)
    assert manifest(fine_tuned(model, rows, tmp_path / "stale", never))["stopped"] == "no better held-out loss"
    limited = recipe(epochs=200, evaluations=3, max_seconds=1.0)
    made = manifest(fine_tuned(model, rows, tmp_path / "short", limited))
    assert made["stopped"] == "out of time"
    assert 0 < made["step"] < made["total"]
    assert made["losses"][-1]["step"] == made["step"]


def test_a_loss_that_is_no_number_is_said(
    model: Path, rows: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anabranch.distill.student import Student

    log_probs = Student.log_probs
    monkeypatch.setattr(Student, "log_probs", lambda *arguments: log_probs(*arguments) * float("nan"))
    with pytest.raises(ModelError, match="lower the learning rate"):
        fine_tuned(model, rows, tmp_path / "out", recipe())


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_training_gone_on_with(
    model: Path, rows: tuple[Path, Path], tmp_path: Path
) -> None:
    """A limit on the size of files stands for the disk's end; run as on a machine without the command line."""
    out = tmp_path / "out"
    command = [sys.executable, "-W", "ignore", "-m", "anabranch.distill.train"]
    command += [str(path) for path in (model, *rows, out)]
    command += ["--base", BASE, "--rank", "4", "--batch-tokens", "256", "--evaluations", "2", "--note", "teacher=me"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    for limit in (2048, 60_000):  # the adapter does not fit, then the checkpoint
        full = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)),
        )
        assert full.returncode == 1, full.stderr
        assert f"error: cannot write to {out}" in full.stderr.splitlines()[-1]
        assert "make room and run again to go on" in full.stderr.splitlines()[-1]
        assert not (out / "manifest.json").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert manifest(out)["teacher"] == "me"


def test_training_goes_on_from_an_adapter(model: Path, adapter: Path, rows: tuple[Path, Path], tmp_path: Path) -> None:
    how = recipe(epochs=1, evaluations=24, learning_rate=1e-6, start=str(adapter), rank=8)
    made = manifest(fine_tuned(model, rows, tmp_path / "more", how))
    assert made["losses"][0]["held_out"] == pytest.approx(manifest(adapter)["losses"][-1]["held_out"], abs=2e-3)
    assert made["rank"] == 4, "the adapter's own"
    assert len(made["inputs"]["adapter"]) == 16
    with pytest.raises(ConfigurationError, match="name another folder"):
        fine_tuned(model, rows, adapter, how)


def test_bad_inputs_are_named(model: Path, rows: tuple[Path, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"messages": 3}\n')
    with pytest.raises(ConfigurationError, match="1 are no valid messages"):
        fine_tuned(model, (empty, rows[1]), tmp_path / "out", recipe())
    with pytest.raises(DocumentError, match="nowhere"):
        fine_tuned(model, (tmp_path / "nowhere.jsonl", rows[1]), tmp_path / "out", recipe())
    with pytest.raises(ModelUnavailableError, match="cannot load"):
        fine_tuned(tmp_path / "no-model", rows, tmp_path / "out", recipe())
    with pytest.raises(ConfigurationError, match="does not fit LoRA"):
        fine_tuned(model, rows, tmp_path / "out", recipe(layers=("no_such_layer",)))
    with pytest.raises(BackendError, match="cannot make the folder"):
        fine_tuned(model, rows, empty / "out", recipe())


def test_a_tokenizer_with_the_wrong_end_of_turn(model: Path, rows: tuple[Path, Path], tmp_path: Path) -> None:
    """As some GGUF files are read; a model that is trained on it writes on until the token limit."""
    wrong = tmp_path / "wrong"
    shutil.copytree(model, wrong)
    config = json.loads((wrong / "tokenizer_config.json").read_text())
    (wrong / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<|im_start|>"}))
    with pytest.raises(ModelUnavailableError, match=r"ends a turn with '<\|im_end\|>', and its tokenizer"):
        fine_tuned(wrong, rows, tmp_path / "out", recipe())


def test_preferences_turn_to_the_better_plans(model: Path, adapter: Path, tmp_path: Path) -> None:
    from anabranch.distill.preference import prefer

    pairs, held_out = pair_rows(tmp_path / "pairs.jsonl", 24), pair_rows(tmp_path / "held.jsonl", 6)
    out = prefer(model, adapter, pairs, held_out, tmp_path / "dpo", preferences(sft_weight=0.5), {"solver": "x"})
    made = manifest(out)
    first, last = made["losses"][0], made["losses"][-1]
    assert last["held_out"] < first["held_out"]
    assert last["accuracy"] == 1.0
    assert last["margin"] > first["margin"] > 0
    assert made["train"]["rows"] == 24
    assert 0 <= made["ranked_right_before"]["held_out"] <= 1
    assert made["solver"] == "x"
    assert prefer(model, adapter, pairs, held_out, out, preferences(sft_weight=0.5)) == out  # nothing is left to do


def test_the_first_preference_loss_is_that_of_the_paper(model: Path, adapter: Path, tmp_path: Path) -> None:
    """Before the first step the student is the reference, so DPO's loss is log 2 whatever the pair."""
    from math import log

    from anabranch.distill.preference import _Judge
    from anabranch.distill.student import Student
    from anabranch.distill.tokens import tokenized

    student = Student(model, BASE, adapter)
    groups = tokenized(pair_rows(tmp_path / "p.jsonl", 5), student.tokenizer, ["chosen", "rejected"], 400).groups
    for changes in ({"normalise": True}, {"smoothing": 0.2}, {}):
        judge = _Judge(student, preferences(sft_weight=0.0, **changes))
        batches = judge.batches(groups, [1, 2])
        assert sorted(n for batch in batches for n in batch.numbers) == sorted([*range(5), *range(5)])
        assert judge.evaluate(batches)["held_out"] == pytest.approx(log(2), abs=1e-5)
    judge = _Judge(student, preferences(sft_weight=2.0))
    found = judge.evaluate(judge.batches(groups, [1]))
    assert found["held_out"] == pytest.approx(log(2) + 2 * found["chosen_loss"], abs=1e-5)
    assert found["chosen_loss"] > 0


def test_an_adapter_that_does_not_fit_is_refused(model: Path, adapter: Path, prepared: Path, tmp_path: Path) -> None:
    from anabranch.distill.preference import prefer

    pairs = pair_rows(tmp_path / "pairs.jsonl", 4)
    wider = tiny_model(tmp_path / "wide", prepared, hidden_size=64, num_hidden_layers=2)
    deeper = tiny_model(tmp_path / "deep", prepared, num_hidden_layers=3)
    shallow = tiny_model(tmp_path / "shallow", prepared, num_hidden_layers=1)
    for other in (wider, deeper, shallow):
        with pytest.raises(ConfigurationError, match="does not fit the base"):
            prefer(other, adapter, pairs, pairs, tmp_path / "out", preferences())
    with pytest.raises(ModelUnavailableError, match="holds no adapter"):
        prefer(model, tmp_path, pairs, pairs, tmp_path / "out", preferences())
    with pytest.raises(ConfigurationError, match="name another folder"):
        prefer(model, adapter, pairs, pairs, adapter, preferences())
    dora = Path(shutil.copytree(adapter, tmp_path / "dora"))
    config = json.loads((dora / "adapter_config.json").read_text())
    (dora / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    with pytest.raises(ConfigurationError, match="not plain LoRA"):
        prefer(model, dora, pairs, pairs, tmp_path / "out", preferences())
