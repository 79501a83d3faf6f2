"""Screening by the planner itself: a plan is run sub-question by sub-question, as the planner would run it.

For solvers that are too small to be guided by a whole plan (see `graphs/protocol.py`), and for plans with look-ups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool

from anabranch.agents.decomposer import GivenPlan
from anabranch.agents.models import RoleModel
from anabranch.batch.jobs import Job, Replies, Sampling
from anabranch.errors import ModelError, PlanError
from anabranch.graphs.planner import create_planner
from anabranch.plan import SOLVE, Plan, Usage


@dataclass(frozen=True)
class Runner:
    """Answers jobs by running their plans.

    Attributes:
        solver: who answers the sub-questions.
        tools: the tools there are; a step that needs another one is reasoned about instead.
        plans: question and plan by the job's id.
    """

    solver: RoleModel
    tools: Sequence[BaseTool]
    plans: Mapping[str, tuple[str, Plan]]

    async def __call__(self, job: Job, sampling: Sampling) -> Replies:
        """Runs the plan of one job, once for each sample; a run that fails is an empty reply.

        Raises:
            EndpointError: the solver could not be reached, refused, or failed.
        """
        question, plan = self.plans[job.id]
        planner = create_planner(
            decomposer=GivenPlan(self._routed(plan)),
            solver=self.solver,
            tools=self.tools,
            gate="always",
            protocol="per_node",
            max_replans=0,
            answer_form="short",
        )
        texts, read, written = [], 0, 0
        for _ in range(sampling.n):
            try:
                result = await planner.ainvoke({"messages": [HumanMessage(question)]})
            except (ModelError, PlanError):
                texts.append("")
                continue
            texts.append(f"Answer: {result['answer']}")
            used = sum(result["usage"].values(), Usage())
            read, written = read + used.input_tokens, written + used.output_tokens
        return Replies(id=job.id, texts=texts, finished=[True] * len(texts), input_tokens=read, output_tokens=written)

    def _routed(self, plan: Plan) -> Plan:
        known = {tool.name for tool in self.tools}
        steps = (q if q.route in known else q.model_copy(update={"route": SOLVE}) for q in plan.sub_questions)
        return Plan(sub_questions=tuple(steps))
