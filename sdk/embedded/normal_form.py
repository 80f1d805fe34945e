"""The normal form that ``normalize=true`` asks for: one order for what has no order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sdk.avro.nodes import (
    NO_DEFAULT,
    ArraySchema,
    EnumSchema,
    FieldSchema,
    FixedSchema,
    LogicalType,
    MapSchema,
    NamedSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
)
from sdk.avro.printing import Piece, json_text, render


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
                return [f'{{"type":"{each.type}"', _properties(each.props, each.logical), "}"]
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
    logical: LogicalType | None = None
    match schema:
        case EnumSchema():
            pieces.append(f',"symbols":{json_text(list(schema.symbols))}')
        case FixedSchema():
            pieces.append(f',"size":{schema.size}')
            logical = schema.logical
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
    return [*pieces, _properties(schema.props, logical), "}"]


def _field(field: FieldSchema) -> list[Piece]:
    tail = f',"order":"{field.order}"'
    if field.doc is not None:
        tail += f',"doc":{json_text(field.doc)}'
    if field.aliases:
        tail += f',"aliases":{json_text(sorted(set(field.aliases)))}'
    if field.default is not NO_DEFAULT:
        tail += f',"default":{json_text(_sorted(field.default))}'
    head = f'{{"name":{json_text(field.name)},"type":'
    return [head, (field.schema, ""), tail + _properties(field.props), "}"]


def _properties(props: Mapping[str, Any], logical: LogicalType | None = None) -> str:
    """Print properties by name; those of a valid logical type come first."""
    first: dict[str, Any] = {}
    if logical is not None:
        first["logicalType"] = logical.name
        if logical.precision is not None:
            first["precision"] = logical.precision
        if logical.scale:
            first["scale"] = logical.scale
    ordered = {**first, **dict(sorted(props.items()))}
    return "".join(
        f",{json_text(name)}:{json_text(_sorted(value))}" for name, value in ordered.items()
    )


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
