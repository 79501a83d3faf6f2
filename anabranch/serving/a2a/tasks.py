"""The tasks of an A2A server, kept for a while, and in the store of threads where there is one."""

from a2a.server.context import ServerCallContext
from a2a.server.tasks.task_store import TaskStore
from a2a.types import ListTasksRequest, ListTasksResponse, Task
from a2a.utils.errors import UnsupportedOperationError
from google.protobuf import json_format
from langgraph.store.base import BaseStore
from pydantic import BaseModel

from anabranch.serving.kept import Kept

KEEP_SECONDS = 24 * 3_600.0
"""Seconds for which a task is kept after its last change."""


class KeptTask(BaseModel):
    """A task in the protocol's JSON."""

    json_text: str


class KeptTasks(TaskStore):
    """Finds tasks by their ids, which nobody guesses. Nobody gets a list of them: it would show those of others."""

    def __init__(self) -> None:
        self.keep_in(None)

    def keep_in(self, store: BaseStore | None) -> None:
        """Keeps tasks in a store, or in the memory of this process."""
        self._kept = Kept("a2a_tasks", KeptTask, store, seconds=KEEP_SECONDS)

    async def save(self, task: Task, context: ServerCallContext) -> None:
        """Keeps a task, in place of what was kept of it."""
        await self._kept.keep(KeptTask(json_text=json_format.MessageToJson(task, indent=None)), task.id)

    async def get(self, task_id: str, context: ServerCallContext) -> Task | None:
        """The task of an id."""
        found = await self._kept.find(task_id)
        return json_format.Parse(found.json_text, Task()) if found else None

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        """Forgets a task."""
        await self._kept.forget(task_id)

    async def list(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        """Refuses.

        Raises:
            UnsupportedOperationError: always.
        """
        raise UnsupportedOperationError(message="tasks are found by their ids alone")
