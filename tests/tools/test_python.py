import asyncio
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.tools import BaseTool, ToolException

from anabranch.errors import BackendError, ConfigurationError
from anabranch.tools.python import python_sandbox, strip_fences


@pytest.fixture(scope="module")
def python() -> BaseTool:
    return python_sandbox(timeout=1.0, max_output_chars=200)


RESULTS = {
    "1 + 1": "2",
    "print(3)": "3",
    "print(3)\n4": "3\n4",
    "x = 3\nx": "3",
    "0.1 + 0.2": "0.3",
    "'text'": "text",
    "[1, 'a', None]": "[1, 'a', None]",
    "True": "True",
    "float('nan')": "nan",
    "```python\nprint(3)\n```": "3",
    "Here it is:\n```py\nprint(4)\n```\nIt prints 4.": "4",
    "```\n1 + 1": "2",
    "  x = 1\n  x + 1": "2",
    "def solution():\n    return 4\nprint(solution())": "4",
    "import math\nmath.floor(2.5)": "2",
    "from datetime import date\n(date(1931, 1, 1) - date(1930, 1, 1)).days": "365",
    "import time\ntime.sleep(1000)\n1": "1",
}


@pytest.mark.parametrize(("code", "output"), RESULTS.items())
def test_returns_what_is_printed_and_the_last_value(python: BaseTool, code: str, output: str) -> None:
    assert python.invoke({"code": code}) == output


LAST_LINES = {
    "x = 3; x": "3",
    "x = 3; x;": "3",
    "(1,\n 2)  # a pair": "(1, 2)",
    "(x := 5)": "5",
    "'é' + 'ü'; 'ä'": "ä",
    '"""a\nb"""': "a\nb",
    "x = '\u2028'\n'after a line separator'": "after a line separator",
    "x = 1\r\nx + 1\r\n": "2",
    "'3.0'": "3.0",
    "3.0": "3",
    "1e22": "1e+22",
    "-0.5": "-0.5",
    "float('inf')": "inf",
    "str = 1\nrepr = len = type = 2\nstr": "1",
    "print(1)\nNone": "1",
    "'None'": "None",
    "'\\d'": "\\d",
    "x for x in range(3)": None,
    "class A:\n    def __str__(self):\n        return 'hi'\nA()": "hi",
    "print('no value', end='')\nx = 1": "no value",
}
"""What a program's last line is; None where it is a syntax error."""


@pytest.mark.parametrize(("code", "output"), LAST_LINES.items())
def test_the_value_of_the_last_line_is_shown(python: BaseTool, code: str, output: str | None) -> None:
    if output is not None:
        assert python.invoke({"code": code}) == output
    else:
        with pytest.raises(ToolException, match="SyntaxError"):
            python.invoke({"code": code})


SWOLLEN = [
    "s = 'x' * 1000\n[[s] * 1000] * 1000",
    "d = {}\nfor i in range(40):\n    d = {'a': d, 'b': d}\nd",
    "t = ()\nfor i in range(40):\n    t = (t, t)\nt",
    "x = []\nfor i in range(100_000):\n    x = [x]\nx",
    "'x' * 40_000_000",
    "[10 ** 4000] * 1_000_000",
    "(['x' * 1000] * 1000 for i in range(1000))",
    "class A:\n    def __str__(self):\n        return 'x' * 40_000_000\nA()",
    "print([['x' * 1000] * 1000] * 1000)",
    "print('x' * 40_000_000, end='')",
    "for i in range(300):\n    print('x' * 100_000)",
    "assert not [['x' * 1000] * 1000] * 1000",
    "raise ValueError('x' * 20_000_000)",
    "raise ValueError(str([['x' * 1000] * 1000] * 1000))",
    "{}['x' * 20_000_000]",
]


@pytest.mark.parametrize("code", SWOLLEN)
def test_what_is_large_stays_in_the_worker(code: str) -> None:
    tool, outcome = python_sandbox(timeout=3.0, max_output_chars=200), ""
    tool.invoke({"code": "1"})
    tracemalloc.start()
    try:
        outcome = tool.invoke({"code": code})
    except ToolException as error:
        outcome = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(outcome) <= 400
    # A message or a print of the program comes over whole, once; its memory is that of the worker, 64 MiB.
    assert peak < 150 * 2**20


FAILURES = {
    "": "no code",
    "```\n```": "no code",
    "x = 3": "printed nothing",
    "def f():\n    return 1": "printed nothing",
    "1 / 0": "ZeroDivisionError: division by zero (line 1)",
    "x = 1\n\nundefined": "NameError: name 'undefined' is not defined (line 3)",
    "def (": "SyntaxError",
    "raise ValueError('a\\nb')": "ValueError: a b",
    "10 ** 5000": "too large to print",
    "x = 1\n" * 10_000: "59,999 characters",
}


@pytest.mark.parametrize(("code", "message"), FAILURES.items())
def test_failures_are_told_in_one_line(python: BaseTool, code: str, message: str) -> None:
    with pytest.raises(ToolException) as error:
        python.invoke({"code": code})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


ENDLESS = [
    "while True: pass",
    "while True: print('x' * 100)",
    "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "sum(range(10 ** 12))",
    "pow(3, 10 ** 8) % 7",
    "import time\nwhile True: time.sleep(1)",
    "import asyncio\nasync def f():\n    while True: await asyncio.sleep(1)\nasyncio.run(f())",
    "import re\nre.match(r'(a*)*b', 'a' * 1000) or sum(range(10 ** 12))",
]


@pytest.mark.parametrize("code", ENDLESS)
def test_endless_programs_end(python: BaseTool, code: str) -> None:
    with pytest.raises(ToolException):
        python.invoke({"code": code})


GREEDY = [
    "x = []\nwhile True: x.append('a' * 100000)",
    "'a' * 10 ** 12",
    "[0] * 10 ** 9",
    "10 ** 10 ** 9",
    "while True:\n    try: x = [0] * 10 ** 10\n    except MemoryError: pass",
    "{i: i for i in range(10 ** 7)}",
    "'x' * 60_000_000",
]


@pytest.mark.parametrize("code", GREEDY)
def test_memory_bombs_end(python: BaseTool, code: str) -> None:
    with pytest.raises(ToolException, match=r"too much memory|limits"):
        python.invoke({"code": code})


def test_endless_recursion_ends(python: BaseTool) -> None:
    with pytest.raises(ToolException, match="RecursionError"):
        python.invoke({"code": "def f(n):\n    return f(n + 1)\nf(0)"})


ESCAPES = [
    "open('/etc/passwd').read()",
    "open('/tmp/anabranch-escape', 'w').write('x')",
    "from pathlib import Path\nPath('/etc/passwd').read_text()",
    "from pathlib import Path\nlist(Path('/').iterdir())",
    "import os\nos.listdir('/')",
    "import os\nos.environ['PATH']",
    "import os\nos.getenv('PATH')",
    "import os\nos.system('ls')",
    "import subprocess",
    "import socket",
    "import urllib.request",
    "import ctypes",
    "import importlib",
    "import builtins",
    "import anabranch",
    "import sys\nsys.modules['os']",
    "import sys\nsys._getframe()",
    "__import__('os')",
    "__builtins__",
    "globals()['__builtins__']",
    "eval(\"__import__('os')\")",
    "exec('import subprocess')",
    "().__class__.__mro__",
    "().__class__.__bases__[0].__subclasses__()",
    "getattr((), '__cl' + 'ass__')",
    "(lambda: 1).__globals__",
    "'{0.__class__}'.format(())",
    "type(print).__call__.__self__",
    "breakpoint()",
    "input()",
]


@pytest.mark.parametrize("code", ESCAPES)
def test_there_is_no_way_out(python: BaseTool, code: str) -> None:
    with pytest.raises(ToolException, match="the program failed"):
        python.invoke({"code": code})


def test_calls_share_nothing(python: BaseTool) -> None:
    assert python.invoke({"code": "secret = 41\nsecret + 1"}) == "42"
    with pytest.raises(ToolException, match="NameError"):
        python.invoke({"code": "secret"})


@pytest.mark.parametrize("code", ["print('x' * 5000)", "'x' * 5000", "for i in range(1000): print(i)"])
def test_long_output_is_cut_visibly(python: BaseTool, code: str) -> None:
    output = python.invoke({"code": code})
    assert output.endswith("… (output cut)")
    assert len(output) < 250


async def test_runs_beside_the_event_loop(python: BaseTool) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with pytest.raises(ToolException, match="more than 1 s"):
        await python.ainvoke({"code": "while True: pass"})
    ticking.cancel()
    assert ticks > 10


def test_says_when_the_sandbox_cannot_start(python: BaseTool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONTY_BIN", "/nowhere/monty")
    with pytest.raises(BackendError, match="cannot start"):
        python.invoke({"code": "1"})


@pytest.mark.parametrize("limits", [{"timeout": 0}, {"timeout": -1}, {"max_memory_mb": 0}, {"max_output_chars": 0}])
def test_limits_must_be_positive(limits: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        python_sandbox(**limits)


def test_is_a_tool_whose_output_is_the_answer(python: BaseTool) -> None:
    assert python.name == "python"
    assert python.return_direct
    assert list(python.args) == ["code"]


def test_keeps_code_without_fences() -> None:
    assert strip_fences("x = '```'\nprint(x)") == "x = '```'\nprint(x)"


@settings(max_examples=20)
@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=5))
def test_computes_what_python_computes(python: BaseTool, numbers: list[int]) -> None:
    assert python.invoke({"code": f"x = {numbers}\nprint(sorted(x), sum(x), max(x))"}) == (
        f"{sorted(numbers)} {sum(numbers)} {max(numbers)}"
    )


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ("yield", "def f():\n    yield 1\nlist(f())"),
        ("del", "x = [1, 2]\ndel x[0]\nx"),
        ("except*", "try:\n    1 / 0\nexcept* ValueError:\n    pass"),
        ("inherit", "class A: pass\nclass B(A): pass\n1"),
        ("exceptions of your own", "class E(Exception): pass\n1"),
        ("properties", "class A:\n    @property\n    def x(self): return 1\nA().x"),
        ("static methods", "class A:\n    @staticmethod\n    def x(): return 1\nA.x()"),
        ("no input", "input()"),
        ("no files", "open('/etc/hostname').read()"),
    ],
)
def test_the_description_says_what_does_not_run(named: str, code: str) -> None:
    tool = python_sandbox()
    assert named in " ".join(tool.description.split())
    with pytest.raises(ToolException):
        tool.invoke({"code": code})
