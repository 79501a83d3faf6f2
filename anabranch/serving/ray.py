"""The HTTP app and the decomposer on Ray Serve: replicas, autoscaling, several machines. Settings are in `serve.yaml`.

Each function makes one application for `serve run` and `serve deploy`, from the `args` of the file. Balancing, queues,
health checks and replacing replicas are Ray's. See `docs/scale-out.md`.
"""

import logging
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from anabranch.errors import MissingExtraError
from anabranch.serving.arguments import AppArguments

try:
    from ray import serve
    from ray.serve import Application
except ImportError as error:
    raise MissingExtraError(f"Ray Serve needs: pip install 'anabranch[scale]' ({error})") from error

logger = logging.getLogger(__name__)


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
        arguments: as `AppArguments`.
    """
    given = AppArguments.read(arguments)

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
    from anabranch.serving.vllm import ON_A_GPU, engine_arguments, find_weights

    weights = find_weights(given.adapter, given.base, lora=False, say=print)
    config = LLMConfig(
        model_loading_config={"model_id": weights.name, "model_source": str(weights.model)},
        accelerator_type=given.accelerator,
        deployment_config={"autoscaling_config": given.autoscaling},
        runtime_env={"env_vars": ON_A_GPU},
        engine_kwargs={**engine_arguments(weights), **given.engine},
    )
    return build_openai_app({"llm_configs": [config]})


def _asgi(given: AppArguments) -> Any:
    """The app of one replica; runs in the replica's process."""
    import os

    from anabranch.graphs.build import build_parts
    from anabranch.serving.app import create_app
    from anabranch.serving.door import DoorRules
    from anabranch.serving.options import Limits
    from anabranch.serving.service import Parts, Service

    parts = Parts(**build_parts(given.settings(), status=logger.info, note=logger.warning))
    key = os.environ.get("ANABRANCH_SERVER_KEY", "").strip()
    rules = DoorRules(keys=(key,) if key else ())
    return create_app(Service(parts, Limits.of(asdict(given))), rules, threads=given.threads)
