import inspect
import re
from typing import Any

import pytest

from anabranch import errors
from anabranch.errors import AnabranchError, BackendError, BudgetExceededError, ModelError, PlanError, UserError


def drawn_tree() -> dict[str, str | None]:
    """Class → base, as drawn in the module's docstring."""
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").split("```")[1].strip().splitlines():
        match = re.match(r"([│├└─ ]*)(\w+)", line)
        assert match
        depth = len(match[1]) // 4
        path[depth:] = [match[2]]
        drawn[match[2]] = path[depth - 1] if depth else None
    return drawn


def classes() -> dict[str, type[Any]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return {name: class_ for name, class_ in found if class_.__module__ == errors.__name__}


def test_the_docstring_draws_the_tree() -> None:
    defined = {name: class_.__base__.__name__ if class_.__base__ else None for name, class_ in classes().items()}
    assert drawn_tree() == {**defined, "AnabranchError": None}


def test_the_branches_are_apart() -> None:
    branches = (UserError, PlanError, ModelError, BudgetExceededError, BackendError)
    for class_ in classes().values():
        assert issubclass(class_, AnabranchError)
        assert sum(issubclass(class_, branch) for branch in branches) == (class_ is not AnabranchError)


@pytest.mark.parametrize("class_", classes().values())
def test_no_error_is_one_of_pythons(class_: type[BaseException]) -> None:
    """A ValueError would be wrapped by pydantic and swallowed by callers that catch it for other reasons."""
    assert {base.__name__ for base in class_.__mro__} <= {*classes(), "Exception", "BaseException", "object"}


@pytest.mark.parametrize("class_", [class_ for class_ in classes().values() if issubclass(class_, PlanError)])
def test_plan_errors_name_a_sub_question_or_none(class_: type[PlanError]) -> None:
    assert class_("a").sub_question is None
    assert class_("a", sub_question=3).sub_question == 3
    assert str(class_("a", sub_question=3)) == "a"
