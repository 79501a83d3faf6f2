"""The conversation: what its last message asks, as a question that stands by itself.

The decomposer, the tools and the steps see one question and nothing else. "And where was she born?" means nothing to
them, so the solver writes it as a question that can be understood alone, in at most one call. What comes back is
checked, and where it is of no use, the user's own words are taken.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from anabranch.agents import prompts
from anabranch.agents.messages import is_system
from anabranch.agents.models import RoleModel, call
from anabranch.config import check_question
from anabranch.errors import BudgetExceededError, ConfigurationError, QuestionError

Turn = Literal["question", "follow_up", "conversation"]
"""What a message is: a question that stands by itself; one that may lean on earlier turns, in the user's own words; or
something about the conversation itself (thanks, "make it shorter"), which is answered from the conversation alone."""
MAX_TURNS = 6
MAX_TURN_CHARS = 600
MAX_WORDS_CHARS = 600
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

    No model is called where there are no earlier turns, and for thanks and greetings.

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
    if is_small_talk(asked) and not _asks_back(turns):
        return Understood(asked, asked, "conversation")
    words, pasted = split_pasted(asked)
    if not words or model.small:
        return Understood(asked, asked, "follow_up")
    shown = prompts.standalone_messages(transcript(turns), words, pasted=bool(pasted))
    try:
        reply = await call(model, shown, role="solver")
    except BudgetExceededError:
        return Understood(asked, asked, "follow_up")
    if reply.response_metadata.get("finish_reason") == "length":
        return Understood(asked, asked, "follow_up")
    return read_reply(str(reply.text), asked, turns)


def read_reply(text: str, asked: str, turns: Sequence[BaseMessage]) -> Understood:
    """Reads what the model made of a message; the user's own words where it made nothing of use.

    Args:
        text: the model's reply.
        asked: the message.
        turns: the turns before it.
    """
    line = next((line.strip() for line in text.strip().splitlines() if line.strip()), "")
    label = line.strip(" .*`\"'").upper()
    if label == prompts.SAME:
        return Understood(asked, asked)
    if label == prompts.CONVERSATION:
        return Understood(asked, asked, "conversation")
    words, pasted = split_pasted(asked)
    label, colon, rest = line.partition(":")
    question = rest.strip() if colon and label.strip(" *").upper() == prompts.QUESTION else line
    question = question.strip(' *`"“”')
    if not _stands(question, words, turns):
        return Understood(asked, asked, "follow_up")
    if _same(question, words):
        return Understood(asked, asked)
    whole = f"{question}\n\n{pasted}" if pasted else question
    return Understood(asked, whole)


# What is checked of a rewritten question


_MARKS = "?？؟;；⸮"
_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d+")
_STEM = 4


def _stands(question: str, words: str, turns: Sequence[BaseMessage]) -> bool:
    """Whether a rewritten question can be one: of a sensible length, a question, in the conversation's words."""
    if not question or len(question) > 2 * len(words) + 300:
        return False
    said = " ".join([words, *(str(turn.text) for turn in turns)]).lower()
    if not set(_NUMBER.findall(question)) <= set(_NUMBER.findall(said)):
        return False
    is_question = question[-1] in _MARKS
    if not is_question and (any(mark in words for mark in _MARKS) or not _shares(question, words)):
        return False
    return _known(question, said) >= 0.5


def _shares(question: str, words: str) -> bool:
    """Whether a rewritten message keeps anything of the message's own words."""
    return bool(_stems(question) & _stems(words))


def _known(question: str, said: str) -> float:
    """How much of a rewritten question occurs in the conversation."""
    stems = _stems(question)
    known = _stems(said)
    return len(stems & known) / len(stems) if stems else 0.0


def _stems(text: str) -> set[str]:
    """The beginnings of the longer words of a text; of scripts without spaces, pairs of characters."""
    stems = set[str]()
    for word in _WORD.findall(text.lower()):
        if not word.isascii() and any("\u2e80" <= character <= "\u9fff" for character in word):
            stems |= {word[place : place + 2] for place in range(max(1, len(word) - 1))}
        elif len(word) >= _STEM or word.isdigit():
            stems.add(word[:_STEM])
    return stems


def _same(question: str, words: str) -> bool:
    return _WORD.findall(question.lower()) == _WORD.findall(words.lower())


# What is certain without a model


_SMALL_TALK = frozenset(
    """
    thanks|thank you|thank you very much|thank you so much|many thanks|thanks a lot|thx|ty|cheers|great thanks
    ok|okay|ok thanks|okay thanks|perfect|perfect thanks|great|cool|nice|got it|hi|hello|hey|good morning
    good evening|bye|goodbye|see you|good night|danke|danke schön|danke dir|danke sehr|vielen dank|super danke
    alles klar|tschüss|hallo|guten morgen|guten tag|merci|merci beaucoup|merci bien|bonjour|bonsoir|salut|au revoir
    gracias|muchas gracias|mil gracias|hola|buenos días|buenas tardes|adiós|vale|vale gracias|grazie|grazie mille
    ciao|buongiorno|obrigado|obrigada|muito obrigado|muito obrigada|olá|tchau|dank je|dank u|dank je wel|bedankt|dag
    tak|tusen takk|takk|tack|tack så mycket|kiitos|moi|hej|hei|dziękuję|dzięki|cześć|děkuji|díky|ahoj|köszönöm|szia
    teşekkürler|teşekkür ederim|merhaba|спасибо|большое спасибо|спасибо большое|привет|здравствуйте|пока|дякую|привіт
    ευχαριστώ|γεια|谢谢|謝謝|多谢|谢谢你|非常感谢|你好|您好|再见|好的|好的谢谢|ありがとう|ありがとうございます|こんにちは|감사합니다|고마워요|안녕하세요
    شكرا|شكرا لك|مرحبا|תודה|תודה רבה|שלום|धन्यवाद|नमस्ते|ขอบคุณ|ขอบคุณครับ|ขอบคุณค่ะ|สวัสดี|cảm ơn|xin chào|terima kasih
    """.replace("\n", "|")
    .replace("  ", "")
    .split("|")
) - {""}


def _asks_back(turns: Sequence[BaseMessage]) -> bool:
    """Whether the assistant's last words were a question, so that "ok" may be its answer."""
    return str(turns[-1].text).rstrip(" *)\"'").endswith(tuple(_MARKS))


def is_small_talk(text: str) -> bool:
    """Whether a message is a thanks or a greeting and nothing else; only where that is certain, in any language."""
    words = " ".join(re.sub(r"[^\w\s]|_", " ", text.lower(), flags=re.UNICODE).split())
    return not words or words in _SMALL_TALK


# Earlier turns


def last_human(messages: Sequence[BaseMessage]) -> int:
    """Place of the last human message, or -1."""
    places = [place for place, message in enumerate(messages) if isinstance(message, HumanMessage)]
    return places[-1] if places else -1


def last_question(messages: Sequence[BaseMessage]) -> str:
    """Text of the last human message.

    Raises:
        QuestionError: there is none.
    """
    place = last_human(messages)
    if place < 0:
        raise QuestionError("there is no human message; pass the question as one")
    return str(messages[place].text)


def earlier_turns(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """What was said before the last human message: without system messages, with results of tools as plain text.

    A model that is not offered the tools need not understand their calls, and some servers refuse them.
    """
    turns: list[BaseMessage] = []
    for message in messages[: max(last_human(messages), 0)]:
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
        room -= len(str(turn.text))
        if kept and room < 0:
            break
        kept.insert(0, turn)
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
