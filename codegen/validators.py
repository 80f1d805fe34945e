"""Validators of fields: what a schema requires beyond the Python type."""

from __future__ import annotations

from typing import Any

from codegen.annotations import value_class
from codegen.scope import Scope
from sdk.avro.schema import (
    ArraySchema,
    FixedSchema,
    MapSchema,
    PrimitiveSchema,
    Schema,
    UnionSchema,
)


def validators(schema: Schema, scope: Scope) -> list[str]:
    """Return the validators of a value, for what its schema requires beyond its Python type."""
    return [_validator_source(each, scope) for each in _validators(schema)]


_Validator = tuple[Any, ...]
"""Name of a validator in `sdk.events`, and its arguments; none if it is not called."""


def _validators(schema: Schema) -> list[_Validator]:
    """Return validators; those of a union's branches are combined.

    A validator checks only values of its type. If branches of one type have different
    requirements, none is checked: only the encoder knows which of them takes a value. Numbers are
    one type here, because an int may be written as a double; of int and long, long is wider.
    """
    match schema:
        case ArraySchema(items=inner) | MapSchema(values=inner):
            found = _validators(inner)
            return [("each", *found)] if found else []
        case UnionSchema():
            by_class: dict[str, set[tuple[_Validator, ...]]] = {}
            for branch in schema.branches:
                kind = value_class(branch).replace("float", "int")
                by_class.setdefault(kind, set()).add(tuple(_validators(branch)))
            wider = {(("int32",),), (("int64",),)}
            alike = [
                {(("int64",),)} if found == wider else found
                for found in by_class.values()
                if len(found) == 1 or found == wider
            ]
            return sorted((each for (found,) in alike for each in found), key=str)
        case PrimitiveSchema() | FixedSchema():
            return _scalar_validators(schema)
    return []


def _scalar_validators(schema: PrimitiveSchema | FixedSchema) -> list[_Validator]:
    logical = schema.logical
    kind, _, unit = logical.name.rpartition("-") if logical is not None else ("", "", "")
    if logical is not None and unit != "nanos":
        if logical.name == "decimal":
            return [("decimal_digits", logical.precision, logical.scale or 0)]
        zones = {"timestamp": "aware", "local-timestamp": "naive", "time": "naive", "big": "finite"}
        return [(zones[kind],)] if kind in zones else []
    if isinstance(schema, FixedSchema):
        return [("fixed_size", schema.size)]
    name = {"int": "int32", "long": "int64", "float": "float32"}.get(schema.type)
    return [(name,)] if name else []


def _validator_source(validator: _Validator, scope: Scope) -> str:
    name, *arguments = validator
    scope.use("sdk.events", name)
    inner = (_validator_source(a, scope) if isinstance(a, tuple) else str(a) for a in arguments)
    return f"{name}({', '.join(inner)})" if arguments else name
