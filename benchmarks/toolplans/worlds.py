"""Worlds: works, their makers, their parts, and lists. Details are had by an id, which must be found first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.toolplans.clauses import Tool
from benchmarks.toolplans.phrases import LEADS, WORDS, Made, person, title, tool

Call = tuple[str, str]
_ASPECTS: dict[str, tuple[str, str]] = {
    "detail": ("details", "{Main} Detail"),
    "credit": ("credits", "{Main} Credit"),
    "image": ("images", "{Main} Image"),
    "review": ("reviews", "{Main} Review"),
    "keyword": ("keywords", "{Main} Keyword"),
    "similar": ("similar {mains}", "Similar {Main}"),
    "recommendation": ("recommended {mains}", "{Main} Recommendation"),
    "date": ("release dates", "{Main} Release Date"),
    "translation": ("translations", "{Main} Translation"),
    "price": ("prices", "{Main} Price"),
    "person_detail": ("details", "{Person} Detail"),
    "person_image": ("images", "{Person} Image"),
    "person_credit": ("{main} credits", "{Person} {Main} Credit"),
    "child_detail": ("details", "{Child} Detail"),
    "child_credit": ("credits", "{Child} Credit"),
    "child_image": ("images", "{Child} Image"),
}
"""What can be had of a work, of a person, of a part of a work: in words, and in a tool's name."""
_OF_WORK = [key for key in _ASPECTS if not key.startswith(("person", "child"))]
_LISTS = {"popular": "popular", "top": "top-rated", "latest": "newest", "upcoming": "upcoming"}
_TOLD = {"popular": "most popular", "top": "top-rated", "latest": "newest", "upcoming": "next upcoming"}
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "last")
_QUESTIONS = {
    "credit": (
        *("Who {did} {v}?", "Tell me who {did} {v}.", "Which {person} is behind {v}?"),
        *("Give me the number of people who worked on {v}.", "Who else worked on {v}?"),
        "Who was the main {person} of {v}?",
    ),
    "image": ("Show me the cover of {v}.", "What does {v} look like?", "I want a picture of {v}."),
    "review": (
        *("What do people say about {v}?", "Is {v} any good? Show me what others wrote."),
        "Give me reviews of {v}.",
    ),
    "keyword": ("Which keywords describe {v}?", "What is {v} about, in a few keywords?", "Tags of {v}, please."),
    "similar": ("I loved {v}. What is like it?", "Name {mains} like {v}.", "Give me something similar to {v}."),
    "recommendation": ("What should I try next if I liked {v}?", "Recommend me {mains} based on {v}."),
    "date": ("When did {v} come out?", "What is the release date of {v}?", "Since when has {v} been out in Japan?"),
    "translation": ("In which languages is there {v}?", "Has {v} been translated into Polish?"),
    "price": ("What does {v} cost?", "How expensive is {v} these days?"),
}
_OF_PEOPLE = {
    "person_detail": (
        *("When was {p} born?", "Where was {p} born?", "How old is {p}?", "What nationality is {p}?"),
        *("Is {p} still alive?", "Tell me about the life of {p}.", "What is the real name of {p}?"),
        *("What is {p} known for?", "give me the birthplace of {p}", "I need a short biography of {p}."),
    ),
    "person_image": ("What does {p} look like?", "Show me a photo of {p}.", "I need pictures of {p}."),
}
_WORKS = (
    *("Which {mains} has {p} {done}?", "How many {mains} has {p} {done}?", "List all {mains} by {p}."),
    *("What was the first {main} of {p}?", "give me the number of {mains} {done} by {p}"),
    *("What is the latest {main} that {p} {did}?", "When did {p} last {do} a {main}?"),
    *("Did {p} ever {do} a {main} about the sea?", "I want to know what {p} has {done} so far."),
)
_OF_LISTS = (
    *("What are the {told} {mains} at the moment?", "Show me {told} {mains}.", "Which {mains} are {told}?"),
    "I need a few {told} {mains} for my newsletter.",
)
_OF_PARTS = {
    "child_detail": ("What is the {nth} {child} of {v} about?", "How long is the {nth} {child} of {v}?"),
    "child_credit": ("Who {did} the {nth} {child} of {v}?", "Who worked on the {nth} {child} of {v}?"),
    "child_image": ("Show me a picture of the {nth} {child} of {v}.", "I want to see the {nth} {child} of {v}."),
}


@dataclass(frozen=True)
class World:
    """A world, its tools, and what a request in it may be about."""

    words: Mapping[str, Any]
    tools: dict[str, Tool]
    value: str
    name: str
    listed: str
    aspect: str
    random: Random

    @property
    def search(self) -> Call:
        """The call that finds the work."""
        return "search", f"Search for the {self.words['main']} {self.value}"

    @property
    def find(self) -> Call:
        """The call that finds the person."""
        return "search_person", f"Search for the {self.words['person']} {self.name}"

    @property
    def listing(self) -> Call:
        """The call for a list of works."""
        return self.listed, f"Get the list of {_LISTS[self.listed]} {self.words['mains']}"

    def about(self, aspect: str, of: int | str, what: str = "main") -> Call:
        """The call for an aspect of what an earlier call found, or of an id."""
        id_ = f"{{{of}}}" if isinstance(of, int) else of
        of_what = self.words[what]
        return aspect, f"Get the {_ASPECTS[aspect][0].format(**self.words)} of the {of_what} with ID {id_}"

    def ask(self, aspect: str, value: str) -> str:
        """A question for an aspect of a work."""
        texts = self.words["facts"] if aspect == "detail" else _QUESTIONS[aspect]
        text = str(self.random.choice(texts)).format(v=value, **self.words)
        if self.random.random() < 0.25:
            lead = self.random.choice(LEADS)
            if not text.startswith(("I ", "Is ")):
                text = f"{lead} {text[0].lower() + text[1:].rstrip('?.')}."
        return text

    def made(self, text: str, *steps: Call) -> Made:
        """A request in this world."""
        return Made(text, list(steps), self.tools)


def _work(world: World) -> Made:
    return world.made(world.ask(world.aspect, world.value), world.search, world.about(world.aspect, 1))


def _maker(world: World) -> Made:
    kind = world.random.choice(("person_detail", "person_image"))
    text = world.random.choice(_OF_PEOPLE[kind]).format(p=world.name)
    return world.made(text, world.find, world.about(kind, 1, "person"))


def _works(world: World) -> Made:
    text = world.random.choice(_WORKS).format(p=world.name, **world.words)
    return world.made(text, world.find, world.about("person_credit", 1, "person"))


def _maker_of_work(world: World) -> Made:
    text = world.random.choice(_OF_PEOPLE["person_detail"]).format(p=f"the {world.words['person']} of {world.value}")
    return world.made(text, world.search, world.about("credit", 1), world.about("person_detail", 2, "person"))


def _work_of_maker(world: World) -> Made:
    which = world.random.choice(("first", "latest", "best-known", "most recent"))
    text = world.ask(world.aspect, f"the {which} {world.words['main']} by {world.name}")
    return world.made(text, world.find, world.about("person_credit", 1, "person"), world.about(world.aspect, 2))


def _of_list(world: World) -> Made:
    text = world.ask(world.aspect, f"the {_TOLD[world.listed]} {world.words['main']}")
    return world.made(text, world.listing, world.about(world.aspect, 1))


def _popular_maker(world: World) -> Made:
    kind = world.random.choice(("person_detail", "person_image", "person_credit"))
    maker = world.words["person"]
    texts = _WORKS if kind == "person_credit" else _OF_PEOPLE[kind]
    text = world.random.choice(texts).format(p=f"the most popular {maker}", **world.words)
    listing = ("popular_person", f"Get the list of popular {maker}s")
    return world.made(text, listing, world.about(kind, 1, "person"))


def _list(world: World) -> Made:
    return world.made(world.random.choice(_OF_LISTS).format(told=_LISTS[world.listed], **world.words), world.listing)


def _part(world: World) -> Made:
    nth, kind = world.random.choice(_ORDINALS), world.random.choice(("child_detail", "child_credit", "child_image"))
    text = world.random.choice(_OF_PARTS[kind]).format(nth=nth, v=world.value, **world.words)
    of = f"{_ASPECTS[kind][0]} of the {nth} {world.words['child']} of the {world.words['main']} with ID {{1}}"
    return world.made(text, world.search, (kind, f"Get the {of}"))


def _search(world: World) -> Made:
    texts = ("Is there a {main} called {v}?", "Find {v}, it is a {main}.", "Look up the {main} {v}.")
    text = world.random.choice(texts)
    return world.made(text.format(main=world.words["main"], v=world.value), world.search)


def _known_id(world: World) -> Made:
    code = str(world.random.randint(100, 99999))
    text = world.ask(world.aspect, f"the {world.words['main']} with ID {code}")
    return world.made(text, world.about(world.aspect, code))


def _two_works(world: World) -> Made:
    other = title(world.random)
    text = world.ask(world.aspect, f"{world.value} and of {other}")
    second = ("search", f"Search for the {world.words['main']} {other}")
    return world.made(text, world.search, world.about(world.aspect, 1), second, world.about(world.aspect, 3))


def _others_of_maker(world: World) -> Made:
    text = world.random.choice(("What else has the {person} of {v} {done}?", "Other {mains} by whoever {did} {v}?"))
    steps = world.about("credit", 1), world.about("person_credit", 2, "person")
    return world.made(text.format(v=world.value, **world.words), world.search, *steps)


def _two_aspects(world: World) -> Made:
    second = world.random.choice([aspect for aspect in _OF_WORK if aspect != world.aspect])
    text = f"{world.ask(world.aspect, world.value)} {world.ask(second, 'it')}"
    return world.made(text, world.search, world.about(world.aspect, 1), world.about(second, 1))


_FORMS: dict[Callable[[World], Made], int] = {
    **{_work: 9, _maker: 4, _works: 4, _maker_of_work: 4, _work_of_maker: 4, _of_list: 6, _popular_maker: 2},
    **{_list: 3, _part: 5, _search: 2, _known_id: 3, _two_works: 3, _others_of_maker: 3, _two_aspects: 2},
}


def world(random: Random) -> Made:
    """A request in one of the worlds."""
    words = random.choice(WORDS["worlds"])
    found = World(
        words,
        _tools(words, random),
        value=title(random),
        name=person(random),
        listed=random.choice(list(_LISTS)),
        aspect=random.choice(_OF_WORK),
        random=random,
    )
    (form,) = random.choices(list(_FORMS), list(_FORMS.values()))
    return form(found)


def _tools(words: Mapping[str, Any], random: Random) -> dict[str, Tool]:
    """The family's tools, described in one of several styles."""
    names = {key.capitalize(): text.title().replace(" ", "") for key, text in words.items() if isinstance(text, str)}
    get = random.choice(("Get", "Get", "Get", "Fetch", "Retrieve", ""))
    by = random.choice((" using its ID", " based on its ID", " by ID", " using the ID", " for a given ID", ""))
    bracket, verb = random.random() < 0.35, random.choice(("Retrieve", "Get", "Fetch", "Obtain"))
    tools: dict[str, Tool] = {}
    for key, (what, name) in _ASPECTS.items():
        of = words["person" if key.startswith("person") else "child" if key.startswith("child") else "main"]
        label = name.format(**names)
        # Not each tool says what it needs; the others of its family do.
        said = by if random.random() < 0.8 else ""
        text = f"{verb} the {what.format(**words)} of {'an' if of[0] in 'aeiou' else 'a'} {of}{said}"
        tools[key] = tool(f"{get}{label.replace(' ', '')}", f"[{label}] {text}" if bracket else text, ("id",))
    finding = random.choice(("Search for {}", "Search and find {}", "Find {} by name", "Look up {} by their names"))
    for key, plural, word in (
        ("search", words["mains"], names["Main"]),
        ("search_person", words["person"] + "s", names["Person"]),
    ):
        text = finding.format(plural)
        tools[key] = tool(f"Search{word}", f"[Search {word}] {text}" if bracket else text, ("query",))
    for key, told in _LISTS.items():
        name = f"{get}{told.title().replace('-', '')}{names['Main']}"
        tools[key] = tool(name, f"{verb} a list of {told} {words['mains']}")
    popular = f"{verb} a list of popular {words['person']}s"
    tools["popular_person"] = tool(f"{get}Popular{names['Person']}", popular)
    return tools
