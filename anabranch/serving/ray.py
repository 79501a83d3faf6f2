"""The HTTP app and the decomposer on Ray Serve: replicas, autoscaling, several machines. Settings are in `serve.yaml`.

Each function makes one application for `serve run` and `serve deploy`, from the `args` of the file. Balancing, queues,
health checks and replacing replicas are Ray's. See `docs/scale-out.md`.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from anabranch.errors import MissingExtraError

try:
    from ray import serve
    from ray.serve import Application
except ImportError as error:
    raise MissingExtraError(f"Ray Serve needs: pip install 'anabranch[scale]' ({error})") from error


class PlannerArguments(BaseModel):
    """What the replicas of the HTTP app are built from. API keys come from ANABRANCH_SERVER_KEY on each machine.

    Attributes:
        decomposer: who writes plans; names as for `create_planner`.
        solver: who answers.
        tools: names of built-in tools.
        documents: folder to search, at the same place on every machine.
        mode: planning mode.
        max_concurrency: most questions one replica works on.
        max_queue: most questions that wait in one replica; Ray's own queue is before it.
        timeout: seconds a question may take.
        threads: address of a PostgreSQL database that keeps the plans which wait for tools of clients; without one,
            each replica knows only its own, and a client's next request may reach another.
    """

    model_config = ConfigDict(extra="forbid")

    decomposer: str | None = None
    solver: str = "local"
    tools: list[str] = Field(default_factory=lambda: ["calculator"])
    documents: Path | None = None
    mode: str = "static"
    max_concurrency: int = 16
    max_queue: int = 64
    timeout: float = 300.0
    threads: str | None = None


class DecomposerArguments(BaseModel):
    """What the decomposer's replicas are built from.

    Attributes:
        adapter: name of an adapter that comes with the package, or a folder of one or of merged weights.
        base: hub id or folder of its base; what it was trained on if None.
        accelerator: type of the GPUs as Ray names it, such as `H100`; any if None.
        engine: engine arguments of vLLM.
        autoscaling: Ray's autoscaling settings.
    """

    model_config = ConfigDict(extra="forbid")

    adapter: str = "decomposer-1.5b"
    base: str | None = None
    accelerator: str | None = None
    engine: dict[str, Any] = Field(default_factory=dict)
    autoscaling: dict[str, Any] = Field(default_factory=lambda: {"min_replicas": 1, "max_replicas": 4})


def planner(arguments: dict[str, Any]) -> Application:
    """The HTTP app (`anabranch.serving.app`), one a replica.

    Args:
        arguments: as `PlannerArguments`.
    """
    given = PlannerArguments.model_validate(arguments)

    def build() -> Any:
        return _asgi(given)

    return serve.deployment(name="planner")(serve.ingress(build)()).bind()


def decomposer(arguments: dict[str, Any]) -> Application:
    """The distilled decomposer behind Ray's own vLLM deployment and its OpenAI-compatible ingress.

    The weights are prepared where the application is built (the head node), merged, in the cache folder: set
    ANABRANCH_CACHE_DIR to one that all machines share.

    Args:
        arguments: as `DecomposerArguments`.

    Raises:
        MissingExtraError: `ray[llm]` is not installed.
    """
    given = DecomposerArguments.model_validate(arguments)
    try:
        from ray.serve.llm import LLMConfig, build_openai_app
    except ImportError as error:
        raise MissingExtraError(f"the decomposer on Ray needs: pip install 'ray[llm]' ({error})") from error
    from anabranch.serving.template import safe_template
    from anabranch.serving.vllm import ON_A_GPU, find_weights

    weights = find_weights(given.adapter, given.base, lora=False, say=print)
    engine = {
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "chat_template": safe_template(weights.model),
        "chat_template_content_format": "string",
    }
    config = LLMConfig(
        model_loading_config={"model_id": weights.name, "model_source": str(weights.model)},
        accelerator_type=given.accelerator,
        deployment_config={"autoscaling_config": given.autoscaling},
        runtime_env={"env_vars": ON_A_GPU},
        engine_kwargs={**engine, **given.engine},
    )
    return build_openai_app({"llm_configs": [config]})


def _asgi(given: PlannerArguments) -> Any:
    """The app of one replica; runs in the replica's process."""
    import os

    from anabranch.agents.models import resolve_model
    from anabranch.agents.resolve import default_decomposer, resolve_decomposer
    from anabranch.config import check_mode
    from anabranch.serving.app import create_app
    from anabranch.serving.door import DoorRules
    from anabranch.serving.service import Limits, Parts, Service
    from anabranch.tools import builtin_tool, document_search

    tools = [builtin_tool(name) for name in given.tools]
    if given.documents:
        tools.append(document_search(given.documents))
    solver = resolve_model(given.solver)
    named = given.decomposer
    parts = Parts(
        decomposer=resolve_decomposer(named) if named else default_decomposer(lambda: solver),
        solver=solver,
        tools=tools,
        mode=check_mode(given.mode),
    )
    key = os.environ.get("ANABRANCH_SERVER_KEY", "").strip()
    rules = DoorRules(keys=(key,) if key else ())
    return create_app(
        Service(parts, Limits(given.max_concurrency, given.max_queue, given.timeout)), rules, threads=given.threads
    )
