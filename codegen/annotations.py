"""Python types of Avro types, and the converters of fields that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from codegen.scope import Scope
from sdk.avro.schema import (
    ArraySchema,
    EnumSchema,
    FixedSchema,
    LogicalType,
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
    """Return what makes a field's value of what the constructor takes, if anything must."""
    if _is_in_millis(schema):
        name, inner = "to_millis", schema
    elif not _has_container(schema):
        return None
    elif isinstance(schema, ArraySchema) and not _has_container(schema.items):
        name, inner = "to_tuple", schema.items
    elif isinstance(schema, MapSchema) and not _has_container(schema.values):
        name, inner = "to_map", schema.values
    else:
        name, inner = "freeze", schema
    return f"{scope.use('sdk.events', name)}[{accepted(inner, scope)}]"


def value_class(schema: Schema) -> str:
    """Return the class of a value by name; of records, enums and containers only the kind."""
    if not isinstance(schema, PrimitiveSchema | FixedSchema):
        return schema.type
    logical = schema.logical.name if schema.logical else ""
    if logical in _DATETIME:
        return _DATETIME[logical]
    return _IMPORTED[logical][1] if logical in _IMPORTED else _PRIMITIVES.get(schema.type, "bytes")


def merged_branches(schema: Schema) -> Iterator[tuple[str, list[str]]]:
    """Yield each class that several branches of a union share, and what these branches are called.

    Which of them an event was read from is not kept.
    """
    match schema:
        case ArraySchema(items=inner) | MapSchema(values=inner):
            yield from merged_branches(inner)
        case UnionSchema():
            shared: dict[str, list[str]] = {}
            for branch in schema.branches:
                if isinstance(branch, PrimitiveSchema | FixedSchema) and not _is_bytes(branch):
                    name = branch.logical.name if branch.logical is not None else branch.type
                    names = shared.setdefault(value_class(branch), [])
                    names.append(getattr(branch, "name", name))
                yield from merged_branches(branch)
            yield from (pair for pair in shared.items() if len(pair[1]) > 1)


def told_apart(schema: Schema) -> Iterator[FixedSchema]:
    """Yield each plain fixed that some union of a type must distinguish from other bytes."""
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
    """Return the type of a value; ``told`` means that a union has other bytes beside it."""
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


def accepted(schema: Schema, scope: Scope, *, quoted: bool = False) -> str:
    """Return the type that a constructor accepts, as an expression that can be evaluated.

    Classes that are not yet defined are quoted; inside a quoted union they are not.
    """
    match schema:
        case UnionSchema():
            forward = not quoted and any(_is_forward(each, scope) for each in schema.branches)
            inner = quoted or forward
            joined = _joined(accepted(each, scope, quoted=inner) for each in schema.branches)
            return f'"{joined}"' if forward else joined
        case ArraySchema():
            items = accepted(schema.items, scope, quoted=quoted)
            return f"{scope.use('collections.abc', 'Sequence')}[{items}]"
        case MapSchema():
            values = accepted(schema.values, scope, quoted=quoted)
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
    name = value_class(schema)
    if logical in _DATETIME:
        return f"{scope.use_datetime()}.{name}"
    return scope.use(*_IMPORTED[logical]) if logical in _IMPORTED else name


def _is_bytes(schema: Schema) -> bool:
    return isinstance(schema, FixedSchema | PrimitiveSchema) and (
        schema.type in ("bytes", "fixed") and schema.logical is None
    )


def _is_in_millis(schema: Schema) -> bool:
    """Tell whether all times of day and timestamps of a value are counted in milliseconds."""
    units = set(_units(schema))
    return units == {"millis"}


def _units(schema: Schema) -> Iterator[str]:
    match schema:
        case ArraySchema(items=inner) | MapSchema(values=inner):
            yield from _units(inner)
        case UnionSchema():
            for branch in schema.branches:
                yield from _units(branch)
        case PrimitiveSchema(logical=LogicalType(name=name)) if (
            _DATETIME.get(name, "date") != "date"
        ):
            yield name.rpartition("-")[2]


def _has_container(schema: Schema) -> bool:
    if isinstance(schema, UnionSchema):
        return any(map(_has_container, schema.branches))
    return isinstance(schema, ArraySchema | MapSchema)
