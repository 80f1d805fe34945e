"""The events of the codec benchmark: for each shape a schema, distinct values, and classes.

Each schema becomes attrs classes with a contract (as the code generator writes them), msgspec
Structs, and what fastavro needs, so that each column of the table does the same work.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Union
from uuid import UUID

import attrs
import msgspec

from sdk.avro.schema import (
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    named_types,
    parse_schema,
)
from sdk.events import EventInfo, to_map, to_tuple

UUID_TEXT = {"type": "string", "logicalType": "uuid"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def money(precision: int = 12) -> dict[str, Any]:
    """A decimal of two places."""
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": 2}


def record(name: str, /, **fields: Any) -> dict[str, Any]:
    """A record schema."""
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": key, "type": kind} for key, kind in fields.items()],
    }


@dataclasses.dataclass
class Shape:
    """One row of the table.

    Attributes:
        name: What the row is called.
        schema: JSON.
        make: Number and random generator → value as a dict.
        count: How many distinct events.
        older: Schema that an older version wrote, if the row is about reading that.
    """

    name: str
    schema: dict[str, Any]
    make: Callable[[int, random.Random], dict[str, Any]]
    count: int = 500
    older: dict[str, Any] | None = None

    def values(self) -> list[dict[str, Any]]:
        """The distinct values, the same in each run."""
        return [self.make(number, random.Random(number)) for number in range(self.count)]


LINE = record("Line", sku="string", quantity="int", price=money(10))
CURRENCY = {"type": "enum", "name": "Currency", "symbols": ["EUR", "USD", "GBP"]}


def _instant(chance: random.Random) -> dt.datetime:
    return START + dt.timedelta(microseconds=chance.randrange(10**13))


def _price(chance: random.Random) -> Decimal:
    return Decimal(chance.randrange(100, 10**6)).scaleb(-2)


def _order(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "order_id": UUID(int=chance.getrandbits(128), version=4),
        "created_at": _instant(chance),
        "total_amount": _price(chance),
        "customer": f"customer-{number}",
        "currency": chance.choice(("EUR", "USD", "GBP")),
        "note": chance.choice((None, "ring twice")),
        "lines": [_line(chance) for _ in range(2)],
    }


def _line(chance: random.Random) -> dict[str, Any]:
    return {
        "sku": f"SKU-{chance.randrange(10**5):05}",
        "quantity": chance.randrange(1, 10),
        "price": _price(chance),
    }


ORDER = record(
    "OrderCreated",
    order_id=UUID_TEXT,
    created_at=MICROS,
    total_amount=money(),
    customer="string",
    currency=CURRENCY,
    note=["null", "string"],
    lines={"type": "array", "items": LINE},
)
OLD_ORDER = record(
    "OrderCreated",
    order_id=UUID_TEXT,
    created_at=MICROS,
    total_amount=money(),
    customer="string",
    channel="string",
    currency=CURRENCY,
)
NEW_ORDER = {
    **ORDER,
    "fields": [
        {**each, **{"note": {"default": None}, "lines": {"default": []}}.get(each["name"], {})}
        for each in ORDER["fields"]
    ],
}


def _old_order(number: int, chance: random.Random) -> dict[str, Any]:
    order = _order(number, chance)
    del order["note"], order["lines"]
    return {**order, "channel": "web"}


_KINDS: tuple[tuple[Any, Callable[[random.Random], Any]], ...] = (
    ("string", lambda chance: f"text {chance.randrange(10**6)}"),
    ("long", lambda chance: chance.randrange(10**6)),
    ("double", lambda chance: chance.random()),
    ("boolean", lambda chance: chance.random() < 0.5),
    ("int", lambda chance: chance.randrange(100)),
    (["null", "string"], lambda chance: chance.choice((None, "x"))),
)


def _deep(levels: int) -> dict[str, Any]:
    schema = record("Level0", name="string", value="long")
    for level in range(1, levels):
        schema = record(f"Level{level}", name="string", value="long", inner=schema)
    return schema


def _deep_value(level: int, chance: random.Random) -> dict[str, Any]:
    value: dict[str, Any] = {"name": f"level {level}", "value": chance.randrange(1000)}
    return {**value, "inner": _deep_value(level - 1, chance)} if level else value


CARD = record("Card", number="string", month="int", year="int")
TRANSFER = record("Transfer", iban="string", bic="string")
CASH = record("Cash", till="int")


def _payment(_: int, chance: random.Random) -> dict[str, Any]:
    means = (
        {"number": "4111", "month": 12, "year": 2030},
        {"iban": f"DE{chance.randrange(10**9)}", "bic": "MARKDEF"},
        {"till": 7},
        None,
    )
    scalars: tuple[Any, ...] = (None, chance.randrange(10**9), f"id {chance.randrange(10**6)}", 0.5)
    return {
        "means": [chance.choice(means) for _ in range(4)],
        **{key: chance.choice(scalars) for key in "abcd"},
    }


SCALARS = ["null", "long", "string", "double"]
LOGICAL = record(
    "Logical",
    a={"type": "int", "logicalType": "date"},
    b={"type": "int", "logicalType": "time-millis"},
    c={"type": "long", "logicalType": "time-micros"},
    d=MILLIS,
    e=MICROS,
    f={"type": "long", "logicalType": "local-timestamp-millis"},
    g={"type": "long", "logicalType": "local-timestamp-micros"},
    h=money(),
    i={"type": "fixed", "name": "Amount", "size": 8, "logicalType": "decimal", "precision": 18},
    j=UUID_TEXT,
)


def _logical(_: int, chance: random.Random) -> dict[str, Any]:
    instant = _instant(chance)
    millis = instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    return {
        "a": instant.date(),
        "b": millis.time(),
        "c": instant.time(),
        "d": millis,
        "e": instant,
        "f": millis.replace(tzinfo=None),
        "g": instant.replace(tzinfo=None),
        "h": _price(chance),
        "i": Decimal(chance.randrange(10**12)),
        "j": UUID(int=chance.getrandbits(128), version=4),
    }


def _array(kind: Any) -> dict[str, Any]:
    return record("Series", values={"type": "array", "items": kind})


SHAPES: tuple[Shape, ...] = (
    Shape(
        "small flat",
        record("Small", id="long", name="string", active="boolean", score="int"),
        lambda n, c: {
            "id": n,
            "name": f"n{n:06}",
            "active": c.random() < 0.5,
            "score": c.randrange(1000),
        },
    ),
    Shape("OrderCreated", ORDER, _order),
    Shape("OrderCreated, older version", NEW_ORDER, _old_order, older=OLD_ORDER),
    Shape(
        "wide, 300 fields",
        record("Wide", **{f"f{i}": _KINDS[i % len(_KINDS)][0] for i in range(300)}),
        lambda _, c: {f"f{i}": _KINDS[i % len(_KINDS)][1](c) for i in range(300)},
    ),
    Shape("deep, 20 levels", _deep(20), lambda _, c: _deep_value(19, c)),
    Shape(
        "unions",
        record(
            "Payment",
            means={"type": "array", "items": [CARD, TRANSFER, CASH, "null"]},
            a=SCALARS,
            b=SCALARS,
            c=SCALARS,
            d=SCALARS,
        ),
        _payment,
    ),
    Shape(
        "text of 10 kB",
        record("Text", text="string"),
        lambda n, _: {"text": f"{n:05}" + "lorem ipsum " * 830},
        count=50,  # more of them would measure how fast the kernel hands out memory
    ),
    Shape(
        "map of 100",
        record("Counts", counts={"type": "map", "values": "long"}),
        lambda _, c: {"counts": {f"key {i}": c.randrange(10**6) for i in range(100)}},
    ),
    Shape("logical types", LOGICAL, _logical),
    Shape(
        "10,000 longs",
        _array("long"),
        lambda _, c: {"values": [c.randrange(-(10**6), 10**6) for _ in range(10_000)]},
        count=10,
    ),
    Shape(
        "10,000 doubles",
        _array("double"),
        lambda _, c: {"values": [c.random() for _ in range(10_000)]},
        count=10,
    ),
    Shape(
        "10,000 records",
        _array(record("Point", x="int", y="double", label="string")),
        lambda _, c: {
            "values": [
                {"x": c.randrange(1000), "y": c.random(), "label": f"p{c.randrange(1000)}"}
                for _ in range(10_000)
            ]
        },
        count=4,
    ),
)


# --- classes ------------------------------------------------------------------------------------


@dataclasses.dataclass
class Classes:
    """The classes of one schema, of one kind."""

    root: type[Any]
    types: dict[str, Any]
    schema: Schema

    def build(self, value: Any, schema: Schema | None = None) -> Any:
        """Make instances of a value that is made of dicts."""
        schema = schema or self.schema
        match schema:
            case RecordSchema():
                made = {f.name: self.build(value[f.name], f.schema) for f in schema.fields}
                return self.types[schema.name](**made)
            case UnionSchema():
                branch = _branch(schema, value)
                return None if branch is None else self.build(value, branch)
            case ArraySchema():
                return tuple([self.build(item, schema.items) for item in value])
            case MapSchema():
                return {k: self.build(v, schema.values) for k, v in value.items()}
            case EnumSchema():
                return self.types[schema.name](value)
        return value


def _branch(union: UnionSchema, value: Any) -> Schema | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        for each in union.branches:
            if isinstance(each, RecordSchema) and {f.name for f in each.fields} == set(value):
                return each
    return next(b for b in union.branches if not isinstance(b, RecordSchema) and b.type != "null")


def classes_of(source: dict[str, Any], make: Callable[..., type[Any]]) -> Classes:
    """Make the classes of a schema, inner ones first.

    Args:
        source: JSON.
        make: Makes the class of a record, of its name and annotations.
    """
    schema = parse_schema(source)
    assert isinstance(schema, RecordSchema)
    types: dict[str, Any] = {}
    for each in reversed(list(named_types(schema))):
        if isinstance(each, EnumSchema):
            types[each.name] = enum.Enum(each.name, {s: s for s in each.symbols})
        elif isinstance(each, RecordSchema):
            hints = {field.name: annotation(field.schema, types) for field in each.fields}
            types[each.name] = make(each.name, hints)
        elif isinstance(each, FixedSchema):
            types[each.name] = Decimal if each.logical else bytes
    return Classes(types[schema.name], types, schema)


def event_classes(source: dict[str, Any]) -> Classes:
    """Make attrs classes with a contract, as the code generator writes them."""

    def make(name: str, hints: dict[str, Any]) -> type[Any]:
        fields = {}
        for key, hint in hints.items():
            origin = getattr(hint, "__origin__", None)
            convert = {tuple: to_tuple[Any], dict: to_map[Any]}.get(origin)  # type: ignore[arg-type]
            fields[key] = attrs.field(type=hint, converter=convert)
        made = attrs.make_class(name, fields, frozen=True, slots=True, kw_only=True)
        made.__annotations__ = hints
        return made

    classes = classes_of(source, make)
    classes.root.__event__ = EventInfo(  # type: ignore[attr-defined]
        full_name=classes.root.__name__,
        version=1,
        schema=json.dumps(source),
        fingerprint="",
        types=classes.types,
    )
    return classes


def struct_classes(source: dict[str, Any]) -> Classes:
    """Make msgspec Structs."""

    def make(name: str, hints: dict[str, Any]) -> type[Any]:
        return msgspec.defstruct(name, list(hints.items()), frozen=True, kw_only=True, tag=True)

    return classes_of(source, make)


_LOGICAL: dict[str, type[Any]] = {
    "uuid": UUID,
    "decimal": Decimal,
    "date": dt.date,
    "time-millis": dt.time,
    "time-micros": dt.time,
}
_PLAIN: dict[str, Any] = {
    "null": None,
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "bytes": bytes,
    "string": str,
}


def annotation(schema: Schema, types: dict[str, Any]) -> Any:
    """Return the Python type of a schema."""
    match schema:
        case UnionSchema():
            return Union[tuple(annotation(each, types) for each in schema.branches)]  # noqa: UP007
        case ArraySchema():
            return tuple[annotation(schema.items, types), ...]  # type: ignore[misc]
        case MapSchema():
            return dict[str, annotation(schema.values, types)]  # type: ignore[misc]
        case RecordSchema() | EnumSchema() | FixedSchema():
            return types[schema.name]
    if schema.logical is not None:
        return _LOGICAL.get(schema.logical.name, dt.datetime)
    return _PLAIN[schema.type]
