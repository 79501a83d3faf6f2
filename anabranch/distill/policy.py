"""The policy of reinforcement: an adapter, and a policy-gradient step a round. Needs the extra `train`, nothing else.

A step goes up the log-probability of each drawn plan times its advantage. Plans are drawn with the weights that the
step starts from, so there is no ratio of probabilities to clip; what holds the policy near where it began is the
learning rate, replayed rows of its first training, and optionally the divergence from the first adapter.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from anabranch.distill.recipes import Updating
from anabranch.distill.student import Student
from anabranch.distill.tokens import Batch, Sample, batched, on_device
from anabranch.errors import ConfigurationError, ModelError

logger = logging.getLogger(__name__)

LEAST_BATCH = 1_024
"""Passes are not made shorter than so many tokens: about one prompt with its plan."""


@dataclass(frozen=True)
class Drawn:
    """A plan that was drawn for a prompt.

    Attributes:
        messages: the prompt.
        text: what was drawn.
        finished: whether it ended by itself, so that the end of turn was drawn, too.
        advantage: how much better it was than others for the prompt, times how often it was drawn.
    """

    messages: Sequence[dict[str, str]]
    text: str
    finished: bool
    advantage: float


class Policy:
    """An adapter in training.

    Args:
        student: the model, with the adapter to go on from.
        how: how to change its weights.

    Attributes:
        batch_tokens: most tokens of a forward pass; halved where one does not fit into memory.
    """

    def __init__(self, student: Student, how: Updating) -> None:
        self.student, self.how = student, how
        self.batch_tokens = how.batch_tokens
        self.first = student.weights.detach().clone()
        fused = student.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            [student.weights], lr=how.learning_rate, weight_decay=0.0, betas=(0.9, 0.99), fused=fused
        )

    def step(self, drawn: Sequence[Drawn], replayed: Sequence[Sample] = ()) -> dict[str, float]:
        """One step of gradient ascent; an error leaves the weights as they were.

        Args:
            drawn: plans with their advantages, drawn with the weights as they are.
            replayed: rows of the first training, which are learnt as there.

        Returns:
            `gradient`, its norm before clipping; `replay_loss` per token and `kl` per token where there are such.

        Raises:
            ConfigurationError: not even a short pass fits into memory.
            ModelError: the gradient is no longer a number.
        """
        self.student.train(True)
        samples = [self._sample(each) for each in drawn]
        while True:
            try:
                told = self._ascend(samples, [each.advantage for each in drawn]) if samples else {}
                told |= {"replay_loss": self._replay(replayed)} if replayed else {}
                break
            except torch.OutOfMemoryError as error:
                self._make_room(error)
        norm = torch.nn.utils.clip_grad_norm_([self.student.weights], self.how.clip).item()
        if not math.isfinite(norm):
            self.student.weights.grad.zero_()  # type: ignore[union-attr]
            raise ModelError(f"the gradient of a step is {norm}; lower the learning rate and run again to go on")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)
        return {"gradient": norm, **told}

    def _make_room(self, error: torch.OutOfMemoryError) -> None:
        """Drops what a step has computed so far, and halves the passes; the gradient of a step stays the same."""
        assert self.student.weights.grad is not None  # noqa: S101 - `Student` makes it
        self.student.weights.grad.zero_()
        torch.cuda.empty_cache()
        if self.batch_tokens <= LEAST_BATCH:
            raise ConfigurationError(
                f"a step with passes of {self.batch_tokens:,} tokens does not fit into the device's memory; free some, "
                "or give --recompute, and run again to go on"
            ) from error
        self.batch_tokens = max(LEAST_BATCH, self.batch_tokens // 2)
        logger.warning("out of memory; passes of %d tokens from now on", self.batch_tokens)

    def _ascend(self, samples: Sequence[Sample], weights: Sequence[float]) -> dict[str, float]:
        """Adds the gradient of the drawn plans."""
        total = sum(len(sample.ids) - sample.prompt for sample in samples)
        worth = torch.tensor(weights, device=self.student.device)
        divergence = torch.zeros((), device=self.student.device)
        for batch in self._batches(samples):
            owners = torch.tensor(batch.numbers, device=self.student.device)[batch.owner]
            reference = self._reference(batch) if self.how.kl else None
            found = self.student.log_probs(batch.ids, batch.places, batch.targets)
            loss = -(worth[owners] * found).sum() / total
            if reference is not None:
                gap = reference - found
                far = (gap.exp() - gap - 1).sum() / total  # the estimator k3 of http://joschu.net/blog/kl-approx.html
                divergence += far.detach()
                loss = loss + self.how.kl * far
            loss.backward()  # type: ignore[no-untyped-call]
        return {"kl": divergence.item()} if self.how.kl else {}

    def _replay(self, rows: Sequence[Sample]) -> float:
        """Adds the gradient of replayed rows; their loss per token."""
        total, spent = sum(len(row.ids) - row.prompt for row in rows), 0.0
        for batch in self._batches(rows):
            loss = -self.student.log_probs(batch.ids, batch.places, batch.targets).sum() / total
            (self.how.replay_weight * loss).backward()  # type: ignore[no-untyped-call]
            spent += loss.item()
        return spent

    def _batches(self, samples: Sequence[Sample]) -> list[Batch]:
        groups = [(sample,) for sample in samples]
        orders = batched(groups, self.batch_tokens, 0)
        return [on_device(groups, numbers, self.student.device) for numbers in orders]

    def _reference(self, batch: Batch) -> Tensor:
        """Log-probabilities under the first adapter."""
        weights = self.student.weights
        now = weights.detach().clone()
        with torch.no_grad():
            weights.copy_(self.first)
            found = self.student.log_probs(batch.ids, batch.places, batch.targets)
            weights.copy_(now)
        return found

    def _sample(self, drawn: Drawn) -> Sample:
        tokenizer = self.student.tokenizer
        prompt = tokenizer.apply_chat_template(drawn.messages, add_generation_prompt=True, tokenize=False)
        ids, end = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, drawn.text))
        return Sample([*ids, *end, *([tokenizer.eos_token_id] if drawn.finished else [])], len(ids))

    def draw(
        self, prompts: Sequence[Sequence[dict[str, str]]], n: int, temperature: float, tokens: int, seed: int
    ) -> list[list[tuple[str, bool]]]:
        """Draws replies in this process, for machines without a server.

        Args:
            prompts: messages.
            n: replies to each.
            temperature: 0 takes the most probable token each time.
            tokens: most tokens of a reply.
            seed: makes it repeatable.

        Returns:
            For each prompt its replies, each with whether it ended by itself.
        """
        self.student.train(False)
        torch.manual_seed(seed)
        return [self._replies(prompt, n, temperature, tokens) for prompt in prompts]

    def _replies(
        self, messages: Sequence[dict[str, str]], n: int, temperature: float, tokens: int
    ) -> list[tuple[str, bool]]:
        tokenizer = self.student.tokenizer
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"].to(self.student.device)
        how: dict[str, Any] = {"do_sample": False}
        if temperature:
            how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0, "num_return_sequences": n}
        with torch.no_grad():
            made = self.student.network.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens,
                pad_token_id=tokenizer.eos_token_id, eos_token_id=tokenizer.eos_token_id, **how,
            )[:, ids.shape[1] :].tolist()  # fmt: skip
        replies = []
        for row in made:
            finished = tokenizer.eos_token_id in row
            kept = row[: row.index(tokenizer.eos_token_id)] if finished else row
            replies.append((tokenizer.decode(kept, skip_special_tokens=True), finished))
        return replies if temperature else replies * n


def merged(drawn: Sequence[Drawn]) -> list[Drawn]:
    """Plans that were drawn several times once, with the sum of their advantages; those without any are left out."""
    found: dict[tuple[str, str, bool], Drawn] = {}
    for each in drawn:
        key = (str(each.messages), each.text, each.finished)
        known = found.get(key)
        found[key] = replace(known, advantage=known.advantage + each.advantage) if known else each
    return [each for each in found.values() if each.advantage]
