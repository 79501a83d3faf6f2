import json
from typing import Any

import pytest
from langchain_core.language_models import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatResult
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.errors import GraphInterrupt
from pydantic import BaseModel

from anabranch.agents.arguments import write_arguments
from anabranch.agents.models import RoleModel
from anabranch.agents.solver import MAX_TOOL_ROUNDS, answer_step, read_answer, solve
from anabranch.errors import BudgetExceededError, EndpointError, ModelError, ReplyError
from anabranch.plan import Plan, SubQuestion
from anabranch.tools import calculator
from tests.fakes import Reply, ScriptedChatModel

GUIDE = Plan(sub_questions=(SubQuestion(id=1, text="Who?"), SubQuestion(id=2, text="When was {1} born?")))


def scripted(*replies: Reply, tools: bool = False) -> ScriptedChatModel:
    return ScriptedChatModel(script=list(replies), profile=ModelProfile(tool_calling=tools))


def asks(name: str, arguments: dict[str, Any], id_: str = "c1") -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": id_}])


def double(number: int) -> int:
    """Doubles a number."""
    return 2 * number


DOUBLE = StructuredTool.from_function(double)


# Solving


async def test_an_empty_plan_is_answered_directly() -> None:
    chat = scripted("Answer: 42")
    assert (await solve(RoleModel(chat), "Q?", Plan())).text == "42"
    assert chat.prompts[0].endswith("human: Q?")


async def test_the_plan_is_a_guide() -> None:
    chat = scripted("a")
    await solve(RoleModel(chat), "Q?", GUIDE)
    assert "human: Q?" in chat.prompts[0]
    assert "1. Who?\n2. When was the answer to 1 born?" in chat.prompts[0]


async def test_earlier_turns_come_between_instruction_and_question() -> None:
    chat = scripted("a")
    await solve(RoleModel(chat), "Q?", GUIDE, history=[HumanMessage("before"), AIMessage("so")])
    prompt = chat.prompts[0]
    assert prompt.startswith("system:")
    assert prompt.index("before") < prompt.index("so") < prompt.index("human: Q?")


async def test_tools_are_not_offered_to_a_model_that_cannot_call_them() -> None:
    chat = scripted("a")
    await solve(RoleModel(chat), "Q?", GUIDE, tools=[DOUBLE])
    assert "tools" not in chat.bound[0]
    unknown = ScriptedChatModel(script=["a"])
    await solve(RoleModel(unknown), "Q?", GUIDE, tools=[DOUBLE])
    assert "tools" not in unknown.bound[0]


async def test_a_tool_computes_and_the_reply_follows() -> None:
    chat = scripted(asks("double", {"number": 21}), "Answer: 42", tools=True)
    assert (await solve(RoleModel(chat), "Q?", GUIDE, tools=[DOUBLE])).text == "42"
    assert chat.bound[0]["tools"] == [DOUBLE]
    assert chat.prompts[1].endswith("tool: 42")


async def test_several_calls_in_one_message_are_all_answered() -> None:
    calls = [{"name": "double", "args": {"number": n}, "id": f"c{n}"} for n in (1, 2)]
    message = AIMessage("", tool_calls=calls)
    chat = scripted(message, "a", tools=True)
    await solve(RoleModel(chat), "Q?", GUIDE, tools=[DOUBLE])
    assert chat.prompts[1].endswith("tool: 2\ntool: 4")


@pytest.mark.parametrize("id_", [None, "", "c1"])
async def test_a_call_and_its_result_have_the_same_id(id_: str | None) -> None:
    call: Any = {"name": "double", "args": {"number": 21}, "id": id_, "type": "tool_call"}
    seen: list[BaseMessage] = []

    class Seeing(ScriptedChatModel):
        async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
            seen[:] = messages
            return await super()._agenerate(messages, *args, **kwargs)

    script = [AIMessage("", tool_calls=[call]), "Answer: 42"]
    await solve(RoleModel(Seeing(script=script, profile=ModelProfile(tool_calling=True))), "Q?", GUIDE, tools=[DOUBLE])
    *_, asked, result = seen
    assert isinstance(asked, AIMessage)
    assert isinstance(result, ToolMessage)
    assert asked.tool_calls[0]["id"] == result.tool_call_id != ""


async def test_arguments_that_were_encoded_twice_are_read() -> None:
    broken: Any = {"name": "double", "args": '"{\\"number\\": 21}"', "id": "c1", "error": "?"}
    chat = scripted(AIMessage("", invalid_tool_calls=[broken]), "Answer: 42", tools=True)
    await solve(RoleModel(chat), "Q?", GUIDE, tools=[DOUBLE])
    assert chat.prompts[1].endswith("tool: 42")


async def test_an_answer_beside_a_tool_call_counts_where_the_model_then_ends_with_nothing() -> None:
    call: Any = {"name": "double", "args": {"number": 21}, "id": "c1", "type": "tool_call"}
    chat = scripted(AIMessage("Checked.\nAnswer: 42", tool_calls=[call]), "", tools=True)
    assert (await solve(RoleModel(chat), "Q?", GUIDE, tools=[DOUBLE])).text == "42"


async def test_words_beside_a_tool_call_are_no_answer() -> None:
    call: Any = {"name": "double", "args": {"number": 21}, "id": "c1", "type": "tool_call"}
    chat = scripted(AIMessage("Let me see.", tool_calls=[call]), "", tools=True)
    with pytest.raises(ReplyError):
        await solve(RoleModel(chat), "Q?", GUIDE, tools=[DOUBLE])


async def test_tool_rounds_are_bounded() -> None:
    rounds = [asks("double", {"number": n}) for n in range(MAX_TOOL_ROUNDS)]
    chat = scripted(*rounds, "Answer: enough", tools=True)
    assert (await solve(RoleModel(chat), "Q?", GUIDE, tools=[DOUBLE])).text == "enough"
    assert len(chat.prompts) == MAX_TOOL_ROUNDS + 1
    assert "tools" not in chat.bound[-1]


def failing(error: Exception) -> BaseTool:
    def fail(number: int) -> int:
        raise error

    return StructuredTool.from_function(fail, name="double", description="Fails.")


@pytest.mark.parametrize("error", [ToolException("no"), ValueError("no"), ZeroDivisionError("no"), EndpointError("no")])
async def test_a_failing_tool_is_told_to_the_model(error: Exception) -> None:
    chat = scripted(asks("double", {"number": 1}), "a", tools=True)
    await solve(RoleModel(chat), "Q?", GUIDE, tools=[failing(error)])
    assert chat.prompts[1].endswith(f"tool: {type(error).__name__}: no")


@pytest.mark.parametrize("arguments", [{}, {"number": "x"}, {"n": 1}])
async def test_arguments_that_do_not_fit_are_told_to_the_model(arguments: dict[str, Any]) -> None:
    chat = scripted(asks("double", arguments), "a", tools=True)
    assert (await solve(RoleModel(chat), "Q?", GUIDE, tools=[DOUBLE])).text == "a"
    assert "number" in chat.prompts[1].rpartition("tool:")[2]


async def test_an_unknown_tool_is_told_to_the_model() -> None:
    chat = scripted(asks("triple", {"number": 1}), "a", tools=True)
    await solve(RoleModel(chat), "Q?", GUIDE, tools=[DOUBLE])
    assert chat.prompts[1].endswith("tool: there is no such tool")


@pytest.mark.parametrize("error", [GraphInterrupt(()), BudgetExceededError("used up")])
async def test_interrupts_and_budgets_are_not_told_to_the_model(error: Exception) -> None:
    chat = scripted(asks("double", {"number": 1}), tools=True)
    with pytest.raises(type(error)):
        await solve(RoleModel(chat), "Q?", GUIDE, tools=[failing(error)])


# One sub-question


async def test_a_step_is_answered_alone() -> None:
    chat = scripted(" 1815 \n")
    assert await answer_step(RoleModel(chat), "When was {Ada} born?") == "1815"
    assert chat.prompts[0].endswith("human: When was {Ada} born?")


async def test_an_answer_is_read_out_of_a_result() -> None:
    chat = scripted(" Not found in 1815, but in 1816. ")
    assert await read_answer(RoleModel(chat), "When?", "born {1} $1 \\1") == "Not found in 1815, but in 1816."
    assert "born {1} $1 \\1" in chat.prompts[0]


@pytest.mark.parametrize(
    "reply",
    [
        *("NOT FOUND", "NOT FOUND.", "Not found.", "**NOT FOUND**", '"NOT FOUND"', "NOT FOUND: it is about cats"),
        *("Answer: NOT FOUND", "[Not found]", "The text is about cats. NOT FOUND", "<think>Hm.</think>\nNOT FOUND"),
    ],
)
async def test_a_result_without_the_answer_is_an_error(reply: str) -> None:
    with pytest.raises(ModelError, match="does not hold the answer"):
        await read_answer(RoleModel(scripted(reply)), "When?", "cats")


# Tool arguments


def tool(**properties: dict[str, Any]) -> BaseTool:
    schema = {"title": "My schema!", "type": "object", "properties": properties, "required": list(properties)}
    return StructuredTool(name="lookup", description="Looks up.", args_schema=schema, func=lambda **_: "")


def search(query: str, limit: int = 5) -> str:
    """Finds."""
    return query


TEXT = {"type": "string"}
AS_IS: list[tuple[BaseTool, dict[str, Any]]] = [
    (tool(query=TEXT), {"query": "What is 2 + 3?"}),
    (tool(question={"type": ["string", "null"]}), {"question": "What is 2 + 3?"}),
    (tool(search={"anyOf": [{"type": "string"}, {"type": "null"}]}), {"search": "What is 2 + 3?"}),
    (tool(q={}), {"q": "What is 2 + 3?"}),
    (StructuredTool.from_function(search), {"query": "What is 2 + 3?"}),
    (calculator(), {"expression": "2 + 3"}),
    (tool(), {}),
]


@pytest.mark.parametrize(("lookup", "arguments"), AS_IS)
async def test_arguments_that_need_no_model(lookup: BaseTool, arguments: dict[str, Any]) -> None:
    assert await write_arguments(RoleModel(scripted()), lookup, "What is 2 + 3?") == arguments


async def test_answers_are_put_into_expressions_as_numbers() -> None:
    compute, model = tool(expression=TEXT), RoleModel(scripted())
    written = await write_arguments(model, compute, "-7^2", unfilled="{1}^2", answers={1: "-7"})
    assert written == {"expression": "(-7)^2"}


async def test_a_range_is_never_subtracted() -> None:
    chat = scripted('{"expression": "1914-1918 - 1900"}')
    with pytest.raises(ModelError, match="'1914-1918' is a range or a date"):
        await write_arguments(
            RoleModel(chat), tool(expression=TEXT), "1914-1918 - 1900", unfilled="{1} - 1900", answers={1: "1914-1918"}
        )


@pytest.mark.parametrize(
    "lookup",
    [
        tool(query=TEXT, page={"type": "integer"}),
        tool(city=TEXT),
        tool(text=TEXT),
        tool(query={"type": "integer"}),
        tool(query={"type": "object"}),
        tool(query={"type": "string", "enum": ["a", "b"]}),
        calculator(),
    ],
)
@pytest.mark.parametrize("shape", ["{}", "```json\n{}\n```", "Here you are: {} Good luck."])
async def test_other_arguments_are_written_by_the_solver(lookup: BaseTool, shape: str) -> None:
    chat = scripted(shape.replace("{}", '{"city": "{Rome}"}'))
    assert await write_arguments(RoleModel(chat), lookup, "How far is Rome?") == {"city": "{Rome}"}
    assert lookup.name in chat.prompts[0]
    assert "How far is Rome?" in chat.prompts[0]


@pytest.mark.parametrize(
    "reply",
    [
        '{"city": "Rome"}\n(I left {page} out.)',
        'Use {city}: {"city": "Rome"}',
        '[{"city": "Rome"}]',
        "{'city': 'Rome',}",
        '{"city": "Rome" /* the capital */}',
        '{"name": "lookup", "arguments": {"city": "Rome"}}',
        '{"function": {"name": "lookup", "arguments": "{\\"city\\": \\"Rome\\"}"}}',
        '{"lookup": {"city": "Rome"}}',
        '{"type": "object", "properties": {"city": "Rome"}}',
        '<think>{"city": "Oslo"}</think>{"city": "Rome"}',
        '"{\\"city\\": \\"Rome\\"}"',
    ],
)
async def test_arguments_are_read_out_of_a_loose_reply(reply: str) -> None:
    assert await write_arguments(RoleModel(scripted(reply)), tool(city=TEXT), "How far is Rome?") == {"city": "Rome"}


async def test_a_name_of_the_tools_own_arguments_is_no_wrapping() -> None:
    lookup = tool(name=TEXT, arguments={"type": "object"})
    chat = scripted('{"name": "a", "arguments": {"b": 1}}')
    assert await write_arguments(RoleModel(chat), lookup, "Q?") == {"name": "a", "arguments": {"b": 1}}


async def test_the_solver_is_shown_the_schema() -> None:
    chat = scripted("{}")
    await write_arguments(RoleModel(chat), tool(city=TEXT, page={"type": "integer"}), "Q?")
    schema = json.loads(chat.prompts[0].split("JSON schema of the arguments: ")[1].splitlines()[0])
    assert schema["properties"] == {"city": TEXT, "page": {"type": "integer"}}


def address(street: "Street") -> str:
    """Finds an address."""
    return street.name


class Street(BaseModel):
    name: str


async def test_arguments_may_be_objects() -> None:
    chat = scripted('{"street": {"name": "Main"}}')
    written = await write_arguments(RoleModel(chat), StructuredTool.from_function(address), "Q?")
    assert written == {"street": {"name": "Main"}}


@pytest.mark.parametrize(
    "reply",
    [
        "no",
        "[1, 2]",
        "null",
        "{",
        "} {",
        "{city}",
        '{"a":' * 50_000,
        '{"a": ' + "9" * 5000 + "}",
    ],
)
async def test_a_reply_without_arguments_is_an_error(reply: str) -> None:
    with pytest.raises(ModelError, match="no arguments for lookup") as caught:
        await write_arguments(RoleModel(scripted(reply)), tool(city=TEXT), "Q?")
    assert len(str(caught.value)) < 200
