"""Long results of tools: what of them belongs to a question."""

from langchain_core.documents import Document

from anabranch.bounds import MAX_RESULT_CHARS
from anabranch.errors import DocumentError
from anabranch.tools.calling import in_daemon_thread
from anabranch.tools.documents import split_passages
from anabranch.tools.passage_index import PassageIndex

MAX_CHARS = 8_000
"""Most characters of a result that go into a prompt, where its tool names no other limit."""
_MAX_SEARCHED = MAX_RESULT_CHARS
_MAX_AT_ONCE = 50_000
_GAP = "\n[…]\n"


async def fitted(text: str, question: str, limit: int = MAX_CHARS) -> str:
    """As `fitting`; for a long text in a thread of its own: a second of work that others would wait for."""
    if len(text) <= _MAX_AT_ONCE:
        return fitting(text, question, limit)
    return await in_daemon_thread(lambda: fitting(text, question, limit))


def fitting(text: str, question: str, limit: int = MAX_CHARS) -> str:
    """A tool's result, if it is too long only the passages that fit a question best, in their order.

    Args:
        text: the result.
        question: what it is to answer.
        limit: most characters to return.
    """
    if len(text) <= limit:
        return text
    passages = split_passages([Document(text[:_MAX_SEARCHED])])
    places = {id(passage): place for place, passage in enumerate(passages)}
    try:
        best = [places[id(p)] for p in PassageIndex(passages).search(question, len(passages))]
    except DocumentError:  # there are no words in it
        best = []
    room, chosen = limit, set[int]()
    for place in [*best, *range(len(passages))]:
        length = len(passages[place].page_content) + len(_GAP)
        if length > room:
            break
        if place not in chosen:
            chosen.add(place)
            room -= length
    if not chosen:
        return text[: limit - len(_GAP)] + _GAP
    pieces = [passages[place].page_content for place in sorted(chosen)]
    return _GAP.join([*pieces, ""]) if max(chosen) < len(passages) - 1 else _GAP.join(pieces)
