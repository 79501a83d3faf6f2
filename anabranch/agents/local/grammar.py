"""From a regular expression or a JSON schema to the grammar that llguidance holds an output to."""

import json
from functools import lru_cache

from anabranch.agents.local.generation import Options
from anabranch.errors import ConfigurationError


def grammar_of(options: Options, ends: tuple[int, ...] = ()) -> str:
    """The grammar that an output is held to, as llguidance reads it; empty if there is none.

    It is checked here, since llama.cpp would leave one that it cannot use aside silently.

    Args:
        options: with a pattern, a JSON schema, or neither.
        ends: tokens that end a turn, as part of the grammar: llama.cpp tells llguidance of one alone, which of several
            that it knows by their texts need not be the one that the model writes.

    Raises:
        ConfigurationError: both are given, or it cannot be compiled.
    """
    schema = None if options.json_schema is None else json.dumps(options.json_schema)
    return _grammar(options.pattern, schema, ends)


@lru_cache(maxsize=64)
def _grammar(pattern: str | None, json_schema: str | None, ends: tuple[int, ...]) -> str:
    from llguidance import LLMatcher

    if pattern is not None and json_schema is not None:
        raise ConfigurationError("give either pattern or json_schema, not both")
    if pattern is not None:
        rule = json.loads(LLMatcher.grammar_from_regex(pattern))["grammars"][0]["lark_grammar"]
        rule = rule.removeprefix("start: ")
    elif json_schema is not None:
        # As json.dumps writes it; free white space would let a small model write nothing else.
        form = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
        schema = json.loads(json_schema)
        rule = f"%json {json.dumps({**schema, 'x-guidance': form})}"
    else:
        return ""
    ended = "".join(f" | reply <[{number}]>" for number in ends)
    grammar = f"%llguidance {{}}\nstart: reply{ended}\nreply: {rule}"
    if error := LLMatcher.validate_grammar(grammar):
        raise ConfigurationError(f"the grammar cannot be used: {error}")
    return grammar
