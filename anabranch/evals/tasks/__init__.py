"""The tasks, one file each."""

from pathlib import Path

from anabranch.batch.hub import fetch
from anabranch.errors import ConfigurationError
from anabranch.evals.tasks import bamboogle, drop, gsm8k, multihop, own, parallelqa, strategyqa
from anabranch.evals.tasks.task import Task

_TASKS = (gsm8k.TASK, drop.TASK, bamboogle.TASK, strategyqa.TASK, *multihop.TASKS, parallelqa.TASK, own.TASK)
TASKS = {task.name: task for task in _TASKS}


def find_task(name: str) -> Task:
    """The task of this name.

    Raises:
        ConfigurationError: there is no such task.
    """
    if name not in TASKS:
        raise ConfigurationError(f"unknown task {name!r}; use one of: {', '.join(TASKS)}")
    return TASKS[name]


def questions(task: Task, out: Path) -> Path:
    """A task's questions, from the hub if the file is not there yet.

    Raises:
        ConfigurationError: the task has no data set on the hub.
        MissingExtraError: the library that reads it is not installed.
        EndpointError: the hub cannot be reached, or the data set has another form now.
    """
    form = 'name a file with --data: one JSON object a line, {"question": ..., "answer": ..., "context": ...}'
    if task.hub is None and not out.exists():
        raise ConfigurationError(f"{task.title} is on no hub; {form}")
    return out if task.hub is None else fetch(task.hub, out, form)
