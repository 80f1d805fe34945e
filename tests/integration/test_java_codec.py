"""The codec beside Java Avro: random events of random schemas, and damaged payloads."""

from __future__ import annotations

import datetime as dt
import enum
import json
import random
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdk import avro
from sdk.avro.codec.wire import to_float32
from sdk.errors import DeserializationError
from tests.servers.peer import JavaError, JavaPeer
from tests.unit.avro.events import event_class, events, record
from tests.unit.avro.test_agreement import mutated

pytestmark = pytest.mark.usefixtures("executor")
MANY = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def schema_of(event: Any) -> str:
    """The schema text of an event that Java can show as JSON."""
    text: str = type(event).__event__.schema
    assume('"fields": []' not in text)  # Java's JSON encoder loses empty records
    assume("inf" not in repr(event))  # and JSON has no infinity
    return text


@MANY
@given(event=events())
def test_java_reads_and_writes_the_same_bytes(java_avro: JavaPeer, event: Any) -> None:
    """Java decodes what we write, and what it then writes is ours again."""
    assume("-0.0" not in repr(event))  # the JSON in between loses the sign
    schema, body = schema_of(event), avro.encode(event)
    decoded = java_avro.ask("decode", writer=schema, hex=body.hex())
    assert decoded["rest"] == 0
    again = bytes.fromhex(java_avro.ask("encode", schema=schema, json=decoded["value"])["hex"])
    assert avro.decode(type(event), again) == event
    assert again == body or "map" in schema  # Java's maps have another order


@MANY
@given(event=events())
def test_java_finds_the_same_values(java_avro: JavaPeer, event: Any) -> None:
    """Logical types mean the same to Java: instants, decimals, UUIDs, dates and times."""
    schema, body = schema_of(event), avro.encode(event)
    assume("big-decimal" not in schema)  # texts with exponents of thousands differ
    value = java_avro.ask("decode", writer=schema, hex=body.hex(), logical=True)["value"]
    assert matches(event, value), value


def matches(ours: Any, java: Any) -> bool:
    """Whether a value is what Java shows."""
    match ours:
        case dt.datetime():
            return ours == dt.datetime.fromisoformat(java)
        case dt.date():
            return ours == dt.date.fromisoformat(java)
        case dt.time():
            return ours == dt.time.fromisoformat(java)
        case UUID():
            return str(ours) == java
        case Decimal():
            return ours == Decimal(java)
        case float():
            return ours == java or bool(to_float32(java) == ours)  # shown shortly, if of 32 bits
        case enum.Enum():
            return bool(ours.value == java)
        case avro.Duration() | bytes():
            return bytes(ours).hex() == java
        case tuple():
            return len(ours) == len(java) and all(map(matches, ours, java))
        case dict():
            return ours.keys() == java.keys() and all(matches(ours[k], java[k]) for k in ours)
        case _ if attrs.has(type(ours)):
            names = [each.name for each in attrs.fields(type(ours))]
            return list(java) == names and all(matches(getattr(ours, n), java[n]) for n in names)
    return bool(ours == java)


@MANY
@given(event=events(), seed=st.integers(0, 2**32))
def test_java_accepts_what_we_accept(java_avro: JavaPeer, event: Any, seed: int) -> None:
    """A damaged payload that we still read is also read by Java, to the last byte."""
    schema, body, chance = schema_of(event), avro.encode(event), random.Random(seed)
    for _ in range(10):
        data = mutated(body, chance)
        try:
            decoded = avro.decode(type(event), data)
        except DeserializationError:
            continue
        assume("nan" not in repr(decoded) and "inf" not in repr(decoded))
        assert java_avro.ask("decode", writer=schema, hex=data.hex())["rest"] == 0


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ("int", "8000"),
        ("boolean", "02"),
        ("string", "02ff"),
        ("long", "ffffffffffffffffff03"),
        ({"type": "string", "logicalType": "uuid"}, "12312d312d312d312d31"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "feffffffffffffffff01"),
    ],
)
def test_where_we_are_stricter_than_java(java_avro: JavaPeer, schema: Any, body: str) -> None:
    """Each payload that Java takes and we refuse is known: none is what an encoder writes."""
    cls = event_class(record(("f", schema)))
    text = json.dumps(record(("f", schema)))
    java_avro.ask("decode", writer=text, hex=body, logical=schema != "long")
    with pytest.raises(DeserializationError):
        avro.decode(cls, bytes.fromhex(body))


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ("int", "8080808080808001"),
        ("bytes", "01"),
        (["null", "int"], "01"),
        (["null", "int"], "04"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "01"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "02"),
        ({"type": "array", "items": "null"}, "8080808080808001"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, "00"),
        ({"type": "int", "logicalType": "time-millis"}, "80f0b252"),
        ({"type": "int", "logicalType": "time-millis"}, "01"),
    ],
)
def test_both_refuse(java_avro: JavaPeer, schema: Any, body: str) -> None:
    """Values that Java refuses are refused by us."""
    cls = event_class(record(("f", schema)))
    with pytest.raises(JavaError):
        java_avro.ask("decode", writer=json.dumps(record(("f", schema))), hex=body, logical=True)
    with pytest.raises(DeserializationError):
        avro.decode(cls, bytes.fromhex(body))


def test_big_decimals_are_javas(java_avro: JavaPeer) -> None:
    """Java's conversion reads the number that we wrote, of any scale."""
    schema = record(("f", {"type": "bytes", "logicalType": "big-decimal"}))
    cls = event_class(schema)
    for number in ("3.14", "-1.28", "0", "1E+3", "123456789012345678901234567890.5"):
        body = avro.encode(cls(f=Decimal(number)))
        answer = java_avro.ask("decode", writer=json.dumps(schema), hex=body.hex(), logical=True)
        assert Decimal(answer["value"]["f"]) == Decimal(number)
