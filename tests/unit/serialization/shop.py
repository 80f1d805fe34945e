"""Event classes as codegen writes them, for tests of serializers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar
from uuid import UUID

from attrs import field, frozen

from sdk.avro.duration import Duration
from sdk.events import EventInfo, decimal_digits, int32, to_map, to_tuple

UUID_TEXT = {"type": "string", "logicalType": "uuid"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}


def info(name: str, fields: list[dict[str, Any]], version: int = 1, **more: Any) -> EventInfo:
    """Return the contract of a record."""
    namespace, _, short = name.rpartition(".")
    schema = {"type": "record", "name": short, "namespace": namespace, "fields": fields}
    return EventInfo(
        full_name=name, version=version, schema=json.dumps(schema), fingerprint="0" * 16, **more
    )


class Currency(Enum):
    """A shared type in a separate file."""

    EUR = "EUR"
    USD = "USD"


CURRENCY = EventInfo(
    full_name="common.Currency",
    version=1,
    schema='{"type": "enum", "name": "Currency", "namespace": "common", "symbols": ["EUR", "USD"]}',
    fingerprint="0" * 16,
    types={"common.Currency": Currency},
)


@frozen(kw_only=True)
class OrderV1:
    """First version of an order."""

    order_id: UUID
    created_at: datetime
    total: Decimal = field(validator=decimal_digits(9, 2))

    __event__: ClassVar[EventInfo] = info(
        "shop.Order",
        [
            {"name": "order_id", "type": UUID_TEXT},
            {"name": "created_at", "type": MICROS},
            {"name": "total", "type": MONEY},
        ],
        key_field="order_id",
    )


@frozen(kw_only=True)
class Line:
    """A nested record."""

    sku: str
    quantity: int = field(default=1, validator=int32)


@frozen(kw_only=True)
class OrderV2:
    """Second version: more fields, a reference, and a field with another name."""

    order_id: UUID
    created_at: datetime
    amount: Decimal = field(validator=decimal_digits(9, 2))
    note: str | None = None
    currency: Currency = Currency.EUR
    lines: tuple[Line, ...] = field(default=(), converter=to_tuple[Line])

    __event__: ClassVar[EventInfo] = info(
        "shop.Order",
        [
            {"name": "order_id", "type": UUID_TEXT},
            {"name": "created_at", "type": MICROS},
            {"name": "amount", "type": MONEY, "aliases": ["total"]},
            {"name": "note", "type": ["null", "string"], "default": None},
            {"name": "currency", "type": "common.Currency", "default": "EUR"},
            {
                "name": "lines",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Line",
                        "fields": [
                            {"name": "sku", "type": "string"},
                            {"name": "quantity", "type": "int", "default": 1},
                        ],
                    },
                },
                "default": [],
            },
        ],
        version=2,
        references=(CURRENCY,),
        types={"shop.Line": Line},
    )


@frozen(kw_only=True)
class Nothing:
    """A record without fields, whose body is empty."""

    __event__: ClassVar[EventInfo] = info("shop.Nothing", [])


@frozen(kw_only=True)
class Flag:
    """A record whose body is one byte."""

    on: bool

    __event__: ClassVar[EventInfo] = info("shop.Flag", [{"name": "on", "type": "boolean"}])


class Level(Enum):
    """An enumeration that has a symbol for unknown ones."""

    UNKNOWN = "UNKNOWN"
    HIGH = "HIGH"


@frozen(kw_only=True)
class Cat:
    """A branch of a union that looks like its neighbour."""

    name: str


@frozen(kw_only=True)
class Dog:
    """The neighbour."""

    name: str


@frozen(kw_only=True)
class Node:
    """A record that contains itself."""

    value: int
    next: Node | None = None

    __event__: ClassVar[EventInfo]


Node.__event__ = info(
    "shop.Node",
    [
        {"name": "value", "type": "long"},
        {"name": "next", "type": ["null", "Node"], "default": None},
    ],
    types={"shop.Node": Node},
)


@frozen(kw_only=True)
class Everything:
    """A field of every type; `from_` has a reserved name in the schema."""

    flag: bool
    small: int
    big: int
    ratio: float
    exact: float
    text: str
    raw: bytes
    hash: bytes
    level: Level
    from_: str
    day: date
    clock_ms: time
    clock_us: time
    at_ms: datetime
    at_us: datetime
    at_ns: int
    local_us: datetime
    local_ns: int
    price: Decimal
    uid: UUID
    span: Duration
    tags: tuple[str, ...] = field(converter=to_tuple[str])
    counts: Mapping[str, int] = field(converter=to_map[int])
    pet: Cat | Dog | None
    either: str | int | bool | None
    alike: str | bytes

    __event__: ClassVar[EventInfo] = info(
        "shop.Everything",
        [
            {"name": "flag", "type": "boolean"},
            {"name": "small", "type": "int"},
            {"name": "big", "type": "long"},
            {"name": "ratio", "type": "float"},
            {"name": "exact", "type": "double"},
            {"name": "text", "type": "string"},
            {"name": "raw", "type": "bytes"},
            {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
            {
                "name": "level",
                "type": {
                    "type": "enum",
                    "name": "Level",
                    "symbols": ["UNKNOWN", "HIGH"],
                    "default": "UNKNOWN",
                },
            },
            {"name": "from", "type": "string"},
            {"name": "day", "type": {"type": "int", "logicalType": "date"}},
            {"name": "clock_ms", "type": {"type": "int", "logicalType": "time-millis"}},
            {"name": "clock_us", "type": {"type": "long", "logicalType": "time-micros"}},
            {"name": "at_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "at_us", "type": MICROS},
            {"name": "at_ns", "type": {"type": "long", "logicalType": "timestamp-nanos"}},
            {"name": "local_us", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
            {"name": "local_ns", "type": {"type": "long", "logicalType": "local-timestamp-nanos"}},
            {"name": "price", "type": MONEY},
            {"name": "uid", "type": UUID_TEXT},
            {
                "name": "span",
                "type": {"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"},
            },
            {"name": "tags", "type": {"type": "array", "items": "string"}},
            {"name": "counts", "type": {"type": "map", "values": "long"}},
            {
                "name": "pet",
                "type": [
                    "null",
                    {
                        "type": "record",
                        "name": "Cat",
                        "fields": [{"name": "name", "type": "string"}],
                    },
                    {
                        "type": "record",
                        "name": "Dog",
                        "fields": [{"name": "name", "type": "string"}],
                    },
                ],
            },
            {"name": "either", "type": ["string", "long", "boolean", "null"]},
            {"name": "alike", "type": ["string", "bytes"]},
        ],
        types={"shop.Level": Level, "shop.Cat": Cat, "shop.Dog": Dog},
    )
