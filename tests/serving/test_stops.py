"""Stop sequences: a streamed answer is cut where the whole one is."""

import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from anabranch.agents.decomposer import JsonDecomposer
from anabranch.agents.models import resolve_model
from anabranch.serving.service import Parts
from anabranch.serving.stops import Stops
from tests.fakes import ScriptedChatModel
from tests.openai_server import OpenAIServer, prompt_of
from tests.serving import live
from tests.serving.conftest import Serve

DIRECT = json.dumps({"sub_questions": []})
ASKED: Any = [{"role": "user", "content": "Count."}]
few = st.text(alphabet="ab", max_size=6)


@given(st.lists(few), st.lists(few.filter(bool), max_size=4))
def test_pieces_are_cut_where_the_whole_is(pieces: list[str], sequences: list[str]) -> None:
    text, stops = "".join(pieces), Stops(sequences)
    sent = "".join(map(stops.take, pieces))
    whole = Stops(sequences).cut(text)
    assert whole.startswith(sent)
    assert not any(sequence in whole for sequence in sequences)
    assert whole == text or any(text.startswith(whole + sequence) for sequence in sequences)
    held = len(whole) - len(sent)
    assert held < max(map(len, sequences), default=1)


@pytest.mark.loopback
@pytest.mark.enable_socket
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("stop", ["three", ["x", "thr"]])
def test_the_answer_ends_before_it(serve: Serve, stream: bool, stop: Any) -> None:
    reply = AIMessage("one two three four", response_metadata={"finish_reason": "length"})
    chat = ScriptedChatModel(script=lambda _: reply.model_copy(), word_delay=0.001)
    client = openai.OpenAI(base_url=f"{serve(live.parts(DIRECT, chat))}/v1", api_key="none", max_retries=0)
    asked: Any = {"model": "anabranch", "messages": ASKED, "stop": stop, "stream": stream}
    answered: Any = client.chat.completions.create(**asked)
    if stream:
        choices = [chunk.choices[0] for chunk in answered]
        content, finish = "".join(choice.delta.content or "" for choice in choices), choices[-1].finish_reason
    else:
        content, finish = answered.choices[0].message.content, answered.choices[0].finish_reason
    assert (content, finish) == ("one two ", "stop")
    with pytest.raises(openai.BadRequestError, match="stop"):
        client.chat.completions.create(**asked, response_format={"type": "json_object"})
    with pytest.raises(openai.BadRequestError, match="stop"):
        client.chat.completions.create(**asked | {"stop": ["a"] * 5})


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_the_solvers_server_gets_the_seed(serve: Serve) -> None:
    def script(request: dict[str, Any]) -> str:
        return DIRECT if "Reply with JSON only" in prompt_of(request) else "it is so"

    with OpenAIServer(script) as server:
        model = resolve_model(f"{server.url}#m")
        url = serve(Parts(JsonDecomposer(model), model))
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        client.chat.completions.create(model="anabranch", messages=ASKED, seed=7)
        client.chat.completions.create(model="anabranch", messages=ASKED)  # on the same connection
        assert [request.get("seed") for request in server.requests] == [7, None]
