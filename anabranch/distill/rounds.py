"""The rounds of a reinforcement on disk: what a run goes on from, the adapter chosen so far, and the curve."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from anabranch.distill.curve import write_curve
from anabranch.distill.policy import Policy
from anabranch.errors import BackendError, ConfigurationError

logger = logging.getLogger(__name__)


class Rounds:
    """Keeps each round, so that a run that ends in any way goes on after its last whole one.

    Args:
        policy: the policy; gets the weights and the optimizer's state of a run that is gone on with.
        out: folder for the chosen adapter, `latest`, `state.pt`, `curve.csv` and `curve.svg`.
        stamp: what a state must agree in to be gone on with: settings, hashes of the files.

    Attributes:
        rows: the curve's rows.
        problems: why groups were left out.
        seconds: spent so far.
        stopped: why the run ended.

    Raises:
        ConfigurationError: there is the state of another run, or one that cannot be read.
        BackendError: the folder cannot be made.
    """

    def __init__(self, policy: Policy, out: Path, stamp: Mapping[str, Any]) -> None:
        self.policy, self.out, self.stamp = policy, out, dict(stamp)
        self.rows: list[dict[str, float]] = []
        self.problems: list[str] = []
        self.seconds, self.stopped = 0.0, ""
        self._state = out / "state.pt"
        self._resume()

    @property
    def done(self) -> int:
        """Rounds that were kept."""
        return int(self.rows[-1]["round"]) if self.rows else 0

    @property
    def best(self) -> dict[str, float]:
        """The row that did best on the tuning questions; the earlier one of two that did the same."""
        return max(self.rows, key=lambda row: row.get("tune_reward", -math.inf))

    @property
    def described(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "rounds": self.done,
            "stopped": self.stopped,
            "seconds": round(self.seconds, 1),
            "chosen": {"round": int(self.best["round"]), "first": self.rows[0], "row": self.best},
            "groups_left_out": {"count": len(self.problems), "first": list(dict.fromkeys(self.problems))[:5]},
        }

    def keep(self, row: Mapping[str, float], seconds: float) -> None:
        """Keeps a round, its adapter as the chosen one if it did best so far.

        Args:
            row: the round's columns of the curve.
            seconds: spent in all.

        Raises:
            BackendError: a file cannot be written.
        """
        self.seconds = seconds
        self.rows.append({**row, "seconds": seconds})
        try:
            self.policy.student.save(self.out / "latest")
            if self.best is self.rows[-1]:
                self.policy.student.save(self.out)
            self._save()
        except (OSError, RuntimeError, SafetensorError) as error:  # what a full disk is to each of the libraries
            raise BackendError(f"cannot write to {self.out}: {error}; make room and run again to go on") from error
        write_curve(self.out, self.rows, int(self.best["round"]))
        shown = " ".join(f"{name} {value:.3f}" for name, value in row.items() if name in ("reward", "tune_reward"))
        logger.info("round %d after %.0f s: %s", self.done, seconds, shown)

    def _save(self) -> None:
        partial = self._state.with_suffix(".part")
        state = {
            "weights": self.policy.student.weights.detach().cpu(),
            "optimizer": self.policy.optimizer.state_dict(),
            "rows": self.rows,
            "problems": self.problems,
            "stamp": self.stamp,
        }
        torch.save(state, partial)
        partial.replace(self._state)

    def _resume(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BackendError(f"cannot make the folder {self.out}: {error}; name another") from error
        if not self._state.is_file():
            return
        try:
            state = torch.load(self._state, map_location="cpu", weights_only=True)
            other = state["stamp"] != self.stamp
        except Exception as error:  # torch raises whatever its unpickler meets
            raise ConfigurationError(f"cannot read {self._state}; delete it to start again") from error
        if other:
            raise ConfigurationError(
                f"{self._state} was made with other settings or files; delete it to start again, or name another folder"
            )
        with torch.no_grad():
            self.policy.student.weights.copy_(state["weights"])
        self.policy.optimizer.load_state_dict(state["optimizer"])
        self.rows, self.problems = state["rows"], state["problems"]
        self.seconds = self.rows[-1]["seconds"] if self.rows else 0.0
        logger.info("going on after round %d", self.done)
