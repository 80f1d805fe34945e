"""Converters and validators of the fields of generated classes.

Converters turn constructor arguments into the values that an event holds. They do not change what
they cannot convert, and `sdk.events.checks` rejects it with its path. Validators check what a
schema requires beyond the Python type; each checks only values of its type, so that it also serves
nullable fields and unions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    Context,
    Decimal,
    DecimalException,
    Inexact,
    InvalidOperation,
)
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from attrs import Attribute

from sdk.errors import InvalidValueError

_T = TypeVar("_T")

Validator = Callable[[Any, "Attribute[Any]", Any], None]

_FLOAT: Final = struct.Struct("<f")
_SCALARS: Final = str | bytes | bytearray | memoryview | Mapping


def _as_tuple(value: Iterable[Any]) -> Any:
    if type(value) is tuple or isinstance(value, _SCALARS) or not isinstance(value, Iterable):
        return value
    return tuple(value)


def _as_map(value: Mapping[str, Any]) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _frozen(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, _SCALARS):
        return tuple([_frozen(item) for item in value])
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return value


def _in_millis(value: Any) -> Any:
    if isinstance(value, datetime | time):
        rest = value.microsecond % 1000
        return value.replace(microsecond=value.microsecond - rest) if rest else value
    if isinstance(value, Sequence) and not isinstance(value, _SCALARS):
        return tuple([_in_millis(item) for item in value])
    if isinstance(value, Mapping):
        return {key: _in_millis(item) for key, item in value.items()}
    return value


if TYPE_CHECKING:

    class to_tuple(Generic[_T]):  # noqa: N801
        """Converter of an array of items that need no conversion; any iterable becomes a tuple."""

        def __new__(cls, value: Iterable[_T]) -> tuple[_T, ...]: ...  # type: ignore[misc]  # noqa: D102

    class to_map(Generic[_T]):  # noqa: N801
        """Converter of a map whose values need no conversion; it is copied."""

        def __new__(cls, value: Mapping[str, _T]) -> Mapping[str, _T]: ...  # type: ignore[misc]  # noqa: D102

    class freeze(Generic[_T]):  # noqa: N801
        """Converter of arrays and maps at any depth, also in unions.

        Its parameter is the type that the constructor accepts.
        """

        def __new__(cls, value: _T) -> Any: ...  # noqa: D102

    class to_millis(Generic[_T]):  # noqa: N801
        """Converter of times that a schema counts in milliseconds: they are truncated.

        Thus an event equals its decoded bytes. Arrays and maps are converted as by `freeze`.
        """

        def __new__(cls, value: _T) -> Any: ...  # noqa: D102

else:

    class _Converter:
        """Lets type checkers see what the constructor accepts; at run time a plain function."""

        def __init__(self, function):
            self._function = function

        def __getitem__(self, accepted):
            return self._function

    to_tuple = _Converter(_as_tuple)
    to_map = _Converter(_as_map)
    freeze = _Converter(_frozen)
    to_millis = _Converter(_in_millis)


def refuse(instance: Any, path: str, message: str, remedy: str) -> None:
    """Reject a value of an event.

    Raises:
        InvalidValueError: Always; it names the event, or the class of a record inside one.
    """
    cls = type(instance)
    info = getattr(cls, "__event__", None)
    event = info.full_name if info is not None else cls.__name__
    raise InvalidValueError(message, remedy=remedy, event=event, path=path)


def shown(value: object) -> str:
    """Return a value for an error message: on one line and not too long."""
    try:
        text = str(value)
    except ValueError:  # the interpreter refuses to print very long numbers
        return "a number of very many digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def int32(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Validator of Avro ``int``: 32 bits, signed."""
    if isinstance(value, int) and not -0x8000_0000 <= value <= 0x7FFF_FFFF:
        message = f"{shown(value)} does not fit an int"
        refuse(instance, attribute.name, message, "use -2**31 to 2**31 - 1")


def int64(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Validator of Avro ``long``: 64 bits, signed."""
    if isinstance(value, int) and not -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
        message = f"{shown(value)} does not fit a long"
        refuse(instance, attribute.name, message, "use -2**63 to 2**63 - 1")


def float32(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Validator of Avro ``float``: 32 bits; values are rounded, and overflow is rejected."""
    if isinstance(value, int | float):
        try:
            _FLOAT.pack(value)
        except (OverflowError, struct.error):  # of floats, of ints
            message = f"{shown(value)} does not fit a float of 32 bits"
            refuse(instance, attribute.name, message, "make the field a double")


def fixed_size(size: int) -> Validator:
    """Return a validator of Avro ``fixed``.

    Args:
        size: Bytes that a value must have.
    """

    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if isinstance(value, bytes) and len(value) != size:
            refuse(instance, attribute.name, f"{len(value)} bytes given", f"pass exactly {size}")

    return check


def decimal_digits(precision: int, scale: int) -> Validator:
    """Return a validator of the logical type ``decimal``, which never rounds.

    Args:
        precision: Digits that a value may have in all.
        scale: Digits after the point; more are refused unless they are zeros.
    """
    context = Context(
        prec=precision, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Inexact, InvalidOperation]
    )
    quantum = Decimal((0, (1,), -scale))
    quantize = context.quantize

    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if not isinstance(value, Decimal):
            return
        try:
            if not quantize(value, quantum).is_nan():
                return
        except DecimalException:
            pass
        refuse(
            instance,
            attribute.name,
            f"{shown(value)} does not fit decimal({precision}, {scale})",
            f"use at most {precision - scale} digits before and {scale} after the point",
        )

    return check


def finite(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Validator of ``big-decimal``, which has any number of digits but must be finite."""
    if isinstance(value, Decimal) and not value.is_finite():
        refuse(instance, attribute.name, f"{value} is not a number", "pass a finite Decimal")


def aware(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Validator of ``timestamp-*``, which are instants: the datetime must have a time zone."""
    if isinstance(value, datetime) and value.tzinfo is not UTC and value.utcoffset() is None:
        refuse(
            instance,
            attribute.name,
            f"{shown(value)} has no time zone, so it names no instant",
            "pass an aware datetime, such as datetime.now(UTC)",
        )


def naive(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Validator of ``local-timestamp-*`` and ``time-*``, which have no time zone."""
    has_zone = (
        value.utcoffset() is not None
        if isinstance(value, datetime)
        else isinstance(value, time) and value.tzinfo is not None
    )
    if has_zone:
        refuse(
            instance,
            attribute.name,
            f"{shown(value)} has a time zone, which would be lost",
            "use value.replace(tzinfo=None)",
        )


def each(*validators: Validator) -> Validator:
    """Return a validator of an array or a map that applies others to its items or values."""

    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if isinstance(value, Mapping):
            items: Iterable[tuple[Any, Any]] = value.items()
        else:
            items = enumerate(value) if isinstance(value, tuple) else ()
        for place, item in items:
            for validator in validators:
                try:
                    validator(instance, attribute, item)
                except InvalidValueError as error:
                    inner = (error.path or "").removeprefix(attribute.name)
                    path = f"{attribute.name}[{place!r}]{inner}"
                    refuse(instance, path, error.message, error.remedy or "")

    return check
