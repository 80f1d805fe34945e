"""Validates logical type annotations (Avro 1.12 specification, "Logical Types")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from sdk.avro.schema.model import LogicalType

_BASES: Final[Mapping[str, tuple[str, ...]]] = {
    "decimal": ("bytes", "fixed"),
    "big-decimal": ("bytes",),
    "uuid": ("string", "fixed"),
    "date": ("int",),
    "time-millis": ("int",),
    "time-micros": ("long",),
    "timestamp-millis": ("long",),
    "timestamp-micros": ("long",),
    "timestamp-nanos": ("long",),
    "local-timestamp-millis": ("long",),
    "local-timestamp-micros": ("long",),
    "local-timestamp-nanos": ("long",),
    "duration": ("fixed",),
}
_SIZES: Final[Mapping[str, int]] = {"uuid": 16, "duration": 12}


def logical_type(props: Mapping[str, Any]) -> LogicalType:
    """Return the logical type that valid properties name."""
    name = props["logicalType"]
    if name == "decimal":
        return LogicalType(name, props["precision"], props.get("scale", 0))
    return LogicalType(name)


def logical_problem(kind: str, size: int | None, props: Mapping[str, Any]) -> str | None:
    """Return why the annotation in a schema's properties is invalid, or None if it is valid."""
    name = props["logicalType"]
    if not isinstance(name, str) or name not in _BASES:
        return f"unknown logical type {name!r}"
    if kind not in _BASES[name]:
        return f"logical type {name} does not go with {kind}, only with {' or '.join(_BASES[name])}"
    if kind == "fixed" and size != _SIZES.get(name, size):
        return f"logical type {name} needs a fixed of {_SIZES[name]} bytes, not {size}"
    return _decimal_problem(size, props) if name == "decimal" else None


def max_precision(size: int) -> int:
    """Return how many decimal digits always fit in a two's complement of some bytes."""
    return max(0, math.floor(math.log10(2) * (8 * size - 1)))


def _decimal_problem(size: int | None, props: Mapping[str, Any]) -> str | None:
    precision, scale = props.get("precision"), props.get("scale", 0)
    if not _is_int(precision) or precision <= 0:
        return "a decimal needs a precision of at least 1"
    if not _is_int(scale) or not 0 <= scale <= precision:
        return f"the scale of a decimal must lie between 0 and its precision {precision}"
    if size is not None and precision > max_precision(size):
        return f"a fixed of {size} bytes holds {max_precision(size)} digits, not {precision}"
    return None


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
