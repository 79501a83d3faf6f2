"""Tools that change something: approval, arguments that are not made up, no action twice."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from anabranch.errors import ConfigurationError, EndpointError
from anabranch.graphs.planner import Planner
from tests.fakes import Reply
from tests.graphs.scripts import plan_json, planner, thread

BOOK = plan_json(("book", "Book a table for Ada at Luigi's", []))
QUESTION = {"messages": [("user", "Book a table for Ada at Luigi's, please, and tell me the number.")]}
ARGUMENTS = '{"name": "Ada", "place": "Luigi\'s"}'


class Shop:
    """Remembers what was booked."""

    def __init__(self, **metadata: Any) -> None:
        self.booked: list[tuple[str, str]] = []
        self.fails: BaseException | None = None
        self.metadata = {"effects": True} | metadata

    def tool(self) -> BaseTool:
        @tool
        def book(name: str, place: str) -> str:
            """Books a table."""
            self.booked.append((name, place))
            if self.fails:
                raise self.fails
            return f"Booked as number {len(self.booked)}."

        book.metadata = self.metadata
        return book


def solver(arguments: str = ARGUMENTS, joined: str = "Done.") -> Callable[[str], Reply]:
    def reply(prompt: str) -> Reply:
        return arguments if "JSON schema of the arguments" in prompt else joined

    return reply


def booking(shop: Shop, *plans: str, script: Callable[[str], Reply] | None = None, **options: Any) -> Planner:
    return planner(list(plans) or [BOOK], script or solver(), [shop.tool()], **options)


def resume(value: Any) -> Command[Any]:
    return Command(resume=value)


# Approval


def test_an_action_waits_for_a_person_and_is_carried_out_as_it_was_shown() -> None:
    shop = Shop()
    graph = booking(shop, checkpointer=InMemorySaver())
    paused = graph.invoke(QUESTION, thread())
    (interrupt,) = paused["__interrupt__"]
    (asked,) = interrupt.value["action_requests"]
    assert (asked["name"], asked["args"]) == ("book", {"name": "Ada", "place": "Luigi's"})
    assert "Books a table." in asked["description"]
    assert interrupt.value["review_configs"][0]["allowed_decisions"] == ["approve", "edit", "reject", "respond"]
    assert shop.booked == []
    result = graph.invoke(resume({"decisions": [{"type": "approve"}]}), thread())
    assert shop.booked == [("Ada", "Luigi's")]
    assert result["answers"][1].text == "Booked as number 1."
    assert result["answers"][1].arguments == {"name": "Ada", "place": "Luigi's"}


@pytest.mark.parametrize("word", ["approve", True, {"type": "approve"}, [{"type": "approve"}]])
def test_one_word_will_do(word: Any) -> None:
    shop = Shop()
    graph = booking(shop, checkpointer=InMemorySaver())
    graph.invoke(QUESTION, thread())
    graph.invoke(resume(word), thread())
    assert len(shop.booked) == 1


def test_an_edited_action_is_carried_out_instead() -> None:
    shop = Shop()
    graph = booking(shop, checkpointer=InMemorySaver())
    graph.invoke(QUESTION, thread())
    edited = {"name": "book", "args": {"name": "Ada", "place": "Mario's"}}
    result = graph.invoke(resume({"decisions": [{"type": "edit", "edited_action": edited}]}), thread())
    assert shop.booked == [("Ada", "Mario's")]
    assert result["answers"][1].arguments == edited["args"]


def test_a_rejected_action_is_a_failed_answer_that_says_why() -> None:
    shop = Shop()
    graph = booking(shop, checkpointer=InMemorySaver(), max_replans=0)
    graph.invoke(QUESTION, thread())
    result = graph.invoke(resume({"type": "reject", "message": "too expensive"}), thread())
    assert shop.booked == []
    assert result["answers"][1].error == "a person decided against book: too expensive"


def test_a_person_may_give_the_result() -> None:
    shop = Shop()
    graph = booking(shop, checkpointer=InMemorySaver())
    graph.invoke(QUESTION, thread())
    result = graph.invoke(resume({"type": "respond", "message": "I booked it by phone."}), thread())
    assert shop.booked == []
    assert result["answers"][1].text == "I booked it by phone."


@pytest.mark.parametrize(
    "bad",
    [
        "perhaps",
        {"type": "respond"},
        {"type": "edit"},
        {"decisions": ["approve", "approve"]},
        {"type": "edit", "edited_action": {"name": "rob", "args": {}}},
        7,
    ],
)
def test_a_decision_that_cannot_be_carried_out_is_asked_again(bad: Any) -> None:
    shop = Shop()
    graph = booking(shop, checkpointer=InMemorySaver())
    graph.invoke(QUESTION, thread())
    again = graph.invoke(resume(bad), thread())
    assert again["__interrupt__"][0].value["error"]
    assert shop.booked == []
    graph.invoke(resume("approve"), thread())
    assert len(shop.booked) == 1


def test_independent_actions_are_asked_about_together_and_dependents_wait() -> None:
    shop = Shop()
    plan = plan_json(
        ("book", "Book a table for Ada at Luigi's", []),
        ("book", "Book a table for Bob at Luigi's", []),
        ("solve", "Say {1} and {2}", [1, 2]),
    )

    def script(prompt: str) -> Reply:
        name = "Bob" if "Task: Book a table for Bob" in prompt else "Ada"
        return solver(f'{{"name": "{name}", "place": "Luigi\'s"}}')(prompt)

    graph = booking(shop, plan, script=script, checkpointer=InMemorySaver())
    question = {"messages": [("user", "Book for Ada and for Bob at Luigi's.")]}
    paused = graph.invoke(question, thread())
    names = [asked["args"]["name"] for asked in paused["__interrupt__"][0].value["action_requests"]]
    assert names == ["Ada", "Bob"]
    result = graph.invoke(resume({"decisions": [{"type": "approve"}, {"type": "reject"}]}), thread())
    assert [name for name, _ in shop.booked] == ["Ada"]
    assert result["answers"][3].error == "sub-question 2, which it needs, failed"


def test_without_a_checkpointer_it_acts_and_nobody_can_ask_for_approval() -> None:
    shop = Shop()
    assert booking(shop).invoke(QUESTION)["answers"][1].ok
    assert len(shop.booked) == 1
    with pytest.raises(ConfigurationError, match="checkpointer"):
        booking(shop, approve_actions=True)


async def test_approval_asynchronously() -> None:
    shop = Shop()
    graph = booking(shop, checkpointer=InMemorySaver())
    await graph.ainvoke(QUESTION, thread())
    await graph.ainvoke(resume("approve"), thread())
    assert len(shop.booked) == 1


@pytest.mark.parametrize(
    ("metadata", "unmarked", "acts"),
    [
        ({"effects": False, "readOnlyHint": False}, "action", False),
        ({"effects": None, "readOnlyHint": True}, "action", False),
        ({"effects": None, "readOnlyHint": False}, "look_up", True),
        ({"effects": None, "destructiveHint": False}, "look_up", True),
        ({"effects": None, "annotations": {"readOnlyHint": True}}, "action", False),
        ({"effects": None}, "look_up", False),
        ({"effects": None}, "action", True),
    ],
)
def test_what_a_tool_says_of_itself(metadata: dict[str, Any], unmarked: str, acts: bool) -> None:
    shop = Shop(**metadata)
    graph = booking(shop, checkpointer=InMemorySaver(), unmarked_tools=unmarked)
    paused = graph.invoke(QUESTION, thread())
    assert ("__interrupt__" in paused) is acts


# Arguments


def test_a_value_that_nobody_said_is_asked_for_once_more_and_then_named() -> None:
    shop = Shop()
    prompts: list[str] = []

    def script(prompt: str) -> Reply:
        prompts.append(prompt)
        return solver('{"name": "Ada", "place": "Zuraflatsch"}')(prompt)

    result = booking(shop, script=script, max_replans=0).invoke(QUESTION)
    assert shop.booked == []
    assert "place ('Zuraflatsch' is given nowhere)" in str(result["answers"][1].error)
    written = [prompt for prompt in prompts if "JSON schema" in prompt]
    assert len(written) == 2
    assert "Zuraflatsch" in written[1]


def test_a_value_that_is_missing_is_named() -> None:
    shop = Shop()
    result = booking(shop, script=solver('{"name": "Ada", "place": null}'), max_replans=0).invoke(QUESTION)
    assert "does not say place" in str(result["answers"][1].error)
    assert shop.booked == []


def test_a_value_may_come_from_an_earlier_answer() -> None:
    shop = Shop()
    plan = plan_json(("solve", "Where does Ada like to eat?", []), ("book", "Book a table for Ada at {1}", [1]))

    def script(prompt: str) -> Reply:
        if "Answer the question in a few words" in prompt:
            return "Osteria Blu"
        return solver('{"name": "Ada", "place": "Osteria Blu"}')(prompt)

    question = {"messages": [("user", "Book a table for Ada where she likes to eat.")]}
    booking(shop, plan, script=script, protocol="per_node").invoke(question)
    assert shop.booked == [("Ada", "Osteria Blu")]


# Never twice


def test_a_new_plan_does_not_repeat_an_action() -> None:
    shop = Shop()
    again = plan_json(("book", "Reserve at Luigi's for Ada", []), first_id=2)
    replies = iter(["REPLAN: the number", "Done."])

    def script(prompt: str) -> Reply:
        return solver()(prompt) if "JSON schema" in prompt else next(replies)

    result = booking(shop, BOOK, again, script=script).invoke(QUESTION)
    assert len(shop.booked) == 1
    assert result["answers"][2].text == "Booked as number 1."


def test_an_action_that_failed_is_not_repeated() -> None:
    shop = Shop()
    shop.fails = RuntimeError("no answer from Luigi")
    again = plan_json(("book", "Reserve at Luigi's for Ada", []), first_id=2)
    result = booking(shop, BOOK, again).invoke(QUESTION)
    assert len(shop.booked) == 1
    assert "was tried before and is not repeated" in str(result["answers"][2].error)


def test_the_same_action_twice_in_one_plan_is_made_once() -> None:
    shop = Shop()
    plan = plan_json(("book", "Book at Luigi's for Ada", []), ("book", "Reserve for Ada at Luigi's", []))
    result = booking(shop, plan).invoke(QUESTION)
    assert len(shop.booked) == 1
    assert result["answers"][1].text == result["answers"][2].text == "Booked as number 1."


def test_an_action_is_not_repeated_where_the_model_is_away_afterwards() -> None:
    shop = Shop()
    away = [True]

    def script(prompt: str) -> Reply:
        if "JSON schema" in prompt:
            return ARGUMENTS
        return EndpointError("away") if away else "Done."

    graph = booking(shop, script=script, checkpointer=InMemorySaver(), approve_actions=False)
    with pytest.raises(EndpointError):
        graph.invoke(QUESTION, thread())
    away.clear()
    assert graph.invoke(None, thread())["answer"] == "Done."
    assert len(shop.booked) == 1


def test_the_next_question_of_a_thread_may_do_it_again() -> None:
    shop = Shop()
    graph = booking(shop, BOOK, BOOK, checkpointer=InMemorySaver(), approve_actions=False, follow_ups="as_asked")
    graph.invoke(QUESTION, thread())
    graph.invoke(QUESTION, thread())
    assert len(shop.booked) == 2


# Look-ups


def test_the_same_look_up_is_made_once_for_a_question() -> None:
    calls: list[str] = []

    @tool
    def find(name: str, town: str) -> str:
        """Finds."""
        calls.append(f"{name} {town}")
        return "Luigi's has number 17."

    first = plan_json(("find", "Which number has Luigi's?", []), ("find", "Which number has Luigi's?", []))
    second = plan_json(("find", "Which number has Luigi's?", []), first_id=3)
    replies = iter(["REPLAN: once more", "17"])

    def script(prompt: str) -> Reply:
        if "JSON schema" in prompt:
            return '{"name": "Luigi\'s", "town": "Rome"}'
        return "17" if "Result:" in prompt else next(replies)

    result = planner([first, second], script, [find]).invoke(QUESTION)
    assert calls == ["Luigi's Rome"]
    assert [answer.text for answer in result["answers"].values()] == ["17", "17", "17"]


def test_a_look_up_is_not_repeated_because_its_reader_was_away() -> None:
    calls: list[str] = []
    away = [True]

    @tool
    def find(query: str) -> str:
        """Finds."""
        calls.append(query)
        return "Luigi's has number 17."

    def script(prompt: str) -> Reply:
        return EndpointError("away") if away else "17"

    plan = plan_json(("find", "Which number has Luigi's?", []))
    graph = planner([plan], script, [find], checkpointer=InMemorySaver(), max_replans=0)
    with pytest.raises(EndpointError):
        graph.invoke(QUESTION, thread())
    away.clear()
    assert graph.invoke(None, thread())["answers"][1].text == "17"
    assert len(calls) == 1
