"""The loop of fixed slots writes what transformers' greedy `generate` writes, on the CPU in float32."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from anabranch.agents.adapters import shipped_adapter
from anabranch.agents.local import prepare
from anabranch.config import read_settings
from anabranch.serving.merged import merged_folder
from benchmarks.serving.llama import Llama, padded
from benchmarks.serving.prompts import Prompts
from benchmarks.serving.slots import Ends, Slots, common, turn_ends
from tests.agents.local.conftest import PEFT_WARNING
from tests.agents.local.tiny import write_folder

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings(PEFT_WARNING)]
ROOM = 512
ONE_TOO_MANY = "\n9 ["


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Where others use the cores, two threads that wait for each other are ten times slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def written(folder: Path, prompts: Sequence[Sequence[int]], limit: int, *, count: int, every: int) -> list[list[int]]:
    """What the loop writes; the tokens that end a turn are part of it."""
    from transformers import AutoTokenizer

    model = Llama(folder, torch.device("cpu"), torch.float32, ROOM, padded, compiled=False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    slots = Slots(
        model, Ends.of(tokenizer, turn_ends(folder), len(model.head), limit, ONE_TOO_MANY), count, ROOM, every
    )
    slots.share(common(prompts))
    found: dict[int, list[int]] = {}

    def take(number: int, tokens: list[int]) -> None:
        assert number not in found
        found[number] = tokens

    slots.generate(prompts, take)
    return [found[number] for number in range(len(prompts))]


def reference(folder: Path, prompts: Sequence[Sequence[int]], limit: int) -> list[list[int]]:
    """What transformers writes, each prompt by itself."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    found = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        reply = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=limit)
        found.append(reply[0, len(prompt) :].tolist())
    return found


def test_replies_are_those_of_generate(tmp_path: Path) -> None:
    # The first prompts share their beginning with all others; every slot is filled more than once.
    drawn = random.Random(3)
    folder = write_folder(tmp_path / "model", eos_token_id=list(range(3, 259, 16)))
    begin = [drawn.randrange(3, 250) for _ in range(9)]
    prompts = [begin + [drawn.randrange(3, 250) for _ in range(drawn.randrange(2, 40))] for _ in range(48)]
    assert common(prompts) == begin
    replies = written(folder, prompts, 60, count=7, every=3)
    assert replies == reference(folder, prompts, 60)
    assert len({len(reply) for reply in replies}) > 1, "no reply has ended by itself"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_plans_are_those_of_greedy_decoding(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adapter = shipped_adapter("decomposer-135m")
    assert adapter is not None
    folder = merged_folder(
        prepare(read_settings().local_model), adapter, read_settings().cache_dir / "models/merged", progress=print
    )
    sample = (Path(__file__).parents[2] / "distill_data/sample/gsm8k_main_train.jsonl").read_text(encoding="utf-8")
    questions = [json.loads(line)["question"] for line in sample.split("\n") if line]
    rows = enumerate([*questions[:24], *questions])  # the last 32 are for warming up
    data = tmp_path / "questions.jsonl"
    data.write_text("".join(json.dumps({"id": str(n), "question": question}) + "\n" for n, question in rows))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts = Prompts.of([data], 24).encode(tokenizer, 24)
    assert len(common(prompts)) > 50
    replies = written(folder, prompts, 32, count=12, every=8)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for prompt, reply in zip(prompts, replies, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + reply]), logits_to_keep=len(reply) + 1).logits[0]
        # The most probable token after each beginning, which `generate` would need a step for each to say.
        assert reply == logits[:-1].argmax(-1).tolist()
