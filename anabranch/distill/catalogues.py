"""Tool catalogues for training prompts: varied names and descriptions, irrelevant tools; held-out ones for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from anabranch.distill.records import Kind
from anabranch.tools import calculator as calculator_tool
from anabranch.tools import python as python_module
from anabranch.tools import search as search_module
from anabranch.tools.catalogue import ToolCard, first_sentence

MAIN: Sequence[Kind] = ("calculator", "search", "python")
SHIPPED_SHARE = 0.3
"""Share of training prompts with the library's own tools: they are what most people run."""


@dataclass(frozen=True)
class Offer:
    """A tool catalogue of one prompt.

    Attributes:
        cards: the tools in the order of the prompt.
        tools: their names by kind.
    """

    cards: tuple[ToolCard, ...]
    tools: Mapping[Kind, str]


def shipped(*kinds: Kind) -> Offer:
    """A catalogue of the library's own tools, with the cards they really have."""
    descriptions = {
        "calculator": calculator_tool().description,
        "search": search_module.DESCRIPTION,
        "python": python_module.DESCRIPTION,
    }
    cards = tuple(ToolCard(name=kind, description=first_sentence(descriptions[kind])) for kind in kinds)
    return Offer(cards, {kind: kind for kind in kinds})


def random_offer(random: Random, wanted: Sequence[Kind], *, held_out: bool = False) -> Offer:
    """A random catalogue for a demonstration.

    Args:
        random: source of chance.
        wanted: kinds of tools that would help; each is there most of the time.
        held_out: take names and descriptions that training never shows.
    """
    if not held_out and random.random() < SHIPPED_SHARE:
        return shipped(*_shipped_kinds(random, wanted))
    chosen = [kind for kind in wanted if random.random() < 0.85]
    others = [kind for kind in TOOLS if kind not in wanted]
    chosen += random.sample(others, min(len(others), random.choice((0, 1, 1, 2, 2, 3, 4))))
    random.shuffle(chosen)
    named: dict[Kind, ToolCard] = {}
    for kind in chosen:
        card = _card(random, kind, held_out)
        if card.name not in {other.name for other in named.values()}:
            named[kind] = card
    return Offer(tuple(named.values()), {kind: card.name for kind, card in named.items()})


def _shipped_kinds(random: Random, wanted: Sequence[Kind]) -> list[Kind]:
    # The library lists its tools in this order when several are switched on.
    sets = (["calculator"], ["search"], ["calculator", "search"], ["calculator", "search"], ["search", "calculator"])
    fitting = [kinds for kinds in sets if set(wanted) & set(MAIN) <= set(kinds)] or sets
    if random.random() < 0.2:
        return random.choice((["calculator", "search"], ["calculator", "python"], ["calculator", "search", "python"]))
    return list(random.choice(fitting if random.random() < 0.8 else sets))


def _card(random: Random, kind: Kind, held_out: bool) -> ToolCard:
    names, descriptions = (HELD_OUT if held_out else TOOLS)[kind]
    name, description = random.choice(names), random.choice(descriptions)
    if held_out:
        return ToolCard(name=name, description=description)
    if kind in PHRASES and random.random() < 0.6:
        description = " ".join(random.choice(options) for options in PHRASES[kind]).strip() + "."
    chance = random.random()
    if chance < 0.35:
        # A name that says nothing: only the description tells what the tool is for.
        name = random.choice(NONSENSE) + random.choice(("", "", "_tool", "2", str(random.randint(1, 99))))
    elif chance < 0.7:
        name = random.choice(AFFIXES).replace("*", name)
    if name in HELD_OUT[kind][0] or description in HELD_OUT[kind][1]:
        return _card(random, kind, held_out)
    return ToolCard(name=name, description=description)


Texts = tuple[tuple[str, ...], tuple[str, ...]]

AFFIXES = (
    "my_*",
    "*_tool",
    "tools.*",
    "*.run",
    "use_*",
    "*-v2",
    "mcp_*",
    "*_api",
    "do_*",
    "agent/*",
    "*_1",
    "local_*",
    "*er",
)
NONSENSE = (
    "t",
    "tool",
    "helper",
    "alpha",
    "beta",
    "gamma",
    "blue",
    "fox",
    "zorp",
    "kappa",
    "unit",
    "plugin",
    "skill",
    "action",
    "node",
    "svc",
    "x",
    "ferret",
    "delta",
    "omega",
    "quark",
    "atlas",
    "hermes",
    "turing",
    "apollo",
    "rover",
    "pixel",
    "robin",
    "mango",
    "jasper",
    "nova",
    "echo",
    "bolt",
    "luna",
    "titan",
    "iris",
)
PHRASES: Mapping[Kind, Sequence[Sequence[str]]] = {
    "calculator": (
        ("Computes", "Evaluates", "Works out", "Calculates", "Performs", "Does", "Handles", "Solves", "Takes care of"),
        (
            "arithmetic",
            "a mathematical expression",
            "sums",
            "calculations",
            "maths",
            "additions and multiplications",
            "a formula with numbers",
            "a numerical expression",
            "plus, minus, times and division",
        ),
        (
            "",
            "",
            "exactly",
            "for you",
            "and returns the result",
            "and gives back a number",
            "with numbers and operators",
        ),
    ),
    "search": (
        ("Finds", "Looks up", "Retrieves", "Searches for", "Returns", "Fetches", "Gets", "Digs up"),
        ("facts", "information", "passages", "articles", "texts", "documents", "things", "pages", "knowledge"),
        (
            "in documents",
            "on the web",
            "on the internet",
            "in an encyclopedia",
            "in the archive",
            "in a library",
            "about people and places",
            "that mention a topic",
            "from a collection",
            "in our files",
            "for a question",
        ),
    ),
    "python": (
        ("Runs", "Executes", "Interprets", "Evaluates"),
        ("Python code", "a Python program", "a Python script", "Python source", "code in Python"),
        ("", "", "safely", "and returns what it prints", "in a sandbox"),
    ),
}
"""Parts of descriptions by kind, combined at random; with names that say nothing they teach to read descriptions."""

TOOLS: Mapping[Kind, Texts] = {
    "calculator": (
        (
            "calculator",
            "calc",
            "math",
            "arithmetic",
            "math_eval",
            "compute",
            "evaluate_expression",
            "number_cruncher",
            "math.evaluate",
            "do_math",
            "Calculator",
            "tools/calc",
            "adder",
            "abacus",
            "formula",
        ),
        (
            "Computes one arithmetic expression.",
            "Evaluates a mathematical expression and returns the number.",
            "Does arithmetic: plus, minus, times, divided by.",
            "Calculates with numbers exactly.",
            "Use this for any calculation.",
            "Adds, subtracts, multiplies and divides.",
            "Works out sums, differences, products and percentages.",
            "Solves arithmetic such as 3 * (4 + 5).",
        ),
    ),
    "search": (
        (
            "search",
            "web_search",
            "wikipedia",
            "lookup",
            "find_passages",
            "document_search",
            "retriever",
            "wiki",
            "knowledge_base",
            "google",
            "kb.search",
            "search_docs",
            "Search",
            "ask_archive",
            "encyclopedia",
            "library",
        ),
        (
            "Looks up facts in documents.",
            "Searches the web for a fact.",
            "Finds passages in Wikipedia.",
            "Retrieves the passages that fit a query best.",
            "Answers factual questions about people, places and things.",
            "Searches the company's documents.",
            "Use this to look up facts, names, dates and places.",
            "Full-text search over an encyclopedia.",
        ),
    ),
    "python": (
        ("python", "run_python", "code", "python_repl", "sandbox", "execute_code", "script", "interpreter"),
        (
            "Runs a short Python program.",
            "Executes Python code in a sandbox and returns its output.",
            "A Python interpreter for loops, dates and longer calculations.",
            "Runs code and prints the result.",
        ),
    ),
    "weather": (
        ("weather", "get_weather", "forecast", "meteo", "weather_api"),
        ("Tells the weather of a place on a day.", "Weather forecast for a city.", "Current temperature and rain."),
    ),
    "calendar": (
        ("calendar", "events", "agenda", "calendar_search", "my_schedule"),
        ("Lists the user's appointments.", "Looks into the calendar of a day.", "Finds meetings in the calendar."),
    ),
    "email": (
        ("email", "send_email", "mail", "outbox", "gmail.send"),
        ("Sends an e-mail.", "Writes to someone by e-mail.", "Sends a message to an address."),
    ),
    "sql": (
        ("sql", "query_database", "warehouse", "orders_db", "db.query"),
        (
            "Queries the company's sales database.",
            "Runs a question against the orders table.",
            "Looks up customers, orders and invoices in the database.",
        ),
    ),
    "translate": (
        ("translate", "translator", "deepl", "translation"),
        ("Translates a text into another language.", "Machine translation of words and sentences."),
    ),
    "currency": (
        ("currency", "exchange_rate", "fx", "convert_currency"),
        ("Gives today's exchange rate of two currencies.", "Exchange rates of currencies."),
    ),
    "reminder": (("reminder", "remind_me", "todo"), ("Sets a reminder.", "Adds an item to the to-do list.")),
    "image": (("draw", "image", "make_image"), ("Draws a picture.", "Makes an image from a description.")),
    "music": (("play_music", "spotify", "radio"), ("Plays a song.", "Starts music by an artist.")),
    "files": (("list_files", "file_finder", "open_file"), ("Lists files by name.", "Opens a file on this computer.")),
    "maps": (("directions", "maps", "route_finder"), ("Plans a way by car.", "Gives driving directions.")),
    "stocks": (("stock_price", "ticker", "quotes"), ("Gives the price of a share.", "Latest share prices.")),
}
"""Names and descriptions by kind, for training."""

HELD_OUT: Mapping[Kind, Texts] = {
    "calculator": (
        ("sums", "crunch_numbers", "expr", "mathtool", "figure_out", "maths.solve"),
        (
            "Performs a numerical computation.",
            "Give it numbers and operators, get the result.",
            "Handles additions, subtractions, multiplications and divisions.",
        ),
    ),
    "search": (
        ("fact_finder", "bing", "query_corpus", "archive", "dig", "reference_desk"),
        (
            "Finds information in a collection of texts.",
            "Looks things up on the internet.",
            "Returns articles that mention what you ask for.",
        ),
    ),
    "python": (("py", "notebook_cell", "run_snippet"), ("Interprets Python source code.",)),
    "weather": (("climate_now", "sky"), ("Reports whether it rains or shines somewhere.",)),
    "calendar": (("diary", "timetable"), ("Shows what is planned for a day.",)),
    "email": (("post_letter", "mailer"), ("Delivers an electronic letter.",)),
    "sql": (("crm", "ledger_lookup"), ("Reads records of clients and purchases.",)),
    "translate": (("interpret_text", "lingua"), ("Puts a sentence into a foreign language.",)),
    "currency": (("forex", "money_rates"), ("Says how much one currency is worth in another.",)),
    "reminder": (("nudge", "task_list"), ("Remembers a task for later.",)),
    "image": (("paint", "sketcher"), ("Creates pictures.",)),
    "music": (("jukebox", "tunes"), ("Puts on a record.",)),
    "files": (("folder_browser", "ls"), ("Shows the content of a folder.",)),
    "maps": (("navigator", "gps"), ("Finds the shortest road to a place.",)),
    "stocks": (("market_data", "shares"), ("Tells what a company is worth on the exchange.",)),
}
"""Names and descriptions by kind that training never shows."""
