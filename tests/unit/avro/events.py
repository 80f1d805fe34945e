"""Event classes and values for any schema, made at run time instead of by codegen."""

from __future__ import annotations

import datetime as dt
import enum
import json
import keyword
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
from hypothesis import assume
from hypothesis import strategies as st

from sdk.avro import Duration
from sdk.avro.schema import (
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    NamedSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    named_types,
    parse_schema,
)
from sdk.events import EventInfo, freeze

Draw = Callable[[st.SearchStrategy[Any]], Any]
Json = Any

LOGICAL: tuple[Json, ...] = (
    {"type": "int", "logicalType": "date"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "timestamp-nanos"},
    {"type": "long", "logicalType": "local-timestamp-millis"},
    {"type": "long", "logicalType": "local-timestamp-micros"},
    {"type": "long", "logicalType": "local-timestamp-nanos"},
    {"type": "string", "logicalType": "uuid"},
    {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 0},
    {"type": "bytes", "logicalType": "big-decimal"},
)
LOGICAL_FIXED: tuple[Json, ...] = (
    {"size": 16, "logicalType": "uuid"},
    {"size": 12, "logicalType": "duration"},
    {"size": 8, "logicalType": "decimal", "precision": 18, "scale": 4},
)
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


def record(*fields: tuple[str, Json] | tuple[str, Json, Json], name: str = "R") -> Json:
    """A record schema of (name, type) or (name, type, default)."""
    nodes = [
        {"name": each[0], "type": each[1], **({"default": each[2]} if len(each) > 2 else {})}
        for each in fields
    ]
    return {"type": "record", "name": name, "fields": nodes}


def event_class(schema: Json, **options: Any) -> type[Any]:
    """Make the class of a record schema, and the classes of all types inside it.

    Args:
        schema: As JSON.
        options: Given to attrs for each record.
    """
    parsed = parse_schema(schema)
    assert isinstance(parsed, RecordSchema)
    types: dict[str, type[Any]] = {}
    for each in named_types(parsed):
        types[each.name] = _class_of(each, options)
    cls = types[parsed.name]
    cls.__event__ = EventInfo(  # type: ignore[attr-defined]
        full_name=parsed.name, version=1, schema=json.dumps(schema), fingerprint="", types=types
    )
    return cls


def _class_of(schema: NamedSchema, options: dict[str, Any]) -> type[Any]:
    name = schema.name.replace(".", "_")
    match schema:
        case RecordSchema():
            fields = {
                attribute(each.name): attrs.field(converter=freeze[Any]) for each in schema.fields
            }
            given = {"frozen": True, "slots": True, "kw_only": True, **options}
            return attrs.make_class(name, fields, **given)
        case EnumSchema():
            return enum.Enum(name, {f"M{i}": s for i, s in enumerate(schema.symbols)})  # type: ignore[return-value]
    if schema.logical is not None:
        return {"uuid": UUID, "duration": Duration, "decimal": Decimal}[schema.logical.name]
    return type(name, (bytes,), {"__slots__": ()})


def attribute(name: str) -> str:
    """Return the attribute of a field."""
    return name + "_" if keyword.iskeyword(name) else name


# --- schemas ------------------------------------------------------------------------------------


class _Builder:
    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.names: list[str] = []
        self.open: list[str] = []
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"{self.draw(st.sampled_from(('a', 'b')))}.N{self.count}"

    def any(self, depth: int, *, in_union: bool = False) -> Json:
        kinds = ["primitive", "primitive", "logical", "enum", "fixed", "again"]
        if depth > 0:
            kinds += ["record", "record", "array", "map"]
            kinds += [] if in_union else ["union", "union", "self"]
        match self.draw(st.sampled_from(kinds)):
            case "primitive":
                return self.draw(st.sampled_from(PRIMITIVES))
            case "logical":
                return dict(self.draw(st.sampled_from(LOGICAL)))
            case "enum":
                return self.keep({"type": "enum", "name": self.name(), "symbols": ["A", "B", "C"]})
            case "fixed":
                shape = self.draw(st.sampled_from(({"size": 3}, {"size": 0}, *LOGICAL_FIXED)))
                return self.keep({"type": "fixed", "name": self.name(), **shape})
            case "again":
                return self.draw(st.sampled_from(self.names)) if self.names else "long"
            case "array":
                return {"type": "array", "items": self.any(depth - 1)}
            case "map":
                return {"type": "map", "values": self.any(depth - 1)}
            case "self":
                return self.again()
            case "union":
                return self.union(depth)
        return self.record(depth)

    def keep(self, schema: Json) -> Json:
        self.names.append(schema["name"])
        return schema

    def again(self) -> Json:
        """A record inside itself, where it can end."""
        name = self.draw(st.sampled_from(self.open))
        return self.draw(
            st.sampled_from(
                (["null", name], {"type": "array", "items": name}, {"type": "map", "values": name})
            )
        )

    def union(self, depth: int) -> Json:
        branches: dict[str, Json] = {}
        for _ in range(self.draw(st.integers(1, 4))):
            branch = self.any(depth - 1, in_union=True)
            key = branch if isinstance(branch, str) else branch.get("name", branch["type"])
            if key in branches and not isinstance(branch, str):
                assume(not any(name in json.dumps(branch) for name in self.names))
            branches.setdefault(key, branch)
        return list(branches.values())

    def record(self, depth: int) -> Json:
        name = self.name()
        self.open.append(name)
        fields = [
            {"name": f"f{index}", "type": self.any(depth - 1)}
            for index in range(self.draw(st.integers(0, 4)))
        ]
        self.open.pop()
        return self.keep({"type": "record", "name": name, "fields": fields})


@st.composite
def record_schemas(draw: Draw, depth: int = 4) -> Json:
    """Any record schema: all types, recursion, unions of every legal shape."""
    return _Builder(draw).record(depth)


# --- values -------------------------------------------------------------------------------------

_WHOLE_YEARS = {"min_value": dt.datetime(1, 1, 1), "max_value": dt.datetime(9999, 12, 31)}
_TIMES = st.datetimes(**_WHOLE_YEARS).map(lambda value: value.replace(fold=0))
_CLOCK = st.times().map(lambda value: value.replace(fold=0))
_INT = st.integers(-(2**31), 2**31 - 1) | st.integers(-70, 70)
_LONG = st.integers(-(2**63), 2**63 - 1) | st.integers(-70, 70)


def _whole_millis(value: Any) -> Any:
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def _utc(value: dt.datetime) -> dt.datetime:
    return value.replace(tzinfo=dt.UTC)


def _decimal(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    top = 10**precision - 1
    digits = st.integers(-top, top) | st.integers(-300, 300)
    return digits.map(lambda n: Decimal((int(n < 0), tuple(map(int, str(abs(n)))), -scale)))


_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": _INT,
    "long": _LONG,
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=70),
    "date": st.dates(),
    "time-millis": _CLOCK.map(_whole_millis),
    "time-micros": _CLOCK,
    "timestamp-millis": _TIMES.map(_whole_millis).map(_utc),
    "timestamp-micros": _TIMES.map(_utc),
    "timestamp-nanos": _LONG,
    "local-timestamp-millis": _TIMES.map(_whole_millis),
    "local-timestamp-micros": _TIMES,
    "local-timestamp-nanos": _LONG,
    "uuid": st.uuids(),
    "big-decimal": st.decimals(allow_nan=False, allow_infinity=False).map(
        lambda value: value if value else abs(value)
    ),
    "duration": st.builds(Duration, *[st.integers(0, 2**32 - 1)] * 3),
}


def scalar(schema: PrimitiveSchema | FixedSchema, types: Any) -> st.SearchStrategy[Any]:
    """Values of a primitive or fixed."""
    logical = schema.logical
    if logical is not None and logical.name == "decimal":
        return _decimal(logical.precision or 1, logical.scale or 0)
    if logical is not None:
        return _SCALARS[logical.name]
    if isinstance(schema, FixedSchema):
        size = schema.size
        return st.binary(min_size=size, max_size=size).map(types[schema.name])
    return _SCALARS[schema.type]


@st.composite
def values(draw: Draw, schema: Schema, types: Any, depth: int = 6) -> Any:
    """Values of a schema, as events hold them.

    Args:
        draw: Given by Hypothesis.
        schema: Parsed.
        types: Full name → class.
        depth: From here on arrays and maps stay empty and unions take their first way out.
    """
    few = st.integers(0, 3 if depth > 0 else 0)
    match schema:
        case RecordSchema():
            assume(depth > -8)
            fields = {
                attribute(each.name): draw(values(each.schema, types, depth - 1))
                for each in schema.fields
            }
            return types[schema.name](**fields)
        case UnionSchema():
            index = draw(st.integers(0, len(schema.branches) - 1)) if depth > 0 else 0
            return draw(values(schema.branches[index], types, depth - 1))
        case ArraySchema():
            size = draw(st.sampled_from((0, 1, 2, 12))) if depth > 4 else draw(few)
            return tuple(draw(values(schema.items, types, depth - 1)) for _ in range(size))
        case MapSchema():
            keys = draw(st.lists(st.text(max_size=5), max_size=3 if depth > 0 else 0, unique=True))
            return {key: draw(values(schema.values, types, depth - 1)) for key in keys}
        case EnumSchema():
            return draw(st.sampled_from(list(types[schema.name])))
    return draw(scalar(schema, types))


@st.composite
def events(draw: Draw) -> Any:
    """An event of a class that is made for it."""
    cls = event_class(draw(record_schemas()))
    info = cls.__event__  # type: ignore[attr-defined]
    return draw(values(parse_schema(info.schema), info.types))


# --- the same values in fastavro's form ---


def as_fastavro(schema: Schema, value: Any, types: Any) -> Any:
    """Return a value of an event as fastavro writes it, with the branches of unions named."""
    match schema:
        case RecordSchema():
            return {
                each.name: as_fastavro(each.schema, getattr(value, attribute(each.name)), types)
                for each in schema.fields
            }
        case UnionSchema():
            branch = schema.branches[branch_of(schema, value, types)]
            inner = as_fastavro(branch, value, types)
            return (branch.name, inner) if isinstance(branch, RecordSchema) else inner
        case ArraySchema():
            return [as_fastavro(schema.items, item, types) for item in value]
        case MapSchema():
            return {k: as_fastavro(schema.values, v, types) for k, v in value.items()}
        case EnumSchema():
            return value.value
        case FixedSchema():
            return bytes(value) if isinstance(value, bytes | Duration) else value
    return value


def branch_of(union: UnionSchema, value: Any, types: Any) -> int:
    """Return the branch that a value belongs to, found the slow way."""
    for index, branch in enumerate(union.branches):
        if isinstance(branch, NamedSchema) and type(value) is types[branch.name]:
            return index
        if not isinstance(branch, NamedSchema) and _fits(branch, value):
            return index
    raise AssertionError(value)


def _fits(schema: Schema, value: Any) -> bool:
    kind = type(value)
    if isinstance(schema, PrimitiveSchema) and schema.logical is not None:
        name = schema.logical.name
        if "nanos" not in name:
            expected = {
                "date": dt.date,
                "uuid": UUID,
                "decimal": Decimal,
                "big-decimal": Decimal,
                "time-millis": dt.time,
                "time-micros": dt.time,
            }.get(name, dt.datetime)
            return kind is expected
    return {
        "null": kind is type(None),
        "boolean": kind is bool,
        "int": kind is int and -(2**31) <= value < 2**31 if kind is int else False,
        "long": kind is int,
        "float": kind is float,
        "double": kind is float,
        "bytes": kind is bytes,
        "string": kind is str,
        "array": kind is tuple,
        "map": kind is dict,
    }[schema.type]
