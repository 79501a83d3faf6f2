"""The training loop both stages share: schedule, clipping, evaluations, early stopping, checkpoints, resuming.

Nothing in a step waits for the GPU: batches are there before, and losses are read at evaluations only.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from anabranch.batch.files import write_manifest
from anabranch.distill.recipes import Schedule
from anabranch.distill.student import Student
from anabranch.distill.tokens import Batch
from anabranch.errors import BackendError, ConfigurationError, ModelError

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """Where a training stands; kept in checkpoints and in the manifest.

    Attributes:
        step: steps done.
        total: steps there are.
        best: the best held-out loss.
        stale: evaluations since.
        seconds: spent in steps and evaluations.
        trained_seconds: of these, in steps.
        tokens: trained on, without padding.
        losses: what each evaluation found.
        stopped: why training ended: `done`, `no better held-out loss`, or `out of time`.
    """

    step: int = 0
    total: int = 0
    best: float = math.inf
    stale: int = 0
    seconds: float = 0.0
    trained_seconds: float = 0.0
    tokens: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)
    stopped: str = ""


class Loop:
    """Trains one student.

    Args:
        student: the model.
        schedule: how to train.
        out: folder for the best adapter and the checkpoint.
        stamp: what else a checkpoint must agree in to be gone on with, such as hashes of the rows.
    """

    def __init__(self, student: Student, schedule: Schedule, out: Path, stamp: dict[str, Any]) -> None:
        self.student, self.schedule, self.out = student, schedule, out
        self.stamp = {**asdict(schedule), **stamp, "max_seconds": None}
        fused = student.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            [student.weights], lr=schedule.learning_rate, weight_decay=0.0, betas=(0.9, 0.99), fused=fused
        )
        self.progress = Progress()
        self.checkpoint = out / "checkpoint.pt"

    def run(
        self,
        batches: Sequence[Batch],
        loss: Callable[[Batch], Tensor],
        evaluate: Callable[[], dict[str, float]],
    ) -> Progress:
        """Trains to the end, until the held-out loss no longer falls, or until time is up.

        Args:
            batches: the batch of each step.
            loss: of a batch.
            evaluate: gives at least `held_out`, the loss to get down.

        Raises:
            ConfigurationError: there is a checkpoint of another training.
            ModelError: the loss is no longer a number.
            BackendError: a checkpoint cannot be written.
        """
        self._resume()
        progress = self.progress
        progress.total, progress.stopped = len(batches), ""
        every = max(1, math.ceil(len(batches) / self.schedule.evaluations))
        started = time.monotonic() - progress.seconds
        recent: list[Tensor] = []
        self.student.train(True)
        since = time.monotonic()
        while not self._over(progress, time.monotonic() - started):
            recent.append(self._step(loss(batches[progress.step]), self._rate(time.monotonic() - started)))
            progress.tokens += batches[progress.step].tokens
            progress.step += 1
            over = self._over(progress, time.monotonic() - started)
            if progress.step % every == 0 or over:
                train_loss = torch.stack(recent).mean().item()  # waits for the device
                progress.trained_seconds += time.monotonic() - since
                self._evaluate(train_loss, evaluate, started)
                recent, since = [], time.monotonic()
        progress.stopped = self._over(progress, time.monotonic() - started)
        return progress

    def _over(self, progress: Progress, seconds: float) -> str:
        if progress.step >= progress.total:
            return "done"
        if progress.stale >= self.schedule.patience:
            return "no better held-out loss"
        limit = self.schedule.max_seconds
        return "out of time" if limit is not None and seconds >= limit else ""

    def _rate(self, seconds: float) -> float:
        """Rises linearly, then falls along a cosine to a twentieth, with the steps or with time, which ends first."""
        peak, total, step = self.schedule.learning_rate, self.progress.total, self.progress.step
        rising = max(1, int(total * self.schedule.warmup))
        if step < rising:
            return peak * (step + 1) / rising
        done = (step - rising) / max(1, total - rising)
        if self.schedule.max_seconds is not None:
            done = min(1.0, max(done, seconds / self.schedule.max_seconds))
        return peak * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))

    def _step(self, loss: Tensor, rate: float) -> Tensor:
        weights = self.student.weights
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([weights], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)
        return loss.detach()

    def _evaluate(self, train_loss: float, evaluate: Callable[[], dict[str, float]], started: float) -> None:
        progress = self.progress
        self.student.train(False)
        with torch.no_grad():
            found = evaluate()
        self.student.train(True)
        held_out = found["held_out"]
        if not math.isfinite(held_out) or not math.isfinite(train_loss):
            raise ModelError(f"the loss at step {progress.step} is {train_loss}; lower the learning rate")
        progress.seconds = time.monotonic() - started
        progress.losses.append({"step": progress.step, "train": train_loss, **found})
        shown = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        speed = progress.tokens / max(progress.trained_seconds, 1e-9)
        logger.info(
            "step %d of %d: train %.4f, %s; %.0f s, %.0f tokens/s",
            *(progress.step, progress.total, train_loss, shown, progress.seconds, speed),
        )
        better = held_out < progress.best
        progress.stale = 0 if better else progress.stale + 1
        progress.best = min(held_out, progress.best)
        try:
            if better:
                self.student.save(self.out)
            self._save()
        except (OSError, RuntimeError, SafetensorError) as error:  # what a full disk is to each of the libraries
            raise BackendError(f"cannot write to {self.out}: {error}; make room and run again to go on") from error

    def _save(self) -> None:
        partial = self.checkpoint.with_suffix(".part")
        state = {
            "weights": self.student.weights.detach().cpu(),
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
            "stamp": self.stamp,
        }
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def _resume(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BackendError(f"cannot make the folder {self.out}: {error}; name another") from error
        if not self.checkpoint.is_file():
            return
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            other = state["stamp"] != self.stamp
        except Exception as error:  # torch raises whatever its unpickler meets
            raise ConfigurationError(f"cannot read {self.checkpoint}; delete it to start again") from error
        if other:
            raise ConfigurationError(
                f"{self.checkpoint} was made with other settings or rows; delete it to start again"
            )
        with torch.no_grad():
            self.student.weights.copy_(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
        logger.info("going on from step %d", self.progress.step)


def manifest(student: Student, schedule: Schedule, progress: Progress, **facts: Any) -> None:
    """Writes `manifest.json` beside an adapter."""
    out = facts.pop("out")
    speed = {"tokens_per_second": round(progress.tokens / max(progress.trained_seconds, 1e-9))}
    write_manifest(
        out / "manifest.json", {"recipe": asdict(schedule), **student.described, **facts, **asdict(progress), **speed}
    )
