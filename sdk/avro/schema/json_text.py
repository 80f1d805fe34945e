"""Schema JSON as text: comments, duplicate keys, and positions of JSON pointers."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, Final, NoReturn

from attrs import frozen

from sdk.errors import InvalidSchemaError

_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_NOT_NEWLINE = re.compile(r"[^\n]")
_TOKEN = re.compile(r'[\s,:]*([{}\[\]"]|[^\s,:{}\[\]"]+)')
_DEEP = "nested too deeply"


@frozen
class JsonDocument:
    """A JSON text as Python values.

    Attributes:
        value: What `json.loads` would give.
        duplicates: Objects that name a key twice, each with that key; the last value counts.
    """

    value: Any
    duplicates: tuple[tuple[dict[str, Any], str], ...] = ()


def read_json(text: str, *, find_duplicates: bool = True) -> JsonDocument:
    """Parse JSON with ``/* */`` and ``//`` comments, as Java's parser allows.

    Raises:
        InvalidSchemaError: The text is not JSON; the message has line and column.
    """
    duplicates: list[tuple[dict[str, Any], str]] = []

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            duplicates.extend((built, key) for key, count in counts.items() if count > 1)
        return built

    try:
        decoder = _decoder(build) if find_duplicates else _PLAIN_DECODER
        value = decoder.decode(without_comments(text))
    except json.JSONDecodeError as error:
        raise InvalidSchemaError(
            f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}",
            remedy="correct the JSON syntax there",
            path="",
        ) from error
    except RecursionError as error:
        raise InvalidSchemaError(
            f"the JSON is {_DEEP}", remedy="name inner types and refer to them", path=""
        ) from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise InvalidSchemaError(
            f"not JSON: {error}", remedy="correct the JSON there", path=""
        ) from error
    return JsonDocument(value, tuple(duplicates))


def without_comments(text: str) -> str:
    """Blank out comments, keeping every other character at its line and column."""
    text = text.removeprefix("\ufeff")
    if "//" not in text and "/*" not in text:
        return text
    return _STRING_OR_COMMENT.sub(
        lambda found: found[0] if found[0][0] == '"' else _NOT_NEWLINE.sub(" ", found[0]), text
    )


def is_deeper(value: Any, limit: int) -> bool:
    """Return whether arrays and objects nest more than ``limit`` levels, without recursion."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def pointer(*steps: str | int) -> str:
    """Return the JSON pointer (RFC 6901) of a path of keys and indexes."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def locate(text: str, path: str) -> tuple[int, int]:
    """Return line and column, counted from 1, of the value at a JSON pointer.

    Args:
        text: A JSON document that `read_json` accepts.
        path: A JSON pointer; where the text has no such value, its nearest parent counts.
    """
    text = without_comments(text)
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    position = _value_start(text, 0)
    for step in steps:
        found = _child_start(text, position, step)
        if found is None:
            break
        position = found
    line = text.count("\n", 0, position) + 1
    return line, position - (text.rfind("\n", 0, position) + 1) + 1


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _decoder(build: Callable[[list[tuple[str, Any]]], Any] | None = None) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=build, parse_constant=_refuse_constant)


_PLAIN_DECODER: Final = _decoder()


def _value_start(text: str, position: int) -> int:
    found = _TOKEN.match(text, position)
    return found.start(1) if found else len(text)


def _value_end(text: str, start: int) -> int:
    """Return the offset behind the value that starts at an offset."""
    depth, position = 0, start
    while found := _TOKEN.match(text, position):
        mark, position = found[1], found.end()
        if mark == '"':
            _, position = scanstring(text, position)
        elif mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
        if depth <= 0:
            return position
    return len(text)


def _child_start(text: str, start: int, step: str) -> int | None:
    """Return where the value of a key or index starts inside the value at an offset."""
    is_object = text[start : start + 1] == "{"
    if not is_object and text[start : start + 1] != "[":
        return None
    result, index, position = None, 0, start + 1
    while (position := _value_start(text, position)) < len(text) and text[position] not in "}]":
        if is_object:
            key, position = scanstring(text, position + 1)
            position = _value_start(text, position)
            if key == step:  # of duplicate keys the last one counts
                result = position
        elif str(index) == step:
            return position
        index += 1
        position = _value_end(text, position)
    return result
