"""Equality of two definitions with one name, by Java's rule for redefinitions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sdk.avro.schema.model import (
    NO_DEFAULT,
    EnumSchema,
    FixedSchema,
    NamedSchema,
    PrimitiveSchema,
    RecordSchema,
    Schema,
    UnionSchema,
    children,
)

_printed = json.JSONEncoder(sort_keys=True, default=dict).encode


def same_definition(one: Schema, other: Schema) -> bool:
    """Return whether two schemas are equal apart from docs and aliases, like Java's ``equals``."""
    pending: list[tuple[Schema, Schema]] = [(one, other)]
    seen: set[tuple[int, int]] = set()
    while pending:
        left, right = pending.pop()
        if left is right or _same_plain(left, right) or (id(left), id(right)) in seen:
            continue
        seen.add((id(left), id(right)))
        if not _same_node(left, right):
            return False
        pending.extend(zip(children(left), children(right), strict=True))
    return True


def _same_plain(left: Schema, right: Schema) -> bool:
    """Return quickly whether both are the same primitive without properties, as most are."""
    return (
        isinstance(left, PrimitiveSchema)
        and isinstance(right, PrimitiveSchema)
        and left.type == right.type
        and not left.props
        and not right.props
    )


def _same_node(left: Schema, right: Schema) -> bool:
    """Compare two nodes without their children, whose number must agree."""
    if left.type != right.type or len(children(left)) != len(children(right)):
        return False
    if not _same_json(_props(left), _props(right)):
        return False
    if isinstance(left, NamedSchema) and isinstance(right, NamedSchema) and left.name != right.name:
        return False
    if isinstance(left, RecordSchema) and isinstance(right, RecordSchema):
        return all(
            mine.name == theirs.name
            and mine.order == theirs.order
            and (mine.default is NO_DEFAULT) == (theirs.default is NO_DEFAULT)
            and (mine.default is NO_DEFAULT or _same_json(mine.default, theirs.default))
            and _same_json(mine.props, theirs.props)
            for mine, theirs in zip(left.fields, right.fields, strict=True)
        )
    if isinstance(left, EnumSchema) and isinstance(right, EnumSchema):
        return left.symbols == right.symbols
    if isinstance(left, FixedSchema) and isinstance(right, FixedSchema):
        return left.size == right.size
    return True


def _props(schema: Schema) -> Mapping[str, Any]:
    return {} if isinstance(schema, UnionSchema) else schema.props


def _same_json(left: Any, right: Any) -> bool:
    """Compare JSON values as JSON: ``1``, ``1.0`` and ``true`` are three values, NaN is one."""
    return left == {} == right or _printed(left) == _printed(right)
