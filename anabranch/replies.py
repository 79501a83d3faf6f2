r"""What a model's reply says: thoughts taken away, markers understood, JSON found. Pure text, no I/O.

Models clothe what they were asked for: in `<think>` blocks, in prose, in bold type, in fences. Everything that reads a
reply does so here. Reading is tolerant; what is read is checked strictly by whoever asked (plans by `Plan`, arguments
by the tool's schema).
"""

import ast
import json
import re
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

from anabranch.characters import whole_data

NOT_FOUND = "NOT FOUND"
REPLAN = "REPLAN:"

_NAMES = "think|thinking|thought|thoughts|reasoning"
_OPEN = re.compile(rf"<({_NAMES})>", re.IGNORECASE)
_BLOCK_AT_START = re.compile(rf"\s*<({_NAMES})>(.*?)(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)
_CLOSINGS = {name: re.compile(rf"</{name}>[ \t]*", re.IGNORECASE) for name in _NAMES.split("|")}
TAG = re.compile(rf"</?(?:{_NAMES})>", re.IGNORECASE)
OPEN_ON_A_LINE = re.compile(rf"(?im)(?:^[ \t]*|[:：]\**[ \t]*)<(?P<name>{_NAMES})>")
"""Where a thought begins."""
_CLOSE_ON_A_LINE = re.compile(rf"^[ \t]*</(?:{_NAMES})>", re.IGNORECASE | re.MULTILINE)
FENCED = re.compile(r"^[ \t]*(```+|~~~+).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)

_LEAD = r"(?:(?:so|thus|hence|therefore|the|my|our|final|full|complete|short|correct|答案)\b[ ,]*)*"
MARK = re.compile(rf"^[^\w\n]*{_LEAD}answer[*_]*\s*[:：][*_]*[ \t]*", re.IGNORECASE | re.MULTILINE)
_MARK_IN_A_LINE = re.compile(r"(?<![\w-])A(?:nswer|NSWER)\**[ \t]{0,3}[:：]\**[ \t]*")
_LATEX_WORDS = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]*)\}")
_LATEX_SIGNS = re.compile(r"\\([$%&#_])")
_LATEX_FRAME = re.compile(r"\\[()\[\]]")
_BOLD = re.compile(r"\*\*([^*]+)\*\*|([^*]+)\*\*")

_NOT_FOUND_BEGINS = re.compile(r"NOT[ _-]FOUND(?![\w-])")
_NOT_FOUND_ENDS = re.compile(r"NOT[ _-]FOUND[\W_]*\Z")
_NO_WORD = re.compile(r"[\W_]*")
_REPLAN_BEGINS = re.compile(r"[\W_]*re-?plan[\W_]*[:：\n][\W_]*|[\W_]*REPLAN\b[\W_]*", re.IGNORECASE)
_REPLAN_LINE = re.compile(r"^(?:[^\w\n]|_)*+REPLAN[*_`\]]*[ \t]*[:：][\W_]*(.*)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r'"(?:\\.|[^"\\])*+(?:"|\\?\Z)|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_UNREADABLE = (ValueError, TypeError, RecursionError, SyntaxError, MemoryError)
"""What the readers of JSON and literals raise; a ValueError also where a number has thousands of digits."""
_NAME = "<reply>"
# What Python finds strange in a model's words (`'\d'`, `1if`) is not for the user's terminal.
warnings.filterwarnings("ignore", category=SyntaxWarning, module=re.escape(_NAME))
_MAX_STARTS = 200
"""Most places of a text at which JSON is looked for: each failure may cost as much as the text is long."""


def says_something(text: str) -> bool:
    """Whether a text has a character that is seen: one of spaces and of width zero has none."""
    return any(character.isprintable() and not character.isspace() for character in text)


def split_thoughts(text: str) -> tuple[str, str]:
    """Divides a reply into what a reasoning model thought and what it says.

    Thoughts are a block of `<think>` (or `thinking`, `thought`, `reasoning`) at the beginning of the reply, of a line,
    or after a marker such as `Answer:`; what comes before a closing tag on a line of its own, where the server's
    template has swallowed the opening one; and all of a reply whose block does not end. A tag inside a sentence or in
    a fenced block is text.

    Returns:
        The thoughts, and the rest, both without white space around them.
    """
    thoughts: list[str] = []
    while block := _BLOCK_AT_START.match(text):
        thoughts.append(block[2].strip())
        text = text[block.end() :]
    if close := unopened_thoughts(text):
        thoughts.append(text[: close.start()].strip())
        text = text[close.end() :]
    if "<" in text:
        text = _outside_fences(text, lambda part: _without_blocks(part, thoughts))
    return "\n\n".join(filter(None, thoughts)), text.strip()


def unopened_thoughts(text: str) -> re.Match[str] | None:
    """The end of thoughts whose beginning the server's template has swallowed, if a reply has any."""
    close = _CLOSE_ON_A_LINE.search(text) if "</" in text else None
    return close if close and not _OPEN.search(text, 0, close.start()) else None


def _without_blocks(text: str, thoughts: list[str]) -> str:
    """Text without its blocks of thoughts, which are added to the others."""
    kept, place, open_for_ever = list[str](), 0, set[str]()
    for opened in OPEN_ON_A_LINE.finditer(text):
        name = opened["name"].casefold()
        if opened.start() < place or name in open_for_ever:
            continue
        if closing := closing_of(opened):
            thoughts.append(text[opened.end() : closing.start()].strip())
            kept.append(text[place : opened.start("name") - 1])
            place = closing.end()
        else:
            open_for_ever.add(name)
    return "".join([*kept, text[place:]])


def closing_of(opened: re.Match[str]) -> re.Match[str] | None:
    """The tag that closes a match of `OPEN_ON_A_LINE`, with the spaces after it."""
    return _CLOSINGS[opened["name"].casefold()].search(opened.string, opened.end())


def _outside_fences(text: str, change: Any) -> str:
    parts, end = [], 0
    for fence in FENCED.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def without_mark(text: str) -> str:
    """A reply without the word `Answer:` (or `Final answer:`) at its very beginning."""
    mark = MARK.match(text)
    rest = text[mark.end() :].strip() if mark else ""
    return _unbold(rest) if rest else text.strip()


def short_reply(text: str) -> str:
    """A reply of a few words, without a mark before it and bold type around it."""
    return _unbold(without_mark(text))


def final_answer(text: str) -> str:
    r"""The short answer at the end of a reply: what follows the last `Answer:`, else the last `\boxed{}`, else all.

    The mark counts at the beginning of a line outside fenced code; only where no line begins so, within one. Bold type
    is dropped, and so are a box and LaTeX's signs in an answer.
    """
    mark = last_mark(text)
    boxed = None if mark else _last_box(text)
    found = (text[mark.end() :] if mark else boxed if boxed is not None else text).strip() or text.strip()
    if mark or boxed is not None:
        found = _without_latex(found) or found
    return _unbold(found)


def has_mark(text: str) -> bool:
    """Whether a reply says `Answer:` somewhere, and so has an answer in it."""
    return last_mark(text) is not None


def last_mark(text: str) -> re.Match[str] | None:
    """The last `Answer:` of a reply: at the beginning of a line, or else within one; none in fenced code."""
    is_fenced = fenced(text)
    for pattern in (MARK, _MARK_IN_A_LINE):
        marks = [mark for mark in pattern.finditer(text) if not is_fenced(mark.start())]
        if marks:
            return marks[-1]
    return None


def fenced(text: str) -> Callable[[int], bool]:
    """Tells of a place in a text whether it is within fenced code."""
    spans = [fence.span() for fence in FENCED.finditer(text)] if "```" in text or "~~~" in text else []
    starts = [start for start, _ in spans]

    def inside(place: int) -> bool:
        before = bisect_right(starts, place) - 1
        return before >= 0 and place < spans[before][1]

    return inside


def _unbold(text: str) -> str:
    bold = _BOLD.fullmatch(text)
    return (bold[1] or bold[2]).strip() or text if bold else text


def _boxes(text: str) -> Iterator[tuple[int, int, str]]:
    r"""Start, end and content of each `\boxed{...}`; braces inside may be nested."""
    place = 0
    while (start := text.find("\\boxed{", place)) >= 0:
        depth, end = 1, start + len("\\boxed{")
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if not depth and text[start + 7 : end - 1]:
            yield start, end, text[start + 7 : end - 1]
        place = end


def _last_box(text: str) -> str | None:
    return next((content for _, _, content in reversed(list(_boxes(text)))), None)


def _without_latex(text: str) -> str:
    for start, end, content in reversed(list(_boxes(text))):
        before, after = text[:start], text[end:]
        text = before.removesuffix("$") + content + (after[1:] if before.endswith("$") and after[:1] == "$" else after)
    words = _LATEX_WORDS.sub(lambda match: match[1].strip(), text)
    return _LATEX_SIGNS.sub(r"\1", _LATEX_FRAME.sub("", words)).strip()


def says_not_found(text: str) -> bool:
    """Whether a reply says `NOT FOUND`, however it is clothed; an answer that only contains the words does not."""
    bare = without_mark(text).strip(" \n\t.*!\"'`_[](){}<>#-")
    if not bare or re.fullmatch(r"not[ _-]found", bare, re.IGNORECASE):
        return True
    return bool(_NOT_FOUND_BEGINS.match(bare) or _ends_with_not_found(text))


def _ends_with_not_found(text: str) -> bool:
    """Whether a text ends with `NOT FOUND` as a sentence of its own."""
    found = _NOT_FOUND_ENDS.search(text)
    if not found:
        return False
    before = text[: found.start()][::-1]
    gap = _NO_WORD.match(before)
    return gap is not None and (gap.end() == len(before) or any(sign in gap[0] for sign in ".!?:;,\n(["))


def replan_reason(text: str) -> str | None:
    """What a joiner's reply says is missing, if it asks for a new plan; None if the reply is an answer."""
    begun = _REPLAN_BEGINS.match(without_mark(text)) if "replan" in text[:80].lower() else None
    rest = without_mark(text)[begun.end() :] if begun else None
    if rest is None and (line := replan_line(text)):
        rest = line[1]
    return None if rest is None else " ".join(rest.split()).strip("*_`[] ") or "the answers are not enough"


def replan_line(text: str) -> tuple[int, str] | None:
    """Where a line says `REPLAN:` (with the lines without words above it), and what follows."""
    found = _REPLAN_LINE.search(text) if "REPLAN" in text else None
    if not found:
        return None
    start = found.start()
    above = _NO_WORD.match(text[:start][::-1])
    first = start - (above.end() if above else 0)
    return (0 if first == 0 else text.find("\n", first, start) + 1 or start), found[1]


def json_values(text: str) -> list[Any]:
    """All JSON objects and arrays that stand in a reply, in order; those inside others are part of them.

    Prose, fences, thoughts and braces around them do not matter. A line break inside a string is taken as it is; the
    form of Python's literals (single quotes, a comma too many, `None`) is read, too; JSON that was encoded as a JSON
    string is decoded first.
    """
    text = split_thoughts(text)[1]
    if text.startswith('"'):
        try:
            inner = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            inner = None
        text = inner if isinstance(inner, str) else text
    return list(_scanned(text))


def begins_with_json(text: str) -> bool:
    """Whether the first object or array that begins in a text is whole."""
    start = re.search(r"[{\[]", text)
    try:
        return start is not None and bool(_decoded_json(text, start.start()))
    except _UNREADABLE:
        return False


def _scanned(text: str) -> Iterator[Any]:
    place, starts = 0, 0
    while starts < _MAX_STARTS and (match := re.compile(r"[{\[]").search(text, place)):
        starts += 1
        for decode in (_decoded_json, _decoded_literal, _decoded_with_comments):
            try:
                value, place = decode(text, match.start())
                value = whole_data(value)
            except _UNREADABLE:
                continue
            yield value
            break
        else:
            place = match.start() + 1


def _decoded_json(text: str, start: int) -> tuple[Any, int]:
    value, end = json.JSONDecoder(strict=False).raw_decode(text, start)
    return value, end


def _decoded_literal(text: str, start: int) -> tuple[Any, int]:
    end = text.rfind("}" if text[start] == "{" else "]", start, start + 20_000) + 1
    value = ast.literal_eval(ast.parse(text[start:end], _NAME, "eval"))
    if not isinstance(value, dict | list) or not _is_json(value):
        raise ValueError("not JSON")
    return value, end


def _decoded_with_comments(text: str, start: int) -> tuple[Any, int]:
    if "//" not in text and "/*" not in text:
        raise ValueError("no comments")
    bare = _COMMENT.sub(lambda match: match[0] if match[0].startswith('"') else " ", text[start : start + 20_000])
    value, _ = _decoded_json(bare, 0)
    return value, len(text)  # where it ends in the text with its comments is not known


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
