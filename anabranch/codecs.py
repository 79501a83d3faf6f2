r"""Two ways to write a plan as text: lines for a distilled decomposer, JSON for any general model.

Lines, one sub-question each, in plan order:

```
1 [search] Who founded Craigslist?
2 [search] When was {1} born?
3 [solve after 1] Was the founder an engineer?
```

`DIRECT` (answer without a plan) or `DONE` (dynamic mode: nothing is left to ask) stand alone. Dependencies that
have no slot in the text follow the route after the word `after`. In texts a backslash is written `\\` and a line
break `\n`, so a line is always one sub-question and can be used as soon as it is complete.

`LineGrammar.pattern` is a regular expression that only plans valid for a given catalogue match: all of them but those
with brackets, braces, backslashes or double spaces in a text, or with an `after`. Decoders that constrain generation
(llguidance here, vLLM's structured outputs elsewhere) take it as it is. `LineGrammar.matches` says of a text what the
pattern would, without 50 milliseconds for Python to compile it.

Its form matters to servers: xgrammar, which vLLM takes for regular expressions, looks up what may follow inside a word
(15 to 50 microseconds a token, a millisecond with a vocabulary of 150,000), but walks all tokens where single
characters are counted or where a space is optional (16 to 140 milliseconds). So words are counted, and their
characters are ranges: not every engine takes `\s` for Unicode's, and xgrammar 0.2.7 cannot compile a class of what is
*not* allowed once that goes beyond ASCII.
"""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from anabranch.errors import PlanSyntaxError
from anabranch.plan import ROUTE_PATTERN, SOLVE, Plan, SubQuestion, check_size, in_order, loose_slots, slots
from anabranch.replies import json_values

DIRECT = "DIRECT"
DONE = "DONE"

_LINE = re.compile(
    rf"([0-9]{{1,6}})[.):]? ?\[({ROUTE_PATTERN})(?: after ([0-9]{{1,6}}(?:[, ]+[0-9]{{1,6}})*))?\] ?(.*)", re.DOTALL
)
_WORD = (
    "[!-Z^-z|~\u00a1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e"
    "\u2060-\u2fff\u3001-\ud7ff\ue000-\U0010ffff]"
)
_PIECES = re.compile(rf"(?:{_WORD}|\{{[0-9]+\}})+(?: (?:{_WORD}|\{{[0-9]+\}})+)*")
_SLOT = re.compile(r"\{([0-9]+)\}")
_ESCAPE = re.compile(r"\\(\\|n|r)")
_ESCAPES = {"\\": "\\", "n": "\n", "r": "\r"}


def encode_line(question: SubQuestion) -> str:
    """One sub-question as one line, without a line break at its end."""
    extra = sorted(set(question.depends_on) - slots(question.text))
    after = f" after {','.join(map(str, extra))}" if extra else ""
    text = question.text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{question.id} [{question.route}{after}] {text}"


def encode_lines(plan: Plan, *, empty: str = DIRECT) -> str:
    """A plan as lines; an empty plan as the word `empty`."""
    return "\n".join(map(encode_line, plan.sub_questions)) or empty


def decode_line(line: str) -> SubQuestion:
    """Reads one line.

    Raises:
        PlanSyntaxError: the line does not have the form `ID [ROUTE] TEXT`.
    """
    match = _LINE.fullmatch(line.strip(" \t\r"))
    if match is None:
        raise PlanSyntaxError(f"not a sub-question: {_shorten(line)!r}; write ID [ROUTE] TEXT")
    number, route, after, text = match.groups()
    text = _ESCAPE.sub(lambda m: _ESCAPES[m[1]], text)
    depends_on = [int(d) for d in re.findall(r"\d+", after or "")]
    try:
        return SubQuestion(id=int(number), text=text, route=route, depends_on=tuple(depends_on))
    except ValidationError as error:
        raise PlanSyntaxError(f"sub-question {number}: {_first(error)}", sub_question=int(number)) from error


def decode_lines(text: str, *, base: Plan | None = None) -> Plan:
    """Reads a plan written as lines.

    Args:
        text: the lines, or `DIRECT`, or `DONE`. Empty lines are skipped.
        base: sub-questions that are already there; the new ones are added to them.

    Returns:
        The plan, `base` included.

    Raises:
        PlanSyntaxError: the text is not a plan.
        PlanReferenceError, CycleError: the sub-questions do not fit together.
        PlanSizeError: it is longer than any plan may be.
    """
    base = base or Plan()
    check_size(chars=len(text))
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise PlanSyntaxError(f"the plan is empty; write {DIRECT} to answer directly")
    if len(lines) == 1 and lines[0].strip() in (DIRECT, DONE):
        return base
    return base.extended(map(decode_line, lines))


def encode_json(plan: Plan) -> str:
    """A plan as JSON, in the form of `json_schema`."""
    return json.dumps({"sub_questions": [q.model_dump() for q in plan.sub_questions]}, ensure_ascii=False)


def decode_json(text: str, *, base: Plan | None = None) -> Plan:
    """Reads a plan written as JSON; a fenced code block or prose around it is allowed.

    Args:
        text: JSON in the form of `json_schema`.
        base: sub-questions that are already there; the new ones are added to them.

    Raises:
        PlanSyntaxError: not JSON, or not of the form of a plan.
        PlanReferenceError, CycleError: the sub-questions do not fit together.
        PlanSizeError: it is longer than any plan may be.
    """
    check_size(chars=len(text))
    values = json_values(text)
    plans = [value for value in map(_as_plan, values) if value is not None]
    if not plans:
        found = 'no object {"sub_questions": [...]} in it' if values else "no JSON in it"
        raise PlanSyntaxError(f"the plan is not JSON of a plan: {_shorten(text)!r} ({found})")
    # A draft comes before the plan, and a model may show the form first.
    return from_dict(next((plan for plan in reversed(plans) if plan["sub_questions"]), plans[-1]), base=base)


def _as_plan(value: Any) -> dict[str, Any] | None:
    """A JSON value that has the form of a plan, or is its bare list or wrapped up once more, as a plan."""
    if isinstance(value, list) and value and all(isinstance(item, dict) and _text_of(item) for item in value):
        return {"sub_questions": value}
    if not isinstance(value, dict):
        return None
    for key, inner in value.items():
        name = re.sub(r"[^a-z]", "", str(key).lower())
        if name == "subquestions" and isinstance(inner, list):
            return {"sub_questions": inner}
        if name in ("plan", "steps") and (plan := _as_plan(inner)) is not None:
            return plan
    return None


def _text_of(item: dict[str, Any]) -> Any:
    """The text of a sub-question, also where it is called a question."""
    return next((item[name] for name in ("text", "question", "sub_question") if item.get(name)), None)


def from_dict(data: Any, *, base: Plan | None = None) -> Plan:
    """Reads a plan out of parsed JSON; errors as in `decode_json`.

    Keys that a sub-question does not have are left out, null stands for what is left out, an id that is left out is the
    place in the list, and sub-questions that stand before what they depend on are put after it.
    """
    if not isinstance(data, dict) or not isinstance(data.get("sub_questions"), list):
        raise PlanSyntaxError('the plan must be an object {"sub_questions": [...]}')
    check_size(count=len(data["sub_questions"]))
    questions, loose = [], set()
    for place, item in enumerate(data["sub_questions"], (base or Plan()).next_id):
        try:
            questions.append(SubQuestion.model_validate(_known_fields(item, place)))
            if isinstance(item, dict) and item.get("depends_on") is None:
                loose.add(questions[-1])
        except ValidationError as error:
            number = _number(item, place)
            raise PlanSyntaxError(f"sub-question {number}: {_first(error)}", sub_question=number) from error
    ids = {question.id for question in questions}
    told = [_with_loose_slots(q, ids) if q in loose else q for q in questions]
    return (base or Plan()).extended(in_order(told))


def _with_loose_slots(question: SubQuestion, ids: Collection[int]) -> SubQuestion:
    """A sub-question that does not say what it depends on, with what `{ 1 }` in its text means, if it is there."""
    meant = {id_ for id_ in loose_slots(question.text) if id_ in ids and f"{{{{{id_}}}}}" not in question.text}
    if meant <= {*question.depends_on, question.id}:
        return question
    return SubQuestion(**{**question.model_dump(), "depends_on": {*question.depends_on, *meant} - {question.id}})


def _known_fields(item: Any, place: int) -> Any:
    if not isinstance(item, dict):
        return item
    known = {name: item[name] for name in SubQuestion.model_fields if item.get(name) is not None}
    if text := _text_of(item):
        known["text"] = text
    known["id"] = _one_id(known["id"]) if "id" in known else place
    if "depends_on" in known:
        given = known["depends_on"]
        known["depends_on"] = [_one_id(each) for each in (given if isinstance(given, list) else [given])]
    return known


def _one_id(value: Any) -> Any:
    """An id, also where it is written `Q1`, `#1` or `{1}`."""
    found = re.fullmatch(r"\W*+[A-Za-z]{0,3}\W*+(\d{1,6})\W*+", value) if isinstance(value, str) else None
    return found[1] if found else value


def json_schema(routes: Sequence[str], max_sub_questions: int) -> dict[str, Any]:
    """JSON schema of a plan over a tool catalogue, within what OpenAI's strict mode and vLLM accept.

    Args:
        routes: names of the tools.
        max_sub_questions: most sub-questions allowed.

    Source: https://platform.openai.com/docs/guides/structured-outputs (all fields required, none additional).
    """
    fields: dict[str, Any] = {
        "id": {"type": "integer", "minimum": 1, "description": "ascending and unique"},
        "text": {"type": "string", "description": "the sub-question; {1} stands for the answer of sub-question 1"},
        "route": {"type": "string", "enum": [SOLVE, *routes]},
        "depends_on": {
            "type": "array",
            "items": {"type": "integer"},
            "description": "ids of the earlier sub-questions whose answers this one needs",
        },
    }
    item = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return {
        "title": "Plan",
        "description": "The sub-questions to answer; none if the question is best answered directly.",
        "type": "object",
        "properties": {"sub_questions": {"type": "array", "items": item, "maxItems": max_sub_questions}},
        "required": ["sub_questions"],
        "additionalProperties": False,
    }


@dataclass(frozen=True)
class LineGrammar:
    """All plans, as lines, that a decomposer may write.

    Attributes:
        routes: names of the tools.
        max_sub_questions: most lines.
        known: ids of earlier sub-questions that have answers, to which slots may refer.
        first_id: id of the first line; the others count up from it.
        chained: whether a line may refer to the lines before it (False for one layer of a dynamic plan).
        empty: the word that stands for no sub-questions, or None where there must be at least one.
        max_words: most words in a text.
    """

    routes: Sequence[str]
    max_sub_questions: int
    known: Sequence[int] = ()
    first_id: int = 1
    chained: bool = True
    empty: str | None = DIRECT
    max_words: int = 48

    @property
    def pattern(self) -> str:
        """Regular expression for full matches, without anchors, in the dialect that Python and Rust's `regex` share."""
        names = "|".join(re.escape(route) for route in [SOLVE, *self.routes])
        pattern = ""
        for number in reversed(range(self.first_id, self.first_id + self.max_sub_questions)):
            word = self._word(map(str, [*self.known, *(range(self.first_id, number) if self.chained else ())]))
            text = rf"{word}( {word}){{0,{self.max_words - 1}}}"
            following = rf"(\n{pattern})?" if pattern else ""
            pattern = rf"{number} \[({names})\] {text}{following}"
        return f"({self.empty}|{pattern})" if self.empty else f"({pattern})"

    @property
    def one_too_many(self) -> str:
        """What a plan that goes on after its last allowed line goes on with, so where a model may be stopped."""
        return f"\n{self.first_id + self.max_sub_questions} ["

    def matches(self, text: str, *, cut: bool = False) -> bool:
        """Whether a text is a full match of the pattern; if it was `cut`, the beginning of one."""
        if self.empty and (self.empty.startswith(text) if cut else text == self.empty):
            return True
        lines = text.split("\n")
        fitting = len(self.fitting(text))
        if not cut or fitting == len(lines):
            return fitting == len(lines)
        following = self.following(fitting)
        return fitting == len(lines) - 1 and following is not None and following._begins(lines[-1])

    def fitting(self, text: str) -> list[str]:
        """The lines of a text before the first that fits no plan; at most as many as a plan may have."""
        found: list[str] = []
        for line in text.split("\n")[: self.max_sub_questions]:
            number = self.first_id + len(found)
            head = self._head(number, line)
            allowed = self._answered(len(found))
            if head is None or not _are_words(line.removeprefix(head), allowed, self.max_words):
                break
            found.append(line)
        return found

    def following(self, count: int) -> "LineGrammar | None":
        """What may follow the first `count` lines and a line break; None where they are as many as allowed."""
        if count >= self.max_sub_questions:
            return None
        return replace(
            self,
            max_sub_questions=self.max_sub_questions - count,
            known=[*self.known, *(range(self.first_id, self.first_id + count) if self.chained else ())],
            first_id=self.first_id + count,
            empty=None if count else self.empty,
        )

    def amend(self, line: str) -> tuple[str, str | None]:
        """How to go on from a first line that fits no plan.

        Returns:
            As much of it as can stay, and a regular expression of what comes next: its number and route, the id in a
            slot, or else the rest of the line. None if the line ends there, since too many words follow.
        """
        names = (SOLVE, *self.routes)
        routes = rf"({'|'.join(map(re.escape, names))})\]"
        opened = f"{self.first_id} ["
        head = next((f"{opened}{name}]" for name in names if line.startswith(f"{opened}{name}]")), None)
        if head is None and line.startswith(opened):
            return opened, routes
        if head is None:
            begin = rf"{self.first_id} \[{routes}"
            return "", f"({self.empty}|{begin})" if self.empty else begin
        allowed, kept = self._answered(0), head
        space, *words = line.removeprefix(head).split(" ")
        for count, word in enumerate(() if space else words):
            if count == self.max_words:
                return kept, None
            if not _are_words(word, allowed, self.max_words):
                begun = re.match(self._word(allowed), word)
                good = begun[0] if begun else ""
                if allowed and word.startswith("{", len(good)):
                    return f"{kept} {good}{{", rf"({_either(allowed)})\}}"
                break
            kept += f" {word}"
        words_left = self.max_words - kept.removeprefix(head).count(" ")
        # A model that has learned to go on ends a line with a break, and without one it would not end it here.
        return kept, rf"( {self._word(allowed)}){{1,{words_left}}}\n?"

    @staticmethod
    def _word(allowed: Iterable[str]) -> str:
        """Regular expression of a word, which may have slots of these ids."""
        ids = _either(allowed)
        return rf"({_WORD}|\{{({ids})\}})+" if ids else f"{_WORD}+"

    def _begins(self, line: str) -> bool:
        """Whether a line that was cut off may be the beginning of the first."""
        head = self._head(self.first_id, line)
        if head is None:
            return any(f"{self.first_id} [{name}] ".startswith(line) for name in (SOLVE, *self.routes))
        return _begins_words(line.removeprefix(head), self._answered(0), self.max_words)

    def _head(self, number: int, line: str) -> str | None:
        names = (SOLVE, *self.routes)
        return next((head for name in names if line.startswith(head := f"{number} [{name}] ")), None)

    def _answered(self, count: int) -> set[str]:
        """Ids to which slots may refer after `count` lines."""
        new = range(self.first_id, self.first_id + count) if self.chained else ()
        return {str(id_) for id_ in (*self.known, *new)}


def _either(ids: Iterable[str]) -> str:
    """Regular expression of one of these ids."""
    return "|".join(sorted(ids, key=int))


def _are_words(words: str, allowed: set[str], most: int) -> bool:
    return words.count(" ") < most and bool(_PIECES.fullmatch(words)) and allowed.issuperset(_SLOT.findall(words))


def _begins_words(words: str, allowed: set[str], most: int) -> bool:
    whole, opened, id_ = words.rpartition("{")
    if opened and "}" not in id_:
        if not any(name.startswith(id_) for name in allowed):
            return False
        words = whole
    if words.count(" ") >= most:
        return False
    return not words or _are_words(words.removesuffix(" "), allowed, most)


def _number(item: Any, place: int) -> int:
    """A sub-question's id where it has one, its place in the list otherwise."""
    number = item.get("id") if isinstance(item, dict) else None
    return number if type(number) is int and 1 <= number <= 999_999 else place


def _shorten(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _first(error: ValidationError) -> str:
    details = error.errors(include_url=False)[0]
    place = ".".join(map(str, details["loc"]))
    return f"{place}: {details['msg']}" if place else details["msg"]
