"""Python types, converters and validators of Avro types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    return _type(schema, scope)


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
    return f"{scope.use('sdk.events', name)}[{_accepted(inner, scope)}]"


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


def _type(schema: Schema, scope: Scope, *, told: bool = False) -> str:
    """Return the type of a value; ``told`` says that other bytes stand beside it in a union."""
    match schema:
        case UnionSchema():
            told = sum(map(_is_bytes, schema.branches)) > 1
            return _joined(_type(branch, scope, told=told) for branch in schema.branches)
        case ArraySchema():
            return f"tuple[{_type(schema.items, scope)}, ...]"
        case MapSchema():
            return f"{scope.use('collections.abc', 'Mapping')}[str, {_type(schema.values, scope)}]"
        case RecordSchema() | EnumSchema():
            return scope.use_class(schema.name)
        case FixedSchema() if schema.logical is None:
            return scope.use_class(schema.name) if told and schema.name in scope.homes else "bytes"
    return _scalar(schema, scope)


def _accepted(schema: Schema, scope: Scope, *, quoted: bool = False) -> str:
    """Return the type that a constructor accepts, as an expression that can be evaluated.

    Classes that are not yet defined are quoted; inside a quoted union they are not.
    """
    match schema:
        case UnionSchema():
            forward = not quoted and any(_is_forward(each, scope) for each in schema.branches)
            inner = quoted or forward
            joined = _joined(_accepted(each, scope, quoted=inner) for each in schema.branches)
            return f'"{joined}"' if forward else joined
        case ArraySchema():
            items = _accepted(schema.items, scope, quoted=quoted)
            return f"{scope.use('collections.abc', 'Sequence')}[{items}]"
        case MapSchema():
            values = _accepted(schema.values, scope, quoted=quoted)
            return f"{scope.use('collections.abc', 'Mapping')}[str, {values}]"
    name = _type(schema, scope)
    return f'"{name}"' if not quoted and _is_forward(schema, scope) else name


def _is_forward(schema: Schema, scope: Scope) -> bool:
    return isinstance(schema, RecordSchema) and scope.is_forward(schema.name)


def _joined(types: Iterable[str]) -> str:
    """Return a union of types, each once, None last."""
    branches = dict.fromkeys(types)
    if len(branches) > 1 and "None" in branches:
        del branches["None"]
        branches["None"] = None
    return " | ".join(branches)


def _scalar(schema: PrimitiveSchema | FixedSchema, scope: Scope) -> str:
    logical = schema.logical.name if schema.logical else ""
    if logical in _DATETIME:
        return f"{scope.use_datetime()}.{_DATETIME[logical]}"
    if logical in _IMPORTED:
        return scope.use(*_IMPORTED[logical])
    return _PRIMITIVES.get(schema.type, "bytes")


def _is_bytes(schema: Schema) -> bool:
    return isinstance(schema, FixedSchema | PrimitiveSchema) and (
        schema.type in ("bytes", "fixed") and schema.logical is None
    )


def _has_container(schema: Schema) -> bool:
    if isinstance(schema, UnionSchema):
        return any(map(_has_container, schema.branches))
    return isinstance(schema, ArraySchema | MapSchema)
