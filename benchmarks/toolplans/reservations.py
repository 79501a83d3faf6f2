"""Requests about services that are booked, whose plans look before they book and look up before they change.

Words of a request fit the wrong tool at times: tools of one service take its long or its short name.
"""

from collections.abc import Sequence
from random import Random

from benchmarks.toolplans.clauses import Tool
from benchmarks.toolplans.phrases import WORDS, Made, Steps, a, first_person, person, tool, when

_SERVICES = (
    *(("ferry ticket", "ferry"), ("coach ticket", "coach"), ("cable car ticket", "cable car"), ("ski pass", "ski")),
    *(
        ("museum ticket", "museum"),
        ("tennis court", "court"),
        ("dentist appointment", "dentist"),
        ("boat tour", "boat"),
    ),
    *(("concert seat", "concert"), ("lounge access", "lounge"), ("chimney sweep visit", "chimney sweep")),
    *(("pest control visit", "pest control"), ("piano tuning", "tuning"), ("storage locker", "locker")),
    *(("moving van", "van"), ("courier pickup", "courier"), ("campsite pitch", "campsite"), ("gym class", "class")),
    *(("blood test", "lab"), ("theatre ticket", "theatre"), ("balloon ride", "balloon"), ("driving lesson", "lesson")),
    *(("sauna slot", "sauna"), ("photo session", "photo"), ("escape room", "room game"), ("horse ride", "stable")),
)
_FLOWS = (
    *("book", "book", "book", "change", "change", "cancel", "cancel book", "change book", "book change", "book pay"),
    *("book remind", "query change", "book confirm", "query cancel"),
)


class _Service:
    """A request about one service, as it grows action by action."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.long, self.short = random.choice(_SERVICES)
        self.tools = _service_tools(self.long, self.short, random)
        place, other = random.sample(WORDS["places"], 2)
        self.code = f"{random.choice('ABCDEKRTW')}{random.choice('XYZQN')}{random.randint(100, 999999)}"
        self.day, self.later, self.who = when(random), when(random).removeprefix("on "), person(random)
        self.where = random.choice((f"from {place} to {other}", f"in {place}", f"{place} to {other}"))
        number = f"I'm {self.who}, my ID number is {random.randint(10**9, 10**10)}. "
        self.name = random.choice((f"My name is {self.who}. ", number, "", ""))
        ways = (f" under the name {self.who}", f" for {self.who}", f", passenger name {self.who}", "")
        self.under = random.choice(ways)
        self.said: list[str] = []
        self.steps: Steps = []

    @property
    def new(self) -> str:
        """What the last call gave."""
        return f"the {self.long} {{{len(self.steps)}}}"

    def last(self, key: str) -> bool:
        """Whether the last call was of this tool."""
        return bool(self.steps) and self.steps[-1][0] == key

    def book(self) -> None:
        """Looks first, if there is a tool for it."""
        random, long, text, slot = self.random, self.long, f"{self.where} {self.day}", ""
        look = random.choice((False, False, True))
        exact = not look and random.random() < 0.4
        which = f"{long} {self.code} {text}" if exact else f"{long} {text}"
        if "search" in self.tools:
            self.steps.append(("search", f"Search for {a(which)}"))
            slot = f"{{{len(self.steps)}}} "
        self.steps.append(("book", f"Book {long} {slot}{self.code + ' ' if exact else ''}{text}{self.under}"))
        verb = random.choice(("book", "reserve", "get me", "order"))
        words = f"{verb} {a(which)}{self.under}"
        self.said.append(f"check what there is {text} and {verb} {a(long)}{self.under}" if look else words)

    def change(self) -> None:
        """Moves what was just booked or looked up, or what the person has."""
        random, later = self.random, self.later
        if self.last("book"):
            self.steps.append(("change", f"Change {self.new} to {later}"))
            ways = (f"move it to {later}", f"change it to {later}", f"rebook it for {later}")
            self.said.append(random.choice(ways))
        elif self.last("query"):
            self.steps.append(("change", f"Change {self.new} to {later}"))
            self.said.append(f"move it to {later}")
        else:
            mine, target = self._mine()
            if "query" in self.tools:
                self.steps.append(("query", f"Look up {target}"))
            elif "search" in self.tools:
                self.steps.append(("search", f"Search for {a(self.long)} {self.where} on {later}"))
            slot = f" {{{len(self.steps)}}}" if self.steps else ""
            self.steps.append(("change", f"Change {target}{slot} to {later}"))
            more = (f"move {mine} to {later}", f"change {mine} to {later}", f"rebook {mine} for {later}")
            self.said.append(random.choice((*more, f"put {mine} off, {later} is better")))

    def cancel(self) -> None:
        """Cancels what was looked up, or what the person has."""
        if self.last("query"):
            self.steps.append(("cancel", f"Cancel {self.new}"))
            self.said.append("cancel it")
            return
        mine, target = self._mine()
        self.steps.append(("cancel", f"Cancel {target}"))
        ways = (f"cancel {mine}", f"call off {mine}", f"drop {mine} and get my money back")
        self.said.append(self.random.choice(ways))

    def other(self, action: str) -> None:
        """Looks something up, pays, reminds or confirms."""
        random, code, new = self.random, f"{self.long} {self.code}", self.new
        mail = f"{self.who.split()[0].lower()}@example.com"
        if action == "query":
            self.steps.append(("query", f"Look up the {code}"))
            self.said.append(random.choice((f"check the details of my {code}", f"see how my {code} stands")))
        elif action == "pay":
            card = random.randint(10**15, 10**16 - 1)
            self.steps.append(("pay", f"Pay for {new} with card {card}"))
            self.said.append(f"pay with card {card}")
        elif action == "remind":
            self.steps.append(("remind", f"Set a reminder for {new} an hour before it"))
            self.said.append("remind me an hour before it")
        else:
            self.steps.append(("confirm", f"Send the confirmation of {new} to {mail}"))
            self.said.append(random.choice((f"send the confirmation to {mail}", f"confirm it by mail to {mail}")))

    def _mine(self) -> tuple[str, str]:
        """What the person has, as the person says it and as the call does."""
        code, long = self.code, self.long
        longest = f"my {long} {self.where} {self.day}{self.under}"
        mine = self.random.choice((f"my {long} {code} {self.day}", f"the {long} {code}", longest))
        return mine, mine.replace("my ", "the ", 1)


def reservation(random: Random) -> Made:
    """A request about a service that is booked."""
    request = _Service(random)
    for action in random.choice(_FLOWS).split():
        if action in ("book", "change", "cancel"):
            {"book": request.book, "change": request.change, "cancel": request.cancel}[action]()
        else:
            request.other(action)
    if any(key == "query" for key, _ in request.steps):
        request.tools.setdefault("query", _looking_up(request.long, request.short, random))
    return Made(request.name + first_person(request.said, random), request.steps, request.tools)


def _looking_up(long: str, short: str, random: Random) -> Tool:
    base = random.choice((long, short)).replace(" ", "_")
    name = random.choice((f"{base}_booking_query", f"{base}_order_query", f"query_{base}", f"{base}_status_query"))
    return tool(
        name, random.choice((f"Query a {long} that was booked", f"{long.title()} Order Query")), ("booking_id",)
    )


def _service_tools(long: str, short: str, random: Random) -> dict[str, Tool]:
    def base() -> str:
        return random.choice((long, short)).replace(" ", "_")

    def made(names: Sequence[str], told: Sequence[str]) -> Tool:
        return tool(random.choice(names).format(base()), random.choice(told), ("id",))

    bare = random.random() < 0.4
    title_ = long.title()
    tools = {
        "book": made(("book_{}", "{}_booking", "{}_reservation", "reserve_{}"), (f"{title_} Booking",) if bare else
                     (f"Book a {long}", f"Make a reservation for a {long}", f"Reserve a {short}")),
        "change": made(
            ("{}_changing", "{}_modification", "change_{}", "{}_rescheduling"),
            (f"{title_} Changing",) if bare else
            (f"Change a {long} that was booked before", f"Move an existing {long} to another date")),
        "cancel": made(("{}_cancelling", "{}_cancellation", "cancel_{}"), (f"{title_} Cancelling",) if bare else
                       (f"Cancel a {long}", f"Cancel a booked {short}")),
        "pay": tool(random.choice(("payment_processing", "pay_bill", "checkout")), "Process a payment", ("card",)),
        "remind": tool(random.choice(("set_reminder", "add_reminder")), "Set a reminder for an event", ("time",)),
        "confirm": tool(random.choice(("send_confirmation", "confirmation_mail")), "Send a confirmation", ("to",)),
        "price": made(("{}_price_estimate", "estimate_{}_price"), (f"Estimate what a {long} costs",)),
    }  # fmt: skip
    if random.random() < 0.85:
        names = ("{}_search", "search_{}", "check_{}_availability", "find_{}")
        told = (f"{title_} Search",) if bare else (f"Search for a {long}", f"Find out which {long} is available")
        tools["search"] = made(names, told)
    if random.random() < 0.55:
        tools["query"] = _looking_up(long, short, random)
    return tools
