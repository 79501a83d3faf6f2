"""Where the plans of reinforcement are drawn: by a server that takes each round's adapter, or in this process."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import httpx

from anabranch.addresses import without_login
from anabranch.batch.chat import Server
from anabranch.batch.jobs import Job, Sampling
from anabranch.distill.policy import Policy
from anabranch.errors import EndpointError

_LOAD_SECONDS = 120.0

Prompt = list[dict[str, str]]
Written = list[list[tuple[str, bool]]]
"""For each prompt its replies, each with whether it ended by itself."""


class PlanSource(Protocol):
    """Draws plans of the policy as it is."""

    async def take(self, number: int) -> None:
        """Takes the policy's weights as they are after this round."""

    async def draw(self, prompts: Sequence[Prompt], n: int, temperature: float) -> Written:
        """Draws `n` replies to each prompt; 0 as temperature takes the most probable token each time."""


class InProcess:
    """Draws in this process: slow, but it needs no server."""

    def __init__(self, policy: Policy, tokens: int, seed: int) -> None:
        self._policy, self._tokens, self._seed, self._number = policy, tokens, seed, 0

    async def take(self, number: int) -> None:
        """The weights are shared; only the seed changes."""
        self._number = number

    async def draw(self, prompts: Sequence[Prompt], n: int, temperature: float) -> Written:
        """As `PlanSource.draw`; the same for the same weights, round and prompts."""
        return self._policy.draw(prompts, n, temperature, self._tokens, self._seed + self._number)


class Served:
    """Draws from a vLLM server that was started with `--enable-lora` and `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`.

    Each round's adapter gets a name of its own, since what the server keeps of a prompt belongs to a name. The server
    must see the folder.

    Args:
        policy: whose adapter is handed over.
        server: the way to the server, open.
        folder: for the adapters.
        tokens: most tokens of a plan.
    """

    def __init__(self, policy: Policy, server: Server, folder: Path, tokens: int) -> None:
        self._policy, self._server, self._folder, self._tokens = policy, server, folder, tokens
        self._mark = secrets.token_hex(3)  # the server may know names of an earlier run
        headers = {"Authorization": f"Bearer {server.key}"}
        self._client = httpx.AsyncClient(timeout=_LOAD_SECONDS, headers=headers, transport=server.transport)

    async def take(self, number: int) -> None:
        """Writes the adapter and has the server load it.

        Raises:
            EndpointError: the server does not take it.
        """
        before, name = self._server.model, f"round-{number}-{self._mark}"
        if before == name:
            return
        folder = (self._folder / f"round-{number}").resolve()
        self._policy.student.save(folder)
        await self._post("load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})
        self._server.model = name
        if before:
            await self._post("unload_lora_adapter", {"lora_name": before})
        for old in self._folder.glob("round-*"):
            if old.resolve() != folder:
                shutil.rmtree(old, ignore_errors=True)

    async def draw(self, prompts: Sequence[Prompt], n: int, temperature: float) -> Written:
        """As `PlanSource.draw`.

        Raises:
            EndpointError: the server failed.
        """
        sampling = Sampling(n if temperature else 1, temperature, self._tokens)
        jobs = [Job(id=str(place), messages=prompt) for place, prompt in enumerate(prompts)]
        found = await asyncio.gather(*(self._server(job, sampling) for job in jobs))
        written = [list(zip(replies.texts, replies.finished, strict=True)) for replies in found]
        return written if temperature else [replies * n for replies in written]

    async def close(self) -> None:
        """Closes the connections that adapters are handed over by."""
        await self._client.aclose()

    async def _post(self, path: str, body: dict[str, str]) -> None:
        shown = without_login(self._server.url)
        try:
            response = await self._client.post(f"{self._server.url.rstrip('/')}/{path}", json=body)
            problem = "" if response.is_success else f"{response.status_code}: {response.text[:300]}"
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            raise EndpointError(
                f"{shown} does not take the adapter ({path}: {problem}); start it where it sees the output: "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True anabranch serve decomposer --adapter ADAPTER --base BASE --lora"
            )


@asynccontextmanager
async def source_of(
    policy: Policy, url: str | None, folder: Path, *, tokens: int, seed: int
) -> AsyncIterator[PlanSource]:
    """Who draws plans.

    Args:
        policy: whose plans.
        url: of a server, up to `/v1`; None to draw in this process.
        folder: for the adapters that a server loads.
        tokens: most tokens of a plan.
        seed: of drawing in this process.
    """
    if url is None:
        yield InProcess(policy, tokens, seed)
        return
    async with Server(url, "") as server:
        served = Served(policy, server, folder, tokens)
        try:
            yield served
        finally:
            await served.close()
