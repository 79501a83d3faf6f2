"""Draws requests over real tools from their schemas: the right plan first, then the words of the request.

Writes seeds.jsonl (prompt, plan, and the values that a request must have), requests.jsonl (for the teacher, in OpenAI's
batch format), people.jsonl (rows of Seal-Tools' training part), ultratool_train.jsonl (to measure with, never to ship).
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from anabranch.agents import prompts
from anabranch.codecs import LineGrammar
from anabranch.evals.toolplans.data import ToolSet, read_requests, read_tools
from anabranch.plan import SOLVE
from anabranch.tools.catalogue import ToolCard, first_sentence
from anabranch.tools.retrieval import ToolIndex, ToolText, words_of_name
from benchmarks.toolplans.clauses import Call, Tool, clause, joined, terse
from benchmarks.toolplans.values import value_for

CALLS = (0.16, 0.3, 0.28, 0.15, 0.07, 0.04)
"""Share of requests with 1, 2, ... calls."""
SHOWN = (6, 8, 10, 12, 14, 16, 16, 16, 20)
RETRIEVING = 0.4
"""How often a drawn tool whose description begins with Retrieve is taken: most of the tools do."""
LINKED = 0.45
"""How often a call takes what an earlier one finds."""
ALIKE = 0.6
"""Descriptions that share at least this much of their words are not put into one catalogue: either would do."""
STYLES = (
    "politely, in one or two sentences",
    "in one short sentence, like a command",
    "casually, as one writes to a friend",
    "with a short reason for it",
    "as questions where that is natural",
    "in plain words, joined by 'then' or 'after that'",
    "as one flowing sentence with commas",
    "in the simple English of somebody who learned it as a second language",
)
_EMPTY = frozenset(
    [
        "get",
        "info",
        "information",
        "data",
        "details",
        "detail",
        "status",
        "list",
        "add",
        "update",
        "delete",
        "create",
        "search",
        "find",
        "the",
        "of",
        "in",
        "for",
    ]
)


class Drawer:
    """Draws seeds over a pool of tools."""

    def __init__(self, tools: Sequence[Tool], seed: int) -> None:
        self.tools, self.random = tools, Random(seed)
        self.index = ToolIndex([tool.text for tool in tools])
        self.by_field: dict[str, list[int]] = {}
        for place, tool in enumerate(tools):
            self.by_field.setdefault(tool.field.split("/")[0], []).append(place)
        self.stems = [frozenset(re.findall(r"[a-z]{3,}", tool.text.description.lower())) for tool in tools]

    def calls(self) -> list[Call]:
        """The calls of one request."""
        random = self.random
        count = random.choices(range(1, len(CALLS) + 1), CALLS)[0]
        places = [self._place(range(len(self.tools)))]
        while len(places) < count:
            kin = self.by_field[self.tools[places[0]].field.split("/")[0]]
            place = self._place(kin if random.random() < 0.5 else range(len(self.tools)))
            if place in places and random.random() < 0.9:
                if len(kin) <= count:
                    place = self._place(range(len(self.tools)))
                continue
            places.append(place)
        calls: list[Call] = []
        for place in places:
            calls.append(self._call(self.tools[place], len(calls)))
        return calls

    def _place(self, places: Sequence[int] | range) -> int:
        while True:
            place = self.random.choice(places)
            if not self.tools[place].text.description.startswith("Retrieve") or self.random.random() < RETRIEVING:
                return place

    def _call(self, tool: Tool, before: int) -> Call:
        random = self.random
        names = list(tool.parameters)
        most = min(len(names), random.choice((1, 1, 2, 2, 3, 4)))
        chosen = [name for place, name in enumerate(names) if place < most]
        values = {name: value_for(name, tool.parameters[name], random) for name in chosen}
        if before and chosen and random.random() < LINKED:
            likely = [name for name in chosen if re.search(r"(id|name|data|text|number|location|file|result)s?$", name)]
            earlier = before if random.random() < 0.75 else random.randint(1, before)
            values[random.choice(likely or chosen)] = f"{{{earlier}}}"
        return Call(tool, values)

    def catalogue(self, request: str, calls: Sequence[Call]) -> list[Tool]:
        """The tools shown: the right ones, those that the words of the request find, kin and others."""
        random = self.random
        right = list(dict.fromkeys(next(p for p, t in enumerate(self.tools) if t is call.tool) for call in calls))
        room = max(len(right) + 2, random.choice(SHOWN))
        found = self.index.find(request, 24)
        kin = self.by_field[calls[0].tool.field.split("/")[0]]
        others = [*random.sample(kin, min(len(kin), 4)), *random.sample(range(len(self.tools)), 6)]
        mixed = found[: int(room * random.choice((0.5, 0.8, 1.0)))] + others
        shown = list(right)
        for place in mixed:
            if len(shown) < room and place not in shown and not any(self._alike(place, own) for own in right):
                shown.append(place)
        if random.random() < 0.5:
            shown.sort(key=lambda place: found.index(place) if place in found else len(found))
        else:
            random.shuffle(shown)
        return [self.tools[place] for place in shown]

    def _alike(self, one: int, other: int) -> bool:
        left, right = self.stems[one], self.stems[other]
        return len(left & right) >= ALIKE * max(1, min(len(left), len(right)))


def named(tools: Sequence[Tool], random: Random) -> dict[str, str]:
    """A route for each tool: its name, often in another style."""
    style = random.choice(("", "", "", "_", "_", "-", ".", "Camel"))
    routes: dict[str, str] = {}
    for tool in tools:
        words = words_of_name(tool.text.name).split()
        plain = re.sub(r"[^A-Za-z0-9_./:-]+", "_", tool.text.name)[:64]
        route = plain
        if style == "Camel":
            route = "".join(word.capitalize() for word in words)
        elif style:
            route = style.join(word.lower() for word in words)
        routes[tool.text.name] = route if route and route not in (SOLVE, *routes.values()) else plain
    return routes


def row(
    question: str, shown: Sequence[Tool], steps: Sequence[tuple[str, str]], random: Random
) -> dict[str, Any] | None:
    """A training row; None where its plan is none under the grammar."""
    routes = named(shown, random)
    cards = [ToolCard(name=routes[tool.text.name], description=first_sentence(tool.text.description)) for tool in shown]
    lines = "\n".join(
        f"{number} [{routes[name]}] {' '.join(text.split())}" for number, (name, text) in enumerate(steps, 1)
    )
    if len(set(routes.values())) < len(shown) or not LineGrammar(list(routes.values()), 8).matches(lines):
        return None
    messages = [
        {"role": "system" if m.type == "system" else "user", "content": m.text}
        for m in prompts.lines_messages(question, cards)
    ]
    return {"messages": messages, "completion": lines}


def seeds(drawer: Drawer, count: int) -> Iterator[dict[str, Any]]:
    """Seeds: a row over the request in the words of the schemas, and what the teacher is asked."""
    made = 0
    while made < count:
        calls = drawer.calls()
        spoken = [clause(call, spoken=True) for call in calls]
        template = joined(spoken, drawer.random)
        shown = drawer.catalogue(template, calls)
        steps = [(call.tool.text.name, clause(call)) for call in calls]
        found = row(template, shown, steps, drawer.random)
        if found is None:
            continue
        values = [value for call in calls for value in call.arguments.values() if not value.startswith("{")]
        told = spoken if drawer.random.random() < 0.5 else [terse(call) for call in calls]
        yield {"id": f"seed-{made}", "values": values, "tasks": told, "field": calls[0].tool.field, **found}
        made += 1


def _topic(tool: Tool) -> set[str]:
    """The words of a tool's name that say what it is about."""
    return {word.lower() for word in words_of_name(tool.text.name).split()} - _EMPTY


def hidden(drawer: Drawer, count: int) -> Iterator[dict[str, Any]]:
    """Rows whose requests do not say that something must be looked up first: the id that the call needs."""
    random, made = drawer.random, 0
    while made < count:
        second = drawer.tools[drawer._place(range(len(drawer.tools)))]
        keys = [name for name in second.parameters if re.search(r"(_id|Id|^id)$", name)]
        kin = [drawer.tools[p] for p in drawer.by_field[second.field.split("/")[0]]]
        finders = [
            tool
            for tool in kin
            if tool is not second
            and _topic(tool) & _topic(second)
            and re.match(r"(Retrieve|Search|Find|Get|Look)", tool.text.description)
            and tool.parameters
            and not re.search(r"(_id|Id|^id)$", next(iter(tool.parameters)))
        ]
        if not keys or not finders:
            continue
        first = random.choice(finders)
        name = next(iter(first.parameters))
        value = value_for(name, first.parameters[name], random)
        others = {key: value_for(key, second.parameters[key], random) for key in second.parameters if key != keys[0]}
        kept = dict(list(others.items())[: random.choice((0, 0, 1))])
        calls = [Call(first, {name: value}), Call(second, {keys[0]: "{1}", **kept})]
        told = [clause(Call(second, kept)).replace(" with ", f" for {value} with ", 1)]
        told = [told[0] if value in told[0] else f"{told[0]} {random.choice(('for', 'of', 'about'))} {value}"]
        if random.random() < 0.35:
            calls.append(drawer._call(drawer.tools[drawer._place(range(len(drawer.tools)))], 0))
            told.append(clause(calls[-1], spoken=True))
        request = joined(told, random)
        found = row(request, drawer.catalogue(request, calls), [(c.tool.text.name, clause(c)) for c in calls], random)
        if found:
            yield {"id": f"hidden-{made}", **found}
            made += 1


def asking(seed: dict[str, Any], model: str, random: Random, sample: int) -> dict[str, Any]:
    """What the teacher is asked: to put a request into other words."""
    tasks = "\n".join(f"- {task}" for task in seed["tasks"])
    style = random.choice(STYLES)
    content = (
        f"Tasks, in this order:\n{tasks}\n\nWrite the message in which a person asks for all of this, {style}. "
        "Keep every name, number, date, code and quotation exactly as it is written. Add no other task and no value. "
        "Do not number the tasks or list them. Reply with the message alone."
    )
    system = "You write what people say to their assistants: natural, varied, never stiff."
    messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
    body = {"model": model, "messages": messages, "temperature": 0.8, "top_p": 0.95, "max_tokens": 200}
    return {"custom_id": f"{seed['id']}/{sample}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def read_seal(data: Path) -> list[Tool]:
    """The tools of Seal-Tools."""
    rows = json.loads((data / "toolplans_seal_tools.json").read_text(encoding="utf-8"))
    return [
        Tool(ToolText(each["name"], each["description"], tuple(each["parameters"])), each["field"], each["parameters"])
        for each in rows
    ]


def free_tools(data: Path) -> list[Tool]:
    """Those of them that may be trained on: none of a field that the test rows need."""
    tools = read_seal(data)
    by_name = {tool.text.name: tool for tool in tools}
    tests = read_requests(data / "toolplans_seal.jsonl", "test").rows
    closed = {by_name[name].field for request in tests for name in request.tools}
    return [tool for tool in tools if tool.field not in closed and re.match(r"[A-Z]", tool.text.description)]


def people(data: Path, drawer: Drawer, allowed: dict[str, Tool]) -> Iterator[dict[str, Any]]:
    """Rows of Seal-Tools' training part whose tools may all be trained on."""
    for line in (data / "toolplans_seal.jsonl").read_text(encoding="utf-8").splitlines():
        given = json.loads(line)
        if given["split"] != "train" or not all(name in allowed for name in given["tools"]):
            continue
        calls = []
        for name, arguments in zip(given["tools"], given["arguments"], strict=True):
            values = {
                key: re.sub(r"^API_call_(\d+)$", lambda m: f"{{{int(m[1]) + 1}}}", str(value))
                for key, value in arguments.items()
            }
            calls.append(Call(allowed[name], values))
        steps = [(call.tool.text.name, re.sub(r"[\[\]\\]", "", clause(call))) for call in calls]
        for _ in range(2):
            found = row(given["question"], drawer.catalogue(given["question"], calls), steps, drawer.random)
            if found:
                yield {"id": f"seal-{given['id']}", **found}


def ultratool(data: Path) -> Iterator[dict[str, Any]]:
    """Rows of UltraTool's training part, over the 16 tools that retrieval finds and the right ones."""
    tools: ToolSet = read_tools(data / "toolplans_ultratool_tools.json")
    steps = {}
    for line in (data / "toolplans_ultratool.jsonl").read_text(encoding="utf-8").splitlines():
        given = json.loads(line)
        steps[str(given["id"])] = given["steps"]
    index = ToolIndex(tools.texts)
    for request in read_requests(data / "toolplans_ultratool.jsonl", "train").rows:
        places = index.find(request.question, 16)
        right = [place for place, text in enumerate(tools.texts) if text.name in request.tools]
        lacking = [place for place in right if place not in places]
        others = [place for place in places if place not in right]
        out = others[len(others) - len(lacking) :] if lacking else []
        cards = [tools.cards[place] for place in [*(p for p in places if p not in out), *lacking]]
        texts = [re.sub(r"^Step \d+ Call \S+ to ", "", step) for step in steps[request.id]]
        if len(texts) != len(request.tools):
            continue
        clean = [" ".join(re.sub(r"[\[\]{}\\]", "", text).split()) for text in texts]
        lines = "\n".join(
            f"{n} [{name}] {text[0].upper() + text[1:]}"
            for n, (name, text) in enumerate(zip(request.tools, clean, strict=True), 1)
            if text
        )
        if LineGrammar([card.name for card in cards], 8).matches(lines):
            shown = prompts.lines_messages(request.question, cards)
            messages = [{"role": "system" if m.type == "system" else "user", "content": m.text} for m in shown]
            yield {"id": f"ultratool-{request.id}", "messages": messages, "completion": lines}


def write(path: Path, rows: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> int:
    """Writes JSON lines."""
    count = 0
    with path.open("w", encoding="utf-8") as sink:
        for each in rows:
            sink.write(json.dumps(each, ensure_ascii=False) + "\n")
            count += 1
    return count


def main() -> None:
    """Draws everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=9000)
    parser.add_argument("--samples", type=int, default=2, help="in how many ways the teacher puts each")
    parser.add_argument("--teacher", default="teacher", help="its name on its server")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    free = free_tools(args.data)
    drawer = Drawer(free, args.seed)
    made = list(seeds(drawer, args.seeds))
    asked = [asking(seed, args.teacher, drawer.random, sample) for seed in made for sample in range(args.samples)]
    counts = {
        "tools": len(free),
        "seeds.jsonl": write(args.out / "seeds.jsonl", made),
        "requests.jsonl": write(args.out / "requests.jsonl", asked),
        "hidden.jsonl": write(args.out / "hidden.jsonl", hidden(drawer, args.seeds // 10)),
        "people.jsonl": write(args.out / "people.jsonl", people(args.data, drawer, {t.text.name: t for t in free})),
        "ultratool_train.jsonl": write(args.out / "ultratool_train.jsonl", ultratool(args.data)),
    }
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
