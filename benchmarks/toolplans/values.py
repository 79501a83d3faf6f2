"""Values for the arguments of tools: out of the examples in a description, else by an argument's name."""

import re
from collections.abc import Callable
from random import Random

_EXAMPLES = re.compile(r"\(\s*(?:e\.?g\.?,?|for example,?|such as)\s*([^()]*)\)?", re.IGNORECASE)
_LONGEST = 40
CITIES = [
    "Lisbon",
    "Osaka",
    "Cape Town",
    "Graz",
    "Denver",
    "Jakarta",
    "Nairobi",
    "Porto Alegre",
    "Kraków",
    "Leeds",
    "Hanoi",
    "Montreal",
    "Bergen",
    "Chengdu",
]
COUNTRIES = [
    "Japan",
    "Brazil",
    "Kenya",
    "Norway",
    "India",
    "Canada",
    "Portugal",
    "Vietnam",
    "Mexico",
    "Egypt",
    "Poland",
    "New Zealand",
]
FIRST = [
    "Mia",
    "Li Wei",
    "Amara",
    "Jonas",
    "Priya",
    "Tomás",
    "Yuki",
    "Fatima",
    "Noah",
    "Olena",
    "Kwame",
    "Sofia",
    "Ben",
    "Zhang San",
    "Ingrid",
    "Rahul",
]
LAST = [
    "Okafor",
    "Schmidt",
    "Tanaka",
    "Silva",
    "Novak",
    "Johansson",
    "Mehta",
    "Rossi",
    "Kim",
    "O'Brien",
    "Hassan",
    "Dubois",
    "Wang",
    "Lindgren",
]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
THINGS = [
    "the annual report",
    "a blue bicycle",
    "Project Heron",
    "the north wing",
    "green tea",
    "the Maple account",
    "spring sale",
    "Delta-7",
    "night shift",
    "the old bridge",
    "Aurora",
    "winter boots",
    "the pilot study",
    "Riverside",
    "the quarterly budget",
    "Falcon",
    "a used laptop",
]
SENTENCES = [
    "The meeting moved to Tuesday.",
    "I will be ten minutes late.",
    "Happy birthday!",
    "Please send the invoice again.",
    "The parcel has not arrived.",
    "Thank you for your help last week.",
    "Don't forget to feed the cat.",
]


def value_for(name: str, description: str, random: Random) -> str:
    """A value for an argument.

    Args:
        name: the argument's name.
        description: what its schema says of it, perhaps with examples.
        random: source of chance.
    """
    found = _EXAMPLES.search(description)
    examples = [part.strip(" .'\"") for part in re.split(r",|;| or ", found[1])] if found else []
    usable = [part for part in examples if 0 < len(part) <= _LONGEST and not re.search(r"etc|YY|MM|:$", part)]
    if usable and random.random() < 0.75:
        return random.choice(usable)
    words = set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", name).lower()))
    for known, make in _MAKERS:
        if words & known:
            return make(random)
    return random.choice(usable or THINGS)


def _code(random: Random) -> str:
    letters = "".join(random.choice("ABCDEFGHKLMNPRSTXYZ") for _ in range(random.randint(1, 4)))
    digits = str(random.randint(100, 99_999_999))
    return random.choice((letters + digits, f"{letters}-{digits}", digits, letters.lower() + digits))


def _date(random: Random) -> str:
    day, month, year = random.randint(1, 28), random.randint(1, 12), random.randint(2019, 2027)
    return random.choice(
        (
            f"{year}-{month:02d}-{day:02d}",
            f"{MONTHS[month - 1]} {day}",
            f"{day} {MONTHS[month - 1]} {year}",
            f"{month}/{day}/{year}",
            random.choice(("tomorrow", "next Monday", "this Friday", "today")),
        )
    )


def _time(random: Random) -> str:
    hour, minute = random.randint(1, 12), random.choice((0, 15, 30, 45))
    return random.choice((f"{hour}:{minute:02d} {random.choice(('AM', 'PM'))}", f"{hour + 8}:{minute:02d}"))


def _number(random: Random) -> str:
    return str(random.choice((random.randint(1, 12), random.randint(10, 99), random.randint(100, 5000))))


def _person(random: Random) -> str:
    return random.choice((random.choice(FIRST), f"{random.choice(FIRST)} {random.choice(LAST)}"))


def _mail(random: Random) -> str:
    first, last = (re.sub(r"[^a-z]", "", random.choice(names).lower()) for names in (FIRST, LAST))
    return f"{first}.{last}@{random.choice(('example.com', 'mail.org', 'acme.io'))}"


_MAKERS: tuple[tuple[frozenset[str], Callable[[Random], str]], ...] = (
    (frozenset({"id", "code", "number", "isbn", "sku", "token", "identifier"}), _code),
    (frozenset({"email", "mail"}), _mail),
    (frozenset({"date", "day", "birthday", "deadline"}), _date),
    (
        frozenset({"period", "timeframe", "range", "frame"}),
        lambda r: r.choice(("last week", "this month", "2023", "May")),
    ),
    (frozenset({"time"}), _time),
    (frozenset({"year"}), lambda r: str(r.randint(1950, 2026))),
    (frozenset({"country", "nation"}), lambda r: r.choice(COUNTRIES)),
    (
        frozenset({"location", "city", "destination", "origin", "address", "place", "area", "region"}),
        lambda r: r.choice(CITIES),
    ),
    (frozenset({"language"}), lambda r: r.choice(["French", "Japanese", "Spanish", "German", "Swahili", "Polish"])),
    (frozenset({"currency"}), lambda r: r.choice(["EUR", "USD", "JPY", "GBP", "INR"])),
    (
        frozenset({"url", "link", "website"}),
        lambda r: f"https://{r.choice(('example.com', 'acme.io'))}/{_code(r).lower()}",
    ),
    (
        frozenset({"file", "path", "image", "photo", "document"}),
        lambda r: f"{r.choice(('report', 'scan', 'notes', 'cat'))}{r.randint(1, 99)}.{r.choice(('pdf', 'jpg', 'txt'))}",
    ),
    (frozenset({"text", "message", "content", "sentence", "comment", "note"}), lambda r: f'"{r.choice(SENTENCES)}"'),
    (
        frozenset(
            {
                "author",
                "artist",
                "username",
                "patient",
                "person",
                "employee",
                "customer",
                "player",
                "recipient",
                "contact",
            }
        ),
        _person,
    ),
    (
        frozenset(
            {
                "amount",
                "budget",
                "price",
                "cost",
                "quantity",
                "count",
                "age",
                "duration",
                "weight",
                "height",
                "length",
                "distance",
                "temperature",
                "speed",
                "limit",
                "width",
                "depth",
                "volume",
                "size",
                "level",
                "rate",
            }
        ),
        _number,
    ),
    (frozenset({"phone"}), lambda r: f"+{r.randint(1, 99)} {r.randint(100, 999)} {r.randint(1_000_000, 9_999_999)}"),
    (frozenset({"name"}), lambda r: r.choice((_person(r), r.choice(THINGS)))),
)
"""Words of an argument's name, and what makes values for it; the first that fits counts."""
