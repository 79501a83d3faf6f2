"""A run's folder: what was asked, with what, and what came of it. Append-only, so that a kill loses nothing.

```
manifest.json   task, data, seed, systems with their fingerprints, prompts' and packages' versions
examples.jsonl  the questions of the run
records.jsonl   one line for each system and question; the last one counts
cache.sqlite    replies of models
requests.jsonl  prompts without a reply, for a batch; there while something is missing
report.*        the report
```
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from anabranch.batch.examples import Example
from anabranch.batch.files import LineFile
from anabranch.characters import whole_data, whole_json
from anabranch.errors import ConfigurationError
from anabranch.plan import Answer, Plan
from anabranch.private import private, private_folder

M = TypeVar("M", bound=BaseModel)


class Tokens(BaseModel):
    """Model calls of one role for one question."""

    model_config = ConfigDict(frozen=True)

    calls: int = 0
    input: int = 0
    output: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(calls=self.calls + other.calls, input=self.input + other.input, output=self.output + other.output)

    def usd(self, price: tuple[float, float] | None) -> float | None:
        """Cost at a price in dollars per million tokens: None where that is not known, 0 where nothing was called."""
        if not self.calls:
            return 0.0
        return None if price is None else (self.input * price[0] + self.output * price[1]) / 1e6


class Record(BaseModel):
    """What one system made of one question.

    Attributes:
        system: the system's label.
        fingerprint: hash of what the system is made of.
        id: the example's id.
        reply: the whole reply.
        answer: the final answer in it.
        error: why there is no answer.
        flags: what was odd: `error`, `empty`, `refused`, `cut_off`, `rambling`, `program_failed`,
            `endless`.
        plan: the plan, if the system plans.
        answers: answers to sub-questions.
        problems: what was wrong with plans that were thrown away, and what else the planner says of them.
        rounds: how often a plan was asked for, not counting repairs.
        retrieved: titles of passages that were retrieved.
        extra: what else there is to show.
        decomposing: calls that wrote plans.
        solving: all other calls.
        seconds: wall time, with the time that kept replies took then; None where one came out of a batch.
    """

    model_config = ConfigDict(frozen=True)

    system: str
    fingerprint: str
    id: str
    reply: str = ""
    answer: str = ""
    error: str | None = None
    flags: tuple[str, ...] = ()
    plan: Plan | None = None
    answers: tuple[Answer, ...] = ()
    problems: tuple[str, ...] = ()
    rounds: int = 1
    retrieved: tuple[str, ...] = ()
    extra: Mapping[str, str] = {}
    decomposing: Tokens = Tokens()
    solving: Tokens = Tokens()
    seconds: float | None = None

    @property
    def line(self) -> str:
        """The record as a line of JSON."""
        return _json(self)


class Described(BaseModel):
    """A system as the manifest describes it; prices in dollars per million tokens."""

    name: str
    label: str
    fingerprint: str
    solver: str
    decomposer: str | None = None
    price: tuple[float, float] | None = None
    decomposer_price: tuple[float, float] | None = None

    def usd(self, decomposing: Tokens, solving: Tokens) -> tuple[float | None, float | None]:
        """What decomposing and solving cost; None where a price is not known."""
        shared = self.price if self.decomposer == self.solver else None
        return decomposing.usd(self.decomposer_price or shared), solving.usd(self.price)


class Manifest(BaseModel):
    """What a run is made of.

    Attributes:
        task: the task's name.
        data: the file of questions.
        data_hash: its content's hash.
        seed: which questions were chosen, and the resampling of the intervals.
        limit: most questions.
        problems: lines of the file that are no examples.
        systems: the systems, in the order of the report.
        settings: what all systems share.
        versions: of the package, its prompts, Python and libraries.
    """

    task: str
    data: str
    data_hash: str
    seed: int
    limit: int | None
    problems: tuple[str, ...] = ()
    systems: tuple[Described, ...] = ()
    settings: Mapping[str, Any] = {}
    versions: Mapping[str, str] = {}


class RunFolder:
    """The folder of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def cache(self) -> Path:
        """Where replies are kept."""
        return self.path / "cache.sqlite"

    @property
    def lock(self) -> Path:
        """The file that a process holds while it adds records."""
        return self.path / "records.jsonl"

    @property
    def requests(self) -> Path:
        """Prompts without a reply."""
        return self.path / "requests.jsonl"

    def open(self, manifest: Manifest, examples: Sequence[Example]) -> Manifest:
        """Makes the folder, or joins a run that is there: systems are added, other data is refused.

        Raises:
            ConfigurationError: it holds a run on other questions, or cannot be written.
        """
        before = self._manifest_or_none()
        if before is not None:
            for name in ("task", "data_hash"):
                if getattr(before, name) != getattr(manifest, name):
                    raise ConfigurationError(f"{self.path} holds a run with another {name}; name another --out")
            fresh = {system.label for system in manifest.systems}
            kept = tuple(system for system in before.systems if system.label not in fresh)
            manifest = manifest.model_copy(update={"systems": (*kept, *manifest.systems)})
        try:
            private_folder(self.path)
            self._write("examples.jsonl", (_json(example) for example in examples))
            self._write("manifest.json", [manifest.model_dump_json(indent=1)])
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written ({error.strerror}); name another --out") from error
        return manifest

    def manifest(self) -> Manifest:
        """The manifest.

        Raises:
            ConfigurationError: there is no run in this folder.
        """
        found = self._manifest_or_none()
        if found is None:
            raise ConfigurationError(f"{self.path} holds no run; make one with: anabranch eval --out {self.path} ...")
        return found

    def examples(self) -> list[Example]:
        """The questions of the run."""
        return list(_read(self.path / "examples.jsonl", Example))

    def records(self) -> dict[tuple[str, str], Record]:
        """The last record of each system's fingerprint and example."""
        return {(record.fingerprint, record.id): record for record in _read(self.path / "records.jsonl", Record)}

    def appending(self) -> LineFile:
        """The file of records, to add `Record.line` to.

        Raises:
            StorageError: it cannot be written.
        """
        return LineFile(self.path / "records.jsonl")

    def _manifest_or_none(self) -> Manifest | None:
        try:
            text = (self.path / "manifest.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be read ({error.strerror}); name another --out") from error
        try:
            return Manifest.model_validate_json(text)
        except ValidationError as error:
            raise ConfigurationError(f"{self.path}/manifest.json is not one of ours; name another --out") from error

    def _write(self, name: str, lines: Iterable[str]) -> None:
        partial = self.path / f"{name}.part"
        with open(partial, "w", encoding="utf-8", opener=private) as sink:
            sink.writelines(f"{line}\n" for line in lines)
        partial.replace(self.path / name)


def _json(record: BaseModel) -> str:
    try:
        return whole_json(record.model_dump_json())
    except PydanticSerializationError:  # half a character in what a system adds of its own
        return json.dumps(whole_data(record.model_dump(mode="json")), ensure_ascii=False)


def _read(path: Path, kind: type[M]) -> Iterator[M]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                if line.endswith("\n"):
                    raise ConfigurationError(
                        f"line {number} of {path} is not one of ours; name another --out"
                    ) from error
