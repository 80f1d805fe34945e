"""The normal form of ``normalize=true``: one order for unordered elements."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Final

from sdk.avro.schema.model import (
    NO_DEFAULT,
    ArraySchema,
    FixedSchema,
    MapSchema,
    NamedSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    children,
    logical_of,
)
from sdk.avro.schema.names import full_name, namespace_of

_LEADING: Final = frozenset(
    (
        "decimal",
        "date",
        "time-millis",
        "time-micros",
        "timestamp-millis",
        "timestamp-micros",
        "local-timestamp-millis",
        "local-timestamp-micros",
    )
)
"""Logical types whose properties come first: those of the registry's Avro, 1.11."""


def normalize_schema(root: Schema, known: Container[str] = ()) -> None:
    """Sort properties and aliases of a schema and of all schemas inside it, in place.

    Docs, defaults, orders and aliases are kept, as Confluent's registry keeps them; and a type
    outside all namespaces moves into the one around it, as it does there.
    """
    seen: set[int] = set()
    pending: list[tuple[Schema, str]] = [(root, "")]
    while pending:
        schema, namespace = pending.pop()
        if id(schema) in seen or (isinstance(schema, NamedSchema) and schema.name in known):
            continue
        seen.add(id(schema))
        if isinstance(schema, NamedSchema):
            schema.name = full_name(schema.name, namespace)
            schema.aliases = tuple(
                sorted({full_name(alias, namespace) for alias in schema.aliases})
            )
            schema.doc = schema.doc or None
            namespace = namespace_of(schema.name)
        pending += ((inner, namespace) for inner in reversed(children(schema)))
        if not isinstance(schema, UnionSchema):
            schema.props = {**_leading(schema), **_sorted(schema.props)}
        if isinstance(schema, RecordSchema):
            schema.is_error = False
            for field in schema.fields:
                field.aliases = tuple(sorted(set(field.aliases)))
                field.props = _sorted(field.props)
                if field.default is not NO_DEFAULT:
                    field.default = _sorted(_typed(field.schema, field.default))


def _leading(schema: Schema) -> dict[str, Any]:
    """Return the properties of a valid logical type."""
    if not isinstance(schema, PrimitiveSchema | FixedSchema):
        return {}
    logical = logical_of(schema)
    if schema.props.get("logicalType") == "uuid":  # Avro 1.11 accepts it on all of these types
        return {"logicalType": "uuid"}
    if logical is None or logical.name not in _LEADING:
        return {}
    names = ("logicalType", "precision") + (("scale",) if logical.scale else ())
    return {name: _sorted(schema.props[name]) for name in names if name in schema.props}


def _typed(schema: Schema, value: Any) -> Any:
    """Turn whole numbers in a default into floating ones where the type is floating."""
    match schema:
        case PrimitiveSchema(type="float" | "double") if type(value) is int:
            return float(value)
        case UnionSchema(branches=(first, *_)):
            return _typed(first, value)
        case ArraySchema() if isinstance(value, list):
            return [_typed(schema.items, item) for item in value]
        case MapSchema() if isinstance(value, Mapping):
            return {name: _typed(schema.values, item) for name, item in value.items()}
        case RecordSchema() if isinstance(value, Mapping):
            types = {field.name: field.schema for field in schema.fields}
            return {
                name: _typed(types[name], item) if name in types else item
                for name, item in value.items()
            }
    return value


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sorted(item) for name, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value
