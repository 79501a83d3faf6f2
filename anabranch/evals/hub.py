"""Questions from the Hugging Face hub, where there is one."""

import json
from pathlib import Path

from anabranch.errors import ConfigurationError, EndpointError, MissingExtraError
from anabranch.evals.tasks.task import Task

_TIMEOUT = 5.0


def fetch(task: Task, out: Path) -> Path:
    """Downloads a task's data set into a file of our format, once.

    Args:
        task: the task.
        out: the file; taken as it is if it exists. A file beside it says of which commit of the data set it is.

    Raises:
        ConfigurationError: the task has no data set on the hub.
        MissingExtraError: the library that reads it is not installed.
        EndpointError: the hub cannot be reached, or the data set has another form now.
    """
    if out.exists():
        return out
    form = 'name a file with --data: one JSON object a line, {"question": ..., "answer": ..., "context": ...}'
    if task.hub is None:
        raise ConfigurationError(f"{task.title} is on no hub; {form}")
    hub = task.hub
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError(f"{hub.name} is read with: pip install 'anabranch[eval]'; or {form}") from error
    try:
        commit = _commit(hub.name)
        rows = load_dataset(hub.name, hub.config, split=hub.split, revision=commit)
        found = [hub.convert(row) for row in rows]
    except Exception as error:  # its library's own errors, those of its HTTP client, and rows of another form
        reason = " ".join(str(error).split())[:200]
        raise EndpointError(f"{hub.name} cannot be had ({type(error).__name__}: {reason}); {form}") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in found if row)
    partial = out.with_name(f"{out.name}.part")
    partial.write_text("".join(lines), encoding="utf-8")
    source = f"https://huggingface.co/datasets/{hub.name}, split {hub.split}, commit {commit or 'unknown'}\n"
    out.with_name(f"{out.name}.source.txt").write_text(source, encoding="utf-8")
    return partial.replace(out)


def _commit(name: str) -> str | None:
    """The commit that a data set is at; None where the hub cannot say, such as for a copy that is used offline."""
    try:
        from huggingface_hub import HfApi

        return HfApi().dataset_info(name, timeout=_TIMEOUT).sha
    except Exception:  # its own errors, and those of its HTTP client
        return None
