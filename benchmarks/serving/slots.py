"""An experiment: how many plans a second one GPU writes with a small model in a loop of our own.

python -m benchmarks.serving.slots MERGED --data gsm8k_main_test.jsonl [--clients 1024 256]

Each client has a slot of the cache. A step of decoding for all slots is one CUDA graph that also takes the most
probable token, writes it down and tells who has ended; the processor looks once every few steps, at the steps before
the last, so that the GPU does not wait for it. What all prompts begin with is computed once. Plans are written freely
and checked as the product does; those that fit no plan, which the product would put right under its grammar, are
counted. There is no server here, no sampling, no adapter beside the weights and no streaming: MERGED is a folder of
merged weights, as `anabranch serve decomposer` keeps it in its cache.
"""

import argparse
import heapq
import json
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.serving.llama import Llama, Span, flash, padded
from benchmarks.serving.load import percentile, steady
from benchmarks.serving.prompts import Prompts

EVERY = 8
"""Steps between two looks."""
SIZES = (1, 2, 4, 8)
"""CUDA graphs are made for all slots, and for a half, a quarter and an eighth of them."""

Take = Callable[[int, list[int]], None]
"""Is given the number of a prompt and the tokens that were written for it."""


@dataclass(frozen=True)
class Ends:
    """What ends a reply.

    Attributes:
        limit: most tokens.
        tokens: [vocabulary] bool, those that end a turn.
        breaks: [vocabulary] bool, those whose text ends with a line break.
        too_many: [vocabulary] bool, those that begin with the number of a line too many; after a break, they end it.
    """

    limit: int
    tokens: Tensor
    breaks: Tensor
    too_many: Tensor

    @classmethod
    def of(cls, tokenizer: Any, turn: Sequence[int], vocabulary: int, limit: int, one_too_many: str) -> "Ends":
        """For a tokenizer, the tokens that end a turn, and the text with which a line too many begins."""
        digit = one_too_many.strip("\n [")
        texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
        texts += [""] * (vocabulary - len(texts))
        ends = torch.zeros(vocabulary, dtype=torch.bool)
        ends[list(turn)] = True
        breaks = torch.tensor([text.endswith("\n") for text in texts])
        return cls(limit, ends, breaks, torch.tensor([text.startswith(digit) for text in texts]))

    def to(self, device: torch.device) -> "Ends":
        """The same on a device."""
        return Ends(self.limit, self.tokens.to(device), self.breaks.to(device), self.too_many.to(device))


class Slots:
    """The slots with what they hold, on the device; the processor knows only whose they are.

    Args:
        model: what writes.
        ends: what ends a reply.
        count: how many slots.
        room: most tokens of a prompt and its reply.
        every: steps between two looks.
    """

    def __init__(self, model: Llama, ends: Ends, count: int, room: int, every: int = EVERY) -> None:
        self.model, self.ends, self.count, self.room, self.every = model, ends.to(model.device), count, room, every
        self.gpu = model.device.type == "cuda"
        self.cache = model.cache(count * room)
        new = {"device": model.device, "dtype": torch.int64}
        self.token = torch.zeros(count, **new)  # type: ignore[call-overload]
        self.length = torch.zeros_like(self.token)  # rows of the cache that are filled
        self.written = torch.zeros_like(self.token)  # tokens of the reply
        self.done = torch.ones_like(self.token, dtype=torch.bool)
        # The last column takes what slots write that have ended.
        self.reply = torch.zeros(count, ends.limit + 1, device=model.device, dtype=torch.int32)
        self.first = torch.arange(count + 1, **new) * room  # type: ignore[call-overload]
        self.starts = self.first.int()
        self.queries = torch.arange(count + 1, device=model.device, dtype=torch.int32)
        self.prefix: list[int] = []
        self.shared = self.cache[:, :0].clone()
        self.graphs: dict[int, Any] = {}
        self.waited = 0.0  # seconds for which the processor had nothing to do, in the last pass
        if self.gpu:
            self._capture()

    @torch.inference_mode()
    def share(self, prefix: Sequence[int]) -> None:
        """Computes what all prompts begin with; no slot may be in use."""
        self.prefix, self.shared = [], self.cache[:, :0].clone()
        if prefix:
            self._fill([(0, [*prefix, 0])])
            self.shared = self.cache[:, : len(prefix)].clone()
            self.prefix = list(prefix)
            self.done.fill_(True)

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Sequence[int]], take: Take) -> None:
        """Writes a reply to each prompt, in order, as slots become free; all begin with what is shared."""
        waiting = deque(enumerate(prompts))
        free = list(range(self.count))
        owner: dict[int, tuple[int, int]] = {}  # of a slot: the prompt's number, and the first look that shows it
        looks: deque[tuple[int, Callable[[], tuple[Tensor, Tensor, Tensor]]]] = deque()
        look, self.waited = 0, 0.0
        while waiting or owner:
            begun = []
            while waiting and free:
                slot = heapq.heappop(free)
                number, prompt = waiting.popleft()
                owner[slot] = (number, look)
                begun.append((slot, prompt))
            if begun:
                self._fill(begun)
            size = min(size for part in SIZES if (size := -(-self.count // part)) > max(owner))
            self._steps(size, self.every)
            looks.append((look, self._see()))
            look += 1
            if len(looks) > 1 or not waiting:
                seen, show = looks.popleft()
                began = time.monotonic()
                done, written, reply = show()
                self.waited += time.monotonic() - began
                for slot in done.nonzero().flatten().tolist():
                    if slot in owner and owner[slot][1] <= seen:
                        number, _ = owner.pop(slot)
                        heapq.heappush(free, slot)
                        take(number, reply[slot, : written[slot]].tolist())

    def _fill(self, begun: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Reads prompts into slots, all but their last tokens, with which decoding begins."""
        shared = len(self.prefix)
        slots = self._put([slot for slot, _ in begun])
        parts = [prompt[shared:-1] for _, prompt in begun]
        counts = torch.tensor([len(part) for part in parts])
        last = self._put([prompt[-1] for _, prompt in begun])
        if shared:
            cache = self.cache.view(len(self.cache), self.count, self.room, *self.cache.shape[2:])
            cache[:, slots, :shared] = self.shared[:, None]
        tokens = self._put([token for part in parts for token in part])
        sizes = self._put(counts.tolist())
        ends = sizes.cumsum(0)
        places = torch.arange(len(tokens), device=tokens.device)
        sequence = torch.repeat_interleave(
            torch.arange(len(begun), device=tokens.device), sizes, output_size=len(tokens)
        )
        positions = places - (ends - sizes)[sequence] + shared
        starts = self.first[slots]
        span = Span(
            starts=torch.cat((starts, starts[:1])).int(),
            used=(sizes + shared).int(),
            queries=torch.cat((ends.new_zeros(1), ends)).int(),
            longest=int(counts.max()),
            room=self.room,
        )
        self.model.hidden(tokens, positions, starts[sequence] + positions, self.cache, span)
        self.token[slots], self.length[slots] = last, sizes + shared
        self.written[slots], self.done[slots] = 0, False

    @torch.inference_mode()
    def step_seconds(self, length: int, times: int = 64) -> float:
        """What a step takes with all slots in use, at sequences of `length` tokens and a few more."""
        self.length.fill_(length)
        self.written.zero_()
        self.done.zero_()
        self._see()()
        began = time.monotonic()
        self._steps(self.count, times)
        self._see()()
        self.done.fill_(True)
        return (time.monotonic() - began) / times

    def _steps(self, size: int, times: int) -> None:
        for _ in range(times):
            self.graphs[size].replay() if size in self.graphs else self._step(size)

    def _step(self, size: int) -> None:
        """One token for each of the first slots; those that have ended go on at their first row, unseen."""
        token, length, written = self.token[:size], self.length[:size], self.written[:size]
        done, reply = self.done[:size], self.reply[:size]
        span = Span(self.starts[: size + 1], (length + 1).int(), self.queries[: size + 1], 1, self.room)
        hidden = self.model.hidden(token, length, self.first[:size] + length, self.cache, span)
        following = self.model.best(hidden)
        column = torch.where(done, self.ends.limit, written)
        reply.scatter_(1, column[:, None], following[:, None].int())
        line_too_many = self.ends.breaks[token] & self.ends.too_many[following] & (written > 0)
        written += ~done
        done |= self.ends.tokens[following] | line_too_many | (written >= self.ends.limit)
        length.copy_(torch.where(done, 0, length + 1))
        token.copy_(following)

    def _capture(self) -> None:
        pool = torch.cuda.graph_pool_handle()
        with torch.inference_mode():
            for size in sorted({-(-self.count // part) for part in SIZES}, reverse=True):
                for _ in range(3):
                    self._step(size)
                torch.cuda.synchronize()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=pool):
                    self._step(size)
                self.graphs[size] = graph
        torch.cuda.synchronize()

    def _see(self) -> Callable[[], tuple[Tensor, Tensor, Tensor]]:
        """Begins to copy who is done and what was written; gives a function that waits for it."""
        state = (self.done, self.written, self.reply)
        if not self.gpu:
            copies = tuple(each.clone() for each in state)
            return lambda: (copies[0], copies[1], copies[2])
        pinned = [torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in state]
        for copy, each in zip(pinned, state, strict=True):
            copy.copy_(each, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()

        def show() -> tuple[Tensor, Tensor, Tensor]:
            event.synchronize()
            return pinned[0], pinned[1], pinned[2]

        return show

    def _put(self, numbers: list[int]) -> Tensor:
        # Copied from pageable memory, it would wait for all that the GPU has to do.
        tensor = torch.tensor(numbers, dtype=torch.int64, pin_memory=self.gpu)
        return tensor.to(self.model.device, non_blocking=True)


def common(prompts: Sequence[Sequence[int]]) -> list[int]:
    """What all prompts begin with, but for the last two tokens of the shortest."""
    least, most = min(map(list, prompts)), max(map(list, prompts))
    same = next((n for n, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), min(len(least), len(most)))
    return least[: min(same, min(map(len, prompts)) - 2)]


def measure(
    slots: Slots, prompts: Prompts, ids: Sequence[Sequence[int]], tokenizer: Any
) -> tuple[dict[str, Any], list[str]]:
    """Figures of one pass over prompts, and the texts; checking is within the time."""
    texts, tokens, valid, began, ended = [""] * len(ids), 0, 0, time.monotonic(), [0.0] * len(ids)

    def take(number: int, written: list[int]) -> None:
        nonlocal tokens, valid
        text = tokenizer.decode(written, skip_special_tokens=True)
        texts[number] = text.partition(prompts.grammar.one_too_many.rstrip(" ["))[0]
        cut = len(written) == slots.ends.limit and not bool(turn[written[-1]])
        tokens += len(written)
        valid += prompts.valid(texts[number], cut=cut)
        ended[number] = time.monotonic() - began

    turn = slots.ends.tokens.cpu()
    slots.generate(ids, take)
    seconds = time.monotonic() - began
    # A client asks again as soon as it has its answer, so request n + clients begins when the n-th to end has ended.
    order = sorted(ended)
    begins = [0.0] * min(slots.count, len(ids)) + order
    latencies = [end - begin for end, begin in zip(ended, begins, strict=False)]
    figures = {
        "concurrency": slots.count,
        "every": slots.every,
        "requests": len(ids),
        "seconds": seconds,
        "plans_per_s": len(ids) / seconds,
        "steady_plans_per_s": steady(ended, slots.count),
        "waited_s": slots.waited,
        "tokens_out": tokens,
        "latency_p50": percentile(latencies, 50),
        "latency_p99": percentile(latencies, 99),
        "valid": valid,
    }
    return figures, texts


def profile(slots: Slots, file: Path) -> None:
    """Adds to a file what a step takes at 200 tokens a sequence, and its kernels."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    seconds = min(slots.step_seconds(200) for _ in range(3))
    with profiler(activities=[ProfilerActivity.CUDA] if slots.gpu else [ProfilerActivity.CPU]) as found:
        slots.step_seconds(200, 8)
    order = "self_cuda_time_total" if slots.gpu else "self_cpu_time_total"
    table = found.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=90)
    with file.open("a", encoding="utf-8") as sink:
        sink.write(f"{slots.count} slots: {1000 * seconds:.3f} ms a step\n{table}\n")


def main() -> None:
    """Prints and keeps the figures for each number of clients."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of merged weights")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="JSON lines: id, question")
    parser.add_argument("--clients", type=int, nargs="+", default=[1024, 256])
    parser.add_argument("--requests", type=int, default=4096, help="most plans of a pass")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--every", type=int, default=EVERY, help="steps between two looks")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--padded", action="store_true", help="attention over whole slots, not FlashAttention")
    parser.add_argument("--profile", type=Path, help="file for the time of a step and of its kernels")
    parser.add_argument("--label", default="slots", help="kept with the figures")
    parser.add_argument("--out", type=Path, default=Path("slots.jsonl"))
    parser.add_argument("--texts", type=Path, help="file for the texts of a pass with the first number of clients")
    arguments = parser.parse_args()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    prompts = Prompts.of(arguments.data, arguments.requests)
    ids = prompts.encode(tokenizer, arguments.requests)
    room = -(-(max(map(len, ids)) + prompts.max_tokens) // 64) * 64
    device = torch.device(arguments.device)
    gpu = device.type == "cuda"
    model = Llama(
        arguments.model,
        device,
        torch.bfloat16 if gpu else torch.float32,
        room,
        flash if gpu and not arguments.padded else padded,
        compiled=gpu and not arguments.eager,
    )
    one_too_many = prompts.grammar.one_too_many
    turn = turn_ends(arguments.model)
    ends = Ends.of(tokenizer, turn, len(model.head), prompts.max_tokens, one_too_many)
    for clients in arguments.clients:
        slots = Slots(model, ends, clients, room, arguments.every)
        slots.share(common(ids))
        # Few clients take long for many requests, and tell as much with fewer.
        some = ids[: max(24, 20 * clients)]
        for number in range(arguments.passes):
            figures, texts = measure(slots, prompts, some, tokenizer)
            figures |= {"label": arguments.label, "pass": number, "room": room, "shared": len(slots.prefix)}
            print(json.dumps(figures), flush=True)
            with arguments.out.open("a", encoding="utf-8") as sink:
                sink.write(json.dumps(figures) + "\n")
        if arguments.profile:
            profile(slots, arguments.profile)
        if arguments.texts and clients == arguments.clients[0]:
            arguments.texts.write_text(json.dumps(texts), encoding="utf-8")
        del slots
        if gpu:
            torch.cuda.empty_cache()


def turn_ends(folder: Path) -> list[int]:
    """The tokens that end a turn, as a model folder says."""
    files = (folder / name for name in ("generation_config.json", "config.json"))
    settings = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    found = next(each["eos_token_id"] for each in settings if each.get("eos_token_id") is not None)
    return [found] if isinstance(found, int) else list(found)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    main()
