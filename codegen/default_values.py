"""Defaults of fields as Python source, built from values, never from schema text."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from attrs import frozen

from codegen.literals import bytes_literal, text_literal
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
from sdk.avro.schema.defaults import UnionValue, default_value

_EPOCH: Final = dt.datetime(1970, 1, 1)
_MICROSECONDS: Final = {"millis": 1000, "micros": 1}


class UnholdableDefaultError(Exception):
    """A default that is valid Avro, but that its Python type cannot hold."""


def default_source(schema: Schema, value: Any, scope: Scope) -> str:
    """Return Python source of a default.

    Args:
        schema: Type of the field.
        value: The JSON default, which fits the type.
        scope: The module in which the source will stand.

    Raises:
        UnholdableDefaultError: The Python type has no such value, such as a year beyond 9999.
    """
    return _Writer(scope).write(schema, value)


def is_mutable(schema: Schema, value: Any) -> bool:
    """Tell whether a default must be built anew for each instance."""
    match schema:
        case UnionSchema():
            return is_mutable(_branch(schema, value), value)
        case RecordSchema() | MapSchema():
            return True
        case ArraySchema():
            return any(is_mutable(schema.items, item) for item in value)
    return False


def _branch(schema: UnionSchema, value: Any) -> Schema:
    chosen = default_value(schema, value)
    assert isinstance(chosen, UnionValue)
    return schema.branches[chosen.branch]


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
        try:
            if name == "decimal":
                return self._decimal(value.encode("latin-1"), schema.logical)
            if name == "big-decimal":
                return self._big_decimal(value.encode("latin-1"))
            if name == "uuid":
                data = (
                    UUID(value) if schema.type == "string" else UUID(bytes=value.encode("latin-1"))
                )
                return f'{self.scope.use("uuid", "UUID")}("{data}")'
            if name == "duration":
                return self._duration(value.encode("latin-1"))
            if name.endswith("-nanos"):
                return repr(value)
            return self._moment(name, value)
        except (ValueError, OverflowError) as error:
            raise UnholdableDefaultError(f"default {value!r} is no {name}: {error}") from error

    def _decimal(self, data: bytes, logical: LogicalType) -> str:
        number = int.from_bytes(data, "big", signed=True)
        digits = Decimal(number).adjusted() + 1
        if logical.precision is not None and digits > logical.precision:
            raise ValueError(f"{number} has more than {logical.precision} digits")
        return self._number(number, logical.scale or 0)

    def _number(self, number: int, scale: int) -> str:
        whole = Decimal(number)
        shown = Decimal((whole.is_signed(), whole.as_tuple().digits, -scale))
        text = str(number) if not scale else f'"{shown}"'
        return f"{self.scope.use('decimal', 'Decimal')}({text})"

    def _big_decimal(self, data: bytes) -> str:
        length, start = _varint(data, 0)
        if not 0 < length <= len(data) - start:
            raise ValueError("not the bytes of a big-decimal")
        scale, end = _varint(data, start + length)
        if end != len(data):
            raise ValueError("not the bytes of a big-decimal")
        number = int.from_bytes(data[start : start + length], "big", signed=True)
        return self._number(number, scale)

    def _duration(self, data: bytes) -> str:
        parts = (int.from_bytes(data[start : start + 4], "little") for start in (0, 4, 8))
        months, days, milliseconds = parts
        name = self.scope.use("sdk.events", "Duration")
        return f"{name}(months={months}, days={days}, milliseconds={milliseconds})"

    def _moment(self, name: str, value: int) -> str:
        prefix = self.scope.use_datetime()
        if name == "date":
            day = dt.date.fromordinal(_EPOCH.toordinal() + value)
            return f"{prefix}.date({day.year}, {day.month}, {day.day})"
        microseconds = value * _MICROSECONDS[name.rpartition("-")[2]]
        if name.startswith("time-") and not 0 <= microseconds < 86_400_000_000:
            raise ValueError("not within a day")
        moment = _EPOCH + dt.timedelta(microseconds=microseconds)
        clock = [moment.hour, moment.minute, moment.second, moment.microsecond]
        while len(clock) > 2 and not clock[-1]:
            clock.pop()
        if name.startswith("time-"):
            return f"{prefix}.time({', '.join(map(str, clock))})"
        parts = [moment.year, moment.month, moment.day, *(clock if any(clock) else ())]
        zone = "" if name.startswith("local-") else f", tzinfo={prefix}.UTC"
        return f"{prefix}.datetime({', '.join(map(str, parts))}{zone})"


def _number(value: float) -> str:
    try:
        number = float(value)
    except OverflowError as error:
        raise UnholdableDefaultError(f"default {value!r} is beyond a double") from error
    shown = repr(number).replace("e+", "e")
    return shown if math.isfinite(number) else f'float("{number}")'


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """Read a zigzag varint; return it and the offset behind it."""
    number = shift = 0
    for position in range(start, len(data)):
        number |= (data[position] & 0x7F) << shift
        shift += 7
        if data[position] < 0x80:
            return (number >> 1) ^ -(number & 1), position + 1
    raise ValueError("ends inside a number")
