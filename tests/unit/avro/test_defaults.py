"""The meaning of JSON defaults."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest

from sdk.avro.codec.default_bytes import default_bytes
from sdk.avro.schema import parse_schema
from sdk.avro.schema.defaults import default_defects, java_accepts_default

ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
POINT = {
    "type": "record",
    "name": "P",
    "fields": [
        {"name": "x", "type": "double", "default": 1},
        {"name": "tag", "type": ["null", "bytes"], "default": "\xff"},
        {"name": "y", "type": "int"},
    ],
}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ("null", None, None),
        ("boolean", False, False),
        ("float", 1, 1.0),
        ("float", 0.1, 0.10000000149011612),
        ("double", 0.1, 0.1),
        ("float", 1e39, float("inf")),
        ("double", -(10**400), float("-inf")),
        ("bytes", "\x00\xff", b"\x00\xff"),
        ({"type": "fixed", "name": "F", "size": 2}, "ab", b"ab"),
        (ENUM, "B", "B"),
        (["null", ENUM, "string"], "B", "B"),
        (["null", ENUM, "string"], "C", "C"),
        (["int", "double"], 1.5, 1.5),
        ({"type": "array", "items": "double"}, [1, 2], [1.0, 2.0]),
        ({"type": "map", "values": "bytes"}, {"k": "\x01"}, {"k": b"\x01"}),
        (POINT, {"y": 7}, {"x": 1.0, "tag": b"\xff", "y": 7}),
    ],
)
def test_defaults_become_avro_data(schema: Any, value: Any, expected: Any) -> None:
    """Text becomes bytes, integers floats, unions choose, and records are filled."""
    wrapped = parse_schema({"type": "array", "items": schema})
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), expected)
    assert default_bytes(wrapped.items, value) == stream.getvalue()


def test_a_default_that_does_not_fit_is_a_defect() -> None:
    """The error names the place inside the default."""
    (problem,) = default_defects(parse_schema({"type": "array", "items": "int"}), [1, "x"])
    assert problem[0] == "/1"


def test_an_unknown_field_in_a_records_default_is_passed_over() -> None:
    """An unknown field in a default is ignored, as in Java; the check of a schema warns."""
    point = parse_schema(POINT)
    assert default_bytes(point, {"y": 1, "z": 2}) == default_bytes(point, {"y": 1})
    (problem,) = default_defects(point, {"y": 1, "z": 2})
    assert problem == ("/z", "record P has no field z", True)


def test_hostile_nesting_is_refused() -> None:
    """A default cannot exhaust the stack."""
    inner = {"name": "n", "type": {"type": "map", "values": "A"}}
    schema = parse_schema({"type": "record", "name": "A", "fields": [inner]})
    value: Any = {"n": {}}
    for _ in range(150):
        value = {"n": {"k": value}}
    (problem,) = default_defects(schema, value)
    assert problem[1] == "the default is nested too deeply"


@pytest.mark.parametrize(
    ("schema", "value", "accepted"),
    [
        (ENUM, "C", True),
        (ENUM, 1, False),
        ("bytes", "\u0100", True),
        ({"type": "fixed", "name": "F", "size": 2}, "", True),
        ("int", 2**31, False),
        ("double", 1, True),
        (["null", "int"], 1, True),
        (["null", "int"], "x", False),
        ({"type": "array", "items": "int"}, [1, "x"], False),
        ({"type": "map", "values": ENUM}, {"k": "C"}, True),
        (POINT, {"y": 1}, True),
        (POINT, {}, False),
    ],
)
def test_java_accepts_more(schema: Any, value: Any, accepted: bool) -> None:
    """Its parser looks at the kind of JSON value only, even when it validates defaults."""
    wrapped = parse_schema({"type": "array", "items": schema})
    assert java_accepts_default(wrapped.items, value) is accepted
