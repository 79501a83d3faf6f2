"""Services that are searched, booked, changed, cancelled, asked about and paid."""

from dataclasses import dataclass, field
from random import Random

from benchmarks.toolplans.clauses import Tool
from benchmarks.toolplans.phrases import WORDS, Made, Steps, a, first_person, person, title, tool, when

FINDING = 0.75
"""How often a tool that finds is among those shown where a request only says what to book."""
_FLOWS = (
    *("book", "book", "book change", "book status", "book pay", "book cancel", "change", "change", "change status"),
    *("search change", "cancel", "cancel book", "cancel status", "status", "search", "login status", "login cancel"),
    *("cancel change", "change cancel", "book change status", "book share"),
)


@dataclass
class _Request:
    """A request for a service, as it grows action by action."""

    noun: str
    plural: str
    facts: dict[str, str]
    random: Random
    finds: bool
    mine: str = ""
    later: str = ""
    flow: str = ""
    said: list[str] = field(default_factory=list)
    steps: Steps = field(default_factory=list)

    def add(self, key: str, text: str, words: str) -> None:
        """A call, and the words of the request for it."""
        self.steps.append((key, text))
        self.said.append(words)

    @property
    def before(self) -> str:
        """The slot of the last call; empty where there is none."""
        return f"{{{len(self.steps)}}}" if self.steps else ""

    @property
    def booked(self) -> bool:
        """Whether the last call booked or changed something."""
        return bool(self.steps) and self.steps[-1][0] in ("book", "change")

    @property
    def thing(self) -> str:
        """What a call is about: what was just booked, or what the person has."""
        return f"the {self.noun} {self.before}" if self.booked else self.mine

    def act(self, action: str) -> None:
        """Adds an action."""
        nouns = ("it", f"that {self.noun}", f"the {self.noun} you just booked", "this booking")
        it = self.random.choice(nouns) if self.booked else self.mine
        if action == "book":
            self._book()
        elif action == "status":
            self._status(it)
        elif action in ("change", "cancel"):
            self._edit(action, it)
        else:
            self._other(action)

    def _book(self) -> None:
        random, noun, facts = self.random, self.noun, self.facts
        chosen = random.random() < 0.25
        code = f"{noun.split()[0][0].upper()}{random.randint(10, 999)}"
        who = random.choice((f" for {facts['who']}", f" under the name {facts['who']}", ""))
        asked = random.random() < 0.35 and not chosen
        if asked or (not chosen and self.finds):
            self.steps.append(("search", f"Search for {self.plural} {facts['where']} {facts['when']}"))
        slot = f" {self.before}" if self.steps and not chosen else f" {code}" if chosen else ""
        where = f" {facts['where']} {facts['when']}"
        words = f"book {a(noun)}{' ' + code if chosen else ''}{where}{who}"
        if asked:
            see = f"see which {self.plural} there are{where}, then book one{who}"
            words = random.choice((f"find {a(noun)}{where} and book it{who}", see))
        self.add("book", f"Book {noun}{slot}{where}{who}", words)

    def _status(self, it: str) -> None:
        logged = self.flow == "login status"
        what = self.thing if self.booked or logged or not self.before else f"the {self.noun} {self.before}"
        asks = (f"tell me how {it} stands", f"check the status of {it}", f"let me know whether {it} is confirmed")
        done = not self.booked and self.before and not logged
        words = "confirm to me that it is done" if done else self.random.choice(asks)
        self.add("status", f"Check the status of {what}", words)

    def _edit(self, action: str, it: str) -> None:
        if action == "change":
            words = (f"move {it} to {self.later}", f"change {it} to {self.later}")
            third = f"reschedule {it}, {self.later} would suit me"
            self.add("change", f"Change {self.thing} to {self.later}", self.random.choice((*words, third)))
        else:
            text, why = (
                f"Cancel {self.thing}",
                self.random.choice(("", " because something came up", ", I do not need it any more")),
            )
            words = (f"cancel {it}{why}", f"call off {it}{why}")
            self.add("cancel", text, self.random.choice((*words, f"get rid of {it}{why}")))

    def _other(self, action: str) -> None:
        random, noun, facts = self.random, self.noun, self.facts
        if action == "login":
            user = f"user{random.randint(10, 9999)}"
            word = f"{title(random).split()[-1].lower()}{random.randint(10, 99)}"
            into = f"log into my account {user} with the password {word}"
            words = random.choice((into, f"use my account {user}, the password is {word}"))
            self.add("login", f"Log in with account {user} and password {word}", words)
        elif action == "search" and self.flow == "search change":
            where = f"{facts['where']} on {self.later}"
            self.add("search", f"Search for {self.plural} {where}", f"see which {self.plural} there are {where}")
        elif action == "search":
            where = f"{facts['where']} {facts['when']}"
            words = random.choice((f"find out which {self.plural} there are {where}", f"look for {a(noun)} {where}"))
            self.add("search", f"Search for {self.plural} {where}", words)
        elif action == "pay":
            card = str(random.randint(10**15, 10**16 - 1))
            words = random.choice((f"pay for it with my card {card}", f"charge my card {card} for it"))
            self.add("pay", f"Pay for the {noun} {self.before} with card {card}", words)
        else:
            mail = f"{facts['who'].split()[0].lower()}@example.com"
            text = f"Send the confirmation of {noun} {self.before} to {mail}"
            self.add("send", text, f"send the confirmation to {mail}")


def service(random: Random) -> Made:
    """A request for a service."""
    noun, plural, kind = random.choice(WORDS["services"])
    tools, facts = _tools(noun, plural, random), _facts(kind, random)
    request = _Request(noun, plural, facts, random, finds=random.random() < FINDING)
    has = f"the {noun} that I have {facts['when']} under the name {facts['who']}"
    coded = f"the {noun} {facts['code']} {facts['when']}"
    request.mine = random.choice((f"my {noun} {facts['code']}", coded, has))
    request.later = when(random).removeprefix("on ")
    request.flow = random.choice(_FLOWS)
    for action in request.flow.split():
        request.act(action)
    if not request.finds and all(key != "search" for key, _ in request.steps):
        del tools["search"]
    return Made(first_person(request.said, random), request.steps, tools)


def _facts(kind: str, random: Random) -> dict[str, str]:
    place = random.choice(WORDS["places"])
    other = random.choice([each for each in WORDS["places"] if each != place])
    subject = f"for {random.choice(WORDS['subjects'])}"
    where = {"route": f"from {place} to {other}", "place": f"in {place}", "subject": subject}[kind]
    code = f"{random.choice('ABCDKRT')}{random.choice('XYZQ')}{random.randint(1000, 999999)}"
    return {"where": where, "when": when(random), "who": person(random), "code": code}


def _tools(noun: str, plural: str, random: Random) -> dict[str, Tool]:
    base = noun.replace(" ", "_")
    terse = random.random() < 0.4
    order = random.random() < 0.5
    searching = random.choice((("search", "search"), ("find", "query"), ("list", "availability")))
    booking = random.choice((("book", "booking"), ("reserve", "reservation")))
    changing = random.choice((("change", "changing"), ("reschedule", "modification")))
    asking = random.choice((("check_status_of", "status_query"), ("track", "tracking")))
    named = {
        "search": (searching, f"Search for available {plural}"),
        "book": (booking, f"Book {a(noun)}"),
        "change": (changing, f"Change an existing {noun} booking"),
        "cancel": (("cancel", "cancellation"), f"Cancel {a(noun)}"),
        "status": (asking, f"Look up the status of a booked {noun}"),
        "insure": (("insure", "insurance"), f"Insurance for {a(noun)}"),
        "rate": (("rate", "review"), f"Rate {a(noun)} after its use"),
        "price": (("estimate", "price_estimate"), f"Estimate what {a(noun)} costs"),
    }
    tools: dict[str, Tool] = {}
    for key, ((verb, word), text) in named.items():
        name = f"{verb}_{base}" if order else f"{base}_{word}"
        short = f"{noun.title()} {word.replace('_', ' ').title()} Tool"
        tools[key] = tool(name, short if terse else text, ("booking_id",))
    text = "Account login" if terse else "Log a user into the account"
    tools["login"] = tool(random.choice(("account_login", "login", "sign_in")), text, ("user", "password"))
    text = "Pay for an order with a card"
    tools["pay"] = tool(random.choice(("payment", "pay_order", "make_payment")), text, ("card",))
    text = "Send something to an e-mail address"
    tools["send"] = tool(random.choice(("send_email", "send_confirmation", "mail_send")), text, ("to",))
    return tools
