"""The conversation: what its last message asks, as a question that stands by itself.

The decomposer, the tools and the steps see one question and nothing else. "And where was she born?" means nothing to
them, so the solver writes it as a question that can be understood alone, in at most one call. What comes back is
checked, and where it is of no use, the user's own words are taken.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from anabranch.agents import prompts
from anabranch.agents.choices import chosen
from anabranch.agents.images import with_stand_ins
from anabranch.agents.leaning import (
    MARKS,
    Form,
    addresses,
    asks_what_was_meant,
    content_of,
    form_of,
    new_names,
    rewords,
    says_what_differs,
    speaks_of_a_person,
    stands_without_opening,
)
from anabranch.agents.messages import is_system
from anabranch.agents.models import RoleModel, call
from anabranch.agents.reply import ending
from anabranch.agents.rewriting import (
    IN_PAIRS,
    NUMBER,
    adds,
    asks_back,
    asks_its_own,
    can_be,
    has_new_topic,
    keeps,
    only_says_which,
    own_words_in,
    same,
    says_it,
    says_nothing_said,
    stems_of,
)
from anabranch.agents.small_talk import is_small_talk
from anabranch.bounds import shorten
from anabranch.config import check_question
from anabranch.errors import BudgetExceededError, CallTimeoutError, ConfigurationError, QuestionError

Turn = Literal["question", "follow_up", "conversation"]
"""What a message is: a question that stands by itself; one in the user's own words, which may lean on earlier turns; or
something about the conversation itself (thanks, "make it shorter"), which is answered from the conversation alone."""
MAX_TURNS = 6
MAX_TURN_CHARS = 600
MAX_WORDS_CHARS = 600
MAX_REPLY_CHARS = 200
MAX_FEW_CHARS = 30
"""Most characters of what answers a question of the assistant's, and of what cannot be expected to say all."""
MAX_FEW_STEMS = 3
MAX_FEW_CHARACTERS = 12
"""As `MAX_FEW_STEMS`, of scripts without spaces, and of Korean."""
MAX_OWN_OF_WISHES = 7
"""Fewer such words are in a wish about the last answer: "can you turn that into a mail for my team?"."""
MAX_HISTORY_CHARS = 40_000
SMALL_HISTORY_CHARS = 6_000
"""Most characters of earlier turns before a question that is answered directly: of any model, of an in-process one."""


@dataclass(frozen=True)
class Understood:
    """What the last message of a conversation asks.

    Attributes:
        asked: the user's own words.
        question: the question that stands by itself.
        turn: what kind of message it is.
    """

    asked: str
    question: str
    turn: Turn = "question"


FollowUps = Callable[[Sequence[BaseMessage]], Awaitable[Understood]]
"""Takes the conversation, gives what its last message asks."""


def resolve_follow_ups(given: FollowUps | Literal["auto", "as_asked"], model: RoleModel) -> FollowUps:
    """How follow-up questions are understood: `auto` by `model`, `as_asked` not at all; a function is taken as it is.

    Raises:
        ConfigurationError: there is no such way.
    """
    if given == "auto":
        return partial(understand, model)
    if given == "as_asked":
        return partial(taken_as, "")
    if not callable(given):
        raise ConfigurationError(f"unknown follow_ups {given!r}; use auto, as_asked, or a function of the conversation")
    return given


async def taken_as(question: str, messages: Sequence[BaseMessage]) -> Understood:
    """Takes the last message to ask a question that is known; without one, as it is.

    Raises:
        QuestionError: there is no human message, or it is empty or too long.
    """
    asked = check_question(last_question(messages))
    return Understood(asked, question or asked)


async def understand(model: RoleModel, messages: Sequence[BaseMessage]) -> Understood:
    """Finds out what the last human message of a conversation asks, with at most one call of the model.

    No model is called where there are no earlier turns, for thanks and greetings, and for what stands by itself.

    Args:
        model: the solver, which rewrites a question that leans on earlier turns.
        messages: the conversation.

    Raises:
        QuestionError: there is no human message, or it is empty or too long.
        EndpointError: as `call`.
    """
    asked = check_question(last_question(messages))
    turns = earlier_turns(messages)
    if not any(isinstance(turn, HumanMessage) for turn in turns):
        return Understood(asked, asked)
    if is_small_talk(asked) and not asks_back(turns):
        return Understood(asked, asked, "conversation")
    words, pasted = split_pasted(asked)
    if asks_what_was_meant(words) and not pasted:
        return Understood(asked, asked, "conversation")
    form = form_of(words, asked_back=asks_back(turns))
    if form == "alone":
        return Understood(asked, asked)
    if not words or model.small:
        return Understood(asked, asked, "follow_up")
    picked = None if pasted else chosen(words, str(turns[-1].text))
    if picked:
        found = await _rewritten(model, picked, turns, "reply")
        return replace(found if found.turn != "conversation" else own_words(picked, turns, "reply"), asked=asked)
    return await _rewritten(model, asked, turns, form)


async def _rewritten(model: RoleModel, asked: str, turns: Sequence[BaseMessage], form: Form) -> Understood:
    """What a message asks, by a call of the model."""
    words, pasted = split_pasted(asked)
    shown = prompts.standalone_messages(transcript(turns), words, form, pasted=bool(pasted))
    try:
        reply = await call(model, shown, role="solver")
    except (BudgetExceededError, CallTimeoutError):
        return own_words(asked, turns, form)
    if ending(reply) != "whole":
        return own_words(asked, turns, form)
    return read_reply(str(reply.text), asked, turns, form)


def own_words(asked: str, turns: Sequence[BaseMessage], form: Form) -> Understood:
    """A message that nobody could rewrite: after the question and answer before it if it leans on them."""
    words, pasted = split_pasted(asked)
    if not pasted and addresses(words) and rewords(words) and own_words_in(words, turns) < MAX_OWN_OF_WISHES:
        return Understood(asked, asked, "conversation")
    # What has many words of its own most often says what it is about, and may be a new topic.
    few = form == "reply" or _few(asked)
    leans = form not in ("alone", "question") and few and len(asked) <= MAX_REPLY_CHARS and not pasted
    leans = leans and not (has_new_topic(asked, turns, form) or asks_its_own(asked, turns, begun=False))
    return Understood(asked, _after_the_last(turns, asked) if leans else asked, "follow_up")


def _few(words: str) -> bool:
    """Whether a message has few words of its own."""
    if IN_PAIRS.search(words):
        return len(words) <= MAX_FEW_CHARACTERS
    return len(stems_of(content_of(words))) <= MAX_FEW_STEMS


def _after_the_last(turns: Sequence[BaseMessage], asked: str) -> str:
    """A message after the question and answer before it, so that both together can be understood."""
    place = _last_asked(turns)
    said = [str(turn.text) for turn in turns[place : place + 2]]
    return " ".join((*(_cut(text, MAX_TURN_CHARS) for text in said), asked))


def _last_asked(turns: Sequence[BaseMessage]) -> int:
    """Place of the last question of the user's: the last of their messages that is more than thanks, or the last."""
    places = [place for place, turn in enumerate(turns) if isinstance(turn, HumanMessage)]
    asking = [place for place in places if not is_small_talk(str(turns[place].text))]
    return (asking or places)[-1]


def read_reply(text: str, asked: str, turns: Sequence[BaseMessage], form: Form) -> Understood:
    """Reads what the model made of a message; the user's own words where it made nothing of use.

    Args:
        text: the model's reply.
        asked: the message.
        turns: the turns before it.
        form: what the message looks like.
    """
    line = next((line.strip() for line in text.strip().splitlines() if line.strip()), "")
    label = line.strip(" .*`\"'").upper()
    words, pasted = split_pasted(asked)
    if label == prompts.CONVERSATION:
        if stands_without_opening(words) and not addresses(words):
            return Understood(asked, asked)
        # A small model calls remarks what it has nothing to add to.
        return Understood(asked, asked, "follow_up" if pasted or asks_its_own(words, turns) else "conversation")
    label, colon, rest = line.partition(":")
    question = rest.strip() if colon and label.strip(" *").upper() == prompts.QUESTION else line
    question = question.strip(' *`"“”')
    few = len(words) <= MAX_FEW_CHARS
    if question and not adds(question, words, turns):
        if (
            form == "referring"
            and addresses(words)
            and not (pasted or speaks_of_a_person(words) or asks_its_own(words, turns))
        ):
            return Understood(asked, asked, "conversation")
        alone = (form == "question" and not few) or (form == "referring" and stands_without_opening(words))
        alone = alone or (form == "fragment" and not says_what_differs(words) and says_nothing_said(words, turns))
        return Understood(asked, asked) if alone else own_words(asked, turns, form)
    if few and any(same(question, str(turn.text)) for turn in turns):
        # Nothing could be added to what was said before: most often a remark, or a wish about the last answer.
        asks = says_what_differs(words) or any(mark in words for mark in MARKS) or bool(NUMBER.search(words))
        asks = asks or bool(pasted) or has_new_topic(words, turns, form)
        return own_words(asked, turns, form) if asks or form == "reply" else Understood(asked, asked, "conversation")
    leans = form != "question" and not pasted  # "this" may be what was pasted
    if not can_be(question, words, turns) or (leans and not says_it(question, words)):
        return own_words(asked, turns, form)
    # A correction names what it replaces, too.
    names = new_names(words, " ".join(str(turn.text) for turn in turns) if form == "fragment" else "")
    if form in ("referring", "fragment") and not stems_of(" ".join(names), shortest=2) <= stems_of(
        question, shortest=2
    ):
        return own_words(asked, turns, form)
    if form == "reply" and not keeps(question, str(turns[_last_asked(turns)].text)):
        return own_words(asked, turns, form)
    if form == "question" and not only_says_which(question, words, turns):
        return Understood(asked, asked)
    return Understood(asked, f"{question}\n\n{pasted}" if pasted else question)


# Earlier turns


def last_human(messages: Sequence[BaseMessage]) -> int:
    """Place of the last human message, or -1."""
    places = [place for place, message in enumerate(messages) if isinstance(message, HumanMessage)]
    return places[-1] if places else -1


def last_question(messages: Sequence[BaseMessage]) -> str:
    """Text of the last human message, with stand-ins for its images.

    Raises:
        QuestionError: there is none.
    """
    place = last_human(messages)
    if place < 0:
        raise QuestionError("there is no human message; pass the question as one")
    return str(with_stand_ins(messages)[place].text)


def earlier_turns(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """What was said before the last human message: without system messages, with results of tools as plain text.

    A model that is not offered the tools need not understand their calls, and some servers refuse them.
    """
    turns: list[BaseMessage] = []
    for message in with_stand_ins(messages[: max(last_human(messages), 0)]):
        if is_system(message):
            continue
        if isinstance(message, ToolMessage):
            turns.append(AIMessage(f"{message.name or 'tool'}: {message.text}"))
        elif isinstance(message, AIMessage):
            turns.append(AIMessage(str(message.text).strip()))
        else:
            turns.append(message)
    return [turn for turn in turns if turn.content]


def history_of(messages: Sequence[BaseMessage], model: RoleModel) -> list[BaseMessage]:
    """The conversation before the question, for a call that writes text for the user: all of the caller's system
    messages, and the most recent turns.
    """
    system = [message for message in messages if is_system(message)]
    room = SMALL_HISTORY_CHARS if model.small else MAX_HISTORY_CHARS
    kept: list[BaseMessage] = []
    for turn in reversed(earlier_turns(messages)):
        text = str(turn.text)
        if kept and len(text) > room:
            break
        kept.insert(0, turn if len(text) <= room else turn.model_copy(update={"content": shorten(text, room)}))
        room -= len(text)
    return [*system, *kept]


def transcript(turns: Sequence[BaseMessage]) -> str:
    """The most recent turns as text, a line each, long ones without their middle."""
    lines = []
    for turn in turns[-MAX_TURNS:]:
        speaker = "User" if isinstance(turn, HumanMessage) else "Assistant"
        lines.append(f"{speaker}: {_cut(str(turn.text), MAX_TURN_CHARS)}")
    return "\n".join(lines)


def _cut(text: str, limit: int) -> str:
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    tail = limit // 4
    return f"{line[: limit - tail]} […] {line[-tail:]}"


def split_pasted(text: str) -> tuple[str, str]:
    """A message's own words, and the text or code that was pasted into it; no words where they cannot be told apart."""
    if "```" in text:
        before, fence, after = text.partition("```")
        code, closing, after = after.rpartition("```")
        words, pasted = f"{before.strip()} {after.strip()}".strip(), f"{fence}{code}{closing}"
        return (words, pasted) if closing and len(words) <= MAX_WORDS_CHARS else ("", text)
    if len(text) <= MAX_WORDS_CHARS:
        return text, ""
    first, _, rest = text.partition("\n")
    if rest and len(first) <= MAX_WORDS_CHARS // 2:
        return first.strip(), rest.strip()
    rest, _, last = text.rpartition("\n")
    if rest and len(last) <= MAX_WORDS_CHARS // 2:
        return last.strip(), rest.strip()
    return "", text
