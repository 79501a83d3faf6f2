"""The HTTP routes: from bodies to the service and back."""

import time
from typing import Any

from fastapi import APIRouter, Request, Security
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer

from anabranch.agents.decomposer import PlanRequest
from anabranch.config import check_question
from anabranch.errors import ConfigurationError, UnknownResponseError
from anabranch.plan import Answer, Plan, SubQuestion
from anabranch.serving import replies
from anabranch.serving.client_tools import as_tool
from anabranch.serving.conversation import Conversation
from anabranch.serving.delivery import last_item, streamed
from anabranch.serving.failures import RESPONSES, Failure
from anabranch.serving.health import Readiness
from anabranch.serving.metrics import CONTENT_TYPE
from anabranch.serving.plan_stream import Planned
from anabranch.serving.protocol import (
    MAX_ID,
    MODEL,
    ChatCompletion,
    ChatRequest,
    ErrorReply,
    Health,
    ModelCard,
    ModelList,
    PlanReply,
    PlansRequest,
    SystemTurn,
)
from anabranch.serving.responses import Response as ModelResponse
from anabranch.serving.responses_input import turns_of
from anabranch.serving.responses_kept import KeptResponse
from anabranch.serving.responses_protocol import DeletedResponse, ResponseReply, ResponsesRequest
from anabranch.serving.service import Outcome, Question, Service
from anabranch.serving.tool_choice import Choice
from anabranch.serving.tool_turns import ToolTurns
from anabranch.serving.watch import GONE
from anabranch.tools.catalogue import Catalogue
from anabranch.tools.shortlist import fitting_cards

KEY = HTTPBearer(auto_error=False, description="One of the server's API keys, where it has any.")
_EVENT = {"type": "object", "properties": {"event": {"type": "string"}, "data": {"type": "string"}}}
STREAMING: dict[int | str, dict[str, Any]] = {
    **RESPONSES,
    200: {"content": {"text/event-stream": {"schema": _EVENT}}},
}
_LIVE: dict[int | str, dict[str, Any]] = {"4XX": {"model": ErrorReply}}


def build_routes(service: Service, readiness: Readiness) -> APIRouter:
    """All routes over a service."""
    routes, router = _Routes(service, readiness), APIRouter(responses=_LIVE)
    key: Any = {"dependencies": [Security(KEY)]}
    text = {**RESPONSES, 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    away: dict[int | str, dict[str, Any]] = {**_LIVE, 503: {"model": Health}}
    post, get = router.post, router.get
    post("/v1/plans", response_model=PlanReply, responses=STREAMING, **key)(routes.plans)
    post("/v1/chat/completions", response_model=ChatCompletion, responses=STREAMING, **key)(routes.chat)
    post("/v1/responses", response_model=ResponseReply, responses=STREAMING, **key)(routes.respond)
    get("/v1/responses/{response_id}", response_model=ResponseReply, responses=RESPONSES, **key)(routes.response)
    router.delete("/v1/responses/{response_id}", responses=RESPONSES, **key)(routes.forget)
    get("/v1/models", responses=RESPONSES, **key)(routes.models)
    get("/v1/models/{model}", responses=RESPONSES, **key)(routes.model)
    get("/health", response_model=Health, responses=away)(routes.health)
    get("/health/live", response_class=JSONResponse)(routes.live)
    get("/metrics", response_class=Response, responses=text, **key)(routes.metrics)
    return router


class _Routes:
    def __init__(self, service: Service, readiness: Readiness) -> None:
        self._service = service
        self._readiness = readiness
        self._started = int(time.time())

    async def plans(self, body: PlansRequest, request: Request) -> Response:
        """Splits a question into sub-questions, without answering it."""
        run = self._service.plan(plan_request(body, self._service))
        if body.stream:
            return await streamed(request, run, replies.PlanEvents(), self._service)
        planned = await last_item(request, run, self._service)
        return JSONResponse(replies.plan_reply(planned)) if isinstance(planned, Planned) else Response(status_code=GONE)

    async def chat(self, body: ChatRequest, request: Request) -> Response:
        """Answers the last user message: plans, runs the plan, joins the answers."""
        _check_model(body.model)
        include_plan = bool(body.anabranch and body.anabranch.include_plan)
        run = self._service.ask(await question_of(body, self._service.turns))
        if body.stream:
            usage = bool(body.stream_options and body.stream_options.include_usage)
            chunks = replies.Chunks(include_usage=usage, include_plan=include_plan)
            return await streamed(request, run, chunks, self._service, head=chunks.first())
        outcome = await last_item(request, run, self._service)
        if not isinstance(outcome, Outcome):
            return Response(status_code=GONE)
        return JSONResponse(replies.completion(outcome, include_plan=include_plan))

    async def respond(self, body: ResponsesRequest, request: Request) -> Response:
        """Answers the last user message, as `/v1/chat/completions` does."""
        _check_model(body.model)
        response = ModelResponse(body)
        run = self._service.ask(await question_of_response(response, self._service))
        if body.stream:
            return await streamed(request, run, response, self._service, head=response.first())
        outcome = await last_item(request, run, self._service)
        return JSONResponse(response.whole(outcome)) if isinstance(outcome, Outcome) else Response(status_code=GONE)

    async def response(self, response_id: str) -> Response:
        """A response that was kept, as it was sent."""
        try:
            return JSONResponse((await self._service.responses.find(response_id)).reply)
        except UnknownResponseError as error:
            raise Failure(404, str(error), code="not_found", param="response_id") from error

    async def forget(self, response_id: str) -> DeletedResponse:
        """Forgets a response that was kept."""
        try:
            await self._service.responses.forget(response_id)
        except UnknownResponseError as error:
            raise Failure(404, str(error), code="not_found", param="response_id") from error
        return DeletedResponse(id=response_id)

    async def models(self) -> ModelList:
        """The models: there is one, the planner."""
        return ModelList(data=[ModelCard(created=self._started)])

    async def model(self, model: str) -> ModelCard:
        """One model."""
        _check_model(model)
        return ModelCard(created=self._started)

    async def health(self) -> JSONResponse:
        """Whether the models behind the server are there."""
        state = await self._readiness.check()
        return JSONResponse(state.model_dump(), 200 if state.status == "ok" else 503)

    async def live(self) -> JSONResponse:
        """Whether the server runs."""
        return JSONResponse({"status": "ok"})

    async def metrics(self) -> Response:
        """Counters for Prometheus."""
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)


def _check_model(name: str) -> None:
    if name != MODEL:
        message = f"there is no model {name[:80]!r}; use {MODEL}"
        raise Failure(404, message, code="model_not_found", param="model")


async def question_of(body: ChatRequest, turns: ToolTurns) -> Question:
    """What a chat request asks.

    Raises:
        UserError, BackendError: as `Conversation.of`.
    """
    choice = Choice.of(body.tool_choice)
    return Question(
        await Conversation.of(body.messages, turns),
        tools=choice.offered([tool.function for tool in body.tools or []]),
        may_call=choice.mode != "none",
        must_call=choice.mode == "required",
        one_call=body.parallel_tool_calls is False,
        streamed=bool(body.stream),
        watched=bool(body.stream),
        max_answer_tokens=body.max_completion_tokens or body.max_tokens,
        stop=[body.stop] if isinstance(body.stop, str) else body.stop or (),
        seed=body.seed,
        schema=body.response_format.schema_of_answer() if body.response_format else None,
    )


async def question_of_response(response: ModelResponse, service: Service) -> Question:
    """What a request for a response asks; the response is kept when it is there.

    Raises:
        UserError, BackendError: as `turns_of` and `Conversation.of`.
    """
    body = response.request
    before, given = await turns_of(body, service.responses)
    system = [SystemTurn(role="system", content=body.instructions)] if body.instructions else []
    choice = Choice.of(body.tool_choice)

    async def ended(outcome: Outcome) -> None:
        kept = KeptResponse(
            previous=body.previous_response_id or "",
            given=given,
            output=response.said(outcome),
            reply=response.whole(outcome),
        )
        await service.responses.keep(response.key, kept)

    return Question(
        await Conversation.of([*system, *before, *given], service.turns),
        tools=choice.offered(body.tools or []),
        may_call=choice.mode != "none",
        must_call=choice.mode == "required",
        one_call=body.parallel_tool_calls is False,
        streamed=bool(body.stream),
        watched=bool(body.stream),
        max_answer_tokens=body.max_output_tokens,
        schema=body.text.format.schema_of_answer() if body.text and body.text.format else None,
        ended=None if body.store is False else ended,
    )


def plan_request(body: PlansRequest, service: Service) -> PlanRequest:
    """What a request for a plan asks.

    Raises:
        UserError, PlanError: the question, the tools, or what was asked before cannot be used.
    """
    parts = service.parts
    asked = Plan(sub_questions=tuple(SubQuestion.model_validate(each.model_dump()) for each in body.asked))
    most = body.max_sub_questions or parts.max_sub_questions
    if asked.next_id + most > MAX_ID:
        raise ConfigurationError(f"there are no ids left above {asked.next_id - 1}; number from 1")
    if strange := {answer.id for answer in body.answers} - set(asked.ids):
        raise ConfigurationError(f"there is an answer to sub-question {min(strange)}, which is not among those asked")
    catalogue = service.catalogue if body.tools is None else Catalogue(map(as_tool, body.tools))
    return PlanRequest(
        check_question(body.question),
        fitting_cards(catalogue, f"{body.question}\n{body.feedback or ''}"),
        body.mode or parts.mode,
        most,
        asked,
        {answer.id: Answer(**answer.model_dump()) for answer in body.answers},
        body.feedback,
    )
