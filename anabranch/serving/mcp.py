"""The planner as an MCP server: the tools `plan` and `ask`, over stdio or streamable HTTP.

Source: https://modelcontextprotocol.io/specification, and the official SDK (https://py.sdk.modelcontextprotocol.io).
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from langchain_core.messages import HumanMessage, convert_to_messages
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from anabranch import __version__
from anabranch.codecs import encode_lines
from anabranch.config import MAX_QUESTION_CHARS, check_question
from anabranch.options import PlanningMode
from anabranch.plan import Answer, Plan, Source, Status
from anabranch.serving.conversation import Conversation
from anabranch.serving.door import Door, DoorRules
from anabranch.serving.failures import describe
from anabranch.serving.function_tool import FunctionTool
from anabranch.serving.mcp_sdk import Context, MCPServer, ToolError, http_app, new_server
from anabranch.serving.metrics import Metrics
from anabranch.serving.plan_stream import PlanItem, Planned, Restarted
from anabranch.serving.protocol import MAX_SUB_QUESTIONS, MAX_TOOLS, PlansRequest, TokenUsage
from anabranch.serving.routes import plan_request
from anabranch.serving.runs import Run
from anabranch.serving.service import Event, Item, Outcome, Question, Service
from anabranch.serving.watch import Watch

T = TypeVar("T")
PATH = "/mcp"
MAX_HISTORY = 200
_INSTRUCTIONS = (
    "ask answers a question that needs several steps: it plans, looks up, computes and joins the answers. "
    "plan only splits a question into sub-questions, each with the tool that should answer it."
)
QuestionText = Annotated[str, Field(description="The question.", max_length=MAX_QUESTION_CHARS)]


class PastTurn(BaseModel):
    """Something that was said before the question."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant", "system"]
    content: str = Field(max_length=MAX_QUESTION_CHARS)


History = Annotated[
    list[PastTurn] | None,
    Field(description="Earlier turns, where the question leans on them; oldest first.", max_length=MAX_HISTORY),
]


class Asked(BaseModel):
    """What `ask` gives: the answer, how it ended, what it rests on, and how it was found.

    `question` stands by itself, without earlier turns.
    """

    question: str
    answer: str
    status: Status | None
    sources: list[Source]
    plan: Plan
    answers: list[Answer]
    usage: TokenUsage


class PlanMade(BaseModel):
    """What `plan` gives: the sub-questions; none if the question is best answered directly."""

    plan: Plan
    usage: TokenUsage


def build_mcp(service: Service) -> MCPServer[Any]:
    """The MCP server over a service."""
    server = new_server("anabranch", version=__version__, instructions=_INSTRUCTIONS)
    reading = ToolAnnotations.model_validate({"readOnlyHint": True, "openWorldHint": True})

    @server.tool(annotations=reading)
    async def ask(
        question: QuestionText, ctx: Context[Any, Any], history: History = None
    ) -> Annotated[CallToolResult, Asked]:
        """Answers a question that needs several steps, along a plan."""
        earlier = convert_to_messages([turn.model_dump() for turn in history or []])
        outcome = await _finished(
            lambda: service.ask(Question(Conversation([*earlier, HumanMessage(check_question(question))]))), ctx, _told
        )
        if not isinstance(outcome, Outcome):
            raise ToolError("the planner ended without an outcome")
        found = Asked(
            question=outcome.question,
            answer=outcome.answer,
            status=outcome.status,
            sources=list(outcome.sources),
            plan=outcome.plan,
            answers=list(outcome.answers.values()),
            usage=TokenUsage.of(outcome.total),
        )
        return _result(outcome.answer, found)

    @server.tool(annotations=reading)
    async def plan(
        question: QuestionText,
        ctx: Context[Any, Any],
        tools: Annotated[
            list[FunctionTool] | None,
            Field(description="Tools to route to; the server's own if left out.", max_length=MAX_TOOLS),
        ] = None,
        mode: Annotated[
            PlanningMode | None, Field(description="static: the whole plan; dynamic: only what can be asked first.")
        ] = None,
        max_sub_questions: Annotated[
            int | None, Field(description="Most sub-questions.", ge=1, le=MAX_SUB_QUESTIONS)
        ] = None,
    ) -> Annotated[CallToolResult, PlanMade]:
        """Splits a question into sub-questions, without answering it."""
        body = PlansRequest(question=question, tools=tools, mode=mode, max_sub_questions=max_sub_questions)
        planned = await _finished(lambda: service.plan(plan_request(body, service)), ctx, _written)
        if not isinstance(planned, Planned):
            raise ToolError("the decomposer ended without a plan")
        return _result(encode_lines(planned.plan), PlanMade(plan=planned.plan, usage=TokenUsage.of(planned.usage)))

    return server


def mcp_app(server: MCPServer[Any], rules: DoorRules, metrics: Metrics, *, host: str) -> ASGIApp:
    """The MCP server as an app that speaks streamable HTTP under `/mcp`, behind the same door as the HTTP app.

    Args:
        server: the MCP server.
        rules: who may come in.
        metrics: where requests are counted.
        host: the address it will listen on; on a loopback one, requests that name another host are refused.

    Raises:
        ConfigurationError: a rule that cannot be one.
    """
    app = http_app(server, path=PATH, host=host, max_body=rules.max_body)
    return Watch(Door(app, rules=rules, metrics=metrics), metrics=metrics, routes=frozenset({PATH}))


async def _finished(start: Callable[[], Run[T]], ctx: Context[Any, Any], tell: Callable[[T], str]) -> T | None:
    """Runs to the end, reports on the way, and stops the run if the client cancels the call."""
    run, last, done = None, None, 0
    try:
        run = start()
        while (item := await run.next()) is not None:
            last = item
            if message := tell(item):
                done += 1
                await ctx.report_progress(done, message=message)
    except StopAsyncIteration:
        return last
    except Exception as error:
        raise ToolError(describe(error)[1]["error"]["message"]) from None
    finally:
        if run:
            await run.aclose()
    return last


def _told(item: Item) -> str:
    """An event of the planner in one line; empty for what is none."""
    if not isinstance(item, Event):
        return ""
    event = item.data
    if event["type"] == "question":
        return f"understood as: {event['question']}"[:300]
    if event["type"] == "plan":
        return f"plan: {len(event['new'])} sub-questions" if event["new"] else "answering"
    if event["type"] == "replan":
        return "planning again"
    outcome = event["status"] if event["status"] != "done" else f"= {event['text']}"
    return " ".join(f"sub-question {event['id']} {outcome}".split())[:300]


def _written(item: PlanItem) -> str:
    if isinstance(item, Planned):
        return ""
    return "writing another plan" if isinstance(item, Restarted) else f"{item.question.id}. {item.question.text}"[:300]


def _result(text: str, structured: BaseModel) -> CallToolResult:
    content = [TextContent(type="text", text=text)]
    return CallToolResult.model_validate({"content": content, "structuredContent": structured.model_dump(mode="json")})
