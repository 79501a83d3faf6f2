"""Training rows over families of tools that belong together: what a request does not say must be found first.

```
python -m benchmarks.toolplans.families DATA OUT/families.jsonl      # rows for `rows.py --more`
```

A family has tools that search, tools that need the id of what was found, and lists (`worlds.py`): "Who wrote the
top-rated book?" takes a list and then the credits of what is in it. Services are searched, booked, changed, cancelled
and asked about (`services.py`); things of an office are found before they are changed (`things.py`). With `--customs`,
some plans follow customs that no request says (`customs.py`). Worlds, services and things are none of those that the
test sets are about.
"""

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.toolplans.clauses import Tool
from benchmarks.toolplans.customs import custom
from benchmarks.toolplans.draw import Drawer, free_tools, row, write
from benchmarks.toolplans.phrases import OPENINGS, Made
from benchmarks.toolplans.services import service
from benchmarks.toolplans.things import thing
from benchmarks.toolplans.worlds import world

SHOWN = (8, 10, 12, 14, 16, 16, 20, 24, 24)
_SHARES: dict[Callable[[Random], Made], int] = {world: 5, service: 4, thing: 4}


def rows(drawer: Drawer, count: int, customs: float = 0.0) -> Iterator[dict[str, Any]]:
    """Rows of all kinds, in fixed shares; none has the same request as another.

    Args:
        drawer: draws the tools that a family is shown with.
        count: how many rows.
        customs: share of requests whose plans follow customs.
    """
    made, random, seen = 0, drawer.random, set[str]()
    while made < count:
        (maker,) = random.choices(list(_SHARES), list(_SHARES.values()))
        if customs and random.random() < customs:
            maker = custom
        done = maker(random)
        if random.random() < 0.15:
            done = both(done, maker(random))
        shown = catalogue(done, drawer)
        request = _worded(done.request, random)
        steps = [(done.tools[key].text.name, text) for key, text in done.steps]
        found = row(request, shown, steps, random)
        if found and request not in seen:
            seen.add(request)
            yield {"id": f"family-{made}", "field": f"families/{maker.__name__}", **found}
            made += 1


def catalogue(made: Made, drawer: Drawer) -> list[Tool]:
    """The right tools, others of the family, and others whose words fit."""
    random = drawer.random
    right = list(dict.fromkeys(key for key, _ in made.steps))
    kin = [key for key in made.tools if key not in right]
    random.shuffle(kin)
    room = max(len(right) + 3, random.choice(SHOWN))
    shown = [made.tools[key] for key in (*right, *kin[: int(room * random.choice((0.5, 0.8, 1.0))) - len(right)])]
    found = [drawer.tools[place] for place in drawer.index.find(made.request, 10)]
    random.shuffle(found)
    taken = {tool.text.name for tool in shown}
    for tool in found:
        if len(shown) < room and tool.text.name not in taken:
            shown.append(tool)
            taken.add(tool.text.name)
    random.shuffle(shown)
    return shown


def both(one: Made, other: Made) -> Made:
    """Two requests in one, whose calls do not need each other; the first alone where they share a tool."""
    names = [{tool.text.name for tool in made.tools.values()} for made in (one, other)]
    if set(one.tools) & set(other.tools) or names[0] & names[1]:
        return one
    before = len(one.steps)
    moved = [(key, re.sub(r"\{(\d+)\}", lambda m: f"{{{int(m[1]) + before}}}", text)) for key, text in other.steps]
    low = other.request[0].lower() + other.request[1:] if not other.request.startswith("I ") else other.request
    return Made(f"{one.request} Also, {low}", [*one.steps, *moved], {**one.tools, **other.tools})


def _worded(request: str, random: Random) -> str:
    """The request as somebody types it: with an opening, or without capitals and marks."""
    if random.random() < 0.3:
        request = f"{random.choice(OPENINGS)} {request}"
    if random.random() < 0.12:
        request = request[0].lower() + request[1:].rstrip("?.!")
    return request


def main() -> None:
    """Writes rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=7000)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--customs", type=float, default=0.0, help="share of requests whose plans follow customs")
    args = parser.parse_args()
    print(write(args.out, rows(Drawer(free_tools(args.data), args.seed), args.count, args.customs)))


if __name__ == "__main__":
    main()
