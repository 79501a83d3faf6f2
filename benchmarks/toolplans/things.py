"""Things of an office: found before they are changed where tools ask for their id, unless a request names it."""

from random import Random
from typing import Any

from benchmarks.toolplans.clauses import Tool
from benchmarks.toolplans.phrases import WORDS, Made, Steps, a, capital, filled, first_person, person, title, tool, when


def thing(random: Random) -> Made:
    """A request for one or several actions on things of one kind."""
    kind = random.choice(WORDS["things"])
    by = random.choice((" by its ID", " with the given ID", "", ""))
    request = _Request(kind, by, random)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3))):
        request.grow()
    return Made(first_person(request.said, random), request.steps, request.tools)


class _Request:
    """A request, as it grows."""

    def __init__(self, kind: dict[str, Any], by: str, random: Random) -> None:
        noun = kind["noun"]
        self.noun, self.by, self.random, self.about = noun, by, random, kind["about"]
        self.actions: dict[str, dict[str, str]] = {
            **kind["actions"],
            "delete": {"asked": "delete {it}", "done": "delete {it}", "tool": f"Delete a {noun}"},
            "share": {
                "asked": "share {it} with {who}",
                "done": "share {it} with {who}",
                "tool": f"Share a {noun} with somebody",
            },
        }
        self.others = [action for action in self.actions if action != "create"]
        self.tools = _tools(noun, kind["plural"], self.actions, by, random)
        self.said: list[str] = []
        self.steps: Steps = []
        self.found: dict[str, int] = {}

    def grow(self) -> None:
        """Adds an action on something, and at times another one on it."""
        random, noun = self.random, self.noun
        subject, action = random.choice(self.about), random.choice(list(self.actions))
        words = (f"the {noun} about {subject}", f"my {noun} on {subject}", f"that {noun} concerning {subject}")
        chosen = random.choice(words)
        if action == "create":
            self._create(subject)
            return
        if random.random() < 0.15:
            what = chosen = f"{noun} {noun[0].upper()}-{random.randint(10, 9999)}"
        elif self.by:
            if subject not in self.found:
                self.steps.append(("find", f"Find the {noun} about {subject}"))
                self.found[subject] = len(self.steps)
            what = f"the {noun} {{{self.found[subject]}}}"
        else:
            what = f"the {noun} about {subject}"
        self._act(action, what, chosen)
        if random.random() < 0.25:
            self._act(random.choice([other for other in self.others if other != action]), what, "it")

    def _create(self, subject: str) -> None:
        random, noun, words = self.random, self.noun, self.actions["create"]
        values = {**_values(random), "noun": a(noun), "s": subject}
        done = f"Create {a(noun)} about {subject} {filled(words['done'], values)}"
        self.steps.append(("create", done.strip()))
        form = random.choice(("create", "write", "set up", "make"))
        self.said.append(f"{form} {a(noun)} about {subject} {filled(words['asked'], values)}".strip())
        new, it = f"the {noun} {{{len(self.steps)}}}", random.choice(("it", f"the new {noun}", f"that {noun}"))
        if random.random() < 0.5:
            self._act(random.choice(self.others), new, it)

    def _act(self, action: str, what: str, words: str) -> None:
        values = _values(self.random)
        self.steps.append((action, capital(filled(self.actions[action]["done"], {**values, "it": what}))))
        self.said.append(filled(self.actions[action]["asked"], {**values, "it": words}))


def _values(random: Random) -> dict[str, str]:
    who = person(random)
    return {
        "who": who,
        "when": when(random).removeprefix("on "),
        "title": title(random),
        "n": str(random.randint(2, 90)),
        "mail": f"{who.split()[0].lower()}@example.com",
    }


def _tools(noun: str, plural: str, actions: dict[str, dict[str, str]], by: str, random: Random) -> dict[str, Tool]:
    base, many = noun.replace(" ", "_"), plural.replace(" ", "_")
    find = random.choice(("search", "find", "list", "query"))
    tools = {"find": tool(f"{find}_{many}", f"{find.capitalize()} {plural}", ("query",))}
    for action, words in actions.items():
        if action == "create":
            tools[action] = tool(f"{random.choice(('create', 'add', 'new'))}_{base}", words["tool"], (f"{base}_id",))
        else:
            verb = action.replace("forward", random.choice(("forward", "share")))
            tools[action] = tool(f"{verb}_{base}", words["tool"] + by, (f"{base}_id",))
    tools["get"] = tool(f"get_{base}", f"Get {a(noun)}{by or ' by its ID'}", (f"{base}_id",))
    tools["export"] = tool(f"export_{many}", f"Export {plural} as a file")
    tools["count"] = tool(f"count_{many}", f"Count {plural}")
    return tools
