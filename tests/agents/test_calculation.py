import pytest

from anabranch.agents.calculation import calculated, computed, follow
from anabranch.agents.grounding import out_of_thin_air
from anabranch.agents.models import RoleModel
from tests.fakes import ScriptedChatModel

KNOWN = [
    "How much do five balls of Erris and two of Burren cost, with 10 percent off?",
    "Erris 7.36 EUR, Burren 12,000 EUR; four instalments; 250 metres in each",
]


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("= 5 * 7.36 EUR", "36.8 EUR"),
        ("7.36 EUR + 2 EUR = 9.99 EUR", "9.36 EUR"),
        ("= 12,000 / 4", "3000"),
        ("Four instalments:\n12,000 EUR ÷ 4", "3000 EUR"),
        ("= 10% of 7.36", "0.74"),
        ("`= 5 x 250 metres`", "1250 metres"),
        ("**= 250 metres + 5 EUR**", "255"),
    ],
)
def test_a_calculation_is_done(reply: str, value: str) -> None:
    assert computed(reply, KNOWN) == value


@pytest.mark.parametrize(
    "reply",
    [
        "NOT FOUND",
        "7.36 EUR",
        "= 5 * 8.00",
        "= 5 *",
        "It costs a lot.",
        "",
        "= 5 / 0",
        "= 5 - 250",
        "= 5 > 4 + 2",
        "= 2026-12-01",
        "5 +" * 12 + "5",
    ],
)
def test_what_is_none_or_uses_numbers_that_nobody_told_is_not(reply: str) -> None:
    assert computed(reply, KNOWN) is None


async def test_the_model_is_asked_for_it() -> None:
    chat = ScriptedChatModel(script=["= 180 EUR - 95 EUR", "NOT FOUND"])
    text, result = "How much more is it in Switzerland?", "Switzerland: 180 EUR; Portugal: 95 EUR"
    assert await calculated(RoleModel(chat), text, result) == "85 EUR"
    assert await calculated(RoleModel(chat), text, result) is None
    assert all(prompt.endswith(f"{result}\n\nQuestion: {text}") for prompt in chat.prompts)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("In Switzerland it is 180 EUR and in Portugal 95 EUR, so 85 EUR more.", True),
        ("180 + 95 = 275 EUR, and with 10% on top 302.50 EUR.", False),
        ("180 + 95 = 275, and with 40 for parking 315.", True),
        ("Three nights at 180 EUR are 540 EUR.", False),
        ("3 nights at 180 EUR are 540 EUR.", True),
        ("It is 85 EUR more.", False),
        ("180 and 95 are 276.", False),
        ("180 and 95, as Mr Kowalski and Mrs Nowak say.", False),
    ],
)
def test_a_text_may_show_how_it_comes_to_a_number(text: str, shown: bool) -> None:
    known = ["How much are 3 nights?", "Switzerland 180 EUR, Portugal 95 EUR, parking 40 EUR"]
    assert follow(out_of_thin_air(text, known), text, known) == shown
