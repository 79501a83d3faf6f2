import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from anabranch.distill.batch import Job, run_jobs
from anabranch.distill.evaluate import number_answered, right_number, same_routes, score
from anabranch.errors import EndpointError
from anabranch.plan import Plan, SubQuestion

JOBS = [Job(id=str(n), messages=[{"role": "user", "content": str(n)}], pattern="x") for n in range(3)]


def transport(asked: list[str], *, fail: str = "") -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        body: dict[str, Any] = json.loads(request.content)
        text = body["messages"][0]["content"]
        asked.append(text)
        assert body["structured_outputs"] == {"regex": "x"}
        if text == fail:
            return httpx.Response(400, text="no")
        choice = {"message": {"content": f"re {text}"}, "finish_reason": "stop"}
        return httpx.Response(200, json={"choices": [choice], "usage": {"completion_tokens": 2}})

    return httpx.MockTransport(answer)


async def test_a_stopped_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    out, asked = tmp_path / "replies.jsonl", list[str]()
    await run_jobs(JOBS[:2], out, url="http://x/v1", model="m", transport=transport(asked))
    with out.open("a") as sink:
        sink.write('{"id": "2", "te')
    out.write_text(out.read_text() + "\n")
    replies = await run_jobs(JOBS, out, url="http://x/v1", model="m", transport=transport(asked))
    assert [reply.texts for reply in replies] == [["re 0"], ["re 1"], ["re 2"]]
    assert sorted(asked) == ["0", "1", "2"]


async def test_a_refusal_names_the_prompt_and_keeps_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "replies.jsonl"
    with pytest.raises(EndpointError, match="prompt 1 failed"):
        await run_jobs(JOBS, out, url="http://x/v1", model="m", transport=transport([], fail="1"))


def test_grading_is_strict() -> None:
    assert right_number("so 5\nAnswer: $1,250.00", "1250")
    assert number_answered("It is 18.") is None
    assert number_answered("Answer: 3 or 4") is None
    assert str(score([True, False])) == "50.0 ± 35.4 (1/2)"


def test_routes_are_compared_step_by_step() -> None:
    plan = Plan(sub_questions=(SubQuestion(id=1, text="a", route="x"), SubQuestion(id=2, text="b")))
    assert same_routes(plan, plan) == (2, 2)
    assert same_routes(None, plan) == (0, 2)
    assert same_routes(Plan(), Plan()) == (1, 1)
