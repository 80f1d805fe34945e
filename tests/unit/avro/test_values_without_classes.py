"""Values without classes: what tools read, and what rule sets hand over."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pytest

from sdk import avro
from sdk.avro.schema import parse_schema
from sdk.errors import DeserializationError, SerializationError
from tests.unit.avro.events import record

EVERYTHING = record(
    ("a", {"type": "int", "logicalType": "date"}),
    ("b", {"type": "long", "logicalType": "timestamp-micros"}),
    ("c", {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}),
    ("d", {"type": "string", "logicalType": "uuid"}),
    ("e", {"type": "enum", "name": "E", "symbols": ["X", "Y"]}),
    ("g", {"type": "fixed", "name": "F", "size": 2}),
    ("h", {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}),
    ("i", {"type": "bytes", "logicalType": "big-decimal"}),
    ("j", {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}),
    ("k", [record(("x", "int"), name="A"), record(("x", "int"), name="B"), "null"]),
    ("l", {"type": "array", "items": ["null", "string", {"type": "array", "items": "int"}]}),
    ("m", {"type": "map", "values": "double"}),
)
VALUE: dict[str, Any] = {
    "a": dt.date(2026, 1, 1),
    "b": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "c": Decimal("-1.28"),
    "d": UUID(int=7),
    "e": "Y",
    "g": b"ab",
    "h": avro.Duration(1, 2, 3),
    "i": Decimal("3.14"),
    "j": UUID(int=8),
    "k": {"x": 1},
    "l": [None, "s", [1, 2]],
    "m": {"k": 0.5},
}


def test_value_survives_round_trip() -> None:
    """Dicts, lists, symbols and Python values go out and come back."""
    schema = parse_schema(EVERYTHING)
    assert avro.decode_value(avro.encode_value(schema, VALUE), schema) == VALUE


def test_values_that_fastavro_reads_can_be_written_again() -> None:
    """What Confluent's deserializer returns is encoded to the same body, branch by branch."""
    schema = parse_schema(EVERYTHING)
    body = avro.encode_value(schema, {**VALUE, "k": ("B", {"x": 1})})
    value = fastavro.schemaless_reader(
        io.BytesIO(body), fastavro.parse_schema(json.loads(json.dumps(EVERYTHING))), None, True
    )
    assert value["k"] == ("B", {"x": 1})
    assert type(value["h"]) is bytes
    assert avro.encode_value(schema, value) == body
    assert avro.encode_value(schema, {**value, "k": {"-type": "B", "x": 1}}) == body


def test_misfit_is_told_with_its_path() -> None:
    """Missing and unknown keys, symbols and classes are refused."""
    schema = parse_schema(EVERYTHING)
    for key, value, path in (
        ("e", "Z", "e"),
        ("k", ("C", {"x": 1}), "k"),
        ("k", {"x": 1, "y": 2}, "k"),
        ("l", [None, 1.5], "l[1]"),
        ("m", {"k": "1"}, "m['k']"),
    ):
        with pytest.raises(SerializationError) as caught:
            avro.encode_value(schema, {**VALUE, key: value})
        assert caught.value.path == path
    with pytest.raises(SerializationError, match="'m'"):
        avro.encode_value(schema, {key: value for key, value in VALUE.items() if key != "m"})


def test_reader_schema_resolves() -> None:
    """A value can be read by another schema than the writer's, defaults included."""
    writer = parse_schema(record(("x", "int")))
    reader = parse_schema(
        record(("x", "double"), ("y", {"type": "map", "values": "int"}, {"k": 1}))
    )
    assert avro.decode_value(b"\x0e", writer, reader) == {"x": 7.0, "y": {"k": 1}}


def test_roots_of_any_type_are_values() -> None:
    """A schema need not be a record."""
    for kind, body, value in (
        ("long", b"\x0e", 7),
        (["null", "string"], b"\x02\x02a", "a"),
        ({"type": "array", "items": "int"}, b"\x02\x02\x00", [1]),
    ):
        schema = parse_schema(json.dumps(kind))
        assert avro.decode_value(body, schema) == value
        assert avro.encode_value(schema, value) == body
    with pytest.raises(DeserializationError):
        avro.decode_value(b"", parse_schema('"long"'))
