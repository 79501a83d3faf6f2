"""Our trainer against TRL's on the same rows: `python -m benchmarks.training sft MODEL ROWS HELD_OUT`, or `dpo`.

ROWS are what `anabranch distill build` writes (`sft`), or the pairs of `screen` (`dpo`). Both train LoRA from the same
adapter with the same tokens, recipe, order and number of steps. TRL gets what makes it fastest: rows of like length
beside each other, no gradient checkpointing, no evaluation on the way, the reference's log-probabilities beforehand.
A speed is tokens without padding over the seconds in steps, the best of the rounds. One function takes the losses of
both adapters. Needs the extra `train`, and `pip install trl`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch.nn.functional import logsigmoid
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from anabranch.batch.files import read_rows
from anabranch.distill.preference import prefer
from anabranch.distill.recipes import PreferenceRecipe, Recipe
from anabranch.distill.student import Lora, Student, load_base
from anabranch.distill.tokens import Group, batched, on_device, tokenized
from anabranch.distill.train import train

TEXTS = {"sft": ["completion"], "dpo": ["chosen", "rejected"]}
BASE = "base"
SEED = 1


@dataclass
class Task:
    """What both train on: the base, the adapter to start from, files of rows, the recipe, and the rows as tokens."""

    base: Path
    start: Path
    rows: Path
    held_out: Path
    recipe: Recipe | PreferenceRecipe
    tokenizer: Any
    groups: list[Group]

    @property
    def tokens(self) -> int:
        """Of all rows and epochs, without padding."""
        return self.recipe.epochs * sum(len(sample.ids) for group in self.groups for sample in group)


class Timer(TrainerCallback):  # type: ignore[misc]
    """Seconds between the beginning and the end of TRL's loop."""

    seconds = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """The loop begins."""
        self.seconds = -time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """The loop has ended."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds += time.perf_counter()


def some(stage: str, source: Path, count: int, chosen: Path) -> Path:
    """Rows drawn from a file, the same ones each time."""
    rows = list(read_rows(source, {"messages": list, **dict.fromkeys(TEXTS[stage], str)}, {}))
    lines = [json.dumps(row) + "\n" for row in Random(SEED).sample(rows, min(count, len(rows)))]
    chosen.write_text("".join(lines), encoding="utf-8")
    return chosen


def ours(task: Task, out: Path) -> float:
    """Trains with our loop; gives the seconds in steps."""
    if isinstance(task.recipe, Recipe):
        train(task.base, task.rows, task.held_out, out, task.recipe)
    else:
        prefer(task.base, task.start, task.rows, task.held_out, out, task.recipe)
    told: dict[str, Any] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return float(told["trained_seconds"])


def of_trl(task: Task, out: Path) -> float:
    """Trains with TRL; gives the seconds in steps."""
    recipe, on_gpu = task.recipe, torch.cuda.is_available()
    _, network = load_base(task.base, torch.bfloat16 if on_gpu else torch.float32)
    batches = batched(task.groups, recipe.batch_tokens, SEED)
    groups, steps = [task.groups[number] for batch in batches for number in batch], len(batches)
    settings: dict[str, Any] = {
        "output_dir": str(out / "trl"),
        "per_device_train_batch_size": round(len(groups) / steps),
        "num_train_epochs": recipe.epochs,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.05},
        "warmup_steps": max(0, int(steps * recipe.epochs * recipe.warmup) - 1),  # its first step is at a rate of 0
        "adam_beta2": 0.99,
        "max_length": recipe.max_tokens,
        "bf16": on_gpu,
        "use_cpu": not on_gpu,
        "gradient_checkpointing": False,
        "train_sampling_strategy": "sequential",
        "seed": SEED,
        "logging_steps": 1_000_000,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    timer = Timer()
    given = {
        "model": PeftModel.from_pretrained(network, task.start, is_trainable=True),
        "processing_class": task.tokenizer,
        "callbacks": [timer],
    }
    if isinstance(recipe, Recipe):
        trainer = SFTTrainer(
            **given,
            args=SFTConfig(**settings, completion_only_loss=True),
            train_dataset=Dataset.from_list([_masked(group[0].ids, group[0].prompt) for group in groups]),
        )
    else:
        losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, recipe.sft_weight], "beta": recipe.beta}
        trainer = DPOTrainer(
            **given,
            args=DPOConfig(**settings, **losses, precompute_ref_log_probs=True),
            train_dataset=Dataset.from_list([_pair(task.tokenizer, group) for group in groups]),
        )
    trainer.train()
    trainer.model.save_pretrained(out)
    return timer.seconds


def _masked(ids: list[int], prompt: int) -> dict[str, list[int]]:
    return {"input_ids": ids, "completion_mask": [int(place >= prompt) for place in range(len(ids))]}


def _pair(tokenizer: Any, group: Group) -> dict[str, str]:
    better = group[0]
    texts = [tokenizer.decode(sample.ids[sample.prompt :]) for sample in group]
    prompt = tokenizer.decode(better.ids[: better.prompt])
    return {"prompt": prompt, **dict(zip(TEXTS["dpo"], texts, strict=True))}


def log_probs(task: Task, adapter: Path, groups: Sequence[Group]) -> torch.Tensor:
    """Sum over each sample's completion and its number of tokens, shape (samples, 2)."""
    student = Student(task.base, BASE, adapter)
    student.train(False)
    found = []
    for number in range(len(groups)):
        batch = on_device(groups, (number,), student.device)
        with torch.no_grad():
            each = student.log_probs(batch.ids, batch.places, batch.targets)
        found += [(each[batch.owner == n].sum().item(), (batch.owner == n).sum().item()) for n in range(batch.samples)]
    return torch.tensor(found)


def quality(task: Task, adapter: Path, tests: Sequence[Group]) -> str:
    """The held-out loss of an adapter, and of pairs how many it ranks right."""
    now = log_probs(task, adapter, tests)
    if isinstance(task.recipe, Recipe):
        return f"held-out loss {-now[:, 0].sum() / now[:, 1].sum():.4f}"
    gained = (now - log_probs(task, task.start, tests))[:, 0]
    gain = gained[0::2] - gained[1::2]
    loss = -logsigmoid(task.recipe.beta * gain) - task.recipe.sft_weight * (now[0::2, 0] / now[0::2, 1])
    return f"held-out loss {loss.mean():.4f}, accuracy {(gain > 0).float().mean():.3f}"


def prepared(arguments: argparse.Namespace, folder: Path) -> tuple[Task, list[Group]]:
    """The task, and the groups to test on."""
    stage, count = arguments.stage, arguments.held_out_count
    rows = some(stage, arguments.rows, arguments.count, folder / "rows.jsonl")
    held_out = some(stage, arguments.held_out, count, folder / "held_out.jsonl")
    torch.manual_seed(SEED)
    first = Student(arguments.model, BASE, arguments.adapter or Lora())
    first.save(start := folder / "start")
    how = {"batch_tokens": arguments.batch_tokens, "evaluations": 1, "seed": SEED}
    recipe: Recipe | PreferenceRecipe = PreferenceRecipe(BASE, **how)
    if stage == "sft":
        recipe = Recipe(BASE, **how, start=str(start))
    texts, longest = TEXTS[stage], recipe.max_tokens
    groups, tests = (tokenized(file, first.tokenizer, texts, longest).groups for file in (rows, held_out))
    return Task(arguments.model, start, rows, held_out, recipe, first.tokenizer, groups), tests


def compare(task: Task, tests: Sequence[Group], folder: Path, rounds: int) -> dict[str, float]:
    """Trains in turn and prints what came of each; gives the best tokens a second of both."""
    best = {"ours": 0.0, "TRL": 0.0}
    print(f"start: {quality(task, task.start, tests)}", flush=True)
    for turn in range(rounds):
        for who, trains in (("ours", ours), ("TRL", of_trl)):
            seconds = trains(task, out := folder / f"{who}{turn}")
            best[who] = max(best[who], task.tokens / seconds)
            speed = f"{task.tokens / seconds:,.0f} tokens/s, {seconds:.1f} s in steps"
            print(f"{who}: {speed}, {quality(task, out, tests)}", flush=True)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=[*TEXTS])
    for name in ("model", "rows", "held_out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--adapter", type=Path, help="to start from; a new one where it is left out")
    parser.add_argument("--count", type=int, default=10_000, help="most rows to train on")
    parser.add_argument("--held-out-count", type=int, default=200)
    parser.add_argument("--batch-tokens", type=int, default=Recipe(BASE).batch_tokens)
    parser.add_argument("--rounds", type=int, default=2, help="how often each trains, in turn")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        task, tests = prepared(arguments, Path(name))
        steps = len(batched(task.groups, task.recipe.batch_tokens, SEED))
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} thread(s)"
        print(f"{len(task.groups)} rows, {task.tokens:,} tokens, {steps} steps; {len(tests)} held out; {device}")
        best = compare(task, tests, Path(name), arguments.rounds)
        print(f"TRL / ours: {best['TRL'] / best['ours']:.2f} x the speed")


if __name__ == "__main__":
    main()
