"""JSON forms of the Avro types without parts: primitives, fixed and all logical types."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation
from math import isfinite
from typing import Any
from uuid import UUID

from sdk.avro.duration import Duration
from sdk.avro.schema.model import FixedSchema, LogicalType, PrimitiveSchema, Schema

Scalar = tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], bool], frozenset[str]]
"""write, read, accepts, kinds: as in `Form`."""

_TEXT = frozenset({"text"})
_NUMBER = frozenset({"number"})
_REAL = frozenset({"number", "text"})
_EPOCH = datetime(1970, 1, 1)
_NANOS = 1_000_000_000
_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.I)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_CLOCK = re.compile(r"\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,10000}(\.\d{1,10000})?([Ee][+-]?\d{1,6})?", re.ASCII)
_NOT_FINITE = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}


class MismatchError(Exception):
    """A value does not fit its schema; grows its path while it travels outwards.

    Args:
        expected: What would fit.
        value: What was found.
    """

    def __init__(self, expected: str, value: object) -> None:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
        super().__init__(f"expected {expected}, found {type(value).__name__} {shown}")
        self.reason = str(self)
        self.path = ""

    @classmethod
    def at(cls, path: str, reason: str) -> MismatchError:
        """Return a mismatch with a reason of its own, inside the value at hand."""
        error = cls.__new__(cls)
        Exception.__init__(error, reason)
        error.reason, error.path = reason, path
        return error

    def within(self, segment: str) -> MismatchError:
        """Return this mismatch as seen one step further out."""
        joint = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{segment}{joint}{self.path}"
        return self


def scalar(schema: Schema, classes: Mapping[str, type[Any]]) -> Scalar:
    """Return how values of a primitive or fixed schema are written and read."""
    if isinstance(schema, FixedSchema):
        if schema.logical is not None:
            return _logical(schema.logical)
        return _bytes(classes.get(schema.name, bytes), schema.size)
    assert isinstance(schema, PrimitiveSchema)
    if schema.logical is not None:
        return _logical(schema.logical)
    if schema.type == "bytes":
        return _bytes(bytes, None)
    return _PRIMITIVES[schema.type]


def _logical(logical: LogicalType) -> Scalar:
    if logical.name == "decimal":
        return _decimal(logical.precision or 0, logical.scale or 0)
    name, _, unit = logical.name.rpartition("-")
    if unit == "nanos":
        return _nanos(aware=name == "timestamp")
    if name == "timestamp":
        return _AWARE
    if name == "local-timestamp":
        return _NAIVE
    return _TIME if name == "time" else _LOGICAL[logical.name]


def _plain(kind: type[Any], expected: str, json_kind: str) -> Scalar:
    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise MismatchError(expected, value)
        return value

    return check, check, lambda value: type(value) is kind, frozenset({json_kind})


def _null() -> Scalar:
    def check(value: Any) -> None:
        if value is not None:
            raise MismatchError("null", value)

    return check, check, lambda value: value is None, frozenset({"null"})


def _integer(bits: int) -> Scalar:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def check(value: Any) -> Any:
        if type(value) is not int or not low <= value <= high:
            raise MismatchError(f"an integer of {bits} bits", value)
        return value

    return check, check, lambda value: type(value) is int and low <= value <= high, _NUMBER


def _text() -> Scalar:
    def check(value: Any) -> Any:
        if type(value) is not str:
            raise MismatchError("text", value)
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise MismatchError("text without lone surrogates", value) from None
        return value

    return check, check, lambda value: type(value) is str, _TEXT


def _real() -> Scalar:
    def write(value: Any) -> Any:
        if type(value) is not float:
            if type(value) is not int:
                raise MismatchError("a number", value)
            return value
        if isfinite(value):
            return value
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"

    def read(value: Any) -> Any:
        if type(value) is float:
            return value
        if type(value) is str and value in _NOT_FINITE:
            return float(_NOT_FINITE[value])
        if type(value) is not int:
            raise MismatchError("a number", value)
        try:
            return float(value)
        except OverflowError:
            raise MismatchError("a number of 64 bits", value) from None

    return write, read, lambda value: type(value) in {float, int}, _REAL


def _bytes(kind: type[Any], size: int | None) -> Scalar:
    wanted = "bytes" if size is None else f"{size} bytes"

    def accepts(value: Any) -> bool:
        return isinstance(value, kind) and (size is None or len(value) == size)

    def write(value: Any) -> str:
        if not isinstance(value, bytes) or not (size is None or len(value) == size):
            raise MismatchError(wanted, value)
        return b64encode(value).decode()

    def read(value: Any) -> Any:
        try:
            data = b64decode(value, validate=True) if type(value) is str else None
        except (binascii.Error, ValueError):
            data = None
        if data is None or not (size is None or len(data) == size):
            raise MismatchError(f"{wanted} in base64", value)
        return data if kind is bytes else kind(data)

    return write, read, accepts, _TEXT


def _decimal(precision: int, scale: int) -> Scalar:
    context = Context(
        prec=precision, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Inexact, InvalidOperation]
    )
    quantum = Decimal((0, (1,), -scale))

    def fit(value: Any, found: object) -> Decimal:
        try:
            return context.quantize(value, quantum)
        except (Inexact, InvalidOperation):
            raise MismatchError(f"decimal({precision}, {scale})", found) from None

    def write(value: Any) -> str:
        if type(value) is not Decimal or not value.is_finite():
            raise MismatchError("a Decimal", value)
        return format(fit(value, value), "f")

    def read(value: Any) -> Decimal:
        return fit(_decimal_of(value), value)

    return write, read, lambda value: type(value) is Decimal, _TEXT


def _big_decimal() -> Scalar:
    def write(value: Any) -> str:
        if type(value) is not Decimal or not value.is_finite():
            raise MismatchError("a Decimal", value)
        return str(value)

    return write, _decimal_of, lambda value: type(value) is Decimal, _TEXT


def _decimal_of(value: Any) -> Decimal:
    if type(value) is str and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise MismatchError("a decimal number as text", value)


def _by_text(
    kind: type[Any], expected: str, write: Callable[[Any], str], read: Callable[[str], Any]
) -> Scalar:
    """Return the form of a type that has one text for each value."""

    def checked_write(value: Any) -> str:
        if type(value) is not kind:
            raise MismatchError(expected, value)
        return write(value)

    def checked_read(value: Any) -> Any:
        try:
            if type(value) is str:
                return read(value)
        except (ValueError, OverflowError):
            pass
        raise MismatchError(f"{expected} as text", value)

    return checked_write, checked_read, lambda value: type(value) is kind, _TEXT


def _timestamp(*, aware: bool) -> Scalar:
    expected = "an aware datetime" if aware else "a naive datetime"

    def accepts(value: Any) -> bool:
        return isinstance(value, datetime) and (value.utcoffset() is not None) is aware

    def write(value: Any) -> str:
        if not accepts(value):
            raise MismatchError(expected, value)
        if not aware:
            return str(value.isoformat())
        return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"

    def read(value: Any) -> datetime:
        seconds, nanos = _instant(value, aware=aware)
        if nanos % 1000:
            raise MismatchError("a time with at most microseconds", value)
        moment = _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
        return moment.replace(tzinfo=UTC) if aware else moment

    return write, read, accepts, _TEXT


def _nanos(*, aware: bool) -> Scalar:
    _, _, accepts, _ = _integer(64)

    def write(value: Any) -> str:
        if not accepts(value):
            raise MismatchError("nanoseconds of 64 bits", value)
        seconds, nanos = divmod(value, _NANOS)
        text = (_EPOCH + timedelta(seconds=seconds)).isoformat()
        return f"{text}.{nanos:09d}{'Z' if aware else ''}"

    def read(value: Any) -> int:
        seconds, nanos = _instant(value, aware=aware)
        total = seconds * _NANOS + nanos
        if not accepts(total):
            raise MismatchError("a time whose nanoseconds have 64 bits", value)
        return total

    return write, read, accepts, _TEXT


def _instant(value: Any, *, aware: bool) -> tuple[int, int]:
    """Return the seconds since 1970, in UTC or local, and the nanoseconds of an RFC 3339 text."""
    match = _DATETIME.fullmatch(value) if type(value) is str and value.isascii() else None
    if match is None or (match[2] is not None) is not aware:
        offset = "with" if aware else "without"
        raise MismatchError(f"an RFC 3339 date-time {offset} offset", value)
    try:
        moment = datetime.fromisoformat(f"{value[:19].upper()}{(match[2] or 'Z').upper()}")
        seconds = (moment - _EPOCH.replace(tzinfo=UTC)) // timedelta(seconds=1)
        _EPOCH + timedelta(seconds=seconds)  # in range in UTC as well
    except (ValueError, OverflowError):
        raise MismatchError("a date-time that exists", value) from None
    return seconds, int((match[1] or "0").ljust(9, "0"))


def _read_date(text: str) -> date:
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _read_time(text: str) -> time:
    if not _CLOCK.fullmatch(text):
        raise ValueError(text)
    return time.fromisoformat(f"{text[:9]}{text[9:].ljust(6, '0')}" if len(text) > 8 else text)


def _write_time(value: time) -> str:
    if value.tzinfo is not None:
        raise MismatchError("a time without time zone", value)
    return value.isoformat()


def _read_uuid(text: str) -> UUID:
    value = UUID(text)
    if str(value) != text.lower():
        raise ValueError(text)
    return value


def _duration() -> Scalar:
    names = ("months", "days", "milliseconds")

    def write(value: Any) -> dict[str, int]:
        if type(value) is not Duration:
            raise MismatchError("a Duration", value)
        return {name: getattr(value, name) for name in names}

    def read(value: Any) -> Duration:
        if type(value) is not dict or set(value) != set(names):
            raise MismatchError(f"an object with {', '.join(names)}", value)
        for name in names:
            if type(value[name]) is not int or not 0 <= value[name] < 1 << 32:
                raise MismatchError("an unsigned integer of 32 bits", value[name]).within(name)
        return Duration(**value)

    return write, read, lambda value: type(value) is Duration, frozenset({"object"})


_PRIMITIVES: Mapping[str, Scalar] = {
    "null": _null(),
    "boolean": _plain(bool, "true or false", "boolean"),
    "int": _integer(32),
    "long": _integer(64),
    "float": _real(),
    "double": _real(),
    "string": _text(),
}
_AWARE = _timestamp(aware=True)
_NAIVE = _timestamp(aware=False)
_TIME = _by_text(time, "a time", _write_time, _read_time)
_LOGICAL: Mapping[str, Scalar] = {
    "big-decimal": _big_decimal(),
    "uuid": _by_text(UUID, "a UUID", str, _read_uuid),
    "date": _by_text(date, "a date", date.isoformat, _read_date),
    "duration": _duration(),
}
