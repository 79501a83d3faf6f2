"""All regular expressions of the package, and texts on which a pattern that backtracks takes quadratic time."""

import ast
import importlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeGuard

import anabranch

# The parser of the standard library; it has no public name.
from re import _constants, _parser  # type: ignore[attr-defined]  # isort: skip

_FUNCTIONS = {"compile", "sub", "subn", "match", "split", "findall", "search", "fullmatch", "finditer"}
_WITH_FLAGS = {"compile": 1, "match": 2, "search": 2, "fullmatch": 2, "findall": 2, "finditer": 2}


class Use(NamedTuple):
    """A pattern, where it stands, its name if it has one, and how it is applied to a text."""

    place: str
    name: str
    pattern: Any
    apply: Callable[[Any], object]


def uses() -> tuple[list[Use], list[str]]:
    """The patterns of the package; and those that are made at run time, which cannot be tried by themselves."""
    found: list[Use] = []
    unknown: list[str] = []
    root = Path(anabranch.__file__).parent
    everywhere = _methods(root.rglob("*.py"))
    for path in sorted(root.rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if _is_call(node)]
        if not calls:
            continue
        names, own = _names(path), _methods([path])
        module = importlib.import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))
        for call in calls:
            place = f"{path.relative_to(root)}:{call.lineno}"
            try:
                name = names.get(call.lineno, "")
                methods = (own if name.startswith("_") else everywhere).get(name, set())
                found.append(_use(place, name, call, module, methods))
            except NameError:
                unknown.append(f"{path.relative_to(root)}: {ast.unparse(call.args[0])}")
    return found, unknown


def _is_call(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("re", "regex")
        and node.func.attr in _FUNCTIONS
    )


def _names(path: Path) -> dict[int, str]:
    """The names that patterns have in a module, by the line on which they are compiled."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    given = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    return {node.value.lineno: node.targets[0].id for node in given if isinstance(node.targets[0], ast.Name)}


def _methods(paths: Iterable[Path]) -> dict[str, set[str]]:
    """The methods that are called on each name with capitals, alone or as one of two."""
    called: dict[str, set[str]] = {}
    for path in paths:
        text = path.read_text(encoding="utf-8")
        for first, name, method in re.findall(r"\b(?:([A-Z_]{3,}) if .* else )?([A-Z_]{3,})\)?\.(\w+)\(", text):
            called.setdefault(name, set()).add(method)
            called.setdefault(first, set()).add(method)
    return called


def _use(place: str, name: str, call: ast.Call, module: ModuleType, methods: set[str]) -> Use:
    library = importlib.import_module(call.func.value.id)  # type: ignore[attr-defined]
    function = call.func.attr  # type: ignore[attr-defined]
    pattern: Any = vars(module).get(name)
    if function != "compile" or not hasattr(pattern, "pattern"):
        named = next((keyword.value for keyword in call.keywords if keyword.arg == "flags"), None)
        position = _WITH_FLAGS.get(function, 99)
        flags = named or (call.args[position] if len(call.args) > position else None)
        pattern = library.compile(_value(call.args[0], module), _value(flags, module) if flags else 0)
    if methods and methods <= {"match", "fullmatch"}:
        function = "match" if "match" in methods else "fullmatch"
    if function in ("match", "fullmatch"):
        return Use(place, name, pattern, getattr(pattern, function))
    return Use(place, name, pattern, lambda text: sum(1 for _ in pattern.finditer(text)))


def _value(node: ast.expr, module: ModuleType) -> Any:
    """What an expression of constants, names of the module and texts made of these is, without running it.

    Raises:
        NameError: it takes something else, such as a variable of a function.
    """
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if hasattr(module, name):
            return getattr(module, name)
        case ast.Attribute(value=owner, attr=name):
            return getattr(_value(owner, module), name)
        case ast.JoinedStr(values=parts):
            return "".join(str(_value(part, module)) for part in parts)
        case ast.FormattedValue(value=inner):
            return _value(inner, module)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _value(left, module) | _value(right, module)
    raise NameError(ast.unparse(node))


def attacks(pattern: Any) -> Iterator[tuple[str, str, str]]:
    """Beginnings, units to repeat, and ends: of the characters that a pattern names and of what it fits."""
    tree = _parser.parse(pattern.pattern, pattern.flags & ~0x10000 if isinstance(pattern, re.Pattern) else 0)
    characters = list(dict.fromkeys([*_characters(tree), *" \na1-."]))[:20]
    samples = [_sample(tree, choice) for choice in range(3)]
    pieces = list(dict.fromkeys(s[:end] for s in samples for end in range(2, min(len(s), 24) + 1)))
    units = [*pieces, *("".join(pair) for pair in itertools.permutations(characters[:9], 2))]
    units += (
        [piece[-1] + piece for piece in pieces] + [f"\n{c}" for c in characters] + [f"{c} 1" for c in characters[:6]]
    )
    for unit, end in itertools.product(dict.fromkeys(units), ("", "a", "\x01")):
        yield "", unit, end
    starts = ["", *characters[:5], *pieces]
    for start, unit, end in itertools.product(starts, characters, ("", "a", "\x01")):
        yield start, unit, end


_EXAMPLES = {"DIGIT": "1", "SPACE": " ", "WORD": "a", "NOT_WORD": "-", "NOT_SPACE": "a", "NOT_DIGIT": "a"}


def _characters(tree: Any) -> Iterator[str]:
    for kind, value in tree:
        if kind is _constants.LITERAL:
            yield chr(value)
        elif kind is _constants.NOT_LITERAL:
            yield from ("~", chr(value))
        elif kind is _constants.ANY:
            yield "x"
        elif kind is _constants.IN:
            yield from _of_class(value)
        else:
            for part in _parts(kind, value):
                yield from _characters(part)


def _of_class(items: Any) -> Iterator[str]:
    if items[0][0] is _constants.NEGATE:
        yield "~"
    for kind, value in items:
        if kind is _constants.LITERAL:
            yield chr(value)
        elif kind is _constants.RANGE:
            yield chr(value[0])
        elif kind is _constants.CATEGORY:
            yield _EXAMPLES[str(value).removeprefix("CATEGORY_")]


def _parts(kind: Any, value: Any) -> list[Any]:
    if kind is _constants.BRANCH:
        return list(value[1])
    if kind is _constants.SUBPATTERN:
        return [value[-1]]
    if kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT):
        return [value[2]]
    if kind in (_constants.ASSERT, _constants.ASSERT_NOT):
        return [value[1]]
    if kind is _constants.ATOMIC_GROUP:
        return [value]
    return []


def _sample(tree: Any, choice: int) -> str:
    """A text that fits a pattern more or less; `choice` says which of several branches is taken."""
    text = ""
    for kind, value in tree:
        if kind is _constants.LITERAL:
            text += chr(value)
        elif kind is _constants.NOT_LITERAL:
            text += "~"
        elif kind is _constants.ANY:
            text += "x"
        elif kind is _constants.IN:
            options = list(_of_class(value))
            text += options[choice % len(options)]
        elif kind is _constants.AT and value is _constants.AT_BEGINNING:
            text += "\n"
        elif kind is _constants.BRANCH:
            text += _sample(value[1][choice % len(value[1])], choice)
        elif kind not in (_constants.ASSERT, _constants.ASSERT_NOT):
            text += "".join(_sample(part, choice) for part in _parts(kind, value))
    return text
