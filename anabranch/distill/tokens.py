"""Rows as tokens, and tokens as batches: bucketed by length, and on the device before training starts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor

from anabranch.batch.files import read_rows

MULTIPLE = 8
"""Batches are this many tokens wide, or a multiple: matrix units work on blocks."""
_BUCKET = 16


@dataclass(frozen=True)
class Sample:
    """A prompt with a completion as tokens; the completion ends with the end of turn.

    Attributes:
        ids: all tokens.
        prompt: how many of them are the prompt's.
    """

    ids: list[int]
    prompt: int


Group = tuple[Sample, ...]
"""Samples that belong into one batch: one for fine-tuning, the better and the worse plan for preferences."""


@dataclass
class Read:
    """What was read of a file of rows.

    Attributes:
        groups: the rows.
        bad: by reason, where the rows that were left out are.
    """

    groups: list[Group] = field(default_factory=list)
    bad: dict[str, list[str]] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Of all groups, without padding."""
        return sum(len(sample.ids) for group in self.groups for sample in group)

    @property
    def described(self) -> dict[str, Any]:
        """For a manifest: rows, tokens, and the first rows of each kind that was left out."""
        left_out = {reason: {"rows": len(places), "first": places[:5]} for reason, places in self.bad.items()}
        return {"rows": len(self.groups), "tokens": self.tokens, "left_out": left_out}


@dataclass(frozen=True)
class Batch:
    """Samples on the device.

    Attributes:
        ids: shape (samples, length), padded on the right.
        places: where completions are predicted, in the flattened batch.
        targets: the token behind each place.
        owner: the sample each place belongs to; the samples of a group follow each other.
        samples: how many samples.
        numbers: places of its groups in the file's list of groups.
        tokens: without padding.
        reference: log-probability of each sample's completion before the training, for preferences.
    """

    ids: Tensor
    places: Tensor
    targets: Tensor
    owner: Tensor
    samples: int
    numbers: tuple[int, ...]
    tokens: int
    reference: Tensor = field(default_factory=lambda: torch.empty(0))


def tokenized(path: Path, tokenizer: Any, completions: Sequence[str], max_tokens: int) -> Read:
    """The rows of a file as tokens; rows that are malformed or too long are noted and left out.

    Args:
        path: JSON lines with `messages` and the fields named next.
        tokenizer: of transformers, with a chat template.
        completions: the fields whose texts follow the prompt.
        max_tokens: longer rows are left out.

    Raises:
        DocumentError: the file cannot be read.
    """
    read = Read()
    texts: list[list[str]] = []
    names: list[str] = []
    fields = {"messages": list, **dict.fromkeys(completions, str)}
    for number, row in enumerate(read_rows(path, fields, read.bad), 1):
        try:
            prompt = tokenizer.apply_chat_template(row["messages"], add_generation_prompt=True, tokenize=False)
        except (TemplateError, TypeError, KeyError, ValueError, AttributeError):
            read.bad.setdefault("messages that the chat template refuses", []).append(f"{path.name}: row {number}")
            continue
        texts.append([prompt, *(row[name] for name in completions)])
        names.append(str(row.get("id", f"row {number}")))
    columns = [_encoded(tokenizer, [text[n] for text in texts]) for n in range(1 + len(completions))]
    for name, prompt_ids, *ends in zip(names, *columns, strict=True):
        samples = tuple(Sample([*prompt_ids, *end, tokenizer.eos_token_id], len(prompt_ids)) for end in ends)
        if max(len(sample.ids) for sample in samples) > max_tokens:
            read.bad.setdefault(f"longer than {max_tokens} tokens", []).append(name)
            continue
        read.groups.append(samples)
    return read


def _encoded(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids


def batched(groups: Sequence[Group], batch_tokens: int, seed: int) -> list[tuple[int, ...]]:
    """Batches of groups of like length, by their places, in random order.

    Args:
        groups: what to batch.
        batch_tokens: most tokens of a batch, padding included; a longer group is a batch of its own.
        seed: of the order.
    """
    random = Random(seed)  # noqa: S311
    order = sorted(range(len(groups)), key=lambda n: (_longest(groups[n]) // _BUCKET, random.random()))
    batches: list[list[int]] = [[]]
    width = 0
    for number in order:
        longer = max(width, _padded(_longest(groups[number])))
        if batches[-1] and longer * len(groups[number]) * (len(batches[-1]) + 1) > batch_tokens:
            batches.append([])
            longer = _padded(_longest(groups[number]))
        batches[-1].append(number)
        width = longer
    random.shuffle(batches)
    return [tuple(batch) for batch in batches if batch]


def _longest(group: Group) -> int:
    return max(len(sample.ids) for sample in group)


def _padded(length: int) -> int:
    return -(-length // MULTIPLE) * MULTIPLE


def on_device(groups: Sequence[Group], numbers: tuple[int, ...], device: torch.device) -> Batch:
    """One batch as tensors."""
    samples = [sample for number in numbers for sample in groups[number]]
    width = _padded(max(len(sample.ids) for sample in samples))
    ids = torch.tensor([sample.ids + [0] * (width - len(sample.ids)) for sample in samples])
    places: list[int] = []
    owner: list[int] = []
    for row, sample in enumerate(samples):
        start, end = sample.prompt - 1, len(sample.ids) - 1
        places += range(row * width + start, row * width + end)
        owner += [row] * (end - start)
    at = torch.tensor(places)
    targets = ids.flatten()[at + 1]
    tokens = sum(len(sample.ids) for sample in samples)
    return Batch(
        ids=ids.to(device),
        places=at.to(device),
        targets=targets.to(device),
        owner=torch.tensor(owner, device=device),
        samples=len(samples),
        numbers=numbers,
        tokens=tokens,
    )
