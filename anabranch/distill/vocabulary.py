"""Words for written demonstrations: made-up names, relations between things, attributes, and tasks without a plan."""

from collections.abc import Mapping, Sequence

Asks = Sequence[str]


def words_of(text: str) -> list[str]:
    """The words of a text; shorter in a file than a list of strings."""
    return text.split()


FIRST = words_of("""
Marta Ingrid Josiah Clara Edmund Anton Pieter Lucia Omar Priya Kenji Amara Tomas Elena Viktor Sofia Ruth
Samuel Hannah Idris Leila Marco Nadia Oscar Paula Quentin Rosa Stefan Tamar Ursula Walter Yara Zoltan Bruno
Celia Dmitri Esther Felix Greta Hugo Irene Jonas Katya Lionel Mei Nils Olga Pavel Rhea Silas
""")
LAST = words_of("""
Whitfield Ostrow Valen Fenner Aldridge Marchetti Okafor Lindqvist Tanaka Moreau Petrov Haddad Castellan Brandt
Novak Eriksen Delacroix Whitlock Abernathy Costa Drummond Ekström Farrow Galvani Hartwell Iversen Jankowski
Kessler Larkin Mbeki Nakamura O'Neill Pemberton Quist Rourke Santoro Thackeray Ulrich Varga Wexler Yilmaz
Zeller
""")
WORDS = words_of("""
Quill Harbour Marlow Selden Aldgate Thornbury Raven Silver Granite Willow Copper Northgate Eastmoor Linden
Crown Falcon Amber Orchard Winter Juniper Lantern Meridian Cobalt Saffron Heron Beacon Foxglove Ironwood Juno
Kestrel Lowland Mistral Nettle Opal Pilgrim Redwood Summit Tidewater Union Violet Westbrook Yarrow Zephyr
Corvin Dunmere Elsa Brackwater Hollin Ambrose Calder Drovers Kelvora Brannick Tessaly Ormond Pellam Rathgar
Stavern
""")
FILM_WORDS = """Silent Orchard|Last Winter|Paper Moonlight|Glass River|Midnight Ferry|Broken Compass|Hidden Lantern|
Second Harvest|Long Goodbye Home|Salt Road|Crimson Letter|Empty Theatre|Blue Mountain|Little Clockmaker|
Seven Bridges|Stolen Summer|House of Reeds|City of Rain|A Song for Ruth|The Tin Drummer|Night Train North|
Under the Elm|The Old Mapmaker"""
FILMS = [title.strip() for title in FILM_WORDS.split("|")]

KINDS_OF_PLACE: Mapping[str, Sequence[str]] = {
    "structure": (
        "Bridge",
        "Tower",
        "Lighthouse",
        "Mill",
        "Dam",
        "Theatre",
        "Library",
        "Museum",
        "Cathedral",
        "Castle",
        "Station",
        "Canal",
        "Viaduct",
        "Hospital",
        "Stadium",
        "Ferry",
        "Railway",
        "School",
        "Observatory",
    ),
    "company": (
        "Ferry",
        "Bank",
        "Press",
        "Railway",
        "Motors",
        "Brewery",
        "Institute",
        "University",
        "Company",
        "Mill",
        "Foundation",
        "Newspaper",
        "Theatre",
        "School",
        "Shipyard",
        "Academy",
        "Airline",
        "Orchestra",
    ),
}
BARE: Mapping[str, Sequence[str]] = {
    "structure": ("bridge", "tower", "lighthouse", "mill", "dam", "museum", "station", "library", "ferry", "railway"),
    "company": ("ferry", "company", "school", "mill", "bank", "newspaper", "railway", "museum", "brewery"),
}

RELATIONS: Mapping[str, Sequence[tuple[str, str, str, Asks]]] = {
    "company": (
        ("person", "the founder of {x}", "founded {x}", ("Who founded {x}?", "Who was the founder of {x}?")),
        ("person", "the director of {x}", "directed {x}", ("Who is the director of {x}?", "Who runs {x}?")),
        ("person", "the owner of {x}", "owned {x}", ("Who is the owner of {x}?", "Who owns {x}?")),
        ("town", "the town where {x} is located", "", ("In which town is {x} located?", "Where is {x} located?")),
    ),
    "structure": (
        ("person", "the architect of {x}", "designed {x}", ("Who designed {x}?", "Who was the architect of {x}?")),
        ("person", "the engineer of {x}", "built {x}", ("Who was the engineer of {x}?", "Who built {x}?")),
        ("person", "the builder of {x}", "built {x}", ("Who built {x}?", "Who was the builder of {x}?")),
        ("person", "the designer of {x}", "designed {x}", ("Who designed {x}?", "Who was the designer of {x}?")),
        ("town", "the town where {x} stands", "", ("In which town is {x}?", "Where does {x} stand?")),
        ("river", "the river that flows past {x}", "", ("Which river flows past {x}?", "What river is {x} on?")),
    ),
    "film": (
        ("person", "the director of {x}", "directed {x}", ("Who directed {x}?", "Who was the director of {x}?")),
        ("person", "the composer of {x}", "wrote the music for {x}", ("Who composed the music of {x}?",)),
        ("person", "the star of {x}", "starred in {x}", ("Who starred in {x}?", "Who played the lead in {x}?")),
        ("person", "the producer of {x}", "produced {x}", ("Who produced {x}?", "Who was the producer of {x}?")),
    ),
    "book": (
        ("person", "the author of {x}", "wrote {x}", ("Who wrote {x}?", "Who is the author of {x}?")),
        ("company", "the publisher of {x}", "published {x}", ("Which company published {x}?",)),
    ),
    "song": (
        ("person", "the singer of {x}", "sang {x}", ("Who sang {x}?", "Who is the singer of {x}?")),
        ("person", "the performer of {x}", "recorded {x}", ("Who performed {x}?", "Who recorded {x}?")),
    ),
    "person": (
        ("person", "the mother of {x}", "", ("Who was the mother of {x}?",)),
        ("person", "the wife of {x}", "", ("Who was the wife of {x}?", "To whom was {x} married?")),
        ("person", "the teacher of {x}", "taught {x}", ("Who was the teacher of {x}?", "Who taught {x}?")),
        ("town", "the town where {x} was born", "", ("In which town was {x} born?", "Where was {x} born?")),
        ("town", "the birthplace of {x}", "", ("Where was {x} born?", "What is the birthplace of {x}?")),
        ("country", "the country where {x} was born", "", ("In which country was {x} born?",)),
        ("company", "the university that {x} attended", "", ("Which university did {x} attend?",)),
        ("company", "the company where {x} worked", "", ("For which company did {x} work?", "Where did {x} work?")),
    ),
    "town": (
        ("person", "the mayor of {x}", "", ("Who is the mayor of {x}?",)),
        ("river", "the river that runs through {x}", "", ("Which river runs through {x}?",)),
        ("country", "the country where {x} is", "", ("In which country is {x}?",)),
    ),
    "country": (
        ("town", "the capital of {x}", "", ("What is the capital of {x}?",)),
        ("person", "the president of {x}", "", ("Who is the president of {x}?",)),
    ),
    "river": (("town", "the town at the mouth of {x}", "", ("Which town is at the mouth of {x}?",)),),
}
"""By domain: range, noun phrase, verb phrase (or none) and ways to ask."""

ATTRIBUTES: Mapping[str, Sequence[tuple[str, Asks]]] = {
    "person": (
        ("year", ("In which year was {x} born?", "When was {x} born?", "What year was {x} born?")),
        ("year", ("In which year did {x} die?", "When did {x} die?")),
        ("place", ("Where was {x} born?", "In which town was {x} born?", "In what city was {x} born?")),
        ("place", ("In which country was {x} born?", "What country does {x} come from?")),
        ("place", ("Where is {x} buried?", "Where was {x} buried?")),
        ("name", ("Which university did {x} attend?", "Where did {x} study?")),
        ("name", ("Who was {x} married to?", "What was the name of the spouse of {x}?")),
        ("name", ("What was the profession of {x}?", "What did {x} do for a living?")),
        ("number", ("How many children did {x} have?",)),
        ("name", ("Which award did {x} win?", "What prize did {x} receive?")),
        ("name", ("What is the nationality of {x}?",)),
    ),
    "town": (
        ("number", ("How many people live in {x}?", "What is the population of {x}?", "How many inhabitants has {x}?")),
        ("place", ("In which county is {x}?", "In which country is {x}?")),
        ("name", ("Which river flows through {x}?",)),
        ("year", ("In which year was {x} founded?", "When was {x} founded?")),
    ),
    "country": (
        ("name", ("What is the currency of {x}?", "What is the official language of {x}?")),
        ("number", ("What is the population of {x}?", "How many people live in {x}?")),
    ),
    "river": (("number", ("How long is {x}?", "What is the length of {x}?")), ("place", ("Where does {x} rise?",))),
    "structure": (
        ("year", ("When was {x} opened?", "In which year did {x} open?", "In what year was {x} opened?")),
        ("year", ("When was {x} built?", "In which year was {x} built?")),
        ("number", ("How high is {x}?", "How tall is {x}?")),
        ("number", ("How long is {x}?", "What is the length of {x}?")),
        ("number", ("How much did {x} cost?", "What did {x} cost to build?")),
        ("place", ("Where is {x}?", "In which town is {x}?")),
        ("name", ("What is {x} used for today?",)),
    ),
    "company": (
        ("year", ("When was {x} founded?", "In which year was {x} founded?")),
        ("year", ("When did {x} close?", "In which year did {x} close?")),
        ("number", ("How many people work for {x}?", "How many employees does {x} have?")),
        ("place", ("Where is {x} based?", "In which city is {x} based?")),
    ),
    "film": (
        ("year", ("When was {x} released?", "In which year did {x} come out?")),
        ("number", ("How long is {x}?",)),
    ),
    "book": (("year", ("When was {x} published?", "In which year was {x} published?")),),
    "song": (("year", ("When was {x} released?",)), ("number", ("How long is {x}?",))),
}
"""By domain: type of value and ways to ask."""

COMPARE: Sequence[tuple[str, str, str, str, str]] = (
    ("person", "Who is older, {a} or {b}?", "In which year was {x} born?", "{x}, born in {v}", "min"),
    ("person", "Who was born first, {a} or {b}?", "In which year was {x} born?", "{x}, born in {v}", "min"),
    ("person", "Who was born later, {a} or {b}?", "In which year was {x} born?", "{x}, born in {v}", "max"),
    ("person", "Who is younger, {a} or {b}?", "In which year was {x} born?", "{x}, born in {v}", "max"),
    ("person", "Who died first, {a} or {b}?", "In which year did {x} die?", "{x}, who died in {v}", "min"),
    ("structure", "Which was built first, {a} or {b}?", "In which year was {x} built?", "{x}, built in {v}", "min"),
    ("structure", "Which is older, {a} or {b}?", "In which year was {x} built?", "{x}, built in {v}", "min"),
    ("structure", "Which is taller, {a} or {b}?", "How tall is {x}?", "{x} with {v}", "max"),
    ("structure", "Which is longer, {a} or {b}?", "How long is {x}?", "{x} with {v}", "max"),
    ("town", "Which has more inhabitants, {a} or {b}?", "How many inhabitants has {x}?", "{x} with {v}", "max"),
    ("town", "Which town is larger, {a} or {b}?", "What is the population of {x}?", "{x} with {v}", "max"),
    ("river", "Which river is longer, {a} or {b}?", "How long is {x}?", "{x} with {v}", "max"),
    ("film", "Which film came out first, {a} or {b}?", "In which year did {x} come out?", "{x}, out in {v}", "min"),
    ("company", "Which was founded first, {a} or {b}?", "In which year was {x} founded?", "{x}, founded in {v}", "min"),
    ("company", "Which employs more people, {a} or {b}?", "How many people work for {x}?", "{x} with {v}", "max"),
)
"""Domain, question, ask for each side, how a side reads in the last step, and which side wins."""

SAME: Sequence[tuple[str, str, str, str]] = (
    (
        "person",
        "Were {a} and {b} born in the same town?",
        "In which town was {x} born?",
        "Are {1} and {2} the same town?",
    ),
    (
        "person",
        "Are {a} and {b} of the same nationality?",
        "What is the nationality of {x}?",
        "Are {1} and {2} the same nationality?",
    ),
    (
        "structure",
        "Are {a} and {b} in the same country?",
        "In which country is {x}?",
        "Are {1} and {2} the same country?",
    ),
    ("film", "Did the same person direct {a} and {b}?", "Who directed {x}?", "Are {1} and {2} the same person?"),
)

EVENTS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "structure": (
        ("{x} opened", "was {x} opened", "In which year was {x} opened?"),
        ("{x} was opened", "did {x} open", "In which year was {x} opened?"),
        ("{x} was built", "was {x} built", "In which year was {x} built?"),
        ("{x} was closed", "was {x} closed", "In which year was {x} closed?"),
    ),
    "company": (
        ("{x} was founded", "was {x} founded", "In which year was {x} founded?"),
        ("{x} closed", "did {x} close", "In which year did {x} close?"),
    ),
    "person": (
        ("{x} was born", "was {x} born", "In which year was {x} born?"),
        ("{x} died", "did {x} die", "In which year did {x} die?"),
    ),
    "film": (("{x} came out", "did {x} come out", "In which year did {x} come out?"),),
}
"""An event as a clause, as a question's tail, and the ask for its year."""

CHAT: Sequence[str] = (
    "Hello!",
    "Hi",
    "Hi there",
    "Hey, how are you?",
    "Good morning!",
    "Good evening",
    "Thanks!",
    "Thank you very much.",
    "Bye",
    "See you later!",
    "Who are you?",
    "What can you do?",
    "Can you help me?",
    "Tell me a joke.",
    "ok",
    "Great, thanks",
    "How is it going?",
    "Nice to meet you.",
    "Are you a robot?",
    "Good night!",
    "What is your name?",
    "Hello, can you hear me?",
    "That was helpful.",
    "I am bored.",
    "Let's talk.",
    "hello",
    "hey",
    "Good afternoon, assistant.",
    "Please help me.",
    "I feel a bit sad today.",
    "Tell me something nice.",
    "Sorry, I mistyped.",
    "Yes please",
    "No, thank you.",
    "Cheers!",
)
TASKS: Sequence[str] = (
    "What is a synonym of {w}?",
    "What is the opposite of {w}?",
    "Use the word {w} in a sentence.",
    "Write a short poem about {n}.",
    "Write a haiku about {n}.",
    "Give me three words that rhyme with {r}.",
    "Explain {c} in one sentence.",
    "Say 'I love {n}' in Spanish.",
    "Correct the spelling of '{m}'.",
    "Rewrite politely: give me the {n}.",
    "Write one sentence about {n}.",
    "Is {n} a noun or a verb?",
    "Suggest a name for a pet that likes {n}.",
    "What does the word {w} mean?",
    "Finish the sentence: the {n} is",
    "Make this shorter: The {n} was really very, very {w}.",
    "How do you spell {m}?",
    "What colour is {n} usually?",
    "Name three kinds of {n}.",
    "Write a slogan for a shop that sells {n}.",
    "Define {c}.",
)
TASK_WORDS: Mapping[str, Sequence[str]] = {
    "w": (
        "happy",
        "cold",
        "brave",
        "quick",
        "quiet",
        "bright",
        "heavy",
        "clever",
        "gentle",
        "ancient",
        "rich",
        "bitter",
    ),
    "n": ("rain", "bread", "cats", "the sea", "music", "apples", "snow", "tea", "horses", "flowers", "trains", "paper"),
    "r": ("light", "moon", "house", "tree", "cake", "stone", "bell", "day"),
    "c": ("photosynthesis", "gravity", "inflation", "democracy", "recursion", "irony", "evaporation", "friendship"),
    "m": ("recieve", "seperate", "definately", "accomodate", "neccessary", "tommorow", "freind", "wierd"),
}

TOOL_TASKS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "weather": (
        (
            "Is it warm enough for a picnic in {t} tomorrow?",
            "What is the weather in {t} tomorrow?",
            "Is {1} warm enough for a picnic?",
        ),
        (
            "Do I need an umbrella in {t} today?",
            "What is the weather in {t} today?",
            "Does one need an umbrella if {1}?",
        ),
        ("What is the weather in {t}?", "What is the weather in {t}?", ""),
    ),
    "calendar": (
        ("What is on my calendar on {d}?", "What is on the calendar on {d}?", ""),
        ("Am I free on {d}?", "What is on the calendar on {d}?", "Is there free time on a day with {1}?"),
    ),
    "email": (("Send {p} an e-mail that I will be late.", "Send {p} an e-mail that I will be late.", ""),),
    "sql": (
        ("How many orders came in on {d}?", "How many orders came in on {d}?", ""),
        ("Which customer ordered most in {t}?", "Which customer in {t} ordered most?", ""),
    ),
    "translate": (
        ("How do you say 'good morning, {p}' in Italian?", "Translate 'good morning, {p}' into Italian.", ""),
    ),
    "currency": (
        ("How many euros are {a} dollars?", "How many euros is one dollar worth?", "= {a} * {1}"),
        ("What is {a} pounds in yen?", "How many yen is one pound worth?", "= {a} * {1}"),
    ),
    "reminder": (("Remind me to call {p} on {d}.", "Remind the user to call {p} on {d}.", ""),),
    "maps": (("How do I get from {t} to {u} by car?", "What is the way from {t} to {u} by car?", ""),),
    "stocks": (("What are {a} shares of {o} worth?", "What is the share price of {o}?", "= {a} * {1}"),),
}
"""By kind of tool: question, its step, and a second step: a question, arithmetic after `=`, or none."""
