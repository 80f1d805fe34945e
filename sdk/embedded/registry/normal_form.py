"""The normal form that ``normalize=true`` asks for: one order for what has no order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sdk.avro.schema.model import (
    NO_DEFAULT,
    ArraySchema,
    EnumSchema,
    FieldSchema,
    FixedSchema,
    MapSchema,
    NamedSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)
from sdk.avro.schema.printing import Piece, json_text, render

_NONE: Mapping[str, Any] = {}
_LEADING = frozenset(
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
"""Logical types whose properties come first: those that the registry's Avro, 1.11, knows."""


def normal_form(schema: Schema, *, known: Iterable[str] = ()) -> str:
    """Return a schema as JSON with properties and aliases sorted and all names in full.

    Docs, defaults, orders and aliases are kept, as Confluent's registry keeps them; parsed and
    printed again, the result is what the registry stores.

    Args:
        schema: What to print.
        known: Full names that are only named, because references define them.
    """
    written = set(known)

    def pieces(each: Schema, _: str) -> list[Piece]:
        match each:
            case PrimitiveSchema() if not each.props:
                return [json_text(each.type)]
            case PrimitiveSchema():
                return [f'{{"type":"{each.type}"', _properties(each.props, _leading(each)), "}"]
            case UnionSchema():
                return ["[", *_joined([(branch, "") for branch in each.branches]), "]"]
            case ArraySchema():
                head = '{"type":"array","items":'
                return [head, (each.items, ""), _properties(each.props), "}"]
            case MapSchema():
                head = '{"type":"map","values":'
                return [head, (each.values, ""), _properties(each.props), "}"]
        if each.name in written:
            return [json_text(each.name)]
        written.add(each.name)
        return _named(each)

    return render(schema, pieces)


def _named(schema: NamedSchema) -> list[Piece]:
    pieces: list[Piece] = [f'{{"name":{json_text(schema.name)},"type":"{schema.type}"']
    leading: Mapping[str, Any] = _NONE
    match schema:
        case EnumSchema():
            pieces.append(f',"symbols":{json_text(list(schema.symbols))}')
        case FixedSchema():
            pieces.append(f',"size":{schema.size}')
            leading = _leading(schema)
        case RecordSchema():
            fields = [_field(field) for field in schema.fields]
            pieces.append(',"fields":[')
            for index, field in enumerate(fields):
                pieces += [",", *field] if index else field
            pieces.append("]")
    if schema.doc:
        pieces.append(f',"doc":{json_text(schema.doc)}')
    if schema.aliases:
        pieces.append(f',"aliases":{json_text(sorted(set(schema.aliases)))}')
    if isinstance(schema, EnumSchema) and schema.default is not None:
        pieces.append(f',"default":{json_text(schema.default)}')
    return [*pieces, _properties(schema.props, leading), "}"]


def _field(field: FieldSchema) -> list[Piece]:
    tail = f',"order":"{field.order}"'
    if field.doc is not None:
        tail += f',"doc":{json_text(field.doc)}'
    if field.aliases:
        tail += f',"aliases":{json_text(sorted(set(field.aliases)))}'
    if field.default is not NO_DEFAULT:
        tail += f',"default":{json_text(_sorted(_typed(field.schema, field.default)))}'
    head = f'{{"name":{json_text(field.name)},"type":'
    return [head, (field.schema, ""), tail + _properties(field.props), "}"]


def _leading(schema: PrimitiveSchema | FixedSchema) -> dict[str, Any]:
    """Return the properties of a valid logical type."""
    logical = schema.logical
    if schema.props.get("logicalType") == "uuid":  # Avro 1.11 takes it on any of these types
        return {"logicalType": "uuid"}
    if logical is None or logical.name not in _LEADING:
        return {}
    found: dict[str, Any] = {"logicalType": logical.name}
    if logical.precision is not None:
        found["precision"] = logical.precision
    if logical.scale:
        found["scale"] = logical.scale
    return found


def _properties(props: Mapping[str, Any], leading: Mapping[str, Any] = _NONE) -> str:
    """Print properties by name; ``leading`` ones come first."""
    ordered = {**leading, **dict(sorted(props.items()))}
    return "".join(
        f",{json_text(name)}:{json_text(_sorted(value))}" for name, value in ordered.items()
    )


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


def _joined(pieces: list[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for index, piece in enumerate(pieces):
        joined += [",", piece] if index else [piece]
    return joined
