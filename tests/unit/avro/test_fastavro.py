"""fastavro as an independent oracle: the same bytes, but for the differences named here."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdk import avro
from sdk.avro.codec.wire import long_bytes, minimal_bytes
from sdk.avro.schema import (
    FixedSchema,
    PrimitiveSchema,
    Schema,
    UnionSchema,
    named_types,
    parse_schema,
)
from sdk.avro.schema.model import children
from sdk.errors import DeserializationError, SerializationError
from tests.unit.avro.events import as_fastavro, event_class, events, record

pytestmark = pytest.mark.usefixtures("executor")

SLOW = settings(
    max_examples=int(os.environ.get("CODEC_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
DATE = {"type": "int", "logicalType": "date"}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}


def fastavro_writes(schema: Any, value: Any) -> bytes:
    """The bytes that fastavro encodes."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(schema)), value)
    return stream.getvalue()


def fastavro_reads(schema: Any, data: bytes) -> Any:
    """The value that fastavro decodes."""
    return fastavro.schemaless_reader(io.BytesIO(data), fastavro.parse_schema(json.loads(schema)))


def everything(schema: Schema) -> list[Schema]:
    """All schemas inside a schema."""
    found: list[Schema] = []
    pending, seen = [schema], set()
    while pending:
        current = pending.pop()
        if id(current) not in seen:
            seen.add(id(current))
            found.append(current)
            pending.extend(children(current))
    return found


def comparable(schema: Schema) -> bool:
    """Whether fastavro writes all parts of a schema as the specification says."""
    for each in everything(schema):
        if isinstance(each, FixedSchema) and each.logical and each.logical.name == "uuid":
            return False  # test_uuid_of_fixed
        if isinstance(each, PrimitiveSchema) and each.logical:
            if each.logical.name == "big-decimal":
                return False  # test_big_decimal
            if each.logical.name == "decimal" and (each.logical.precision or 0) > 28:
                return False  # test_long_decimals_are_not_rounded
        if isinstance(each, UnionSchema) and len(each.branches) > 1:
            logical = [b for b in each.branches if getattr(b, "logical", None)]
            scalars = [b for b in each.branches if b.type not in ("null", "record", "enum")]
            if logical and len(scalars) > 1:
                return False  # test_union_branch_is_chosen_by_exact_class
            kinds = {b.type for b in each.branches}
            if kinds & {"float", "double"} and kinds & {"int", "long"}:
                return False  # test_int_stays_an_int_beside_float
            texts = [b for b in each.branches if b.type in ("string", "enum")]
            binaries = [b for b in each.branches if b.type in ("bytes", "fixed")]
            if len(texts) > 1 or len(binaries) > 1:
                return False  # it can only be told which record is meant
    return True


@SLOW
@given(events())
def test_bytes_equal_fastavro(event: Any) -> None:
    """Every event is encoded as fastavro encodes it, and fastavro's bytes decode as the event."""
    info = type(event).__event__
    schema = parse_schema(info.schema)
    assume(comparable(schema))
    expected = fastavro_writes(info.schema, as_fastavro(schema, event, info.types))
    ours = avro.encode(event)
    assert avro.decode(type(event), expected) == event
    if ours != expected:
        assert "Decimal('-" in repr(event), (ours, expected)
        assert len(expected) > len(ours)  # test_decimals_are_the_shortest


def test_decimals_are_the_shortest() -> None:
    """-1.28 is one byte, as in Java; fastavro writes two."""
    cls = event_class(record(("f", DECIMAL)))
    event = cls(f=Decimal("-1.28"))
    assert avro.encode(event) == b"\x02\x80"
    assert fastavro_writes(cls.__event__.schema, {"f": event.f}) == b"\x04\xff\x80"
    assert avro.decode(cls, b"\x04\xff\x80") == event


def test_naive_datetime_is_refused() -> None:
    """A datetime without zone names no instant; fastavro takes it in the process's local zone."""
    cls = event_class(record(("f", MICROS)))
    with pytest.raises(SerializationError, match="no time zone"):
        avro.encode(cls(f=dt.datetime(2026, 1, 1)))


def test_aware_datetime_is_refused_as_local_time() -> None:
    """A zone would be lost; fastavro drops it."""
    cls = event_class(record(("f", {"type": "long", "logicalType": "local-timestamp-micros"})))
    with pytest.raises(SerializationError, match="has a time zone"):
        avro.encode(cls(f=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)))


def test_union_branch_is_chosen_by_exact_class() -> None:
    """A datetime in [date, timestamp] keeps its time; fastavro writes the date."""
    cls = event_class(record(("f", [DATE, MICROS])))
    event = cls(f=dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC))
    assert avro.decode(cls, avro.encode(event)) == event
    assert fastavro_writes(cls.__event__.schema, {"f": event.f})[0] == 0


def test_int_stays_an_int_beside_float() -> None:
    """7 in [double, int] is an int; fastavro writes the double that stands first."""
    cls = event_class(record(("f", ["double", "int"])))
    assert avro.encode(cls(f=7)) == b"\x02\x0e"
    assert fastavro_writes(cls.__event__.schema, {"f": 7})[0] == 0


def test_record_branch_is_chosen_by_class_not_by_fields() -> None:
    """Records of one shape stay apart; fastavro takes the first that fits."""
    first, second = record(("x", "int"), name="A"), record(("x", "int"), name="B")
    cls = event_class(record(("f", [first, second])))
    event = cls(f=cls.__event__.types["B"](x=1))
    assert avro.encode(event) == b"\x02\x02"
    assert fastavro_writes(cls.__event__.schema, {"f": {"x": 1}}) == b"\x00\x02"


def test_int_out_of_range_is_refused() -> None:
    """Fastavro writes 2**31 as an int, which Java reads as 0."""
    cls = event_class(record(("f", "int")))
    with pytest.raises(SerializationError, match="does not fit an int"):
        avro.encode(cls(f=2**31))


def test_numbers_are_not_truncated() -> None:
    """1.7 and True are no ints; fastavro writes 1."""
    cls = event_class(record(("f", "int")))
    for value in (1.7, True):
        with pytest.raises(SerializationError, match="expected int"):
            avro.encode(cls(f=value))


def test_float_does_not_overflow_in_silence() -> None:
    """1e39 is no float; fastavro writes infinity."""
    cls = event_class(record(("f", "float")))
    with pytest.raises(SerializationError, match="does not fit a float"):
        avro.encode(cls(f=1e39))


def test_negative_indexes_are_refused() -> None:
    """Fastavro takes the last branch or symbol for index -1."""
    cls = event_class(record(("f", ["null", "int"])))
    assert fastavro_reads(cls.__event__.schema, b"\x01\x02") == {"f": 1}
    with pytest.raises(DeserializationError, match="index -1"):
        avro.decode(cls, b"\x01\x02")


def test_empty_decimal_is_refused() -> None:
    """A decimal without bytes is refused, as in Java; fastavro reads 0."""
    cls = event_class(record(("f", DECIMAL)))
    assert fastavro_reads(cls.__event__.schema, b"\0")["f"] == 0
    with pytest.raises(DeserializationError, match="no bytes"):
        avro.decode(cls, b"\0")


_MOMENTS = st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1))


@given(
    st.one_of(
        st.tuples(st.just("time-millis"), st.times()),
        st.tuples(st.just("timestamp-millis"), _MOMENTS.map(lambda it: it.replace(tzinfo=dt.UTC))),
        st.tuples(st.just("local-timestamp-millis"), _MOMENTS),
    )
)
def test_times_are_truncated_to_the_unit_of_the_schema(case: tuple[str, Any]) -> None:
    """Times are truncated towards the past, before 1970 as well, as in fastavro."""
    name, value = case
    value = value.replace(fold=0)
    kind = {"type": "int" if name == "time-millis" else "long", "logicalType": name}
    cls = event_class(record(("f", kind)))
    body = avro.encode(cls(f=value))
    assert body == fastavro_writes(cls.__event__.schema, {"f": value})
    assert avro.decode(cls, body).f == value.replace(microsecond=value.microsecond // 1000 * 1000)


@given(
    st.integers(-(10**9), 10**9) | st.integers(-(10**5), 10**5), st.booleans(), st.integers(1, 8)
)
def test_decimals_beyond_the_precision_are_refused_when_read(
    unscaled: int, fixed: bool, precision: int
) -> None:
    """Decimals beyond their precision are refused when read, so that read events can be written.

    Java returns them; fastavro silently rounds them to the precision.
    """
    kind = {"logicalType": "decimal", "precision": precision, "scale": 1}
    kind |= {"type": "fixed", "name": "F", "size": 5} if fixed else {"type": "bytes"}
    cls = event_class(record(("f", kind)))
    data = unscaled.to_bytes(5, "big", signed=True) if fixed else minimal_bytes(unscaled)
    body = data if fixed else long_bytes(len(data)) + data
    if abs(unscaled) < 10**precision:
        event = avro.decode(cls, body)
        assert avro.decode(cls, avro.encode(event)) == event
    else:
        with pytest.raises(DeserializationError, match="digits, the schema allows"):
            avro.decode(cls, body)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("boolean", b"\x07"),
        ("string", b"\x02\xff"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\x08"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\x03"),
        ({"type": "array", "items": {"type": "enum", "name": "E", "symbols": []}}, b"\2\x08\0"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 1}, b"\x04\x7f\xff"),
        ({"type": "int", "logicalType": "time-millis"}, b"\x01"),
        ({"type": "string", "logicalType": "uuid"}, b"\x02x"),
    ],
)
def test_values_that_nobody_wants_are_moved_past_unseen(kind: Any, body: bytes) -> None:
    """As Java does: neither their bytes nor their meaning are checked, only their length."""
    writer = record(("gone", kind), ("x", "int"))
    cls = event_class(record(("x", "int")))
    assert avro.decode(cls, body + b"\x02", writer) == cls(x=1)
    with pytest.raises(DeserializationError):
        avro.decode(event_class(writer), body + b"\x02")


def test_uuid_of_fixed() -> None:
    """A uuid on fixed(16) is the 16 bytes, big-endian; fastavro cannot write it."""
    schema = {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}
    cls = event_class(record(("f", schema)))
    data = bytes(range(16))
    event = avro.decode(cls, data)
    assert event.f.bytes == data
    assert avro.encode(event) == data


def test_big_decimal() -> None:
    """A big-decimal is bytes of the unscaled value, then the scale, as Java writes it."""
    cls = event_class(record(("f", {"type": "bytes", "logicalType": "big-decimal"})))
    assert avro.encode(cls(f=Decimal("3.14"))) == b"\x08\x04\x01\x3a\x04"
    assert avro.decode(cls, b"\x08\x04\x01\x3a\x04").f == Decimal("3.14")
    assert avro.decode(cls, avro.encode(cls(f=Decimal("1E+30")))).f == Decimal("1E+30")


def test_long_decimals_are_not_rounded() -> None:
    """Forty digits stay forty, whatever the thread's decimal context says."""
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 5}
    cls = event_class(record(("f", schema)))
    event = cls(f=Decimal("12345678901234567890123456789012345.67891"))
    assert avro.decode(cls, avro.encode(event)).f == event.f


def test_duration_is_a_value() -> None:
    """A duration is three little-endian numbers and has a class; fastavro leaves it as bytes."""
    schema = {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}
    cls = event_class(record(("f", schema)))
    event = cls(f=avro.Duration(months=1, days=2, milliseconds=3))
    assert avro.encode(event).hex() == "010000000200000003000000"
    assert avro.decode(cls, avro.encode(event)) == event


def test_named_types_are_all_reached() -> None:
    """The walk that decides what is comparable sees every named type."""
    schema = parse_schema(record(("f", ["null", record(("x", "R"), name="A")])))
    walked = {id(each) for each in everything(schema)}
    assert {id(each) for each in named_types(schema)} <= walked
