"""Values that do not fit their schema are refused before sending, with the field's path."""

from __future__ import annotations

import datetime as dt
import enum
from collections import UserList
from decimal import Decimal, localcontext
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from sdk import avro
from sdk.avro import Duration
from sdk.avro.codec import wire
from sdk.errors import SerializationError
from tests.unit.avro.events import event_class, record

pytestmark = pytest.mark.usefixtures("executor")

MILLIS = {"type": "int", "logicalType": "time-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
NANOS = {"type": "long", "logicalType": "timestamp-nanos"}
DATE = {"type": "int", "logicalType": "date"}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
FIXED = {"type": "fixed", "name": "D", "size": 2, "logicalType": "decimal", "precision": 4}
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
ZONE = dt.timezone(dt.timedelta(hours=5))


class Color(enum.Enum):
    """Another enum than the schema's."""

    A = "A"


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ("null", 0, "expected None, got int"),
        ("boolean", 1, "expected bool, got int"),
        ("int", True, "expected int, got bool"),
        ("int", 1.0, "expected int, got float"),
        ("int", "1", "expected int, got str"),
        ("int", None, "expected int, got NoneType"),
        ("int", 2**31, "does not fit an int"),
        ("int", -(2**31) - 1, "does not fit an int"),
        ("long", 2**63, "does not fit a long"),
        ("long", Decimal(1), "expected int, got Decimal"),
        ("float", "1", "expected float, got str"),
        ("float", True, "expected float, got bool"),
        ("float", 1e39, "does not fit a float"),
        ("double", Decimal("1.1"), "expected float, got Decimal"),
        ("double", 2**53 + 1, "has no exact float"),
        ("double", 10**400, "has no exact float"),
        ("bytes", "a", "expected bytes, got str"),
        ("string", b"a", "expected str, got bytes"),
        ("string", "\ud800", "surrogates not allowed"),
        ({"type": "fixed", "name": "F", "size": 2}, b"abc", "3 bytes given, 2 are needed"),
        (ENUM, "A", "expected E, got str"),
        (ENUM, Color.A, "expected E, got Color"),
        ({"type": "array", "items": "int"}, "abc", "expected tuple, got str"),
        ({"type": "array", "items": "int"}, {1}, "expected tuple, got set"),
        ({"type": "map", "values": "int"}, [("a", 1)], "expected dict, got"),
        ({"type": "map", "values": "int"}, {1: 1}, "expected str, got int"),
        (["null", "string"], 1, "no branch of the union takes int"),
        (["null", "int"], True, "no branch of the union takes bool"),
        (["null", "int"], 2**31, "does not fit an int"),
        (record(("x", "int"), name="Inner"), {"x": 1}, "expected Inner, got dict"),
        (DATE, dt.datetime(2026, 1, 1), "expected date, got datetime"),
        (DATE, "2026-01-01", "expected date, got str"),
        (MILLIS, dt.time(1, tzinfo=dt.UTC), "has a zone"),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            dt.datetime(2026, 1, 1),
            "no time zone",
        ),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            dt.date(2026, 1, 1),
            "expected datetime",
        ),
        (DECIMAL, 1, "expected Decimal, got int"),
        (DECIMAL, 1.5, "expected Decimal, got float"),
        (DECIMAL, Decimal("0.001"), r"does not fit decimal\(4, 2\)"),
        (DECIMAL, Decimal("100"), r"does not fit decimal\(4, 2\)"),
        (DECIMAL, Decimal("1E+999999"), r"does not fit decimal\(4, 2\)"),
        (DECIMAL, Decimal("NaN"), r"does not fit decimal\(4, 2\)"),
        (DECIMAL, Decimal("sNaN"), r"does not fit decimal\(4, 2\)"),
        (DECIMAL, Decimal("-Infinity"), r"does not fit decimal\(4, 2\)"),
        (FIXED, Decimal("0.1"), r"does not fit decimal\(4, 0\)"),
        ({"type": "bytes", "logicalType": "big-decimal"}, Decimal("NaN"), "is not a number"),
        ({"type": "string", "logicalType": "uuid"}, "not", "expected UUID, got str"),
        (
            {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"},
            b"\0" * 12,
            "expected Duration, got bytes",
        ),
        (
            {"type": "long", "logicalType": "timestamp-nanos"},
            dt.datetime(2026, 1, 1),
            "expected int",
        ),
    ],
)
def test_misfit_is_refused_with_its_path(schema: Any, value: Any, reason: str) -> None:
    """A value that the schema does not allow is a SerializationError that names event and field."""
    cls = event_class(record(("f", {"type": "array", "items": schema})))
    with pytest.raises(SerializationError, match=reason) as caught:
        avro.encode(cls(f=(value,)))
    assert caught.value.event == "R"
    assert str(caught.value.path).startswith("f[0]")
    alone = event_class(record(("f", schema)))
    with pytest.raises(SerializationError, match=reason):
        avro.encode(alone(f=value))


@pytest.mark.parametrize(
    ("schema", "value", "same"),
    [
        ("int", enum.IntEnum("N", {"ONE": 1}).ONE, 1),
        ("double", 1, 1.0),
        ("float", 3, 3.0),
        ("bytes", bytearray(b"a"), b"a"),
        ("bytes", memoryview(b"a"), b"a"),
        ("string", enum.StrEnum("S", {"X": "x"}).X, "x"),
        ({"type": "array", "items": "int"}, [1, 2], (1, 2)),
        ({"type": "array", "items": "string"}, UserList(["a"]), ("a",)),
        ({"type": "array", "items": "double"}, (1, 2.5), (1.0, 2.5)),
        ({"type": "map", "values": "int"}, MappingProxyType({"a": 1}), {"a": 1}),
        (["null", "double"], 5, 5.0),
        (["null", {"type": "map", "values": "int"}], MappingProxyType({"a": 1}), {"a": 1}),
        (["null", {"type": "array", "items": "int"}], [1], (1,)),
        (["int", "long"], 2**40, 2**40),
        (["int", "double"], 2**40, float(2**40)),
        (["float", "double"], 0.1, 0.1),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            dt.datetime(2026, 1, 1, 5, tzinfo=ZONE),
            dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        ),
        (MILLIS, dt.time(1, microsecond=1999), dt.time(1, microsecond=1000)),
        (DECIMAL, Decimal("1.2"), Decimal("1.20")),
        (DECIMAL, Decimal("1E+1"), Decimal("10.00")),
        (DECIMAL, Decimal("1.2000000000000000000000000000000000"), Decimal("1.20")),
        (DECIMAL, Decimal("-0.00"), Decimal("0.00")),
        (DECIMAL, Decimal("-99.99"), Decimal("-99.99")),
        (FIXED, Decimal("-9999"), Decimal("-9999")),
        (["null", MILLIS, {"type": "long", "logicalType": "time-micros"}], dt.time(1), dt.time(1)),
        (
            ["null", MILLIS, {"type": "long", "logicalType": "time-micros"}],
            dt.time(1, microsecond=7),
            dt.time(1, microsecond=7),
        ),
    ],
)
def test_harmless_variants_are_taken(schema: Any, value: Any, same: Any) -> None:
    """A value that loses nothing is written, and comes back in its usual class."""
    cls = event_class(record(("f", schema)))
    event = object.__new__(cls)
    object.__setattr__(event, "f", value)  # past the converter
    decoded = avro.decode(cls, avro.encode(event)).f
    assert decoded == same
    assert type(decoded) is type(same)


def test_subclass_of_datetime_is_a_datetime() -> None:
    """Doubles of time, as tests use them, are written like the real thing."""

    class Frozen(dt.datetime):
        pass

    kinds: list[Any] = [{"type": "long", "logicalType": "timestamp-micros"}]
    kinds.append(["null", DATE, kinds[0]])
    for kind in kinds:
        cls = event_class(record(("f", kind)))
        event = cls(f=Frozen(2026, 1, 1, 12, tzinfo=dt.UTC))
        assert avro.decode(cls, avro.encode(event)).f == event.f


def test_context_of_the_thread_does_not_matter() -> None:
    """Decimals neither round nor raise because a caller has set a narrow context."""
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 10}
    cls = event_class(record(("f", schema)))
    event = cls(f=Decimal("12345678901234567890.0123456789"))
    with localcontext() as context:
        context.prec = 3
        assert avro.decode(cls, avro.encode(event)) == event


def test_event_of_another_class_is_refused() -> None:
    """An encoder writes its own class only."""
    one, two = (event_class(record(("f", "int"))) for _ in range(2))
    with pytest.raises(SerializationError, match="expected R, got R"):
        avro.encoder_for(one)(two(f=1))


def test_nested_path_is_reported() -> None:
    """The path leads through records, arrays and maps to the value."""
    line = record(("sku", ["null", "string"]), name="Line")
    cls = event_class(
        record(("lines", {"type": "map", "values": {"type": "array", "items": line}}))
    )
    made = cls.__event__.types["Line"]  # type: ignore[attr-defined]
    with pytest.raises(SerializationError) as caught:
        avro.encode(cls(lines={"x": [made(sku="a"), made(sku=7)]}))
    assert caught.value.path == "lines['x'][1].sku"


def test_duration_refuses_what_the_wire_cannot_hold() -> None:
    """Each part of a duration is an unsigned 32-bit number."""
    for value in (-1, 2**32, 1.5, True):
        with pytest.raises(SerializationError, match="whole number from 0"):
            Duration(days=value)  # type: ignore[arg-type]
    assert Duration(months=2**32 - 1) == Duration.from_bytes(b"\xff" * 4 + b"\0" * 8)


def test_uuid_texts() -> None:
    """A UUID is written in its usual form and read in any that Python knows."""
    cls = event_class(record(("f", {"type": "string", "logicalType": "uuid"})))
    value = UUID("0123abcd-4567-89ab-cdef-0123456789ab")
    assert avro.encode(cls(f=value)) == b"\x48" + str(value).encode()
    for text in (str(value), str(value).upper(), value.hex, f"{{{value}}}", f"urn:uuid:{value}"):
        body = wire.varint(2 * len(text)) + text.encode()
        assert avro.decode(cls, body).f == value


def test_maps_of_numbers_with_many_keys() -> None:
    """Maps whose keys differ each time are written like those whose keys repeat."""
    for kind in ("int", "long"):
        cls = event_class(record(("f", {"type": "map", "values": kind})))
        for start in range(0, 3000, 100):
            event = cls(f={f"key {n}": n * 700_000 for n in range(start, start + 100)})
            assert avro.decode(cls, avro.encode(event)) == event
        long_key = cls(f={"k" * 5000: -1, "": 2**31 - 1})
        assert avro.decode(cls, avro.encode(long_key)) == long_key
        for bad in ({b"k": 1}, {"k": True}, {"k": 1.0}, {"k": 2**63}, {"\ud800": 1}):
            broken = {f"key {n}": n for n in range(3000, 3020)} | bad
            with pytest.raises(SerializationError) as caught:
                avro.encode(cls(f=broken))
            assert str(caught.value.path).startswith("f")
