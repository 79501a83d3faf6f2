"""What the models' servers tell of cached and reasoning tokens, on its way to clients."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from anabranch.agents.decomposer import JsonDecomposer
from anabranch.agents.models import resolve_model
from anabranch.serving.service import Parts
from tests.graphs.scripts import CRAIGSLIST, reader, search
from tests.openai_server import OpenAIServer, prompt_of
from tests.serving import live
from tests.serving.agui.client import Client
from tests.serving.conftest import Serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]
ASKED: Any = [{"role": "user", "content": live.QUESTION}]
CACHED, THOUGHT = 3, 1


def told(request: dict[str, Any]) -> dict[str, Any]:
    """A solver's reply, with all that its server counts."""
    details = {
        "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": THOUGHT},
    }
    return {"content": str(reader(prompt_of(request))), "usage": details}


@pytest.fixture
def decomposer() -> Iterator[OpenAIServer]:
    """A server that tells no more than it has to."""
    with OpenAIServer(lambda _: CRAIGSLIST) as server:
        yield server


@pytest.mark.parametrize("stream", [False, True])
def test_what_servers_tell_is_summed_up(serve: Serve, decomposer: OpenAIServer, stream: bool) -> None:
    with OpenAIServer(told) as solver:
        url = serve(
            Parts(JsonDecomposer(resolve_model(f"{decomposer.url}#m")), resolve_model(f"{solver.url}#m"), (search,))
        )
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        if stream:
            options: Any = {"stream": True, "stream_options": {"include_usage": True}}
            chunks = list(client.chat.completions.create(model="anabranch", messages=ASKED, **options))
            usage = chunks[-1].usage
        else:
            usage = client.chat.completions.create(model="anabranch", messages=ASKED).usage
        calls = len(solver.requests)
        assert calls == 3
        assert usage.prompt_tokens_details.cached_tokens == calls * CACHED
        assert usage.completion_tokens_details.reasoning_tokens == calls * THOUGHT

        response = client.responses.create(model="anabranch", input=live.QUESTION)
        assert response.usage
        assert response.usage.input_tokens_details.cached_tokens == calls * CACHED
        assert response.usage.output_tokens_details.reasoning_tokens == calls * THOUGHT

        (spent,) = Client(url).ask(live.QUESTION)[-1].usage
        assert (spent.cached_input_tokens, spent.reasoning_tokens) == (calls * CACHED, calls * THOUGHT)


def test_what_no_server_tells_is_left_out(serve: Serve, decomposer: OpenAIServer) -> None:
    with OpenAIServer(lambda request: str(reader(prompt_of(request)))) as solver:
        url = serve(
            Parts(JsonDecomposer(resolve_model(f"{decomposer.url}#m")), resolve_model(f"{solver.url}#m"), (search,))
        )
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        usage = client.chat.completions.create(model="anabranch", messages=ASKED).usage
        assert usage
        assert set(usage.to_dict()) == {"prompt_tokens", "completion_tokens", "total_tokens"}
        response = client.responses.create(model="anabranch", input=live.QUESTION)
        assert response.usage
        assert response.usage.input_tokens_details.cached_tokens == 0
