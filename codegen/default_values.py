"""Renders defaults of fields as Python source, from values and never from schema text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from attrs import frozen

from codegen.literals import bytes_literal, text_literal
from codegen.scope import Scope
from sdk.avro.codec import plan as ops
from sdk.avro.codec.logical import from_wire
from sdk.avro.codec.lowering import converted
from sdk.avro.duration import Duration
from sdk.avro.limits import DEFAULT_LIMITS
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
from sdk.avro.schema.defaults import branch_of_default


class UnholdableDefaultError(Exception):
    """A default that is valid Avro, but that its Python type cannot hold."""


def default_source(schema: Schema, value: Any, scope: Scope) -> str:
    """Return Python source of a default.

    Raises:
        UnholdableDefaultError: The Python type has no such value, such as a year beyond 9999.
    """
    return _Writer(scope).write(schema, value)


def is_mutable(schema: Schema, value: Any) -> bool:
    """Return whether a default must be created for each instance."""
    match schema:
        case UnionSchema():
            return is_mutable(_branch(schema, value), value)
        case RecordSchema() | MapSchema():
            return True
        case ArraySchema():
            return any(is_mutable(schema.items, item) for item in value)
    return False


def _branch(schema: UnionSchema, value: Any) -> Schema:
    return schema.branches[branch_of_default(schema, value)]


@frozen
class _Writer:
    scope: Scope

    def write(self, schema: Schema, value: Any, *, in_union: bool = False) -> str:
        match schema:
            case UnionSchema():
                return self.write(_branch(schema, value), value, in_union=len(schema.branches) > 1)
            case RecordSchema():
                return self._record(schema, value)
            case ArraySchema():
                items = [self.write(schema.items, item) for item in value]
                return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
            case MapSchema():
                pairs = (
                    f"{text_literal(key)}: {self.write(schema.values, item)}"
                    for key, item in value.items()
                )
                return f"{{{', '.join(pairs)}}}"
            case EnumSchema():
                member = self.scope.homes[schema.name].members[value]
                return f"{self.scope.use_class(schema.name)}.{member}"
        if schema.logical is not None:
            return self._logical(schema, value)
        if schema.type in ("bytes", "fixed"):
            source = bytes_literal(value.encode("latin-1"))
            if in_union and isinstance(schema, FixedSchema) and schema.name in self.scope.homes:
                return f"{self.scope.use_class(schema.name)}({source})"
            return source
        if schema.type == "string":
            return text_literal(value)
        return _number(value) if schema.type in ("float", "double") else repr(value)

    def _record(self, schema: RecordSchema, value: Mapping[str, Any]) -> str:
        attributes = self.scope.homes[schema.name].members
        given = (
            f"{attributes[each.name]}={self.write(each.schema, value[each.name])}"
            for each in schema.fields
            if each.name in value
        )
        return f"{self.scope.use_class(schema.name)}({', '.join(given)})"

    def _logical(self, schema: PrimitiveSchema | FixedSchema, value: Any) -> str:
        assert schema.logical is not None
        name = schema.logical.name
        if name.endswith("-nanos"):
            return repr(value)
        op = converted(schema.logical, ops.Primitive(schema.type))
        raw = value.encode("latin-1") if schema.type in ("bytes", "fixed") else value
        try:
            return self._python(from_wire(op, DEFAULT_LIMITS)(raw))
        except (ValueError, OverflowError) as error:
            raise UnholdableDefaultError(
                f"default {value!r} is not a valid {name}: {error}"
            ) from error

    def _python(self, value: Any) -> str:
        """Return the source of a value of a class that must be imported."""
        match value:
            case Decimal():
                shown = str(value) if value.as_tuple().exponent == 0 else f'"{value}"'
                return f"{self.scope.use('decimal', 'Decimal')}({shown})"
            case UUID():
                return f'{self.scope.use("uuid", "UUID")}("{value}")'
            case Duration():
                self.scope.use("sdk.events", "Duration")
                return repr(value)
        prefix = self.scope.use_datetime()
        return (
            repr(value)
            .replace("datetime.timezone.utc", f"{prefix}.UTC")
            .replace("datetime.", f"{prefix}.", 1)
        )


def _number(value: float) -> str:
    try:
        number = float(value)
    except OverflowError as error:
        raise UnholdableDefaultError(f"default {value!r} is beyond a double") from error
    shown = repr(number).replace("e+", "e")
    return shown if math.isfinite(number) else f'float("{number}")'
