"""Worked examples that prompts show to models that were not trained for what is asked. A part of the prompts."""

QUESTION = "QUESTION"
CONVERSATION = "CONVERSATION"

EXAMPLES: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "A shop has 14 boxes of 30 pens and sells 95 pens. How many pens are left?",
        (
            ("calculator", "14 * 30", "How many pens are in the boxes?"),
            ("calculator", "{1} - 95", "How many pens are left of {1}?"),
        ),
    ),
    (
        "In which country was the director of the film Amelie born?",
        (("search", "Who directed the film Amelie?"), ("search", "In which country was {1} born?")),
    ),
    (
        "Which is older, the Harbour Bridge or the Old Mill, and by how many years?",
        (
            ("search", "In which year was the Harbour Bridge built?"),
            ("search", "In which year was the Old Mill built?"),
            ("calculator", "abs({1} - {2})", "How many years are there between {1} and {2}?"),
        ),
    ),
    ("What is a synonym of happy?", ()),
)
"""Worked examples for models that were not trained on the line codec: question, then route and text of each line,
and the text in words where it is an expression.
"""

_HALL = "User: How many seats does the Fjord Hall have?\nAssistant: It has 420 seats."
_INFLATION = """\
User: What is inflation?
Assistant: A general rise in prices over time, which makes money worth less."""
_BRIDGE = "User: Wie alt ist die Brücke in Mostar?\nAssistant: Sie wurde 1566 gebaut."
_ZOO = "User: ¿Cuánto cuesta la entrada al zoo?\nAssistant: 8 euros."
_POOL = "User: 泳池几点关门？\nAssistant: 晚上十点。"
STANDALONE_EXAMPLES: tuple[tuple[str, str, str], ...] = (
    (
        "User: Who composed the opera Halka?\nAssistant: Stanisław Moniuszko.",
        "Where did he study?",
        "QUESTION: Where did Stanisław Moniuszko study?",
    ),
    (_HALL, "And the Garden Hall?", "QUESTION: How many seats does the Garden Hall have?"),
    (_HALL, "Oh, good to know!", CONVERSATION),
    (_INFLATION, "Say that in one short sentence.", CONVERSATION),
    (
        "User: Can I get a new badge?\nAssistant: Yes, at the front desk.",
        "Who invented the telescope?",
        "QUESTION: Who invented the telescope?",
    ),
    (
        "User: What is the fee for a visa in 2020?\nAssistant: A student visa was 60 dollars.",
        "No, I need a work visa.",
        "QUESTION: What is the fee for a work visa in 2020?",
    ),
    (
        "User: Who was mayor of Aarhus in 1990?\nAssistant: Thorkild Simonsen.",
        "and in 2005?",
        "QUESTION: Who was mayor of Aarhus in 2005?",
    ),
    (
        "User: When does the pool open?\nAssistant: The indoor pool or the outdoor pool?",
        "the first one",
        "QUESTION: When does the indoor pool open?",
    ),
    ("User: Reserve a car.\nAssistant: For which day?", "next Monday", "QUESTION: Reserve a car for next Monday."),
    (_INFLATION, "Could you explain this like to a child?", CONVERSATION),
    (_BRIDGE, "Wer hat sie gebaut?", "QUESTION: Wer hat die Brücke in Mostar gebaut?"),
    (_BRIDGE, "Schreib das auf Englisch.", CONVERSATION),
    ("User: Wie lang ist die Elbe?\nAssistant: 1094 Kilometer.", "Und die Oder?", "QUESTION: Wie lang ist die Oder?"),
    (_ZOO, "¿Qué ríos pasan por Zaragoza?", "QUESTION: ¿Qué ríos pasan por Zaragoza?"),
    (_ZOO, "¿Y para niños?", "QUESTION: ¿Cuánto cuesta la entrada al zoo para niños?"),
    (_INFLATION, "Your answer as a list of points, please.", CONVERSATION),
    (_POOL, "周日呢？", "QUESTION: 泳池周日几点关门？"),
    (_POOL, "哦，原来如此。", CONVERSATION),
)
"""Conversations with their last messages and what these ask. Small models follow them rather than the instruction;
where a message could be taken as it is, they were told so by a label of its own (SAME), they chose it too often.
"""
