"""Plain forms of scalar types: primitives, fixed and all logical types."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, DecimalException
from math import isfinite
from typing import Any, Final, NoReturn
from uuid import UUID

from attrs import frozen

from sdk.avro.codec import plan as ops
from sdk.avro.codec.logical import (
    EPOCH,
    LOCAL_EPOCH,
    decimal_context,
    from_wire,
    to_wire,
    write_uuid,
)
from sdk.avro.codec.lowering import converted
from sdk.avro.codec.wire import as_bytes, as_float, as_text
from sdk.avro.duration import Duration
from sdk.avro.limits import DEFAULT_LIMITS
from sdk.avro.schema.model import FixedSchema, LogicalType, PrimitiveSchema

Convert = Callable[[Any], Any]

_NANOS: Final = 1_000_000_000
_DATETIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME: Final = re.compile(r"(\d\d:\d\d:\d\d)(\.\d{1,6})?", re.ASCII)
_DECIMAL: Final = re.compile(r"-?\d{1,10000}(\.\d{1,10000})?([Ee][+-]?\d{1,6})?", re.ASCII)
_NOT_FINITE: Final = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
_DURATION: Final = ("months", "days", "milliseconds")


@frozen
class Form:
    """The plain form of values of one schema.

    Attributes:
        write: Python value → plain value; raises `TypeError` or `ValueError`.
        read: Plain value → Python value; raises the same.
        kinds: JSON types of values, to distinguish the branches of a union.
    """

    write: Convert
    read: Convert
    kinds: frozenset[str] = frozenset({"text"})


def scalar(schema: PrimitiveSchema | FixedSchema, classes: Mapping[str, type[Any]]) -> Form:
    """Return the form of values of a primitive or fixed schema."""
    if schema.logical is not None:
        return _logical(schema, schema.logical)
    if isinstance(schema, FixedSchema):
        return _bytes(classes.get(schema.name, bytes), schema.size)
    return _PRIMITIVES[schema.type]


def misfit(expected: str, value: object) -> NoReturn:
    """Raise an error for a value that does not fit its schema."""
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
    raise TypeError(f"expected {expected}, found {type(value).__name__} {shown}")


# --- primitives ---------------------------------------------------------------------------------


def _exactly(kind: type[Any], expected: str, json_kind: str) -> Form:
    def check(value: Any) -> Any:
        return value if type(value) is kind else misfit(expected, value)

    return Form(check, check, frozenset({json_kind}))


def _integer(bits: int) -> Form:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            misfit(f"an integer of {bits} bits", value)
        return int(value)

    return Form(check, check, frozenset({"number"}))


def text(value: Any) -> str:
    """Check text, whose surrogates must come in pairs."""
    if type(value) is str and value.isascii():
        return value
    try:
        return as_text(value).decode()
    except (TypeError, UnicodeEncodeError):
        misfit("text without lone surrogates", value)


def _write_real(value: Any) -> float | str:
    number = as_float(value)
    if isfinite(number):
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"


def _read_real(value: Any) -> float:
    if type(value) is str and value in _NOT_FINITE:
        return float(_NOT_FINITE[value])
    if type(value) is not float and type(value) is not int:
        misfit("a number", value)
    try:
        return float(value)
    except OverflowError:
        misfit("a number of 64 bits", value)


def _bytes(kind: type[Any], size: int | None) -> Form:
    wanted = "bytes" if size is None else f"{size} bytes"

    def write(value: Any) -> str:
        data = as_bytes(value)
        if size is not None and len(data) != size:
            misfit(wanted, value)
        return b64encode(data).decode()

    def read(value: Any) -> Any:
        try:
            data = b64decode(value, validate=True) if type(value) is str else None
        except ValueError:
            data = None
        if data is None or not (size is None or len(data) == size):
            misfit(f"{wanted} in base64", value)
        return kind(data)

    return Form(write, read)


_REAL: Final = Form(_write_real, _read_real, frozenset({"number", "text"}))
_PRIMITIVES: Final[Mapping[str, Form]] = {
    "null": _exactly(type(None), "null", "null"),
    "boolean": _exactly(bool, "true or false", "boolean"),
    "int": _integer(32),
    "long": _integer(64),
    "float": _REAL,
    "double": _REAL,
    "bytes": _bytes(bytes, None),
    "string": Form(text, text),
}


# --- logical types ------------------------------------------------------------------------------


def _logical(schema: PrimitiveSchema | FixedSchema, logical: LogicalType) -> Form:
    """Convert values to their form after encoding and decoding, which refuses invalid ones."""
    kind, _, unit = logical.name.rpartition("-")
    if unit == "nanos":
        return _nanos(aware=kind == "timestamp")
    if logical.name == "uuid":
        return Form(write_uuid, _uuid)
    if logical.name == "decimal":  # three times as fast as by its bytes
        return _decimal(logical.precision or 0, logical.scale or 0)
    size = schema.size if isinstance(schema, FixedSchema) else None
    op = converted(logical, ops.Primitive(schema.type) if size is None else ops.Fixed(size))
    write, read = to_wire(op), from_wire(op, DEFAULT_LIMITS)
    show, parse = _LOGICAL[logical.name if unit not in ("millis", "micros") else kind]
    kinds = frozenset({"object" if logical.name == "duration" else "text"})
    return Form(
        lambda value: show(read(write(value))), lambda value: read(write(parse(value))), kinds
    )


def _show_timestamp(value: datetime) -> str:
    return f"{value.replace(tzinfo=None).isoformat()}Z"


def _timestamp(value: Any, *, aware: bool) -> datetime:
    seconds, nanos = _instant(value, aware=aware)
    if nanos % 1000:
        misfit("a time with at most microseconds", value)
    epoch = EPOCH if aware else LOCAL_EPOCH
    return epoch + timedelta(seconds=seconds, microseconds=nanos // 1000)


def _nanos(*, aware: bool) -> Form:
    check = _PRIMITIVES["long"].write

    def write(value: Any) -> str:
        seconds, nanos = divmod(check(value), _NANOS)
        text = (LOCAL_EPOCH + timedelta(seconds=seconds)).isoformat()
        return f"{text}.{nanos:09d}{'Z' if aware else ''}"

    def read(value: Any) -> Any:
        seconds, nanos = _instant(value, aware=aware)
        return check(seconds * _NANOS + nanos)

    return Form(write, read)


def _instant(value: Any, *, aware: bool) -> tuple[int, int]:
    """Return the seconds since 1970, in UTC or local, and the nanoseconds of an RFC 3339 text."""
    match = _DATETIME.fullmatch(value) if type(value) is str else None
    if match is None or (match[2] is not None) is not aware:
        misfit(f"an RFC 3339 date-time {'with' if aware else 'without'} offset", value)
    try:
        moment = datetime.fromisoformat(f"{value[:19].upper()}{(match[2] or 'Z').upper()}")
        since = moment.astimezone(UTC) - EPOCH  # raises for what lies outside the years in UTC
    except (ValueError, OverflowError):
        misfit("a date-time that exists", value)
    return since // timedelta(seconds=1), int((match[1] or "0").ljust(9, "0"))


def _date(value: Any) -> date:
    try:
        if type(value) is str and _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    misfit("a date as text", value)


def _time(value: Any) -> time:
    match = _TIME.fullmatch(value) if type(value) is str else None
    try:
        if match is not None:
            return time.fromisoformat(f"{match[1]}{(match[2] or '.').ljust(7, '0')}")
    except ValueError:
        pass
    misfit("a time as text", value)


def _decimal(precision: int, scale: int) -> Form:
    context, quantum = decimal_context(precision), Decimal((0, (1,), -scale))

    def fit(value: Any) -> Decimal:
        if not isinstance(value, Decimal) or not value.is_finite():
            misfit("a finite Decimal", value)
        try:
            return context.quantize(value, quantum)
        except DecimalException as error:
            raise ValueError(f"{value} does not fit decimal({precision}, {scale})") from error

    return Form(lambda value: format(fit(value), "f"), lambda value: fit(_read_decimal(value)))


def _read_decimal(value: Any) -> Decimal:
    if type(value) is str and _DECIMAL.fullmatch(value):
        return Decimal(value)
    misfit("a decimal number as text", value)


def _uuid(value: Any) -> UUID:
    try:
        if type(value) is str and str(found := UUID(value)) == value.lower():
            return found
    except ValueError:
        pass
    misfit("a UUID as text", value)


def _read_duration(value: Any) -> Duration:
    if type(value) is not dict or set(value) != set(_DURATION):
        misfit(f"an object with {', '.join(_DURATION)}", value)
    return Duration(**value)


_LOGICAL: Final[Mapping[str, tuple[Convert, Convert]]] = {
    "big-decimal": (str, _read_decimal),
    "date": (date.isoformat, _date),
    "duration": (lambda value: {name: getattr(value, name) for name in _DURATION}, _read_duration),
    "local-timestamp": (datetime.isoformat, lambda value: _timestamp(value, aware=False)),
    "time": (time.isoformat, _time),
    "timestamp": (_show_timestamp, lambda value: _timestamp(value, aware=True)),
}
"""Logical type without its unit → functions that render a value and parse it again."""
