"""Images in messages: stand-ins for who plans, the image for who answers."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import Field

from anabranch.agents.images import images_asked_of, images_in
from anabranch.agents.models import LOCAL_TYPE
from anabranch.errors import ImagesRefusedError
from tests.fakes import Reply, ScriptedChatModel
from tests.graphs.scripts import plan_json, planner, reader


class Seeing(ScriptedChatModel):
    """Says how many images each of its prompts had."""

    seen: list[tuple[str, list[str]]] = Field(default_factory=list)

    def _reply(self, messages: Any, arguments: Any) -> Any:
        blocks = [block for message in messages if isinstance(message.content, list) for block in message.content]
        urls = [block["image_url"]["url"] for block in blocks if block.get("type") == "image_url"]
        self.seen.append((messages[-1].text, urls))
        return super()._reply(messages, arguments)


class Local(ScriptedChatModel):
    @property
    def _llm_type(self) -> str:
        return LOCAL_TYPE


class Blind(ScriptedChatModel):
    profile: Any = Field(default_factory=lambda: {"image_inputs": False})


def image(name: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"https://example.org/{name}.png"}}


def asked(*content: Any) -> dict[str, Any]:
    blocks = [{"type": "text", "text": each} if isinstance(each, str) else each for each in content]
    return {"messages": [HumanMessage(blocks)]}


def answering(prompt: str) -> Reply:
    if "Sub-questions and their answers:" in prompt:
        return "joined"
    return reader(prompt) if "Result:" in prompt else "a cat"


def test_a_direct_answer_sees_the_image() -> None:
    solver = Seeing(script=answering, seen=[])
    decomposer = ScriptedChatModel(script=[plan_json()])
    planner(decomposer, solver).invoke(asked("What is this?", image("a")))
    assert "What is this? [image 1]" in decomposer.prompts[0]
    assert solver.seen == [("What is this? [image 1][image 1]:", ["https://example.org/a.png"])]


def test_a_sub_question_that_names_an_image_gets_it_and_the_others_go_to_the_joiner() -> None:
    solver = Seeing(script=answering, seen=[])
    plan = plan_json(
        ("solve", "What animal is in [image 2]?", []), ("search", "Who founded Craigslist?", []), ("solve", "Why?", [])
    )
    result = planner([plan], solver).invoke(asked("Compare", image("a"), "with", image("b"), "please."))
    seen = {text.rpartition("\n")[2]: urls for text, urls in solver.seen}
    assert seen.pop("What animal is in [image 2]?[image 2]:") == ["https://example.org/b.png"]
    joined = next(urls for text, urls in solver.seen if "Sub-questions and their answers:" in text)
    assert joined == ["https://example.org/a.png"]
    assert sum(len(urls) for _, urls in solver.seen) == 2
    assert result["answer"] == "joined"


def test_images_are_numbered_through_the_conversation() -> None:
    solver = Seeing(script=answering, seen=[])
    plan = plan_json(("solve", "What is in [image 1]?", []), ("search", "Who founded Craigslist?", []))
    messages = [*asked("This is my cat.", image("a"))["messages"], AIMessage("Nice."), *asked(image("b"))["messages"]]
    assert list(images_in(messages)) == [1, 2]
    assert list(images_asked_of(messages)) == [2]
    result = planner([plan], solver, follow_ups="as_asked").invoke({"messages": messages})
    assert result["answer"] == "joined"
    step = next(urls for text, urls in solver.seen if text.startswith("What is in [image 1]?"))
    assert step == ["https://example.org/a.png"]


@pytest.mark.parametrize("model", [Local, Blind])
def test_a_model_that_reads_no_images_is_not_asked(model: Any) -> None:
    with pytest.raises(ImagesRefusedError, match="does not take these images; send none"):
        planner([], model(script=[])).invoke(asked("What is this?", image("a")))


def test_a_stand_in_without_an_image_is_a_text() -> None:
    solver = Seeing(script=answering, seen=[])
    planner([plan_json(("solve", "What is in [image 7]?", []), ("search", "x", []))], solver).invoke(asked("Why?"))
    assert all(not urls for _, urls in solver.seen)
