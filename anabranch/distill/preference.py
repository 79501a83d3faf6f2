"""Preference training from the solver's outcomes: plans that led to the right answer against plans that did not.

Direct preference optimisation (arXiv 2305.18290) with a likelihood term on the better plan (as in RPO, arXiv
2404.19733), and optionally with log-probabilities averaged over a plan's tokens (as in SimPO, arXiv 2405.14734), so
that length is no argument. The reference is the adapter as it was before: its log-probabilities are computed once, so
there is never a second model in memory. Needs the extra `train`, and nothing else.

A row is `{"id": ..., "messages": [...], "chosen": "...", "rejected": "..."}`. Where only torch, transformers and peft
are installed, `python -m anabranch.distill.preference` runs it.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from anabranch.batch.files import digest
from anabranch.distill import bare
from anabranch.distill.loop import Loop, manifest
from anabranch.distill.recipes import PreferenceRecipe
from anabranch.distill.student import Student
from anabranch.distill.tokens import Batch, Group, batched, on_device, tokenized
from anabranch.distill.train import check_rows
from anabranch.errors import ConfigurationError, as_script

logger = logging.getLogger(__name__)


def prefer(
    model: Path,
    adapter: Path,
    pairs: Path,
    held_out: Path,
    out: Path,
    recipe: PreferenceRecipe,
    notes: dict[str, Any] | None = None,
) -> Path:
    """Goes on training an adapter on pairs; a run that was stopped goes on from its last checkpoint in `out`.

    Args:
        model: folder of the base model.
        adapter: folder of the adapter to go on with, which is the reference, too.
        pairs: training pairs.
        held_out: pairs for the held-out loss and accuracy, best of other questions.
        out: folder for the new adapter, the checkpoint and `manifest.json`.
        recipe: how to train.
        notes: more fields of the manifest.

    Raises:
        DocumentError: a file of pairs cannot be read.
        ModelUnavailableError: the base model or the adapter cannot be loaded.
        ConfigurationError: no pair can be used, or the adapter does not fit the base.
        ModelError: the loss is no longer a number.
        BackendError: a checkpoint cannot be written.
    """
    if out.resolve() == adapter.resolve():
        raise ConfigurationError(f"{out} is the adapter to start from; name another folder for the new one")
    torch.manual_seed(recipe.seed)
    student = Student(model, recipe.base, adapter, recompute=recipe.recompute)
    fields = ["chosen", "rejected"]
    shown, test = (tokenized(path, student.tokenizer, fields, recipe.max_tokens) for path in (pairs, held_out))
    check_rows({pairs: shown, held_out: test})
    stamp = {
        "pairs": digest(pairs),
        "held_out": digest(held_out),
        "adapter": digest(adapter / "adapter_model.safetensors"),
    }
    judge = _Judge(student, recipe)
    trained = judge.batches(shown.groups, [recipe.seed + epoch for epoch in range(recipe.epochs)])
    tests = judge.batches(test.groups, [0])
    before = {name: judge.ranked(batches) for name, batches in (("train", trained), ("held_out", tests))}
    logger.info("the adapter as it is ranks %.3f of the held-out pairs right", before["held_out"])
    progress = Loop(student, recipe, out, stamp).run(trained, judge.loss, lambda: judge.evaluate(tests))
    facts = {"stage": "prefer", "train": shown.described, "held_out": test.described, "inputs": stamp}
    manifest(student, recipe, progress, out=out, **facts, ranked_right_before=before, **(notes or {}))
    return out


class _Judge:
    """Compares plans under the student with the same under the reference."""

    def __init__(self, student: Student, recipe: PreferenceRecipe) -> None:
        self.student, self.recipe = student, recipe

    def batches(self, groups: Sequence[Group], seeds: Sequence[int]) -> list[Batch]:
        """Batches with the reference's log-probabilities; to be made before the first step."""
        orders = [batched(groups, self.recipe.batch_tokens, seed) for seed in seeds]
        known = torch.zeros(len(groups), 2, device=self.student.device)
        made = [[on_device(groups, numbers, self.student.device) for numbers in order] for order in orders]
        self.student.train(False)
        with torch.no_grad():
            for batch in made[0]:
                known[torch.tensor(batch.numbers)] = self._values(batch)[0].view(-1, 2)
        self.student.train(True)
        return [replace(b, reference=known[torch.tensor(b.numbers)].flatten()) for batches in made for b in batches]

    def ranked(self, batches: Sequence[Batch]) -> float:
        """Share of the pairs that the reference ranks right by itself."""
        pairs = torch.cat([batch.reference.view(-1, 2) for batch in batches])
        return (pairs[:, 0] > pairs[:, 1]).float().mean().item()

    def loss(self, batch: Batch) -> Tensor:
        """Mean over the pairs of a batch."""
        return self._losses(batch)[0].mean()

    def evaluate(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Mean loss, share of the pairs whose better plan gained more, its margin, and its loss per token."""
        found = [torch.stack(self._losses(batch)) for batch in batches]
        loss, gain, likelihood = torch.cat(found, 1)
        return {
            "held_out": loss.mean().item(),
            "accuracy": (gain > 0).float().mean().item(),
            "margin": gain.mean().item(),
            "chosen_loss": likelihood.mean().item(),
        }

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """For each pair: its loss, how much more its better plan gained, and that plan's loss per token."""
        values, means = self._values(batch)
        gained = (values - batch.reference).view(-1, 2)
        gain = gained[:, 0] - gained[:, 1]
        beta, doubt = self.recipe.beta, self.recipe.smoothing
        wrong = -(1 - doubt) * functional.logsigmoid(beta * gain) - doubt * functional.logsigmoid(-beta * gain)
        likelihood = -means[0::2]
        return wrong + self.recipe.sft_weight * likelihood, gain, likelihood

    def _values(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What is compared, and the mean log-probability of a token, for each sample."""
        each = self.student.log_probs(batch.ids, batch.places, batch.targets)
        sums = each.new_zeros(batch.samples).index_add(0, batch.owner, each)
        counts = each.new_zeros(batch.samples).index_add(0, batch.owner, torch.ones_like(each))
        means = sums / counts
        return means if self.recipe.normalise else sums, means


def main() -> None:
    """Reads a command line: `... MODEL ADAPTER PAIRS HELD_OUT OUT --base NAME`, and options of the recipe."""
    parser = bare.parser(PreferenceRecipe, prefer.__doc__ or "", ("model", "adapter", "pairs", "held_out", "out"))
    (model, adapter, pairs, held_out, out), recipe, notes = bare.read(parser, PreferenceRecipe)
    as_script(lambda: prefer(model, adapter, pairs, held_out, out, recipe, notes))


if __name__ == "__main__":
    main()
