"""Every error anabranch raises, as one tree. Each message says what to do next.

```
AnabranchError
├── UserError                  the caller's mistake (command line: exit code 2)
│   ├── QuestionError          empty or too long
│   ├── ConfigurationError     unknown tool, mode, model or option
│   ├── UnknownToolCallError   a tool call whose plan the server does not keep (any more)
│   ├── UnknownResponseError   an earlier response that the server does not keep (any more)
│   └── DocumentError          a document that is missing or cannot be read
├── PlanError                  a plan that cannot be run, whoever wrote it; names the sub-question
│   ├── PlanSyntaxError        text that is not a plan at all
│   ├── UnknownRouteError      a route that is neither `solve` nor a tool
│   ├── PlanReferenceError     an unknown, forward or repeated id
│   ├── CycleError             sub-questions that wait for each other
│   └── PlanSizeError          too many sub-questions
├── ModelError                 a model answered, but not with what was asked for
│   ├── NotFoundError          a look-up found nothing that answers what was asked
│   └── ReplyError             the reply is empty or was refused
├── BudgetExceededError        the token, cost or time budget is used up
└── BackendError               a broken environment (command line: exit code 1)
    ├── MissingExtraError      an optional dependency is not installed
    ├── ModelUnavailableError  the weights cannot be found or loaded
    ├── EndpointError          an address that does not answer, or refuses
    │   ├── ImagesRefusedError images that the model, or its server, does not take
    │   └── CallTimeoutError   a model call that took longer than it may
    ├── OverloadError          a server that has as much to do as it takes
    ├── DeadlineError          a request that took longer than it may
    ├── StorageError           what keeps threads or answers is in use, full, locked or damaged
    │   └── VersionError       a thread that another version of anabranch has written
    └── MissingReplyError      a batch has not brought the reply that is needed to go on
```

`PlanError` is not a `ValueError`, so pydantic lets it pass through `Plan(...)` unwrapped.
"""

import logging
import sys
from collections.abc import Callable

from anabranch.characters import whole_characters


class AnabranchError(Exception):
    """Base of all errors of this package. Its message can be written anywhere, whatever it quotes."""

    def __init__(self, message: object = "") -> None:
        super().__init__(whole_characters(str(message)))


class UserError(AnabranchError):
    """The caller asked for something that cannot be done as asked."""


class QuestionError(UserError):
    """The question is empty or too long."""


class ConfigurationError(UserError):
    """An option, tool, mode or model name that is not known or does not fit."""


class UnknownToolCallError(UserError):
    """A tool call came back whose plan is not kept, or not any more."""


class UnknownResponseError(UserError):
    """A request goes on from a response that is not kept, or not any more."""


class DocumentError(UserError):
    """A document or folder that is missing or cannot be read."""


class PlanError(AnabranchError):
    """A plan that cannot be run.

    Attributes:
        sub_question: id of the sub-question at fault, or None when the plan as a whole is.
    """

    def __init__(self, message: str, *, sub_question: int | None = None) -> None:
        super().__init__(message)
        self.sub_question = sub_question


class PlanSyntaxError(PlanError):
    """The text is not a plan in the expected codec."""


class UnknownRouteError(PlanError):
    """A route that is neither `solve` nor the name of a tool in the catalogue."""


class PlanReferenceError(PlanError):
    """A reference to a sub-question that does not exist or does not come earlier, or an id used twice."""


class CycleError(PlanError):
    """Sub-questions that depend on each other in a circle."""


class PlanSizeError(PlanError):
    """More sub-questions than allowed."""


class ModelError(AnabranchError):
    """A model answered, but not with what it was asked for."""


class NotFoundError(ModelError):
    """A look-up found nothing, or nothing that answers what was asked."""


class ReplyError(ModelError):
    """A reply without text to work with.

    Attributes:
        ending: `empty`, `cut` (all of it was thoughts) or `refused`.
        text: the words of a refusal.
    """

    def __init__(self, message: str, *, ending: str, text: str = "") -> None:
        super().__init__(message)
        self.ending = ending
        self.text = text


class BudgetExceededError(AnabranchError):
    """The budget of a question is used up; what was answered so far is kept."""


class BackendError(AnabranchError):
    """Something outside the program is missing, broken or out of reach."""


class MissingExtraError(BackendError):
    """An optional dependency is not installed."""


class ModelUnavailableError(BackendError):
    """The weights of a model cannot be found, prepared or loaded."""


class EndpointError(BackendError):
    """A model server that cannot be reached, refuses, or keeps failing.

    Attributes:
        public: the message for others than who runs this process: without the server's own words, which may repeat a
            key or a prompt.
    """

    def __init__(self, message: str, *, public: str = "") -> None:
        super().__init__(message)
        self.public = public or message


class CallTimeoutError(EndpointError):
    """A model call took longer, in all, than it may. In a sub-question, that one has failed, and the run goes on."""


class ImagesRefusedError(EndpointError):
    """A prompt has images, and the model that is to answer it does not take them."""


class MissingReplyError(BackendError):
    """A model that is served in batches has no reply to a prompt yet; the prompt is noted for the next batch."""


class OverloadError(BackendError):
    """The server works on as many questions as it takes, and as many wait.

    Attributes:
        retry_after: seconds after which to try again.
    """

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineError(BackendError):
    """A request took longer than it may."""


class StorageError(BackendError):
    """What keeps threads, answers or records cannot be written or read, or another process is at work on it."""


class VersionError(StorageError):
    """A thread that a version of anabranch has written whose state this one does not know."""


def as_script(run: Callable[[], object]) -> None:
    """Runs a script with its progress on standard error; errors of ours become one line and an exit code.

    Raises:
        SystemExit: with 2 for the caller's mistake, else 1.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        run()
    except AnabranchError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2 if isinstance(error, UserError) else 1) from None
