"""Reading what another version wrote: resolution, carried out by the codec."""

from __future__ import annotations

import datetime as dt
import enum
import json
import os
import struct
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdk import avro
from sdk.avro.codec.wire import to_float32
from sdk.avro.resolution.resolver import resolve
from sdk.avro.schema import RecordSchema, parse_schema
from sdk.errors import DeserializationError, IncompatibleSchemaError
from tests.unit.avro import wire
from tests.unit.avro.events import event_class, record
from tests.unit.avro.schemas import pairs

pytestmark = pytest.mark.usefixtures("executor")

Json = Any
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


def reads(writer: Json, reader: Json, body: str, default: Any = None) -> Any:
    """The value of field ``f`` of type ``reader`` in a body of type ``writer``."""
    fields = [("f", reader)] if default is None else [("f", reader, default)]
    cls = event_class(record(*fields))
    return avro.decode(cls, bytes.fromhex(body), json.dumps(record(("f", writer)))).f


def plain(value: Any) -> Any:
    """An event as dicts, lists and symbols."""
    if attrs.has(type(value)):
        return {each.name: plain(getattr(value, each.name)) for each in attrs.fields(type(value))}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value.value if isinstance(value, enum.Enum) else value


def unnamed(value: Any) -> Any:
    """A value of the tests' own reader without the names of union branches."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list):
        return [unnamed(item) for item in value]
    if isinstance(value, dict):
        return {key: unnamed(item) for key, item in value.items()}
    return value


@settings(
    max_examples=int(os.environ.get("CODEC_EXAMPLES", "120")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(pairs(), st.data())
def test_every_pair_of_versions_is_read(pair: tuple[Json, Json], data: st.DataObject) -> None:
    """From another version, the codec gets what the tests' own reader gets."""
    writer, reader = (record(("f", each), name="Top") for each in pair)
    written, asked = parse_schema(writer), parse_schema(reader)
    try:
        resolution = resolve(written, asked)
    except IncompatibleSchemaError:
        assume(False)
    assert isinstance(asked, RecordSchema)
    body, cls = data.draw(wire.bodies(written)), event_class(reader)
    decode = avro.decoder_for(cls, written)
    try:
        expected = wire.read(resolution, body)
    except (wire.UnreadableValueError, UnicodeDecodeError):
        with pytest.raises(DeserializationError):
            decode(body)
        return
    assert unnamed(plain(decode(body))) == unnamed(_without_branches(asked, expected))


def _without_branches(schema: Any, value: Any) -> Any:
    match schema.type:
        case "record":
            return {
                each.name: _without_branches(each.schema, value[each.name])
                for each in schema.fields
            }
        case "union" if value is not None:
            ((name, inner),) = value.items()
            names = [getattr(branch, "name", branch.type) for branch in schema.branches]
            return _without_branches(schema.branches[names.index(name)], inner)
        case "array":
            return [_without_branches(schema.items, item) for item in value]
        case "map":
            return {key: _without_branches(schema.values, item) for key, item in value.items()}
    return value


@pytest.mark.parametrize(
    ("writer", "reader", "body", "expected"),
    [
        ("int", "long", "0e", 7),
        ("int", "float", "828080 10".replace(" ", ""), 16777216.0),
        ("int", "double", "82808010", 16777217.0),
        ("long", "float", "0e", 7.0),
        ("long", "double", "0e", 7.0),
        ("float", "double", struct.pack("<f", 0.1).hex(), to_float32(0.1)),
        ("string", "bytes", "0261", b"a"),
        ("bytes", "string", "0261", "a"),
        ("int", ["null", "long"], "0e", 7),
        (["null", "int"], ["null", "double"], "020e", 7.0),
        (
            "long",
            MILLIS,
            "d00f",
            "1970-01-01T00:00:01",
        ),
        (MILLIS, "long", "0a", 5),
        ("int", MILLIS, "d00f", "1970-01-01T00:00:01"),
        (
            MILLIS,
            MICROS,
            "d00f",
            "1970-01-01T00:00:00.001000",
        ),
        ({"type": "int", "logicalType": "date"}, "int", "0e", 7),
    ],
)
def test_promotions_and_logical_types(writer: Json, reader: Json, body: str, expected: Any) -> None:
    """Values widen as the specification says and convert by the reader's logical type."""
    value = reads(writer, reader, body)
    if isinstance(value, dt.datetime):
        value = value.replace(tzinfo=None).isoformat()
    assert value == expected
    assert type(value) is type(expected)


def test_long_rounds_once_to_float() -> None:
    """A long that lies just above the middle of two floats rounds up, as Java's cast does."""
    middle = (1 << 60) + (1 << 36)
    assert to_float32(middle) == float(1 << 60)
    assert to_float32(middle + 1) == float((1 << 60) + (1 << 37))
    assert to_float32(-(middle + 1)) == -float((1 << 60) + (1 << 37))


def test_defaults_are_converted() -> None:
    """Defaults of every type come as the class would hold them, nested ones filled."""
    inner = record(("x", "int", 3), ("y", ["null", "string"], None), name="Inner")
    cases: list[tuple[Json, Json, Any]] = [
        ("bytes", "\u00ff\u0001", b"\xff\x01"),
        ({"type": "fixed", "name": "F", "size": 2}, "ab", b"ab"),
        ("double", 1, 1.0),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        ({"type": "int", "logicalType": "date"}, 1, dt.date(1970, 1, 2)),
        (
            MILLIS,
            0,
            dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            "\u0001",
            Decimal("0.01"),
        ),
        (
            {"type": "string", "logicalType": "uuid"},
            "00000000-0000-0000-0000-000000000001",
            UUID(int=1),
        ),
        ({"type": "array", "items": "int"}, [1, 2], [1, 2]),
        ({"type": "map", "values": "long"}, {"k": 1}, {"k": 1}),
        (inner, {"x": 4}, {"x": 4, "y": None}),
        (["string", "null"], "s", "s"),
        (["null", "string"], "second", "second"),
    ]
    for kind, default, expected in cases:
        cls = event_class(record(("a", "int"), ("f", kind, default)))
        event = avro.decode(cls, b"\x02", record(("a", "int")))
        assert plain(event.f) == expected
        assert avro.decode(cls, avro.encode(event)) == event


def test_mutable_defaults_are_fresh() -> None:
    """A map that a default gives belongs to one event alone."""
    kinds: list[Json] = [
        {"type": "map", "values": "int"},
        ["null", {"type": "map", "values": "int"}],
    ]
    for kind, default in zip(kinds, ({"k": 1}, {"k": 1}), strict=True):
        cls = event_class(record(("f", kind, default), ("g", {"type": "map", "values": "int"}, {})))
        one, two = (avro.decode(cls, b"", record()) for _ in range(2))
        assert one == two
        assert one.f is not two.f
        assert one.g is not two.g


def test_unwanted_fields_are_skipped() -> None:
    """Fields of every type that the reader does not have are moved past, not built."""
    tree = record(("v", "int"), ("next", ["null", "Tree"]), name="Tree")
    kinds: list[tuple[Json, str]] = [
        ("null", ""),
        ("boolean", "01"),
        ("int", "8001"),
        ("long", "ffffffffffffffffff01"),
        ("float", "00000000"),
        ("double", "0000000000000000"),
        ("bytes", "04ffff"),
        ("string", "04ffff"),
        ({"type": "fixed", "name": "F", "size": 2}, "0000"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "00"),
        ({"type": "array", "items": "int"}, "04 02 04 00"),
        ({"type": "array", "items": "int"}, "03 04 02 04 00"),
        ({"type": "array", "items": "null"}, "0600"),
        ({"type": "map", "values": "string"}, "02 0261 0262 00"),
        ({"type": "map", "values": {"type": "array", "items": "long"}}, "02 0261 02020000"),
        (["null", "string"], "020261"),
        (tree, "02 02 02 02 02 00"),
        ({"type": "int", "logicalType": "date"}, "feffffff0f"),
    ]
    for kind, body in kinds:
        writer = record(("gone", kind), ("f", "int"))
        cls = event_class(record(("f", "int")))
        assert avro.decode(cls, bytes.fromhex(body) + b"\x0e", writer).f == 7
        with pytest.raises(DeserializationError):
            avro.decode(cls, bytes.fromhex(body), writer)


def test_enum_default_stands_for_unknown_symbols() -> None:
    """A symbol that the reader does not know becomes its default; without one it is refused."""
    new = {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}
    old = {"type": "enum", "name": "E", "symbols": ["B", "A"]}
    assert reads(new, {**old, "default": "B"}, "04").value == "B"
    assert reads(new, old, "00").value == "A"
    with pytest.raises(DeserializationError, match="no symbol 'C' and no default"):
        reads(new, old, "04")


def test_large_enums_are_read() -> None:
    """Symbols beyond the 64th take two bytes."""
    symbols = [f"S{n}" for n in range(100)]
    kind = {"type": "enum", "name": "E", "symbols": symbols}
    cls = event_class(record(("f", kind)))
    for member in cls.__event__.types["E"]:  # type: ignore[attr-defined]
        event = cls(f=member)
        assert avro.decode(cls, avro.encode(event)) == event
    with pytest.raises(DeserializationError, match="index 100 is not one of the 100"):
        avro.decode(cls, b"\xc8\x01")


def test_large_unions_are_read() -> None:
    """Branches beyond the 64th take two bytes."""
    kinds = [record(("x", "int"), name=f"R{n}") for n in range(80)]
    cls = event_class(record(("f", kinds), name="Top"))
    for n in (0, 63, 64, 79):
        event = cls(f=cls.__event__.types[f"R{n}"](x=n))  # type: ignore[attr-defined]
        assert avro.decode(cls, avro.encode(event)) == event
    with pytest.raises(DeserializationError, match="not one of the 80 branches"):
        avro.decode(cls, b"\xa0\x01")


def test_branch_that_cannot_be_read_fails_when_it_arrives() -> None:
    """Other branches of the union are read; the failing one is an error with its path."""
    assert reads(["null", "int"], "int", "0202") == 1
    with pytest.raises(DeserializationError, match="null cannot be read as int") as caught:
        reads(["null", "int"], "int", "00")
    assert caught.value.path == "f"


def test_pair_that_never_resolves_is_one_error_with_path() -> None:
    """Schemas that can never be read are an error before any byte, with the place in the schema."""
    cls = event_class(record(("f", "int")))
    with pytest.raises(IncompatibleSchemaError) as caught:
        avro.decoder_for(cls, record(("f", "string")))
    assert caught.value.path == "/fields/0/type"
    assert caught.value.event == "R"


def test_decimals_of_other_scale_are_refused() -> None:
    """1.23 must not become 0.123."""
    two = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
    three = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 3}
    with pytest.raises(IncompatibleSchemaError, match="decimals differ"):
        reads(two, three, "027b")


def test_schemas_of_one_fingerprint_have_their_own_decoders() -> None:
    """Two readers that differ only in a default stay apart."""
    writer = record(("a", "int"))
    for default in (1, 2):
        cls = event_class(record(("a", "int"), ("b", "int", default)))
        assert avro.decode(cls, b"\x02", writer).b == default


def test_references_of_the_writer_are_resolved() -> None:
    """A writer's schema may name types that other schemas define."""
    address = record(("street", "string"), name="Address")
    cls = event_class(record(("to", address)))
    decode = avro.decoder_for(
        cls, json.dumps(record(("to", "Address"))), references=[json.dumps(address)]
    )
    assert decode(b"\x02a").to.street == "a"
