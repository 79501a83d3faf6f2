"""The model in training: a frozen base with a LoRA adapter whose weights are one tensor. Needs the extra `train`.

The base is in bf16 on a GPU and in fp32 on a CPU (CPUs without bf16 units emulate it, a hundred times slower); the
adapter is in fp32. transformers loads the base, peft makes, reads and writes the adapter.
"""

import json
import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from anabranch.distill import forward
from anabranch.distill.recipes import LAYERS
from anabranch.errors import ConfigurationError, ModelUnavailableError

LOGITS_ROWS = 4_096
"""Tokens whose logits are computed at once: a vocabulary of 150,000 takes 2.5 GB in fp32 for so many."""


@dataclass(frozen=True)
class Lora:
    """A new adapter's form.

    Attributes:
        rank: LoRA's rank.
        alpha: its scale, as a multiple of 1 / rank.
        dropout: on its input; anything but 0 takes the slower, general forward pass.
        layers: names of the linear layers that get one.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    layers: tuple[str, ...] = LAYERS


class Student:
    """A base model with one adapter, trainable.

    Args:
        model: folder of the base model.
        base: the base's name, for the saved adapter's configuration.
        adapter: a new adapter's form, or the folder of one to go on with.
        recompute: trade time for memory, see `forward.hidden_states`.

    Attributes:
        tokenizer: the base's tokenizer.
        device: where it runs.
        weights: all the adapter's weights in fp32, the one tensor to optimise.

    Raises:
        ModelUnavailableError: the base model or the adapter cannot be read.
        ConfigurationError: the adapter does not fit the base.
    """

    def __init__(self, model: Path, base: str, adapter: Lora | Path, *, recompute: bool = False) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
            # One for each real core: threads that share one wait for each other at every operation.
            torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.recompute = recompute
        self.tokenizer, network = load_base(model, self.dtype)
        network.requires_grad_(False)
        self.network: Any = _with_adapter(network, adapter, model)
        config = self.network.peft_config["default"]
        config.base_model_name_or_path = base
        self.network.to(self.device)
        self._fast = forward.supports(network, config.lora_dropout)
        if recompute and not self._fast:
            self.network.enable_input_require_grads()
            # transformers 5.20 renamed it.
            enable = getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
            enable({"use_reentrant": False})
        self._parts = [p for p in self.network.parameters() if p.requires_grad]
        self.weights = _as_one(self._parts)
        self._linears = _adapted(self.network, self._parts)
        self._scales = torch.ones_like(self.weights)
        scaled = self._scales.split_with_sizes([part.numel() for part in self._parts])
        for _, b in self._linears.values():
            scaled[b].fill_(config.lora_alpha / config.r)

    @property
    def described(self) -> dict[str, Any]:
        """The adapter and the machine, for a manifest."""
        config = self.network.peft_config["default"]
        return {
            "rank": config.r,
            "alpha": config.lora_alpha,
            "layers": sorted(config.target_modules),
            "adapter_weights": self.weights.numel(),
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
            "dtype": str(self.dtype).removeprefix("torch."),
            "torch": torch.__version__,
        }

    def log_probs(self, ids: Tensor, places: Tensor, targets: Tensor) -> Tensor:
        """Log-probabilities of tokens.

        Args:
            ids: a batch, shape (rows, length), padded on the right.
            places: where the predictions are taken, as places in the flattened batch.
            targets: the token that follows each place.

        Returns:
            In fp32, one for each place.
        """
        if not self._fast:
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
                logits = self.network(input_ids=ids, use_cache=False).logits.flatten(0, 1)[places]
            return _chosen(logits, targets)
        cast = (self.weights * self._scales).to(self.dtype)
        parts = cast.split_with_sizes([part.numel() for part in self._parts])
        shaped = [part.view(like.shape) for part, like in zip(parts, self._parts, strict=True)]
        adapters = {module: (shaped[a], shaped[b]) for module, (a, b) in self._linears.items()}
        base = self.network.get_base_model()
        hidden = forward.hidden_states(base, adapters, ids, recompute=self.recompute)[places]
        starts = range(0, len(targets), LOGITS_ROWS)
        pieces = [(hidden[at : at + LOGITS_ROWS], targets[at : at + LOGITS_ROWS]) for at in starts]
        return torch.cat([_chosen(base.lm_head(states), wanted) for states, wanted in pieces])

    def train(self, on: bool) -> None:
        """Switches dropout on or off."""
        self.network.train(on)

    def save(self, folder: Path) -> None:
        """Writes the adapter as peft does, in fp16. Each file is there as a whole, whenever the process ends."""
        partial = folder / ".part"
        self.network.save_pretrained(partial, save_embedding_layers=False)
        weights = partial / "adapter_model.safetensors"
        halves = {name: weight.half().contiguous() for name, weight in load_file(weights).items()}
        save_file(halves, weights, metadata={"format": "pt"})
        for name in ("adapter_config.json", weights.name):
            (partial / name).replace(folder / name)
        shutil.rmtree(partial)  # with peft's empty model card


def load_base(model: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Tokenizer and weights of a model folder.

    Raises:
        ModelUnavailableError: they cannot be read.
    """
    disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        network = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, attn_implementation="sdpa")
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelUnavailableError(f"cannot load {model}: {error}; give the folder of a transformers model") from error
    if not tokenizer.chat_template or tokenizer.eos_token_id is None:
        raise ModelUnavailableError(f"{model} has no chat template or end-of-turn token; take a model tuned for chat")
    _check_end_of_turn(tokenizer, model)
    return tokenizer, network


def _check_end_of_turn(tokenizer: Any, model: Path) -> None:
    """Files converted from other formats name the wrong token at times, and what is trained on it never stops."""
    turn = {"role": "user", "content": "a"}
    try:
        prompt = tokenizer.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)
        whole = tokenizer.apply_chat_template([turn, {"role": "assistant", "content": "b"}], tokenize=False)
    except TemplateError:
        return  # one that wants other messages; rows that it refuses are counted when they are read
    rest = whole.removeprefix(f"{prompt}b").strip()
    if rest and rest != whole.strip() and not rest.startswith(tokenizer.eos_token):
        raise ModelUnavailableError(
            f"the chat template of {model} ends a turn with {rest[:20]!r}, and its tokenizer with "
            f"{tokenizer.eos_token!r}; correct eos_token in tokenizer_config.json"
        )


def check_adapter(folder: Path) -> dict[str, Any]:
    """The configuration of an adapter's folder.

    Raises:
        ModelUnavailableError: there is none.
        ConfigurationError: it is not plain LoRA.
    """
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        plain = config.get("peft_type") == "LORA" and config.get("bias", "none") == "none"
    except (OSError, ValueError, AttributeError) as error:
        raise ModelUnavailableError(f"{folder} holds no adapter: {error}; give a folder that train wrote") from error
    odd = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save", "fan_in_fan_out")
    if not plain or any(config.get(name) for name in odd):
        raise ConfigurationError(
            f"{folder} is not plain LoRA over linear layers; train one with anabranch distill train"
        )
    return dict(config)


def _with_adapter(network: Any, adapter: Lora | Path, model: Path) -> Any:
    if isinstance(adapter, Path):
        check_adapter(adapter)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of weights without a place, which is an error here
                return _fitting(PeftModel.from_pretrained(network, adapter, is_trainable=True), adapter)
        except (RuntimeError, ValueError, OSError, SafetensorError) as error:
            problem = str(error).strip().splitlines()[-1].strip()
            raise ConfigurationError(
                f"the adapter {adapter} does not fit the base {model}: {problem}; give the base it was trained on"
            ) from error
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=list(adapter.layers),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(network, config)
    except ValueError as error:
        raise ConfigurationError(f"{model} does not fit LoRA over {', '.join(adapter.layers)}: {error}") from error


def _fitting(network: Any, adapter: Path) -> Any:
    """The network, if it has a place for each of the adapter's weights and no others."""
    there = {name.replace(".default", "") for name, part in network.named_parameters() if part.requires_grad}
    given = load_file(adapter / "adapter_model.safetensors").keys()
    if there != given:
        raise ValueError(f"it has {len(given)} weights for {len(there)} places")
    return network


def _as_one(parts: Sequence[Tensor]) -> torch.nn.Parameter:
    """One parameter that shares its memory with all these, gradients included."""
    whole = torch.nn.Parameter(torch.cat([part.detach().float().flatten() for part in parts]))
    whole.grad = torch.zeros_like(whole)
    start = 0
    for part in parts:
        end = start + part.numel()
        part.data = whole.data[start:end].view(part.shape)
        part.grad = whole.grad[start:end].view(part.shape)
        start = end
    return whole


def _adapted(network: Any, parts: Sequence[Tensor]) -> dict[int, tuple[int, int]]:
    """By the id of each adapted layer, which of the parts are its A and B."""
    place = {id(part): number for number, part in enumerate(parts)}
    found = {}
    for module in network.modules():
        if hasattr(module, "lora_A") and "default" in module.lora_A:
            pair = module.lora_A["default"].weight, module.lora_B["default"].weight
            found[id(module)] = (place[id(pair[0])], place[id(pair[1])])
    return found


def _chosen(logits: Tensor, targets: Tensor) -> Tensor:
    return -torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
