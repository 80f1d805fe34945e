"""Numbers on the wire: zigzag varints and 32-bit floats, as both executors read and write them.

Avro 1.12 specification, "Binary Encoding". A number has one encoding here: varints with needless
bytes are refused, as are those that do not fit the type.
"""

from __future__ import annotations

import math
import struct
from typing import Final

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1

UNZIGZAG: Final = tuple((n >> 1) ^ -(n & 1) for n in range(128))
"""Values of the varints that take one byte."""

_SHIFTS = tuple(range(0, 70, 7))
_FLOAT = struct.Struct("<f")
_DOUBLE_BITS = 53


class MalformedError(ValueError):
    """Bytes that are not a valid encoding, or a value without one."""


def read_long(data: bytes, position: int) -> tuple[int, int]:
    """Read a zigzag varint of at most 64 bits.

    Raises:
        IndexError: The payload ends inside the number.
        MalformedError: The varint is over-long or does not fit 64 bits.
    """
    number = 0
    for shift in _SHIFTS:
        byte = data[position]
        position += 1
        if byte < 128:
            break
        number |= (byte & 127) << shift
    else:
        raise MalformedError("a varint takes more than 10 bytes")
    if byte == 0 and shift:
        raise MalformedError("a varint is longer than its number needs")
    number |= byte << shift
    if number >> 64:
        raise MalformedError("a varint does not fit 64 bits")
    return (number >> 1) ^ -(number & 1), position


def read_int(data: bytes, position: int) -> tuple[int, int]:
    """Read a zigzag varint of at most 32 bits; otherwise like `read_long`."""
    number, position = read_long(data, position)
    if not INT_MIN <= number <= INT_MAX:
        raise MalformedError(f"{number} does not fit an int")
    return number, position


def varint(number: int) -> bytes:
    """Return the varint of a number that is not negative and already zigzagged."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def long_bytes(value: int) -> bytes:
    """Return the zigzag varint of a number of at most 64 bits."""
    return varint(value + value if value >= 0 else ~(value + value))


def to_float32(value: float) -> float:
    """Round a number once to the nearest 32-bit float, as Java's cast does.

    Going through a double rounds a long twice, so what a double cannot hold is replaced by a
    sticky bit first.
    """
    if isinstance(value, int):
        size = abs(value)
        surplus = size.bit_length() - _DOUBLE_BITS
        if surplus > 0:
            sticky = bool(size & ((1 << surplus) - 1))
            value = math.copysign(math.ldexp((size >> surplus) | sticky, surplus), value)
    rounded: float = _FLOAT.unpack(_FLOAT.pack(value))[0]
    return rounded


def minimal_bytes(value: int) -> bytes:
    """Return the shortest big-endian two's complement of a number; at least one byte."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return value.to_bytes(size, "big", signed=True)


# --- values of primitives ---------------------------------------------------------------------


def as_int(value: object) -> int:
    """Return a whole number as a plain int; a bool is refused."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise TypeError(f"expected int, got {type(value).__name__}")


def as_float(value: object) -> float:
    """Return a number as a plain float; an int is taken where a float can hold it exactly."""
    if isinstance(value, float):
        return float(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected float, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if number != value:
        raise MalformedError(f"{value} has no exact float")
    return number


def as_bytes(value: object) -> bytes:
    """Return a bytes-like value as plain bytes."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"expected bytes, got {type(value).__name__}")


def as_text(value: object) -> bytes:
    """Return the UTF-8 of text; lone surrogates have none."""
    if isinstance(value, str):
        return str.encode(value)
    raise TypeError(f"expected str, got {type(value).__name__}")


def int_bytes(value: object) -> bytes:
    """Return an Avro ``int``."""
    number = as_int(value)
    if not INT_MIN <= number <= INT_MAX:
        raise MalformedError(f"{number} does not fit an int (32 bits)")
    return long_bytes(number)


def checked_long_bytes(value: object) -> bytes:
    """Return an Avro ``long``."""
    number = as_int(value)
    if not LONG_MIN <= number <= LONG_MAX:
        raise MalformedError(f"{number} does not fit a long (64 bits)")
    return long_bytes(number)


def float_bytes(value: object) -> bytes:
    """Return an Avro ``float``; the nearest one, which may not be infinite by overflow."""
    try:
        return _FLOAT.pack(as_float(value))
    except OverflowError as error:
        raise MalformedError(f"{value} does not fit a float (32 bits)") from error
