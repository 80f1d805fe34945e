"""Python types, converters and validators of Avro types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from codegen.scope import Scope
from sdk.avro.schema import (
    ArraySchema,
    EnumSchema,
    FixedSchema,
    MapSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)

_PRIMITIVES: Final = {
    "null": "None",
    "boolean": "bool",
    "int": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "bytes": "bytes",
    "string": "str",
}
_DATETIME: Final = {
    "date": "date",
    "time-millis": "time",
    "time-micros": "time",
    "timestamp-millis": "datetime",
    "timestamp-micros": "datetime",
    "local-timestamp-millis": "datetime",
    "local-timestamp-micros": "datetime",
}
_IMPORTED: Final = {
    "decimal": ("decimal", "Decimal"),
    "big-decimal": ("decimal", "Decimal"),
    "uuid": ("uuid", "UUID"),
    "duration": ("sdk.events", "Duration"),
}


def annotation(schema: Schema, scope: Scope) -> str:
    """Return the type of a value."""
    return _type(schema, scope, accepted=False)


def converter(schema: Schema, scope: Scope) -> str | None:
    """Return the converter that lets the constructor take lists and dicts, if one is needed."""
    if not _has_container(schema):
        return None
    if isinstance(schema, ArraySchema) and not _has_container(schema.items):
        name, inner = "to_tuple", schema.items
    elif isinstance(schema, MapSchema) and not _has_container(schema.values):
        name, inner = "to_map", schema.values
    else:
        name, inner = "freeze", schema
    parameter = _type(inner, scope, accepted=True)
    if any(scope.is_forward(each) for each in _classes(inner)):
        parameter = f'"{parameter}"'
    return f"{scope.use('sdk.events', name)}[{parameter}]"


def validator(schema: Schema, scope: Scope) -> str | None:
    """Return the validator of a value, where its type allows more than the schema does.

    Only plain and nullable fields are validated; what stands inside arrays, maps and wider unions
    is checked when the event is written.
    """
    if isinstance(schema, UnionSchema):
        others = [branch for branch in schema.branches if branch.type != "null"]
        return validator(others[0], scope) if len(others) == 1 else None
    logical = schema.logical if isinstance(schema, PrimitiveSchema | FixedSchema) else None
    if logical is not None and logical.name == "decimal":
        name = scope.use("sdk.events", "decimal_digits")
        return f"{name}({logical.precision}, {logical.scale})"
    if isinstance(schema, FixedSchema) and logical is None:
        return f"{scope.use('sdk.events', 'fixed_size')}({schema.size})"
    if logical is None or logical.name.endswith("-nanos"):
        if schema.type == "int":
            return scope.use("sdk.events", "int32")
        if schema.type == "long":
            return scope.use("sdk.events", "int64")
    return None


def told_apart(schema: Schema) -> Iterator[FixedSchema]:
    """Yield each plain fixed that some union of a type must tell from other bytes."""
    if isinstance(schema, UnionSchema):
        plain = [branch for branch in schema.branches if _is_bytes(branch)]
        if len(plain) > 1:
            yield from (branch for branch in plain if isinstance(branch, FixedSchema))
        for branch in schema.branches:
            yield from told_apart(branch)
    elif isinstance(schema, ArraySchema):
        yield from told_apart(schema.items)
    elif isinstance(schema, MapSchema):
        yield from told_apart(schema.values)


def _type(schema: Schema, scope: Scope, *, accepted: bool, in_union: bool = False) -> str:
    match schema:
        case UnionSchema():
            return _union(schema, scope, accepted=accepted)
        case ArraySchema():
            items = _type(schema.items, scope, accepted=accepted)
            if accepted:
                return f"{scope.use('collections.abc', 'Sequence')}[{items}]"
            return f"tuple[{items}, ...]"
        case MapSchema():
            values = _type(schema.values, scope, accepted=accepted)
            return f"{scope.use('collections.abc', 'Mapping')}[str, {values}]"
        case RecordSchema() | EnumSchema():
            return scope.use_class(schema.name)
        case FixedSchema() if schema.logical is None:
            return (
                scope.use_class(schema.name) if in_union and _has_class(schema, scope) else "bytes"
            )
    return _scalar(schema, scope)


def _scalar(schema: PrimitiveSchema | FixedSchema, scope: Scope) -> str:
    logical = schema.logical.name if schema.logical else ""
    if logical in _DATETIME:
        return f"{scope.use_datetime()}.{_DATETIME[logical]}"
    if logical in _IMPORTED:
        return scope.use(*_IMPORTED[logical])
    return _PRIMITIVES.get(schema.type, "bytes")


def _union(schema: UnionSchema, scope: Scope, *, accepted: bool) -> str:
    bytes_like = sum(map(_is_bytes, schema.branches))
    branches: dict[str, None] = {}
    for branch in schema.branches:
        branches.setdefault(_type(branch, scope, accepted=accepted, in_union=bytes_like > 1))
    if len(branches) > 1 and "None" in branches:
        del branches["None"]
        branches["None"] = None
    return " | ".join(branches)


def _has_class(schema: FixedSchema, scope: Scope) -> bool:
    return schema.name in scope.homes


def _is_bytes(schema: Schema) -> bool:
    return isinstance(schema, FixedSchema | PrimitiveSchema) and (
        schema.type in ("bytes", "fixed") and schema.logical is None
    )


def _has_container(schema: Schema) -> bool:
    if isinstance(schema, UnionSchema):
        return any(map(_has_container, schema.branches))
    return isinstance(schema, ArraySchema | MapSchema)


def _classes(schema: Schema) -> Iterator[str]:
    """Yield the full names of the classes that the type of a value names."""
    match schema:
        case UnionSchema():
            for branch in schema.branches:
                yield from _classes(branch)
        case ArraySchema():
            yield from _classes(schema.items)
        case MapSchema():
            yield from _classes(schema.values)
        case RecordSchema() | EnumSchema():
            yield schema.name
