"""Requests whose plans follow customs: looking before booking, logging in first, one call for several wishes alike.

Services are searched before they are booked and looked up before they are changed, where a tool for it is shown. Words
of a request fit the wrong tool at times: tools of one service take its long or its short name. What is made gets all
that is told of it in one call, and what comes after that changes it. Whoever gives an account is logged in first. A
tool that can take several things is called once.
"""

from random import Random

from benchmarks.toolplans.phrases import WORDS, Made, Steps, a, capital, first_person, person, title, tool, when
from benchmarks.toolplans.reservations import reservation

_THINGS = (  # what is made, what it is kept in, and tools that make, change, remove and hand on
    ("playlist", ("write", "create"), ("edit", "modify", "update"), ("delete", "remove"), ("share", "send")),
    ("wiki page", ("write", "create"), ("edit", "modify", "update"), ("delete", "remove"), ("share", "publish")),
    ("shopping list", ("create", "write"), ("edit", "modify", "append"), ("delete", "clear"), ("share", "send")),
    ("recipe card", ("write", "save"), ("edit", "modify", "revise"), ("delete", "discard"), ("share", "print")),
    ("survey", ("create", "set_up"), ("edit", "modify", "revise"), ("delete", "close"), ("share", "publish")),
    ("packing list", ("create", "write"), ("edit", "modify", "append"), ("delete", "clear"), ("share", "send")),
    ("newsletter", ("write", "draft"), ("edit", "modify", "revise"), ("delete", "discard"), ("share", "send")),
    ("travel diary", ("write", "create"), ("edit", "modify", "append"), ("delete", "remove"), ("share", "export")),
)
_TIMERS = (
    "heating schedule",
    "sprinkler timer",
    "night light",
    "coffee machine timer",
    "blind schedule",
    "aquarium lamp",
)
_ACCOUNTS = ("energy account", "library account", "toll account", "phone plan", "gym membership", "water account")
_SHOPS = (("flower", "bouquets", ("red roses", "tulips", "white lilies", "sunflowers")),
          ("bakery", "cakes and bread", ("rye loaves", "croissants", "a cheesecake", "poppy seed rolls")),
          ("hardware", "tools and paint", ("wall anchors", "a cordless drill", "two tins of blue paint", "sandpaper")),
          ("stationery", "paper and pens", ("gel pens", "a box of envelopes", "notebooks", "sticky notes")),
          ("pet", "food and toys", ("cat litter", "dog biscuits", "a scratching post", "bird seed")))  # fmt: skip


_EDITS = (
    *("make", "make edit", "make edit", "make edit", "make share", "make edit delete", "make delete", "edit"),
    *("edit delete", "edit share", "delete", "make edit share"),
)


def custom(random: Random) -> Made:
    """A request of one of the kinds."""
    (maker,) = random.choices((reservation, _thing, _timer, _account, _shop, _at_once), (9, 5, 4, 4, 3, 4))
    return maker(random)


def _thing(random: Random) -> Made:
    noun, *verbs = random.choice(_THINGS)
    base = noun.replace(" ", "_")
    order = random.random() < 0.5
    keys = ("make", "edit", "delete", "share")
    told = (f"Write a new {noun}", f"Modify a {noun}", f"Delete a {noun}", f"Share a {noun} with others")
    tools = {
        key: tool(f"{base}_{verb}" if order else f"{verb}_{base}", text, (f"{base}_id",))
        for key, verb, text in zip(keys, (random.choice(each) for each in verbs), told, strict=True)
    }
    tools["search"] = tool(f"search_{base}s", f"Search {noun}s", ("query",))
    called = title(random)
    parts = [f"with the title '{title(random)}'", f"that says '{title(random)}'", f"and put '{title(random)}' in it",
             f"for {person(random)}", f"dated {when(random).removeprefix('on ')}"]  # fmt: skip
    random.shuffle(parts)
    told_of = " ".join(parts[: random.choice((0, 1, 1, 2))])
    steps: Steps = []
    said: list[str] = []
    flow = random.choice(_EDITS)
    for action in flow.split():
        new = f"the {noun} {{{len(steps)}}}" if steps else f"the {noun} '{called}'"
        it = random.choice(("it", f"the {noun}", f"that {noun}")) if steps else f"the {noun} '{called}'"
        if action == "make":
            verb = random.choice(("create", "write", "set up", "start"))
            steps.append(("make", f"Write a {noun} '{called}' {told_of}".rstrip()))
            said.append(f"{verb} a {noun} called '{called}' {told_of}".rstrip())
        elif action == "edit":
            changes = [f"add '{title(random)}' at the end", f"change the title to '{title(random)}'",
                       f"add a line about {random.choice(WORDS['subjects'])}",
                       f"replace '{title(random)}' with '{title(random)}'"]  # fmt: skip
            chosen = random.sample(changes, random.choice((1, 1, 2)))
            steps.append(("edit", f"Modify {new}: {' and '.join(chosen)}"))
            first = random.choice((f"{chosen[0]} of {it}", f"open {it} and {chosen[0]}", f"in {it}, {chosen[0]}"))
            said.append(" and ".join([first, *chosen[1:]]))
        elif action == "delete":
            steps.append(("delete", f"Delete {new}"))
            said.append(random.choice((f"delete {it}", f"get rid of {it}", f"remove {it} again")))
        else:
            who = person(random)
            steps.append(("share", f"Share {new} with {who}"))
            said.append(random.choice((f"share {it} with {who}", f"send {it} to {who}", f"let {who} have {it}")))
    return Made(first_person(said, random), steps, tools)


def _timer(random: Random) -> Made:
    noun = random.choice(_TIMERS)
    base = noun.replace(" ", "_")
    order = random.random() < 0.6
    tools = {
        key: tool(f"{base}_{key}" if order else f"{verb}_{base}", f"{verb.capitalize()} {a(noun)}", ("time",))
        for key, verb in (("set", "set"), ("change", "change"), ("cancel", "cancel"), ("query", "list"))
    }

    def hour() -> str:
        days = ("every day", "on weekdays", "on Saturdays", "tomorrow", "every Monday and Thursday", "")
        minutes, half = random.choice(("00", "15", "30", "45")), random.choice(("AM", "PM"))
        return f"{random.randint(4, 11)}:{minutes} {half} {random.choice(days)}".strip()

    steps: Steps = []
    said: list[str] = []
    for action in random.sample(("set", "change", "cancel"), random.choice((1, 2, 2, 3))):
        one, other = hour(), hour()
        twice = random.random() < 0.3
        if action == "set":
            text = f"set {a(noun)} for {one}" + (f" and another one for {other}" if twice else "")
        elif action == "change":
            text = f"move the {noun} of {one} to {other}"
        else:
            text = f"cancel the {noun} of {one}" + (f" and that of {other}" if twice else "")
        steps.append((action, capital(text)))
        said.append(text.replace("move", random.choice(("move", "change", "shift")), 1))
    return Made(first_person(said, random), steps, tools)


def _account(random: Random) -> Made:
    noun = random.choice(_ACCOUNTS)
    base = noun.replace(" ", "_")
    order = random.random() < 0.5
    user = random.choice(
        (f"user{random.randint(100, 99999)}", str(random.randint(10**6, 10**10)), person(random).split()[1].lower())
    )
    word = f"{title(random).split()[-1].lower()}{random.randint(10, 999)}"
    login = tool(
        random.choice(("account_login", "login", "sign_in", "user_login")),
        random.choice(("Account login", "Log a user in")),
        ("user",),
    )
    tools = {"login": login}
    amount, most = (f"{random.randint(5, 900)} {random.choice(('euros', 'dollars', 'pounds'))}" for _ in range(2))
    actions = {
        "balance": ("balance_query", "Query the balance", "check my balance", f"Query the balance of the {noun}"),
        "statement": (
            "statement",
            "Get the statement",
            "fetch the statement of last month",
            "Get the statement of last month",
        ),
        "top_up": ("top_up", "Top up", f"top it up with {amount}", f"Top up the {noun} with {amount}"),
        "change_plan": (
            "plan_change",
            "Change the plan",
            "change to the cheaper plan",
            f"Change the {noun} to the cheaper plan",
        ),
        "limit": ("limit_setting", "Set a limit", f"set the limit to {most}", f"Set the limit of the {noun} to {most}"),
        "freeze": ("freeze", "Freeze", "freeze it until further notice", f"Freeze the {noun} until further notice"),
    }
    for key, (suffix, text, _, _) in actions.items():
        tools[key] = tool(f"{base}_{suffix}" if order else f"{suffix}_{base}", f"{text} of a {noun}", ("account",))
    given = random.random() < 0.8
    steps: Steps = [
        ("login", f"Log in with account {user} and password {word}" if given else f"Log in with account {user}")
    ]
    ways = (
        f"my {noun} is {user} with the password {word}",
        f"use account {user}, password {word}",
        f"log in to my {noun} with ID {user} and password {word}",
    )
    with_ = random.choice(ways) if given else f"for my {noun} {user}"
    said = []
    for key in random.sample(list(actions), random.choice((1, 1, 2, 2, 3))):
        steps.append((key, actions[key][3]))
        said.append(actions[key][2])
    text = first_person(said, random)
    if given and random.random() < 0.7:
        return Made(f"{capital(with_)}. {text}", steps, tools)
    return Made(f"{text[:-1]}; {with_}.", steps, tools)


def _shop(random: Random) -> Made:
    kind, goods, items = random.choice(_SHOPS)
    chosen = random.sample(items, random.choice((1, 2, 2, 3)))
    counted = [f"{random.randint(2, 9)} x {item}" if item[0] not in "at" else item for item in chosen]
    listed = ", ".join(counted[:-1]) + (" and " if len(counted) > 1 else "") + counted[-1]
    table = random.choice(
        (
            f"order number {random.randint(10, 9999)}",
            f"my customer card {random.randint(1000, 99999)}",
            f"the pickup {when(random)}",
        )
    )
    tools = {
        "select": tool(f"{kind}_select_items", f"Select {goods}", ("items",)),
        "order": tool(
            random.choice((f"place_{kind}_order", "place_order")), "Place an order of what was selected", ("items",)
        ),
        "pay": tool(
            random.choice(("checkout", f"{kind}_checkout", "pay_order")), "Check out and pay an order", ("order",)
        ),
        "track": tool(f"track_{kind}_order", "See where an order is", ("order",)),
        "return": tool(f"return_{kind}_order", "Send an order back", ("order",)),
        "stock": tool(f"{kind}_stock", f"Find out whether {goods} are in stock", ("item",)),
    }
    steps: Steps = [("select", f"Select {listed}"), ("order", f"Place the order {{1}} for {table}")]
    verb = random.choice(("get", "order", "buy", "have"))
    text = f"{verb} {listed} from the {kind} shop for {table}"
    if random.random() < 0.6:
        steps.append(("pay", "Pay the order {2}"))
        text += random.choice((" and pay right away", ", then check out", " and complete the payment"))
    return Made(first_person([text], random), steps, tools)


def _at_once(random: Random) -> Made:
    """Several things of a kind, and a tool that takes them all in one call; then something else."""
    kinds = (
        ("city", "weather_overview", "Weather of cities", "the weather", WORDS["places"]),
        ("card", "card_debts", "Debts of cards", "what I owe", [f"card {n}" for n in (4471, 9032, 1185, 6620)]),
        ("friend", "invite_guests", "Invite guests to an event", "", [person(random) for _ in range(4)]),
        ("stock", "quotes", "Quotes of shares", "the price", ["Orbis", "Halden Steel", "Kuno", "Veritar", "Mondal"]),
        ("parcel", "parcel_tracking", "Track parcels", "where they are", [f"PX{n}" for n in (3391, 7720, 1156, 9043)]),
    )
    kind, name, told, what, values = random.choice(kinds)
    chosen = random.sample(list(values), random.choice((2, 2, 3)))
    listed = ", ".join(chosen[:-1]) + " and " + chosen[-1]
    text, asked = f"Find out {what} for {listed}", f"tell me {what} for {listed}"
    if kind == "friend":
        text, asked = f"Invite {listed}", f"invite {listed}"
    tools = {
        "all": tool(name, told, ("items",)),
        "note": tool(random.choice(("add_note", "write_note")), "Write a note", ("text",)),
        "mail": tool(random.choice(("send_mail", "mail_send")), "Send a mail", ("to", "text")),
        "remind": tool(random.choice(("set_reminder", "add_reminder")), "Set a reminder", ("time",)),
        "news": tool("daily_news", "News of the day"),
    }
    steps: Steps = [("all", text)]
    said = [asked]
    more = random.choice(("", "mail", "remind", "note"))
    who = person(random)
    if more == "mail":
        steps.append(("mail", f"Send {{1}} to {who}"))
        said.append(f"mail it to {who}")
    elif more == "remind":
        day = when(random)
        steps.append(("remind", f"Set a reminder {day}"))
        said.append(f"remind me of it {day}")
    elif more == "note":
        steps.append(("note", "Write a note with {1}"))
        said.append("keep it in a note")
    return Made(first_person(said, random), steps, tools)
