"""Fine-tuning on rendered prompts: loss on the completion only. Needs the extra `train`, and nothing else.

A row is `{"messages": [...], "completion": "..."}`; the prompt's tokens are what the model's chat template makes of the
messages, as in serving, and the completion ends with the template's end of turn. Where only torch, transformers and
peft are installed, `python -m anabranch.distill.train` runs it.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anabranch.batch.files import digest
from anabranch.distill import bare
from anabranch.distill.loop import Loop, manifest
from anabranch.distill.recipes import Recipe
from anabranch.distill.student import Lora, Student
from anabranch.distill.tokens import Batch, Read, batched, on_device, tokenized
from anabranch.errors import ConfigurationError, as_script


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
        DocumentError: a file of rows cannot be read.
        ModelUnavailableError: the base model cannot be loaded.
        ConfigurationError: no row can be used, the base has none of LoRA's layers, or the adapter to go on from does
            not fit it or is in `out`.
        ModelError: the loss is no longer a number.
        BackendError: a checkpoint cannot be written.
    """
    torch.manual_seed(recipe.seed)
    student = Student(model, recipe.base, _adapter(recipe, out), recompute=recipe.recompute)
    shown, test = (tokenized(path, student.tokenizer, ["completion"], recipe.max_tokens) for path in (rows, held_out))
    check_rows({rows: shown, held_out: test})
    order = [
        batch
        for epoch in range(recipe.epochs)
        for batch in batched(shown.groups, recipe.batch_tokens, recipe.seed + epoch)
    ]
    batches = [on_device(shown.groups, numbers, student.device) for numbers in order]
    tests = [on_device(test.groups, n, student.device) for n in batched(test.groups, recipe.batch_tokens, 0)]

    def summed(batch: Batch) -> Tensor:
        return -student.log_probs(batch.ids, batch.places, batch.targets).sum()

    def evaluate() -> dict[str, float]:
        total = torch.stack([summed(batch) for batch in tests]).sum().item()
        return {"held_out": total / sum(len(batch.targets) for batch in tests)}

    stamp = {"rows": digest(rows), "held_out": digest(held_out)}
    if recipe.start:
        stamp["adapter"] = digest(Path(recipe.start) / "adapter_model.safetensors")
    progress = Loop(student, recipe, out, stamp).run(batches, lambda b: summed(b) / len(b.targets), evaluate)
    facts = {"stage": "train", "train": shown.described, "held_out": test.described, "inputs": stamp, **(notes or {})}
    manifest(student, recipe, progress, out=out, **facts)
    return out


def _adapter(recipe: Recipe, out: Path) -> Lora | Path:
    """The adapter to go on from, or what a new one is like."""
    if recipe.start is None:
        alpha = recipe.alpha or 2 * recipe.rank
        return Lora(rank=recipe.rank, alpha=alpha, dropout=recipe.dropout, layers=tuple(recipe.layers))
    if Path(recipe.start).resolve() == out.resolve():
        raise ConfigurationError(f"{out} is the adapter to start from; name another folder for the new one")
    return Path(recipe.start)


def check_rows(files: dict[Path, Read]) -> None:
    """Sees to it that each file has rows.

    Raises:
        ConfigurationError: one has none that can be used.
    """
    for path, read in files.items():
        if not read.groups:
            reasons = "; ".join(f"{len(places)} are {reason}" for reason, places in read.bad.items()) or "it is empty"
            raise ConfigurationError(f"no row of {path} can be used: {reasons}")


def main() -> None:
    """Reads a command line: `... MODEL ROWS HELD_OUT OUT --base NAME`, and options of the recipe."""
    parser = bare.parser(Recipe, train.__doc__ or "", ("model", "rows", "held_out", "out"))
    (model, rows, held_out, out), recipe, notes = bare.read(parser, Recipe)
    as_script(lambda: train(model, rows, held_out, out, recipe, notes))


if __name__ == "__main__":
    main()
