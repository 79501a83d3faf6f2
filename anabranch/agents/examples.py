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
_INFLATION = "User: What is inflation?\nAssistant: A general rise in prices over time, which makes money worth less."
_BRIDGE = "User: Wie alt ist die Brücke in Mostar?\nAssistant: Sie wurde 1566 gebaut."
_ZOO = "User: ¿Cuánto cuesta la entrada al zoo?\nAssistant: 8 euros."
_POOL = "User: 泳池几点关门？\nAssistant: 晚上十点。"
STANDALONE_EXAMPLES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "referring": (
        (
            "User: Who composed the opera Halka?\nAssistant: Stanisław Moniuszko.",
            "Where did he study?",
            "QUESTION: Where did Stanisław Moniuszko study?",
        ),
        (_INFLATION, "Could you explain this like to a child?", CONVERSATION),
        (
            "User: Which ferries go to Samsø?\nAssistant: The Kyholm and the Prinsesse Isabella.",
            "Is the second one faster?",
            "QUESTION: Is the ferry Prinsesse Isabella faster?",
        ),
        (
            "User: Can interns work from home?\nAssistant: Yes, two days a week.",
            "Do they need to ask for that?",
            "QUESTION: Do interns need to ask to work from home?",
        ),
        (
            "User: Tell me about the Sorrel cabin.\nAssistant: The Sorrel cabin sleeps six and has a stove.",
            "is there a shower",
            "QUESTION: Is there a shower in the Sorrel cabin?",
        ),
        (_BRIDGE, "Wer hat sie gebaut?", "QUESTION: Wer hat die Brücke in Mostar gebaut?"),
        (
            "User: Is overtime paid?\nAssistant: Yes, at 150 percent.",
            "Does this hold for managers, too?",
            "QUESTION: Is overtime paid for managers, too?",
        ),
        (
            "User: Is the Polar 2 tent waterproof?\nAssistant: Yes.",
            "And what does the tent weigh?",
            "QUESTION: What does the Polar 2 tent weigh?",
        ),
        (
            "User: Tell me about Lund and Visby.\nAssistant: Both are old towns in Sweden.",
            "Which of the two is older?",
            "QUESTION: Which is older, Lund or Visby?",
        ),
        (
            "User: How many beds does the Sorrel cabin have?\nAssistant: Six.",
            "And how many chairs?",
            "QUESTION: How many chairs does the Sorrel cabin have?",
        ),
        (
            "User: Which tent do you recommend?\nAssistant: The Polar 2.",
            "How long does that one last?",
            "QUESTION: How long does the Polar 2 tent last?",
        ),
        (_INFLATION, "What does that mean in plain words?", CONVERSATION),
        (_HALL, "That is fewer than I expected, to be honest.", CONVERSATION),
        (
            "User: How do I descale the Brio machine?\nAssistant: Run it once with vinegar.",
            "What happens if I do it with lemon juice?",
            "QUESTION: What happens if I descale the Brio machine with lemon juice?",
        ),
        (
            "User: How do I get a new card?\nAssistant: Order it in the app.",
            "Does that cost anything?",
            "QUESTION: Does it cost anything to get a new card?",
        ),
        (
            "User: Qui a fondé le cirque Nola ?\nAssistant: Marc Vidal.",
            "Où est-il né ?",
            "QUESTION: Où est né Marc Vidal ?",
        ),
        (
            "User: Was kostet die Familienkarte?\nAssistant: 90 Euro.",
            "Darf ich damit auch ins Bad?",
            "QUESTION: Darf ich mit der Familienkarte auch ins Bad?",
        ),
        (_INFLATION, "Could I have that as a poem?", CONVERSATION),
        ("User: 谁导演了《红灯》？\nAssistant: 李明。", "她还拍过什么电影？", "QUESTION: 李明还拍过什么电影？"),
        (
            "User: Who runs the Kiruna mine?\nAssistant: LKAB runs it.\nUser: Since when?\nAssistant: Since 1890.",
            "And how many people work there?",
            "QUESTION: How many people work at the Kiruna mine?",
        ),
    ),
    "question": (
        (
            "User: Can I get a new badge?\nAssistant: Yes, at the front desk.",
            "Who invented the telescope?",
            "QUESTION: Who invented the telescope?",
        ),
        (_BRIDGE, "Kannst du das in einem Satz sagen?", CONVERSATION),
        (
            "User: Who makes the Corda piano?\nAssistant: Lindner & Co. makes it.",
            "How many people work for the firm?",
            "QUESTION: How many people work for Lindner & Co.?",
        ),
        (_ZOO, "¿Qué ríos pasan por Zaragoza?", "QUESTION: ¿Qué ríos pasan por Zaragoza?"),
        (_INFLATION, "Your answer as a list of points, please.", CONVERSATION),
        (
            _HALL,
            "How many windows does the town hall in Moss have?",
            "QUESTION: How many windows does the town hall in Moss have?",
        ),
        (
            "User: ¿Quién construyó la torre de Cádiz?\nAssistant: Juan Rueda.",
            "¿En qué año murió de gripe?",
            "QUESTION: ¿En qué año murió Juan Rueda de gripe?",
        ),
        (
            "User: How do I descale the Brio machine?\nAssistant: Run it once with vinegar.",
            "Write a short letter to my neighbour about the noise.",
            "QUESTION: Write a short letter to my neighbour about the noise.",
        ),
        ("User: 谁发明了算盘？\nAssistant: 不清楚。", "太阳系有几颗行星？", "QUESTION: 太阳系有几颗行星？"),
        (
            "User: When was the Corda piano made?\nAssistant: Lindner & Co. made it in 1910.",
            "When was the maker founded?",
            "QUESTION: When was Lindner & Co. founded?",
        ),
        (_POOL, "能解释得更清楚吗？", CONVERSATION),
        (_POOL, "你能用英语说吗？", CONVERSATION),
        (
            "User: Wo ist die Kantine?\nAssistant: Im Keller.",
            "Wer hat das Fahrrad erfunden?",
            "QUESTION: Wer hat das Fahrrad erfunden?",
        ),
    ),
    "fragment": (
        (_HALL, "And the Garden Hall?", "QUESTION: How many seats does the Garden Hall have?"),
        (_HALL, "Oh, good to know!", CONVERSATION),
        (_INFLATION, "Say that in one short sentence.", CONVERSATION),
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
        (_BRIDGE, "Schreib das auf Englisch.", CONVERSATION),
        (
            "User: Wie lang ist die Elbe?\nAssistant: 1094 Kilometer.",
            "Und die Oder?",
            "QUESTION: Wie lang ist die Oder?",
        ),
        (_ZOO, "¿Y para niños?", "QUESTION: ¿Cuánto cuesta la entrada al zoo para niños?"),
        (
            "User: How long does it take to walk to the fort?\nAssistant: About 40 minutes.",
            "By bike?",
            "QUESTION: How long does it take to go to the fort by bike?",
        ),
        (_INFLATION, "a bit longer", CONVERSATION),
        (_INFLATION, "I did not understand you.", CONVERSATION),
        (
            "User: ¿Quién construyó la torre de Cádiz?\nAssistant: Juan Rueda.",
            "¿Cuándo murió?",
            "QUESTION: ¿Cuándo murió Juan Rueda?",
        ),
        (
            "User: What is the fax number of the Hull office?\nAssistant: 5520.",
            "sorry, I meant the phone number",
            "QUESTION: What is the phone number of the Hull office?",
        ),
        (
            "User: Is there a pharmacy in Rena?\nAssistant: Yes, near the station.",
            "What about a bakery?",
            "QUESTION: Is there a bakery in Rena?",
        ),
        (
            "User: Where does John Berg live?\nAssistant: The painter lives in Rome.",
            "I mean the tennis player.",
            "QUESTION: Where does the tennis player John Berg live?",
        ),
        (
            "User: Who is the president of Chad?\nAssistant: Mahamat Déby.",
            "Not Chad, Mali.",
            "QUESTION: Who is the president of Mali?",
        ),
        (
            "User: Does the Sorrel cabin have a stove?\nAssistant: Yes.",
            "A fridge too?",
            "QUESTION: Does the Sorrel cabin have a fridge too?",
        ),
        (
            "User: Who painted the altar in Vik?\nAssistant: Jon Helland painted it.",
            "when?",
            "QUESTION: When did Jon Helland paint the altar in Vik?",
        ),
        (
            "User: How big is the garden of the villa?\nAssistant: 900 square metres.",
            "I asked about the balcony.",
            "QUESTION: How big is the balcony of the villa?",
        ),
        (
            "User: Quel est le prix du vélo bleu ?\nAssistant: 300 euros.",
            "Non, le rouge.",
            "QUESTION: Quel est le prix du vélo rouge ?",
        ),
        ("User: Quel âge a Léa Morin ?\nAssistant: 34 ans.", "Ah, je vois.", CONVERSATION),
        (_POOL, "周日呢？", "QUESTION: 泳池周日几点关门？"),
        (_POOL, "哦，原来如此。", CONVERSATION),
        ("User: 张伟的电话是多少？\nAssistant: 5588。", "不对，我问的是王芳。", "QUESTION: 王芳的电话是多少？"),
        (
            "User: How long is the M4?\nAssistant: 189 miles.\nUser: And the M6?\nAssistant: 232 miles.",
            "The M25?",
            "QUESTION: How long is the M25?",
        ),
    ),
    "reply": (
        (
            "User: When does the pool open?\nAssistant: The indoor pool or the outdoor pool?",
            "the first one",
            "QUESTION: When does the indoor pool open?",
        ),
        ("User: Reserve a car.\nAssistant: For which day?", "next Monday", "QUESTION: Reserve a car for next Monday."),
        (
            "User: Who built the mill?\nAssistant: Shall I look that up for the mill in Stroud?",
            "yes please",
            "QUESTION: Who built the mill in Stroud?",
        ),
        (
            "User: I would like a jacket.\nAssistant: In which size?",
            "M, and in green",
            "QUESTION: I would like a jacket in size M and in green.",
        ),
        (
            "User: What does a lesson cost?\nAssistant: For beginners or for experts?",
            "the latter",
            "QUESTION: What does a lesson for experts cost?",
        ),
        (
            "User: When does the shop open?\nAssistant: At nine. Can I do anything else for you?",
            "No, that is all.",
            CONVERSATION,
        ),
        (
            "User: Wie lange dauert der Kurs?\nAssistant: Der Abendkurs oder der Tageskurs?",
            "der am Abend",
            "QUESTION: Wie lange dauert der Abendkurs?",
        ),
        ("User: 帮我订一张票。\nAssistant: 哪一天的？", "星期五", "QUESTION: 帮我订一张星期五的票。"),
        (
            "User: ¿Cuánto pesa el paquete?\nAssistant: ¿Cuál de los dos?",
            "el grande",
            "QUESTION: ¿Cuánto pesa el paquete grande?",
        ),
        (
            "User: Is there a lift?\nAssistant: Yes.\nUser: I want to complain.\nAssistant: About which hotel?",
            "it was the Astoria",
            "QUESTION: I want to complain about the Astoria hotel.",
        ),
    ),
}
"""Conversations with their last messages and what these ask, for each form that a message may have (see `leaning.py`).
Small models follow them rather than the instruction: where some messages were copied, they copied others that they
should not. So only the form that may stand by itself has examples of that.
"""
