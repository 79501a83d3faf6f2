"""LoRA fine-tuning on rendered prompts, as a plain loop: loss on the completion only. Needs the extra `train`.

A row is `{"messages": [...], "completion": "..."}`; the prompt's tokens are what the model's chat template makes of the
messages, as in serving, and the completion ends with the template's end of turn.
"""

import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from anabranch.distill.records import read_jsonl
from anabranch.errors import BackendError, ConfigurationError, ModelUnavailableError

logger = logging.getLogger(__name__)

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        base: name of the base model that the adapter will name.
        rank: LoRA's rank.
        alpha: LoRA's scale, as a multiple of 1 / rank.
        dropout: on LoRA's input.
        learning_rate: its peak, after the warm-up.
        epochs: passes over the rows.
        batch_tokens: most tokens of a batch, padding included.
        max_tokens: longer rows are left out.
        warmup: share of the steps in which the learning rate rises.
        evaluations: how often the held-out loss is taken.
        patience: evaluations without a better held-out loss before training stops.
        seed: of the order, the initial weights and dropout.
    """

    base: str
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    learning_rate: float = 1e-3
    epochs: int = 1
    batch_tokens: int = 12_288
    max_tokens: int = 1_536
    warmup: float = 0.03
    evaluations: int = 8
    patience: int = 3
    seed: int = 1


@dataclass
class Progress:
    """Where a training stands; kept in checkpoints and in the manifest."""

    step: int = 0
    best: float = math.inf
    stale: int = 0
    seconds: float = 0.0
    losses: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Sample:
    """A row as tokens."""

    ids: list[int]
    prompt: int


def train(
    model: Path, rows: Path, held_out: Path, out: Path, recipe: Recipe, notes: dict[str, Any] | None = None
) -> Path:
    """Trains an adapter; a run that was stopped goes on from its last checkpoint in `out`.

    Args:
        model: folder of the base model.
        rows: training rows.
        held_out: rows for the held-out loss.
        out: folder for the adapter, the checkpoint and `manifest.json`.
        recipe: how to train.
        notes: more fields of the manifest.

    Raises:
        ModelUnavailableError: the base model cannot be loaded.
        ConfigurationError: no row is short enough, or the base has none of LoRA's layers.
        BackendError: a checkpoint cannot be written.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(recipe.seed)
    tokenizer, network = _load(model, recipe)
    network.to(device)
    samples = tokenized(rows, tokenizer, recipe.max_tokens)
    test = tokenized(held_out, tokenizer, recipe.max_tokens)
    if not samples or not test:
        raise ConfigurationError(f"no row of {rows} or {held_out} has at most {recipe.max_tokens} tokens")
    batches = [b for epoch in range(recipe.epochs) for b in batched(samples, recipe, recipe.seed + epoch)]
    progress = _Loop(network, device, recipe, out).run(batches, list(batched(test, recipe, 0)))
    kept = {
        "recipe": asdict(recipe),
        "rows": len(samples),
        "held_out_rows": len(test),
        "tokens": sum(len(s.ids) for s in samples),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        **asdict(progress),
        **(notes or {}),
    }
    (out / "manifest.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return out


def tokenized(path: Path, tokenizer: Any, max_tokens: int) -> list[Sample]:
    """The rows of a file as tokens, without those that are too long."""
    samples = []
    for row in read_jsonl(path):
        prompt = tokenizer.apply_chat_template(row["messages"], add_generation_prompt=True, tokenize=False)
        before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        after = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
        if len(before) + len(after) < max_tokens:
            samples.append(Sample([*before, *after, tokenizer.eos_token_id], len(before)))
    return samples


def batched(samples: Sequence[Sample], recipe: Recipe, seed: int) -> Iterator[list[Sample]]:
    """Batches of rows of like length, in random order."""
    random = Random(seed)  # noqa: S311
    order = sorted(samples, key=lambda s: (len(s.ids) // 24, random.random()))
    batches: list[list[Sample]] = [[]]
    for sample in order:
        current = batches[-1]
        longest = max([len(sample.ids), *(len(s.ids) for s in current)])
        if current and longest * (len(current) + 1) > recipe.batch_tokens:
            batches.append([])
        batches[-1].append(sample)
    random.shuffle(batches)
    yield from batches


def _load(model: Path, recipe: Recipe) -> tuple[Any, Any]:
    # CPUs without bf16 units emulate it, a hundred times slower than fp32.
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        network = AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"cannot load {model}: {error}; give the folder of a transformers model") from error
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=LAYERS,
        task_type="CAUSAL_LM",
    )
    try:
        network = get_peft_model(network, config)
    except ValueError as error:
        raise ConfigurationError(f"{model} does not fit LoRA over {', '.join(LAYERS)}: {error}") from error
    network.peft_config["default"].base_model_name_or_path = recipe.base
    return tokenizer, network


class _Loop:
    """The training loop over one adapter."""

    def __init__(self, network: Any, device: torch.device, recipe: Recipe, out: Path) -> None:
        self.network, self.device, self.recipe, self.out = network, device, recipe, out
        self.weights = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, lr=recipe.learning_rate, weight_decay=0.0, betas=(0.9, 0.99))
        self.progress = Progress()
        self.checkpoint = out / "checkpoint.pt"

    def run(self, batches: Sequence[list[Sample]], test: Sequence[list[Sample]]) -> Progress:
        """Trains to the end, or until the held-out loss no longer falls."""
        self._resume()
        progress, total = self.progress, len(batches)
        every = max(1, math.ceil(total / self.recipe.evaluations))
        started, recent = time.monotonic() - progress.seconds, []
        while progress.step < total and progress.stale < self.recipe.patience:
            recent.append(self._step(batches[progress.step], self._rate(progress.step, total)))
            progress.step += 1
            if progress.step % every == 0 or progress.step == total:
                progress.seconds = time.monotonic() - started
                self._evaluate(test, torch.stack(recent).mean().item())
                recent = []
        return progress

    def _rate(self, step: int, total: int) -> float:
        """Rises linearly, then falls along a cosine to a twentieth."""
        rising = max(1, int(total * self.recipe.warmup))
        if step < rising:
            return self.recipe.learning_rate * (step + 1) / rising
        done = (step - rising) / max(1, total - rising)
        return self.recipe.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))

    def _step(self, batch: list[Sample], rate: float) -> torch.Tensor:
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, count = self._loss(batch)
        (loss / count).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return (loss / count).detach()

    def _loss(self, batch: list[Sample]) -> tuple[torch.Tensor, int]:
        """Summed loss over the completions, and the number of their tokens."""
        length = max(len(sample.ids) for sample in batch)
        ids = torch.tensor([s.ids + [0] * (length - len(s.ids)) for s in batch])
        attended = torch.tensor([[1] * len(s.ids) + [0] * (length - len(s.ids)) for s in batch])
        wanted = torch.zeros_like(ids, dtype=torch.bool)
        for row, sample in enumerate(batch):
            wanted[row, sample.prompt - 1 : len(sample.ids) - 1] = True
        targets = torch.roll(ids, -1, 1)[wanted].to(self.device)
        base = self.network.get_base_model()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
            hidden = base.model(
                input_ids=ids.to(self.device), attention_mask=attended.to(self.device)
            ).last_hidden_state
            # The vocabulary is 85 times as wide as the model: logits only where there is a loss.
            logits = base.lm_head(hidden[wanted.to(self.device)])
        return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum"), len(targets)

    def _evaluate(self, test: Sequence[list[Sample]], train_loss: float) -> None:
        self.network.eval()
        with torch.no_grad():
            results = [self._loss(batch) for batch in test]
        held_out = sum(loss.item() for loss, _ in results) / sum(count for _, count in results)
        progress = self.progress
        progress.losses.append({"step": progress.step, "train": train_loss, "held_out": held_out})
        logger.info("step %d: train %.4f, held out %.4f, %.0f s", progress.step, train_loss, held_out, progress.seconds)
        progress.stale = 0 if held_out < progress.best else progress.stale + 1
        try:
            if held_out < progress.best:
                progress.best = held_out
                self._export()
            self._save()
        except OSError as error:
            raise BackendError(f"cannot write to {self.out}: {error}; make room and run again to go on") from error

    def _export(self) -> None:
        self.network.save_pretrained(self.out, save_embedding_layers=False)
        path = self.out / "adapter_model.safetensors"
        halves = {name: weight.half().contiguous() for name, weight in load_file(path).items()}
        save_file(halves, path, metadata={"format": "pt"})

    def _save(self) -> None:
        weights = {n: p.detach().cpu() for n, p in self.network.named_parameters() if p.requires_grad}
        state = {"weights": weights, "optimizer": self.optimizer.state_dict(), "progress": asdict(self.progress)}
        partial = self.checkpoint.with_suffix(".part")
        torch.save({**state, "recipe": asdict(self.recipe)}, partial)
        partial.replace(self.checkpoint)

    def _resume(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        if not self.checkpoint.is_file():
            return
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise ConfigurationError(f"{self.checkpoint} was made with other settings; delete it to start again")
        with torch.no_grad():
            for name, weight in self.network.named_parameters():
                if weight.requires_grad:
                    weight.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
        logger.info("going on from step %d", self.progress.step)
