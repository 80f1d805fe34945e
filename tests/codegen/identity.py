"""Whether generated classes equal their schemas, told by running them.

Types, order and symbols are compared with the schema as the codec parses it, and defaults with the
bytes that Avro gives them; nothing is shared with what writes the source.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, get_type_hints
from uuid import UUID

import attrs

from sdk.avro import Duration
from sdk.avro.codec import interpreter
from sdk.avro.codec.codecs import binding
from sdk.avro.codec.default_bytes import default_bytes
from sdk.avro.codec.lowering import encode_plan
from sdk.avro.schema import (
    NO_DEFAULT,
    ArraySchema,
    EnumSchema,
    FieldSchema,
    FixedSchema,
    MapSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    named_types,
)

_PRIMITIVES = {
    "null": None,
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "bytes": bytes,
    "string": str,
    "fixed": bytes,
}
_LOGICAL = {
    "decimal": Decimal,
    "big-decimal": Decimal,
    "uuid": UUID,
    "duration": Duration,
    "date": dt.date,
    "time": dt.time,
    "timestamp": dt.datetime,
    "local-timestamp": dt.datetime,
}

Types = Mapping[str, type[Any]]


def differences(cls: type[Any]) -> Iterator[str]:
    """Yield each difference between an event class, with all that it holds, and its schema."""
    bound = binding(cls)
    nodes = list(named_types(bound.schema))
    for node in nodes:
        if isinstance(node, EnumSchema) and _symbols(bound.types[node.name]) != node.symbols:
            yield f"{node.name} has other symbols"
            return
    for node in nodes:
        if isinstance(node, RecordSchema):
            yield from _record_differences(bound.types[node.name], node, bound.types)


def _symbols(cls: Any) -> tuple[str, ...]:
    return tuple(member.value for member in cls)


def _record_differences(cls: type[Any], node: RecordSchema, types: Types) -> Iterator[str]:
    hints = get_type_hints(cls)
    attributes = attrs.fields(cls)
    if len(attributes) != len(node.fields):
        yield f"{node.name} has {len(attributes)} attributes for {len(node.fields)} fields"
        return
    for attribute, each in zip(attributes, node.fields, strict=True):
        where = f"{node.name}.{each.name}"
        if not _spells(attribute.name, each.name):
            yield f"{where} is called {attribute.name}"
        if hints[attribute.name] != (_type(each.schema, types) or type(None)):
            yield f"{where} is annotated as {hints[attribute.name]}"
        if (each.default is NO_DEFAULT) != (attribute.default is attrs.NOTHING):
            yield f"{where} has a default, or has none"
        elif each.default is not NO_DEFAULT:
            given = attribute.default
            value = given.factory() if isinstance(given, attrs.Factory) else given  # type: ignore[arg-type]
            if _written(each, value, types) != default_bytes(each.schema, each.default):
                yield f"{where} has another default"


def _written(each: FieldSchema, value: Any, types: Types) -> bytes:
    """Return the bytes of a field."""
    holder = attrs.make_class("Holder", ["value"], frozen=True, slots=True)
    schema = RecordSchema("Holder", (attrs.evolve(each, name="value"),))
    plan = encode_plan(schema, {**types, "Holder": holder})
    return interpreter.write(plan, holder(value))


def _type(schema: Schema, types: Types, *, beside_bytes: bool = False) -> Any:
    match schema:
        case UnionSchema():
            several = sum(map(_is_bytes, schema.branches)) > 1
            branches = [_type(each, types, beside_bytes=several) for each in schema.branches]
            return reduce(or_, sorted(branches, key=lambda each: each is None))
        case ArraySchema():
            return tuple[_type(schema.items, types), ...]  # type: ignore[misc]
        case MapSchema():
            return Mapping[str, _type(schema.values, types)]  # type: ignore[misc]
        case PrimitiveSchema() | FixedSchema():
            if schema.logical is not None and not schema.logical.name.endswith("-nanos"):
                name = schema.logical.name
                return _LOGICAL[name.removesuffix("-millis").removesuffix("-micros")]
            if isinstance(schema, FixedSchema) and beside_bytes:
                return types[schema.name]
            return _PRIMITIVES[schema.type]
    return types[schema.name]  # type: ignore[attr-defined]


def _is_bytes(schema: Schema) -> bool:
    return schema.type in ("bytes", "fixed") and getattr(schema, "logical", None) is None


def _spells(attribute: str, name: str) -> bool:
    letters = "".join(letter if letter.isalnum() else "_" for letter in name)
    return attribute.strip("_").casefold() == letters.strip("_").casefold() or not letters.isascii()
