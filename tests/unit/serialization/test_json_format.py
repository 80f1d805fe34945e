"""The JSON format."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import pytest
from attrs import evolve, frozen
from hypothesis import given

from sdk.avro.duration import Duration
from sdk.cloud_events import EVENT_VERSION, TYPE
from sdk.errors import DeserializationError, SerializationError
from sdk.events import EventInfo
from sdk.records import ConsumerRecord, Header
from sdk.serialization import JsonMessageSerializer
from tests.unit.serialization.shop import (
    Cat,
    Currency,
    Dog,
    Everything,
    Flag,
    Level,
    Line,
    Node,
    Nothing,
    OrderV1,
    OrderV2,
    info,
)
from tests.unit.serialization.strategies import everything, orders

ID = UUID("3f2b8a52-6c1e-4d6e-9f38-0f5a1c1c7a11")
AT = datetime(2026, 1, 15, 9, 30, 0, 250_000, tzinfo=UTC)
V1 = OrderV1(order_id=ID, created_at=AT, total=Decimal("59.80"))
V2 = OrderV2(
    order_id=ID, created_at=AT, amount=Decimal("59.80"), lines=[Line(sku="tea", quantity=2)]
)
ALL = Everything(
    flag=True,
    small=-1,
    big=2**60,
    ratio=0.5,
    exact=float("inf"),
    text="tea ☕",
    raw=b"\x00\xff",
    hash=b"\x01\x02\x03\x04",
    level=Level.HIGH,
    from_="here",
    day=date(2026, 1, 15),
    clock_ms=time(9, 30, 0, 250_000),
    clock_us=time(9, 30),
    at_ms=AT,
    at_us=AT,
    at_ns=1_768_469_400_250_000_001,
    local_us=datetime(2026, 1, 15, 9, 30),
    local_ns=-1,
    price=Decimal("1.50"),
    uid=ID,
    span=Duration(months=1, days=2, milliseconds=3),
    tags=["a"],
    counts={"a": 1},
    pet=Dog(name="Rex"),
    either=7,
    alike=b"x",
)


def written(event: Any) -> Any:
    """Return what an event's JSON text loads as."""
    return json.loads(JsonMessageSerializer().encode(event, "t", []))


def record(value: Any, version: int | None = None, name: str = "shop.Order") -> ConsumerRecord:
    """Return a record of a value, JSON unless it is bytes, with its event and version."""
    data = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    headers: list[Header] = [(TYPE, name.encode())]
    if version is not None:
        headers.append((EVENT_VERSION, str(version).encode()))
    return ConsumerRecord(topic="t", partition=3, offset=42, value=data, headers=tuple(headers))


def read(cls: type[Any], value: Any, version: int | None = None) -> Any:
    """Return the event that a JSON value carries."""
    return JsonMessageSerializer().open(record(value, version)).read(cls)


def test_an_order_looks_as_people_expect() -> None:
    """Times are RFC 3339, decimals and UUIDs text, enums their symbol."""
    assert written(V2) == {
        "order_id": "3f2b8a52-6c1e-4d6e-9f38-0f5a1c1c7a11",
        "created_at": "2026-01-15T09:30:00.250000Z",
        "amount": "59.80",
        "note": None,
        "currency": "EUR",
        "lines": [{"sku": "tea", "quantity": 2}],
    }


def test_every_type_has_its_form() -> None:
    """The table at the head of the module holds."""
    assert written(ALL) == {
        "flag": True,
        "small": -1,
        "big": 2**60,
        "ratio": 0.5,
        "exact": "Infinity",
        "text": "tea ☕",
        "raw": "AP8=",
        "hash": "AQIDBA==",
        "level": "HIGH",
        "from": "here",
        "day": "2026-01-15",
        "clock_ms": "09:30:00.250000",
        "clock_us": "09:30:00",
        "at_ms": "2026-01-15T09:30:00.250000Z",
        "at_us": "2026-01-15T09:30:00.250000Z",
        "at_ns": "2026-01-15T09:30:00.250000001Z",
        "local_us": "2026-01-15T09:30:00",
        "local_ns": "1969-12-31T23:59:59.999999999",
        "price": "1.50",
        "uid": str(ID),
        "span": {"months": 1, "days": 2, "milliseconds": 3},
        "tags": ["a"],
        "counts": {"a": 1},
        "pet": {"shop.Dog": {"name": "Rex"}},
        "either": 7,
        "alike": {"bytes": "eA=="},
    }


@given(everything)
def test_every_event_comes_back_as_it_was(event: Everything) -> None:
    """Writing and reading is lossless for all types."""
    serializer = JsonMessageSerializer()
    headers: list[Header] = []
    value = serializer.encode(event, "t", headers)
    arrived = ConsumerRecord(topic="t", partition=0, offset=0, value=value, headers=tuple(headers))
    assert serializer.open(arrived).read(Everything) == event


@given(orders)
def test_orders_come_back_as_they_were(event: OrderV2) -> None:
    """Nested records, references and nullable fields included."""
    serializer = JsonMessageSerializer()
    value = serializer.encode(event, "t", [])
    assert serializer.open(record(value, 2)).read(OrderV2) == event


@pytest.mark.parametrize(
    "event", [Nothing(), Flag(on=False), Node(value=1, next=Node(value=2, next=Node(value=3)))]
)
def test_empty_small_and_recursive_records_come_back(event: Any) -> None:
    """No record is too small or too deep in itself."""
    assert read(type(event), written(event), 1) == event


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -0.0, 5])
def test_numbers_that_json_lacks_travel_as_text(value: float) -> None:
    """NaN and the infinities have names; an int in a float field stays a number."""
    back = read(Everything, written(evolve(ALL, exact=value)), 1).exact
    assert repr(back) == repr(float(value))


def test_an_older_version_is_read_as_the_newer_class() -> None:
    """Missing fields take their defaults, and an alias finds the field's old name."""
    assert read(OrderV2, written(V1), 1) == evolve(V2, lines=())


def test_a_newer_version_is_read_as_the_older_class() -> None:
    """Fields that the class does not know are ignored, if another version wrote them."""
    newer = {**written(V1), "note": "ring twice", "lines": [{"sku": "tea"}]}
    assert read(OrderV1, newer, 2) == V1
    assert read(OrderV1, newer) == V1


def test_an_unknown_field_of_the_same_version_is_refused() -> None:
    """A misspelled field does not silently fall back to its default."""
    value = written(V2)
    value["lines"][0]["quantitiy"] = 3
    with pytest.raises(DeserializationError, match="Line has no such field") as caught:
        read(OrderV2, value, 2)
    assert caught.value.path == "lines[0].quantitiy"


def test_an_unknown_symbol_takes_the_enums_default_if_it_has_one() -> None:
    """As in Avro: a default stands for unknown symbols; without one the value is refused."""
    assert read(Everything, {**written(ALL), "level": "LOW"}, 1).level is Level.UNKNOWN
    with pytest.raises(DeserializationError, match="one of EUR, USD"):
        read(OrderV2, {**written(V2), "currency": "XXX"}, 2)


def test_headers_tell_event_and_version_unless_they_do_already() -> None:
    """Where the standard headers are off, the two that reading needs are added."""
    headers: list[Header] = []
    JsonMessageSerializer().encode(V2, "t", headers)
    assert headers == [(TYPE, b"shop.Order"), (EVENT_VERSION, b"2")]
    JsonMessageSerializer().encode(V2, "t", headers)
    assert len(headers) == 2


def test_a_record_tells_its_event_by_header() -> None:
    """The CloudEvents type is the record's full name."""
    assert JsonMessageSerializer().open(record({}, name="shop.Order")).full_name == "shop.Order"


@pytest.mark.parametrize("headers", [(), ((TYPE, None),), ((TYPE, b""),), ((TYPE, b"\xff"),)])
def test_a_record_without_a_readable_type_is_poison(headers: tuple[Header, ...]) -> None:
    """The error says which header is missing, and where the record stands."""
    nameless = ConsumerRecord(topic="t", partition=3, offset=42, value=b"{}", headers=headers)
    with pytest.raises(DeserializationError, match=TYPE) as caught:
        JsonMessageSerializer().open(nameless)
    assert (caught.value.topic, caught.value.partition, caught.value.offset) == ("t", 3, 42)


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"order_id": "3f2b8a52"}, "order_id", "a UUID"),
        ({"order_id": "{3f2b8a526c1e4d6e9f380f5a1c1c7a11}"}, "order_id", "a UUID"),
        ({"order_id": None}, "order_id", "a UUID"),
        ({"created_at": "2026-01-15T09:30:00"}, "created_at", "with offset"),
        ({"created_at": "2026-01-15"}, "created_at", "RFC 3339"),
        ({"created_at": "2026-02-30T09:30:00Z"}, "created_at", "that exists"),
        ({"created_at": "2026-01-15T09:30:00.0000001Z"}, "created_at", "microseconds"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "created_at", "that exists"),
        ({"created_at": 1768469400}, "created_at", "RFC 3339"),
        ({"amount": 59.8}, "amount", "as text"),
        ({"amount": "59.805"}, "amount", r"decimal\(9, 2\)"),
        ({"amount": "12345678.00"}, "amount", r"decimal\(9, 2\)"),
        ({"amount": "NaN"}, "amount", "decimal number"),
        ({"amount": "1e999999"}, "amount", r"decimal\(9, 2\)"),
        ({"note": 5}, "note", "one of null, string"),
        ({"lines": {}}, "lines", "an array"),
        ({"lines": [{"sku": "a"}, {}]}, "lines[1].sku", "missing"),
        ({"lines": [{"sku": "a", "quantity": 2**31}]}, "lines[0].quantity", "32 bits"),
        ({"lines": [{"sku": "a", "quantity": 1.0}]}, "lines[0].quantity", "32 bits"),
        ({"lines": [{"sku": "a", "quantity": True}]}, "lines[0].quantity", "32 bits"),
        ({"lines": ["a"]}, "lines[0]", "an object"),
    ],
)
def test_what_does_not_fit_is_reported_by_its_path(
    change: dict[str, Any], path: str, reason: str
) -> None:
    """Nothing is coerced; the error has the field's path and the record's place."""
    with pytest.raises(DeserializationError, match=reason) as caught:
        read(OrderV2, {**written(V2), **change}, 2)
    error = caught.value
    assert error.path == path
    assert (error.event, error.topic, error.partition, error.offset) == ("shop.Order", "t", 3, 42)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"flag": 1}, "flag"),
        ({"big": 2**63}, "big"),
        ({"ratio": "1"}, "ratio"),
        ({"exact": 10**400}, "exact"),
        ({"text": None}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"raw": "AP8"}, "raw"),
        ({"raw": "ÄÖ=="}, "raw"),
        ({"hash": "AQID"}, "hash"),
        ({"level": 1}, "level"),
        ({"day": "20260115"}, "day"),
        ({"clock_us": "9:30"}, "clock_us"),
        ({"clock_us": "24:00:00"}, "clock_us"),
        ({"at_ns": "9999-01-01T00:00:00Z"}, "at_ns"),
        ({"local_us": "2026-01-15T09:30:00Z"}, "local_us"),
        ({"uid": 1}, "uid"),
        ({"span": {"months": 1}}, "span"),
        ({"span": {"months": 1, "days": 2, "milliseconds": -3}}, "span.milliseconds"),
        ({"tags": [1]}, "tags[0]"),
        ({"counts": {"a": "b"}}, "counts['a']"),
        ({"counts": []}, "counts"),
        ({"pet": {"name": "Rex"}}, "pet.name"),
        ({"pet": {"shop.Dog": {"name": 1}}}, "pet.shop.Dog.name"),
        ({"pet": "Rex"}, "pet"),
        ({"either": 1.5}, "either"),
        ({"alike": "x"}, "alike"),
    ],
)
def test_every_type_refuses_what_is_not_its_own(change: dict[str, Any], path: str) -> None:
    """Each type's reader is strict."""
    with pytest.raises(DeserializationError) as caught:
        read(Everything, {**written(ALL), **change}, 1)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"on": NaN}',
        b'{"on": ' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b'{"on":' * 100_000,
        None,
    ],
)
def test_hostile_bytes_end_in_our_error(value: bytes | None) -> None:
    """Hostile bytes end in our error, never in a foreign exception."""
    with pytest.raises(DeserializationError):
        read(Flag, value, 1)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"created_at": AT.replace(tzinfo=None)}, "created_at"),
        ({"created_at": AT.date()}, "created_at"),
        ({"order_id": str(ID)}, "order_id"),
        ({"note": "\ud800"}, "note"),
        ({"note": 5}, "note"),
        ({"currency": "EUR"}, "currency"),
        ({"lines": [{"sku": "tea"}]}, "lines[0]"),
        ({"lines": [Line(sku="tea", quantity="2")]}, "lines[0].quantity"),  # type: ignore[arg-type]
    ],
)
def test_an_event_that_does_not_fit_is_not_written(change: dict[str, Any], path: str) -> None:
    """Values that the constructor cannot refuse are refused with their path before sending."""
    with pytest.raises(SerializationError) as caught:
        written(evolve(V2, **change))
    assert (caught.value.path, caught.value.event, caught.value.topic) == (path, "shop.Order", "t")


def test_other_time_zones_travel_as_utc() -> None:
    """An instant is an instant, whatever offset it was given with."""
    east = AT.astimezone(timezone(timedelta(hours=8)))
    assert written(evolve(V2, created_at=east)) == written(V2)
    assert read(OrderV2, {**written(V2), "created_at": "2026-01-15t17:30:00.25+08:00"}, 2) == V2


def test_a_tag_that_is_no_branch_is_refused() -> None:
    """The error lists the branches there are."""
    with pytest.raises(DeserializationError, match=r"null, shop\.Cat, shop\.Dog"):
        read(Everything, {**written(ALL), "pet": {"shop.Cow": {}}}, 1)


@pytest.mark.parametrize("pet", [None, Cat(name="Tom"), Dog(name="Rex")])
def test_branches_that_look_alike_are_distinguished(pet: Cat | Dog | None) -> None:
    """Two records with the same fields keep their types."""
    assert read(Everything, written(evolve(ALL, pet=pet)), 1).pet == pet


@frozen(kw_only=True)
class Reading:
    """A union whose branches look alike in JSON now and then."""

    value: str | float

    __event__: ClassVar[EventInfo] = info(
        "shop.Reading", [{"name": "value", "type": ["string", "double"]}]
    )


@pytest.mark.parametrize("value", ["NaN", "x", 1.5, float("inf")])
def test_text_and_numbers_without_a_json_form_are_distinguished(value: str | float) -> None:
    """Infinity is text in JSON, so beside a string it needs its branch's name."""
    back = read(Reading, written(Reading(value=value)), 1).value
    assert (type(back), back) == (type(value), value)


def test_a_class_that_is_no_event_is_refused() -> None:
    """Only generated classes are events."""
    with pytest.raises(SerializationError, match="not a generated event class"):
        JsonMessageSerializer().encode(object(), "t", [])


def test_warming_up_prepares_what_is_published() -> None:
    """A warmed serializer writes as any other."""
    serializer = JsonMessageSerializer()
    serializer.warm_up([(OrderV2, "t")])
    assert json.loads(serializer.encode(V2, "t", [])) == written(V2)
    assert serializer.content_type == "application/json"
    assert V2.currency is Currency.EUR
