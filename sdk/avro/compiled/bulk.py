"""Arrays of numbers at once: by `struct`, by `array`, or by fastavro's C where that is fastest.

Each reader takes the payload and where the array starts and returns the tuple and where it ends;
each writer takes the items and returns all bytes of the array.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from typing import Any, Final

from sdk.avro.compiled.support import LENGTHS, BailError, block_count, length
from sdk.avro.wire import INT_MAX, INT_MIN, UNZIGZAG, long_bytes, read_long

_FEW: Final = 10
"""Below so many items, a call to fastavro costs more than it saves."""

_UNZIGZAG: Final = bytes(n & 255 for n in UNZIGZAG) + bytes(128)
_ZIGZAG: Final = bytes((n << 1 if n < 128 else ~((n - 256) << 1)) & 255 for n in range(256))

_CLASSES: Final = b"zo" + b"x" * 126 + b"c" * 128
"""Kinds of bytes in varints: zero, one, other last ones, and those that continue."""


def read_longs(data: bytes, position: int, *, least: int, most: int) -> tuple[tuple[int, ...], int]:
    """Read an array of ``int`` or ``long``."""
    start = position
    if data[start] == 0:
        return (), start + 1
    count, position = block_count(data, start, 1)
    chunk = data[position : position + count]
    values: Sequence[int]
    if chunk.isascii():
        values = array("b", chunk.translate(_UNZIGZAG))
        position += count
        if data[position] == 0:
            return tuple(values), position + 1
    elif count >= _FEW and data[start] & 1 == 0:
        values, end, numbers = _read_fast(data, start)
        if len(values) == count and numbers == count + 2:  # with the count and the final zero
            if least > min(values) or most < max(values):
                raise BailError
            return tuple(values), end
    return _read_slowly(data, start, least, most)


def _read_fast(data: bytes, start: int) -> tuple[list[int], int, int]:
    """Read by fastavro, which takes numbers of any length: so look at the bytes as well.

    Returns:
        The items, where the array ends, and how many varints there are in it.
    """
    stream = BytesIO(data)
    stream.seek(start)
    read, schema = _fastavro()[0]
    values: list[int] = read(stream, schema)
    end = stream.tell()
    kinds = data[start:end].translate(_CLASSES)
    if b"cz" in kinds or b"c" * 9 + b"x" in kinds or b"c" * 10 in kinds:
        raise BailError
    return values, end, len(kinds) - kinds.count(b"c")


def _read_slowly(data: bytes, position: int, least: int, most: int) -> tuple[tuple[int, ...], int]:
    values: list[int] = []
    while data[position]:
        count, position = block_count(data, position, 1)
        for _ in range(count):
            value, position = read_long(data, position)
            values.append(value)
    if values and (min(values) < least or max(values) > most):
        raise BailError
    return tuple(values), position + 1


def write_longs(values: Sequence[Any], *, least: int, most: int) -> bytes:
    """Write an array of ``int`` or ``long``."""
    count = len(values)
    if list(map(type, values)).count(int) != count:
        raise BailError
    if count < _FEW:
        if count and (min(values) < least or max(values) > most):
            raise BailError
        return b"".join([LENGTHS[count], *map(long_bytes, values), b"\0" if count else b""])
    try:
        small = array("b", values)
    except OverflowError:
        pass
    else:
        if max(small) < 64 and min(small) >= -64:
            return length(count) + small.tobytes().translate(_ZIGZAG) + b"\0"
    if most == INT_MAX and (min(values) < least or max(values) > most):
        raise BailError
    stream = BytesIO()
    write, schema = _fastavro()[1]
    write(stream, schema, values)
    return stream.getvalue()


@cache
def _fastavro() -> tuple[tuple[Callable[..., Any], Any], tuple[Callable[..., Any], Any]]:
    """Load fastavro when the first long array of numbers comes."""
    from fastavro import parse_schema, schemaless_reader, schemaless_writer

    schema = parse_schema({"type": "array", "items": "long"})
    return (schemaless_reader, schema), (schemaless_writer, schema)


def read_floats(data: bytes, position: int, *, code: str, size: int) -> tuple[Any, int]:
    """Read an array of ``float`` (code ``f``) or ``double`` (code ``d``)."""
    values: list[float] = []
    while data[position]:
        count, position = block_count(data, position, size)
        values += struct.unpack_from(f"<{count}{code}", data, position)
        position += count * size
    return tuple(values), position + 1


def write_floats(values: Sequence[Any], *, code: str) -> bytes:
    """Write an array of ``float`` (code ``f``) or ``double`` (code ``d``)."""
    count = len(values)
    if list(map(type, values)).count(float) != count:
        raise BailError
    if not count:
        return b"\0"
    return length(count) + struct.pack(f"<{count}{code}", *values) + b"\0"


def read_booleans(data: bytes, position: int) -> tuple[tuple[bool, ...], int]:
    """Read an array of ``boolean``."""
    values: list[bool] = []
    while data[position]:
        count, position = block_count(data, position, 1)
        values += map((False, True).__getitem__, data[position : position + count])
        position += count
    return tuple(values), position + 1


READERS: Final[dict[str, tuple[Callable[..., Any], dict[str, Any]]]] = {
    "int": (read_longs, {"least": INT_MIN, "most": INT_MAX}),
    "long": (read_longs, {"least": -(2**63), "most": 2**63 - 1}),
    "float": (read_floats, {"code": "f", "size": 4}),
    "double": (read_floats, {"code": "d", "size": 8}),
    "boolean": (read_booleans, {}),
}
"""By type of the items: reader and its settings."""

WRITERS: Final[dict[str, tuple[Callable[..., bytes], dict[str, Any]]]] = {
    "int": (write_longs, {"least": INT_MIN, "most": INT_MAX}),
    "long": (write_longs, {"least": -(2**63), "most": 2**63 - 1}),
    "float": (write_floats, {"code": "f"}),
    "double": (write_floats, {"code": "d"}),
}
"""By type of the items: writer and its settings."""
