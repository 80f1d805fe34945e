"""Checks the examples of ``event.toml`` against the schemas that they illustrate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from codegen.findings import Finding
from codegen.linker import Unit
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
)

_RANGES: Final = {"int": 2**31, "long": 2**63}
_MOMENTS: Final = {"date": dt.date, "time": dt.time, "timestamp": dt.datetime, "local": dt.datetime}


def check_examples(units: Iterable[Unit]) -> Iterator[Finding]:
    """Yield a finding for each example that is not an event of its version.

    Examples are TOML: times are TOML's own, decimals, UUIDs and bytes (latin-1) are text, and null
    is expressed by leaving a field out.
    """
    for unit in units:
        config = unit.root.config
        if config is None:
            continue
        for number, example in enumerate(config.examples.get(unit.root.version, ())):
            for path, reason in _problems(unit.schema, example, ""):
                yield config.file.finding(
                    f"/versions/{unit.root.version}/examples/{number}{path}",
                    f"example {number + 1} of version {unit.root.version}: {reason}",
                    "make it an event that the schema allows",
                )


def _problems(schema: Schema, value: Any, path: str) -> Iterator[tuple[str, str]]:
    match schema:
        case RecordSchema() if isinstance(value, Mapping):
            yield from _record_problems(schema, value, path)
        case ArraySchema() if isinstance(value, list):
            for index, item in enumerate(value):
                yield from _problems(schema.items, item, f"{path}/{index}")
        case MapSchema() if isinstance(value, Mapping):
            for key, item in value.items():
                yield from _problems(schema.values, item, f"{path}/{key}")
        case UnionSchema():
            found = [list(_problems(each, value, path)) for each in schema.branches]
            if all(found):
                yield (
                    min(found, key=len)[0] if len(found) == 1 else (path, _mismatch(value, schema))
                )
        case EnumSchema():
            if value not in schema.symbols:
                yield path, f"{value!r} is not a symbol of {schema.name}"
        case PrimitiveSchema() | FixedSchema() if _fits(schema, value):
            return
        case _:
            yield path, _mismatch(value, schema)


def _record_problems(
    schema: RecordSchema, value: Mapping[str, Any], path: str
) -> Iterator[tuple[str, str]]:
    fields = {each.name: each for each in schema.fields}
    for key in value:
        if key not in fields:
            yield f"{path}/{key}", f"{schema.name} has no field {key}"
    for name, each in fields.items():
        if name in value:
            yield from _problems(each.schema, value[name], f"{path}/{name}")
        elif not _may_be_left_out(each):
            yield path, f"field {name} is missing"


def _may_be_left_out(each: FieldSchema) -> bool:
    branches = each.schema.branches if isinstance(each.schema, UnionSchema) else (each.schema,)
    return each.default is not NO_DEFAULT or any(branch.type == "null" for branch in branches)


def _fits(schema: PrimitiveSchema | FixedSchema, value: Any) -> bool:
    logical = schema.logical.name if schema.logical is not None else ""
    kind = logical.partition("-")[0]
    if kind in _MOMENTS and not logical.endswith("-nanos"):
        wanted = _MOMENTS[kind]
        aware = getattr(value, "tzinfo", None) is not None
        return type(value) is wanted and aware == (kind == "timestamp")
    if kind in ("decimal", "big", "uuid"):
        return isinstance(value, str) and _reads(UUID if kind == "uuid" else Decimal, value)
    if schema.type in _RANGES:
        limit = _RANGES[schema.type]
        return type(value) is int and -limit <= value < limit
    if schema.type in ("float", "double"):
        return type(value) in (int, float)
    if schema.type == "boolean":
        return type(value) is bool
    if isinstance(schema, FixedSchema):
        return isinstance(value, str) and len(value) == schema.size and value <= "\xff" * len(value)
    return isinstance(value, str) and schema.type in ("string", "bytes")


def _reads(kind: type[UUID] | type[Decimal], text: str) -> bool:
    try:
        kind(text)
    except (ValueError, InvalidOperation):
        return False
    return True


def _mismatch(value: Any, schema: Schema) -> str:
    logical = getattr(schema, "logical", None)
    return f"{value!r} is not of type {logical.name if logical is not None else schema.type}"
