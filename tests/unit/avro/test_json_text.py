"""Schema text: comments, duplicate keys, and places told by line and column."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.avro.schema.json_text import locate, pointer, read_json, without_comments
from sdk.errors import InvalidSchemaError

TEXT = """\
// an order
{
  "type": "record", /* kind */
  "name": "R",
  "fields": [
    {"name": "a/b", "type": "int"},
    {"name": "x",
     "type": ["null", {"type": "long"}]}
  ],
  "a/b~c": {"deep": [1, "}", 2]}
}
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", (2, 1)),
        ("/type", (3, 11)),
        ("/fields", (5, 13)),
        ("/fields/0", (6, 5)),
        ("/fields/1/type/1/type", (8, 32)),
        ("/a~1b~0c/deep/2", (10, 30)),
        ("/fields/7", (5, 13)),
        ("/nothing/of/this", (2, 1)),
    ],
)
def test_a_pointer_is_found_in_the_text(path: str, place: tuple[int, int]) -> None:
    """Line and column are those of the value, or of the nearest parent that exists."""
    assert locate(TEXT, path) == place


def test_of_a_key_given_twice_the_last_is_meant() -> None:
    """The pointer of a repeated key leads to its last value, which counts."""
    assert locate('{"a": 1,\n "a": 2}', "/a") == (2, 7)


def test_comments_keep_the_places_of_everything_else() -> None:
    """Comments are blanked out, except for line breaks."""
    text = '/* one\ntwo */ "a//b" // end'
    assert without_comments(text) == '      \n       "a//b"       '
    assert read_json(text).value == "a//b"


def test_a_byte_order_mark_is_passed_over() -> None:
    """Some editors leave one."""
    assert read_json('\ufeff"int"').value == "int"


def test_keys_given_twice_are_reported_with_their_object() -> None:
    """The last value counts, as with every JSON reader."""
    document = read_json('{"a": {"b": 1, "b": 2}, "c": 3}')
    assert document.value == {"a": {"b": 2}, "c": 3}
    assert [(holder, key) for holder, key in document.duplicates] == [({"b": 2}, "b")]


@pytest.mark.parametrize("text", ["[1", '{"a" 1}', "[NaN]", "[" * 100_000, "1" * 5000])
def test_what_is_not_json_is_our_error(text: str) -> None:
    """Syntax, constants that JSON lacks, hostile depth and hostile digits."""
    with pytest.raises(InvalidSchemaError):
        read_json(text)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(_VALUES)
def test_every_value_is_found_where_it_starts(value: Any) -> None:
    """At the reported place, the text is the value at the pointer."""
    text = json.dumps(value, indent=1)
    for path, expected in _walk(value, ""):
        line, column = locate(text, path)
        offset = sum(len(each) + 1 for each in text.split("\n")[: line - 1]) + column - 1
        assert json.JSONDecoder().raw_decode(text, offset)[0] == expected


def _walk(value: Any, path: str) -> Any:
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(inner, path + pointer(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, path + pointer(index))
