"""Python types of Avro types, and the converters of fields that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from codegen.scope import Scope
from sdk.avro.codec.logical import RAW_TYPES
from sdk.avro.codec.lowering import PYTHON_TYPES
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
from sdk.avro.schema.model import inside


def converter(schema: Schema, scope: Scope) -> str | None:
    """Return the converter of a constructor argument to a field's value, if one is needed."""
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
    """Return the name of a value's class; for records, enums and containers only the kind."""
    if not isinstance(schema, PrimitiveSchema | FixedSchema):
        return schema.type
    cls = _python_type(schema)
    return "None" if cls is type(None) else cls.__name__


def _python_type(schema: PrimitiveSchema | FixedSchema) -> type[Any]:
    """Return the class as which the codec reads values, apart from a fixed type's own class."""
    logical = RAW_TYPES.get(schema.logical.name) if schema.logical is not None else None
    return logical or PYTHON_TYPES.get(schema.type, (bytes,))[0]


def merged_branches(schema: Schema) -> Iterator[tuple[str, list[str]]]:
    """Yield each class that several branches of a union share, with the names of these branches.

    An event does not record which of them it was read from.
    """
    for union in inside(schema):
        shared: dict[str, list[str]] = {}
        for branch in union.branches if isinstance(union, UnionSchema) else ():
            if isinstance(branch, PrimitiveSchema | FixedSchema) and not _is_bytes(branch):
                name = branch.logical.name if branch.logical is not None else branch.type
                names = shared.setdefault(value_class(branch), [])
                names.append(getattr(branch, "name", name))
        yield from (pair for pair in shared.items() if len(pair[1]) > 1)


def distinguished_fixed(schema: Schema) -> Iterator[FixedSchema]:
    """Yield each plain fixed that some union of a type must distinguish from other bytes."""
    for union in inside(schema):
        plain = [each for each in getattr(union, "branches", ()) if _is_bytes(each)]
        if len(plain) > 1:
            yield from (each for each in plain if isinstance(each, FixedSchema))


def annotation(schema: Schema, scope: Scope, *, named: bool = False) -> str:
    """Return the type of a value; ``named`` means that a union has other bytes as well."""
    match schema:
        case UnionSchema():
            named = sum(map(_is_bytes, schema.branches)) > 1
            return _joined(annotation(branch, scope, named=named) for branch in schema.branches)
        case ArraySchema():
            return f"tuple[{annotation(schema.items, scope)}, ...]"
        case MapSchema():
            mapping = scope.use("collections.abc", "Mapping")
            return f"{mapping}[str, {annotation(schema.values, scope)}]"
        case RecordSchema() | EnumSchema():
            return scope.use_class(schema.name)
        case FixedSchema() if schema.logical is None:
            return scope.use_class(schema.name) if named and schema.name in scope.homes else "bytes"
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
    name = annotation(schema, scope)
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
    name, module = value_class(schema), _python_type(schema).__module__
    if module == "datetime":
        return f"{scope.use_datetime()}.{name}"
    if module == "builtins":
        return name
    return scope.use("sdk.events" if module.startswith("sdk") else module, name)


def _is_bytes(schema: Schema) -> bool:
    return isinstance(schema, FixedSchema | PrimitiveSchema) and (
        schema.type in ("bytes", "fixed") and schema.logical is None
    )


def _is_in_millis(schema: Schema) -> bool:
    """Return whether all times of day and timestamps of a value are in milliseconds."""
    logical = (each.logical for each in inside(schema) if isinstance(each, PrimitiveSchema))
    units = {each.name.rpartition("-")[2] for each in logical if each is not None}
    return units & {"millis", "micros"} == {"millis"}


def _has_container(schema: Schema) -> bool:
    if isinstance(schema, UnionSchema):
        return any(map(_has_container, schema.branches))
    return isinstance(schema, ArraySchema | MapSchema)
