"""Events as plain values and as JSON text, and back."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from sdk import avro
from sdk.errors import DeserializationError, SchemaError, SerializationError
from tests.unit.avro.events import event_class, events, record

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
ORDER = event_class(
    record(
        ("id", "string"),
        ("at", MILLIS),
        ("price", PRICE),
        ("next", ["null", "R"], None),
    )
)
AT = dt.datetime(2026, 1, 15, 9, 30, 0, 250_000, tzinfo=dt.UTC)
PLAIN = {"id": "a", "at": "2026-01-15T09:30:00.250000Z", "price": "1.50", "next": None}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events())
def test_every_event_comes_back_exactly(event: Any) -> None:
    """Events of all types, unions and recursions survive plain values and text."""
    cls = type(event)
    plain = avro.to_plain(event)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert json.loads(avro.to_json(event)) == plain
    body = avro.encode(event)
    assert avro.encode(avro.from_plain(cls, plain)) == body
    assert avro.encode(avro.from_json(cls, avro.to_json(event))) == body
    assert avro.to_plain(avro.decode(cls, body)) == avro.to_plain(avro.from_plain(cls, plain))


def test_an_event_looks_as_documented() -> None:
    """The form in a log line or an HTTP answer."""
    event = ORDER(id="a", at=AT, price=Decimal("1.5"), next=None)
    assert avro.to_plain(event) == PLAIN
    assert avro.to_json(event) == json.dumps(PLAIN, separators=(",", ":"))
    assert avro.from_json(ORDER, json.dumps(PLAIN).encode()) == event


def test_times_are_truncated_as_in_the_bytes() -> None:
    """Writing and reading, so that the formats of one event agree."""
    event = ORDER(id="a", at=AT.replace(microsecond=250_999), price=Decimal(1), next=None)
    assert avro.to_plain(event)["at"] == PLAIN["at"]
    assert avro.from_plain(ORDER, {**PLAIN, "at": "2026-01-15T09:30:00.250999Z"}).at == AT


def test_fields_that_are_missing_or_unknown() -> None:
    """Defaults fill in; a key that is not a field is an error unless it is expected."""
    with pytest.raises(DeserializationError, match="has no such field") as caught:
        avro.from_plain(ORDER, {**PLAIN, "prize": 1})
    assert caught.value.path == "prize"
    assert avro.from_plain(ORDER, {**PLAIN, "prize": 1}, ignore_unknown=True).id == "a"
    with pytest.raises(DeserializationError, match="missing") as caught:
        avro.from_plain(ORDER, {"at": PLAIN["at"], "price": "1"})
    assert caught.value.path == "id"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"price": 1.5}, "price"),
        ({"price": "1.555"}, "price"),
        ({"at": 0}, "at"),
        ({"next": {**PLAIN, "id": 1}}, "next.id"),
        ({"next": {**PLAIN, "next": {}}}, "next.next.id"),
    ],
)
def test_nothing_is_coerced(change: dict[str, Any], path: str) -> None:
    """A value of another JSON type is refused with event and path."""
    with pytest.raises(DeserializationError) as caught:
        avro.from_plain(ORDER, {**PLAIN, **change})
    assert (caught.value.event, caught.value.path) == ("R", path)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (PRICE, Decimal("0.001")),
        (PRICE, Decimal("NaN")),
        (MILLIS, AT.replace(tzinfo=None)),
        ({**MILLIS, "logicalType": "local-timestamp-millis"}, AT),
        ("double", 2**53 + 1),
        ("int", 2**31),
        ("int", True),
        ("string", "\ud800"),
        (["null", "int"], 2**31),
    ],
)
def test_what_the_bytes_cannot_hold_is_refused_here_too(kind: Any, value: Any) -> None:
    """Values that the binary encoding refuses are refused here too."""
    event = event_class(record(("f", kind)))(f=value)
    for write in (avro.encode, avro.to_plain, avro.to_json):
        with pytest.raises(SerializationError) as caught:
            write(event)
        assert caught.value.path == "f"


def test_text_that_is_not_json_and_classes_that_are_not_events() -> None:
    """Both are reported as such."""
    for text in ("", "{", '{"id": NaN}', b"\xff", "[" * 100_000):
        with pytest.raises(DeserializationError):
            avro.from_json(ORDER, text)
    with pytest.raises(SchemaError):
        avro.to_json(42)
    with pytest.raises(SchemaError):
        avro.from_plain(int, 42)


def test_an_event_that_is_nested_too_deeply_is_our_error() -> None:
    """Nesting that is too deep is our error in both directions, not a RecursionError."""
    event = None
    for _ in range(2000):
        event = ORDER(id="a", at=AT, price=Decimal(1), next=event)
    for write in (avro.to_plain, avro.to_json):
        with pytest.raises(SerializationError, match="nested too deeply"):
            write(event)
