"""LiteLLM against a server, run in an environment of its own: `python litellm_client.py URL`."""

import json
import sys
from typing import Any

import litellm
from pydantic import BaseModel

URL = sys.argv[1]
QUESTION = "When was the founder of Craigslist born?"
COMMON: dict[str, Any] = {"model": "openai/anabranch", "api_base": URL, "api_key": "none", "num_retries": 0}
WEATHER: Any = {
    "name": "weather",
    "description": "Tells the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Founder(BaseModel):
    name: str
    year: int


def main() -> None:
    asked: Any = [{"role": "user", "content": QUESTION}]
    whole = litellm.completion(**COMMON, messages=asked)
    assert whole.choices[0].message.content == "In 1952"
    assert whole.usage.total_tokens > 0
    pieces = litellm.completion(**COMMON, messages=asked, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "In 1952"

    parsed = litellm.completion(**COMMON, messages=asked, response_format=Founder)
    assert Founder.model_validate_json(parsed.choices[0].message.content).year == 1952

    messages: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    tools = [{"type": "function", "function": WEATHER}]
    calling = litellm.completion(**COMMON, messages=messages, tools=tools).choices[0]
    assert calling.finish_reason == "tool_calls"
    call = calling.message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    messages += [calling.message, {"role": "tool", "tool_call_id": call.id, "content": "20 degrees"}]
    assert (
        litellm.completion(**COMMON, messages=messages, tools=tools).choices[0].message.content == "It is 20 degrees."
    )

    response = litellm.responses(**COMMON, input=QUESTION)
    assert response.output[0].content[0].text == "In 1952"
    events = litellm.responses(**COMMON, input=QUESTION, stream=True)
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "In 1952"
    picture = [
        {"type": "text", "text": "What is this picture?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
    ]
    seen = litellm.completion(**COMMON, messages=[{"role": "user", "content": picture}])
    assert seen.choices[0].message.content == "a cat"
    print("done")  # noqa: T201


if __name__ == "__main__":
    main()
