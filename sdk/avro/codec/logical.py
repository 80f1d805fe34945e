"""Logical types: raw values of the wire ↔ Python values (Avro 1.12, "Logical Types").

Times are truncated to the unit of the schema, towards the past, as Java does: clocks are finer
than most schemas. Nothing else is lost silently. Values that Python cannot hold are refused when
read (`datetime.date` and `datetime.datetime` know the years 1 to 9999; the payload can still be
read by a schema without the logical type), and values that the wire cannot hold when written:
decimals that would have to be rounded, times without the zone that the type requires. A decimal
with more digits than its precision is refused in both directions. Nanoseconds have no Python type
and stay whole numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import (
    MAX_EMAX,
    MAX_PREC,
    MIN_EMIN,
    Context,
    Decimal,
    DecimalException,
    Inexact,
    InvalidOperation,
    Overflow,
)
from functools import lru_cache, partial
from typing import Any, Final
from uuid import UUID

from sdk.avro.codec.plan import Call, Fixed, Logical
from sdk.avro.codec.wire import MalformedError, long_bytes, minimal_bytes, read_long
from sdk.avro.duration import Duration
from sdk.avro.limits import Limits

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_EPOCH: Final = datetime(1970, 1, 1)
EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
MICROSECOND: Final = timedelta(microseconds=1)
MILLISECOND: Final = timedelta(milliseconds=1)
DAY_MICROS: Final = 86_400_000_000

EXACT: Final = Context(
    prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation, Overflow]
)
"""Decimal arithmetic that never rounds; the thread's context would, to 28 digits."""

_PLAIN_UUID: Final = re.compile(r"(?:urn:uuid:)?\{?[0-9a-fA-F-]{32,36}\}?")


class UnfitError(MalformedError):
    """A value that the other side cannot hold, with advice."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


Conversion = Callable[[Any], Any]

RAW_TYPES: Final[Mapping[str, type[Any]]] = {
    "date": date,
    "time-millis": time,
    "time-micros": time,
    "timestamp-millis": datetime,
    "timestamp-micros": datetime,
    "local-timestamp-millis": datetime,
    "local-timestamp-micros": datetime,
    "decimal": Decimal,
    "uuid": UUID,
    "big-decimal": Decimal,
    "duration": Duration,
}
"""Python type of each logical type that is converted; the others keep their raw values."""


def from_wire(op: Logical | Call, limits: Limits) -> Conversion:
    """Return the function that converts a raw value to a Python value.

    It raises `ValueError` (of which `UnfitError` is one) where there is none.
    """
    if op.name == "decimal" and isinstance(op, Logical):
        return _decimal_reader(op.precision, op.scale, limits.max_decimal_bytes)
    return _CONVERSIONS[op.name][0]


def to_wire(op: Logical | Call) -> Conversion:
    """Return the function that converts a Python value to a raw value.

    It raises `TypeError` or `ValueError` (of which `UnfitError` is one) where there is none.
    """
    size = op.wire.size if isinstance(op.wire, Fixed) else None
    if op.name == "decimal" and isinstance(op, Logical):
        return _decimal_writer(op.precision, op.scale, size)
    if op.name == "uuid" and size is not None:
        return write_uuid_bytes
    return _CONVERSIONS[op.name][1]


# --- date and time ------------------------------------------------------------------------------


def read_date(days: int) -> date:
    """Return the date a number of days after 1970-01-01."""
    try:
        return date.fromordinal(days + EPOCH_ORDINAL)
    except (ValueError, OverflowError) as error:
        raise _beyond(f"day {days}") from error


def write_date(value: Any) -> int:
    """Return a date as days since 1970-01-01."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError(f"expected date, got {type(value).__name__}")
    ordinal: int = value.toordinal()
    return ordinal - EPOCH_ORDINAL


def read_time(units: int, unit: int) -> time:
    """Return the time of day a number of units after midnight; ``unit`` is in microseconds."""
    micros = units * unit
    if not 0 <= micros < DAY_MICROS:
        raise MalformedError(f"{units} is not a time of day")
    seconds, micros = divmod(micros, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return time(hours, minutes, seconds, micros)


def write_time(value: Any, unit: int) -> int:
    """Return a time of day as units after midnight; ``unit`` is in microseconds."""
    if not isinstance(value, time):
        raise TypeError(f"expected time, got {type(value).__name__}")
    if value.tzinfo is not None:
        raise UnfitError(
            "the time has a zone, which would be lost", "use value.replace(tzinfo=None)"
        )
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return (seconds * 1_000_000 + value.microsecond) // unit


def _read_datetime(units: int, unit: int, epoch: datetime) -> datetime:
    try:
        return epoch + units * unit * MICROSECOND
    except OverflowError as error:
        raise _beyond(f"timestamp {units}") from error


def write_timestamp(value: Any, unit: int) -> int:
    """Return an instant as units since 1970-01-01 UTC; ``unit`` is in microseconds."""
    if not isinstance(value, datetime):
        raise TypeError(f"expected datetime, got {type(value).__name__}")
    if value.utcoffset() is None:
        raise UnfitError(
            "the datetime has no time zone, so it names no instant",
            "pass an aware datetime, such as datetime.now(timezone.utc)",
        )
    return _micros(value - EPOCH) // unit


def write_local_timestamp(value: Any, unit: int) -> int:
    """Return a wall-clock time as units since 1970-01-01; ``unit`` is in microseconds."""
    if not isinstance(value, datetime):
        raise TypeError(f"expected datetime, got {type(value).__name__}")
    if value.utcoffset() is not None:
        raise UnfitError(
            "the datetime has a time zone, which would be lost", "use value.replace(tzinfo=None)"
        )
    return _micros(value - LOCAL_EPOCH) // unit


def _micros(delta: timedelta) -> int:
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _beyond(what: str) -> UnfitError:
    return UnfitError(
        f"{what} lies outside the years 1 to 9999, which is all that Python's dates hold",
        "read it by a schema whose field has no logical type, or correct the sender",
    )


# --- decimal ------------------------------------------------------------------------------------


@lru_cache(maxsize=1000)
def _decimal_reader(precision: int, scale: int, max_bytes: int) -> Conversion:
    longest = max(max_bytes, decimal_size(precision))
    quantum = Decimal((0, (1,), -scale))
    return lambda raw: read_decimal(raw, quantum, longest, precision)


@lru_cache(maxsize=1000)
def _decimal_writer(precision: int, scale: int, size: int | None) -> Conversion:
    context = decimal_context(precision)
    return lambda value: write_decimal(value, scale, context, size)


def decimal_size(precision: int) -> int:
    """Return how many bytes an unscaled value of ``precision`` digits may need."""
    return int(precision * math.log2(10) / 8) + 2


def decimal_context(precision: int) -> Context:
    """Return a context that raises an error for more digits, and instead of rounding."""
    return Context(
        prec=precision,
        Emax=max(precision - 1, 0),
        Emin=MIN_EMIN,
        traps=[Inexact, InvalidOperation, Overflow],
    )


def read_decimal(raw: bytes, quantum: Decimal, longest: int, precision: int) -> Decimal:
    """Return the decimal of an unscaled two's complement, big-endian, with limited digits."""
    if not raw:
        raise MalformedError("a decimal has no bytes")
    if len(raw) > longest:
        raise MalformedError(f"a decimal has {len(raw)} bytes, more than {longest}")
    unscaled = Decimal(int.from_bytes(raw, "big", signed=True))
    if unscaled.adjusted() >= precision:
        raise UnfitError(
            f"the decimal has {unscaled.adjusted() + 1} digits, the schema allows {precision}",
            "correct the sender, or read by a schema whose field has no logical type",
        )
    return EXACT.multiply(unscaled, quantum)


def write_decimal(value: Any, scale: int, context: Context, size: int | None) -> bytes:
    """Return the unscaled two's complement of a decimal: the shortest, or of ``size`` bytes."""
    if not isinstance(value, Decimal):
        raise TypeError(f"expected Decimal, got {type(value).__name__}")
    try:
        shifted = context.multiply(value, Decimal((0, (1,), scale)))
        unscaled = int(context.to_integral_exact(shifted))
    except (DecimalException, ValueError, OverflowError) as error:
        whole = context.prec - scale
        raise UnfitError(
            f"{value} does not fit decimal({context.prec}, {scale})",
            f"use at most {whole} digits before and {scale} after the point; round the value "
            "first, so that the loss is yours to see",
        ) from error
    return minimal_bytes(unscaled) if size is None else unscaled.to_bytes(size, "big", signed=True)


def _read_big_decimal(raw: bytes) -> Decimal:
    """Avro 1.12 leaves the format to Java: bytes of the unscaled value, then the scale as int."""
    try:
        size, start = read_long(raw, 0)
        scale, end = read_long(raw, start + size)
    except IndexError as error:
        raise MalformedError("a big-decimal is cut short") from error
    if size < 1 or end != len(raw) or not -(2**31) <= scale < 2**31:
        raise MalformedError("a big-decimal is not bytes and a scale")
    if size > MAX_BIG_DECIMAL_BYTES:
        raise MalformedError(f"a big-decimal has {size} bytes, more than {MAX_BIG_DECIMAL_BYTES}")
    unscaled = int.from_bytes(raw[start : start + size], "big", signed=True)
    return EXACT.scaleb(Decimal(unscaled), -scale)


MAX_BIG_DECIMAL_BYTES: Final = 4096


def _write_big_decimal(value: Any) -> bytes:
    if not isinstance(value, Decimal):
        raise TypeError(f"expected Decimal, got {type(value).__name__}")
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise UnfitError(f"{value} is not a number", "pass a finite Decimal")
    if not -(2**31) < exponent < 2**31:
        raise UnfitError("the exponent of the Decimal is too large", "pass a smaller number")
    unscaled = minimal_bytes(int(Decimal((sign, digits, 0))))
    if len(unscaled) > MAX_BIG_DECIMAL_BYTES:
        raise UnfitError("the Decimal has too many digits", "pass a shorter number")
    return long_bytes(len(unscaled)) + unscaled + long_bytes(-exponent)


# --- uuid and duration --------------------------------------------------------------------------


def read_uuid(raw: str | bytes) -> UUID:
    """Return the UUID of text (RFC 9562, any case; ``urn:uuid:`` and braces too) or 16 bytes."""
    if isinstance(raw, bytes):
        return UUID(bytes=raw)
    if not _PLAIN_UUID.fullmatch(raw):
        raise MalformedError("the text is not a UUID")
    return UUID(raw)


def write_uuid(value: Any) -> str:
    """Return the text of a UUID."""
    if not isinstance(value, UUID):
        raise TypeError(f"expected UUID, got {type(value).__name__}")
    return str(value)


def write_uuid_bytes(value: Any) -> bytes:
    """Return the 16 bytes of a UUID, big-endian."""
    if not isinstance(value, UUID):
        raise TypeError(f"expected UUID, got {type(value).__name__}")
    return value.bytes


def _write_duration(value: Any) -> bytes:
    if not isinstance(value, Duration):
        raise TypeError(f"expected Duration, got {type(value).__name__}")
    return bytes(value)


CALLS: Final[Mapping[str, tuple[Conversion, Conversion]]] = {
    "big-decimal": (_read_big_decimal, _write_big_decimal),
    "duration": (Duration.from_bytes, _write_duration),
}
"""Functions of `sdk.avro.codec.plan.Call`: raw → value, value → raw."""


def _in_units(read: Callable[[int, int], Any], write: Callable[[Any, int], int], unit: int) -> Any:
    return lambda raw: read(raw, unit), lambda value: write(value, unit)


_CONVERSIONS: Final[Mapping[str, tuple[Conversion, Conversion]]] = {
    **CALLS,
    "date": (read_date, write_date),
    "uuid": (read_uuid, write_uuid),
    **{
        f"{kind}-{name}": _in_units(read, write, unit)
        for kind, read, write in (
            ("time", read_time, write_time),
            ("timestamp", partial(_read_datetime, epoch=EPOCH), write_timestamp),
            ("local-timestamp", partial(_read_datetime, epoch=LOCAL_EPOCH), write_local_timestamp),
        )
        for name, unit in (("millis", 1000), ("micros", 1))
    },
}
"""Logical type → raw to value, value to raw; decimals depend on more than their name."""
