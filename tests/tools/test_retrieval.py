"""Which tools fit a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.tools.retrieval import ToolIndex, ToolText, words_of_name

OFFICE = [
    ToolText("searchFlights", "Finds flights between two cities."),
    ToolText("book_flight", "Books a seat on a flight.", ("flight_id", "passengerName")),
    ToolText("cancel.hotel", "Cancels a reservation.", ("booking_number",)),
    ToolText("send-email", "Sends a message to a person."),
    ToolText("x17", ""),
    ToolText("translate", "Puts a text into another language."),
]


def found(request: str, most: int = 3) -> list[str]:
    return [OFFICE[place].name for place in ToolIndex(OFFICE).find(request, most)]


@pytest.mark.parametrize(
    ("name", "words"),
    [("getBookingById", "get Booking By Id"), ("send_SMS2", "send SMS 2"), ("HTTPServer.run", "HTTP Server run")],
)
def test_names_are_split_into_words(name: str, words: str) -> None:
    assert words_of_name(name) == words


@pytest.mark.parametrize(
    ("request_", "first"),
    [
        ("Cancelling my hotel, please", "cancel.hotel"),
        ("Translation of this into French", "translate"),
        ("I have the booking number 12", "cancel.hotel"),
        ("for the passenger's name Ada", "book_flight"),
    ],
)
def test_names_descriptions_and_arguments_are_searched(request_: str, first: str) -> None:
    assert found(request_)[0] == first


def test_each_part_of_a_request_finds_its_tool() -> None:
    request = "Book the 9:40 flight, then translate the menu and send it by email to Ben"
    assert {"book_flight", "translate", "send-email"} <= set(found(request, 4))


def test_a_search_that_goes_with_a_call_is_found_too() -> None:
    tools = [
        *(ToolText(f"weather_{n}", "Tells the weather.") for n in range(20)),
        ToolText("search_film", "Finds films by title."),
        ToolText("film_credits", "The people who made a film, by its id."),
    ]
    best = ToolIndex(tools).find("Who made it? I want the credits.", 4)
    assert {"film_credits", "search_film"} <= {tools[place].name for place in best}


def test_the_same_request_finds_the_same_and_as_many_as_asked_for() -> None:
    assert found("nothing of all that", 4) == found("nothing of all that", 4)
    assert len(found("qwertz", 4)) == 4
    assert len(found("flights", 99)) == len(OFFICE)


@given(st.lists(st.builds(ToolText, st.text(), st.text(), st.tuples(st.text()))), st.text(), st.integers(0, 9))
def test_any_catalogue_and_any_request(tools: list[ToolText], request: str, most: int) -> None:
    places = ToolIndex(tools).find(request, most)
    assert len(places) == len(set(places)) == min(most, len(tools))
    assert set(places) <= set(range(len(tools)))
