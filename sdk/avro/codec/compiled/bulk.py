"""Reads and writes arrays of numbers at once: by `struct`, `array`, or fastavro's C if fastest.

Each reader takes the payload and where the array starts and returns the tuple and where it ends;
each writer takes the items and returns all bytes of the array.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from io import BytesIO
from operator import countOf
from typing import Any, Final

from attrs import frozen

from sdk.avro.codec.compiled.support import (
    LENGTHS,
    NUMBERS,
    PAIRS,
    SMALL,
    BailError,
    block_count,
    large_long,
    length,
    read_long,
)
from sdk.avro.codec.wire import UNZIGZAG

_FEW: Final = 8
_MANY: Final = 24
"""With fewer entries or items, a call to fastavro costs more than it saves."""

_UNZIGZAG: Final = bytes(n & 255 for n in UNZIGZAG) + bytes(128)

_CLASSES: Final = b"zo" + b"x" * 126 + b"c" * 128
"""Kinds of bytes in varints: zero, one, other last ones, and those that continue."""


def read_longs(data: bytes, position: int, *, kind: str) -> tuple[tuple[int, ...], int]:
    """Read an array of ``int`` or ``long``."""
    start = position
    if data[start] == 0:
        return (), start + 1
    count, position = block_count(data, start, 1)
    chunk = data[position : position + count]
    if chunk.isascii():
        position += count
        if data[position] == 0:
            return tuple(array("b", chunk.translate(_UNZIGZAG))), position + 1
    elif count >= _MANY and data[start] & 1 == 0:
        values, end, numbers = _read_fast(data, start)
        if len(values) == count and numbers == count + 2:  # with the count and the final zero
            if kind == "int":
                array("i", values)  # raises OverflowError for what does not fit
            return tuple(values), end
    return _read_slowly(data, start, kind)


def _read_fast(data: bytes, start: int) -> tuple[list[int], int, int]:
    """Read with fastavro, and check the bytes, because it accepts varints of any length.

    Returns:
        The items, where the array ends, and how many varints there are in it.
    """
    stream = BytesIO(data)
    stream.seek(start)
    values: list[int] = _fastavro().read(stream, _fastavro().array)
    end = stream.tell()
    kinds = data[start:end].translate(_CLASSES)
    if b"cz" in kinds or b"c" * 9 + b"x" in kinds or b"c" * 10 in kinds:
        raise BailError
    return values, end, len(kinds) - kinds.count(b"c")


def _read_slowly(data: bytes, position: int, kind: str) -> tuple[tuple[int, ...], int]:
    values: list[int] = []
    while data[position]:
        count, position = block_count(data, position, 1)
        for _ in range(count):
            number = data[position]
            if number < 128:
                position += 1
                values.append(UNZIGZAG[number])
            elif 0 < (byte := data[position + 1]) < 128:
                number += (byte << 7) - 128
                position += 2
                values.append(~(number >> 1) if number & 1 else number >> 1)
            else:
                number, position = read_long(data, position)
                values.append(number)
    if kind == "int":
        array("i", values)
    return tuple(values), position + 1


def write_longs(values: Sequence[Any], *, kind: str) -> bytes:
    """Write an array of ``int`` or ``long``."""
    count = len(values)
    if not count:
        return b"\0"
    if countOf(map(type, values), int) != count:
        raise BailError
    try:
        return b"%b%b\0" % (length(count), b"".join(map(NUMBERS.__getitem__, values)))
    except KeyError:
        pass
    if kind == "int":
        array("i", values)  # raises OverflowError for what does not fit
    if count < _MANY:
        return b"%b%b\0" % (length(count), b"".join(_numbers(values)))
    stream = BytesIO()
    _fastavro().write(stream, _fastavro().array, values)
    return stream.getvalue()


def _numbers(values: Iterable[int]) -> list[bytes]:
    return [
        SMALL[n]
        if (n := value + value if value >= 0 else ~(value + value)) < 16384
        else PAIRS[n & 16383] + SMALL[n >> 14]
        if n < 268435456
        else large_long(value)
        for value in values
    ]


def write_number_map(entries: dict[str, int], kind: str) -> bytes:
    """Write a map of ``int`` or ``long``."""
    count = len(entries)
    values = entries.values()
    if countOf(map(type, values), int) != count:
        raise BailError
    try:
        numbers = [NUMBERS[value] for value in values] if kind == "int" else None
    except KeyError:
        array("i", list(values))  # raises OverflowError for what does not fit
        numbers = None
    if count >= _FEW and numbers is None:
        stream = BytesIO()
        fastavro = _fastavro()
        fastavro.write(stream, fastavro.map, entries)  # refuses keys that are not text
        return stream.getvalue()
    pieces = [length(count)] if count else []
    for key, number in zip(
        map(str.encode, entries), _numbers(values) if numbers is None else numbers, strict=True
    ):
        pieces += (LENGTHS[n] if (n := len(key)) < 4096 else length(n), key, number)
    pieces.append(b"\0")
    return b"".join(pieces)


@frozen
class _Fastavro:
    """fastavro's functions, and the schemas that they are used with."""

    read: Callable[..., Any]
    write: Callable[..., Any]
    array: Any
    map: Any


@cache
def _fastavro() -> _Fastavro:
    """Load fastavro when the first long array or map of numbers comes."""
    from fastavro import parse_schema, schemaless_reader, schemaless_writer

    return _Fastavro(
        schemaless_reader,
        schemaless_writer,
        parse_schema({"type": "array", "items": "long"}),
        parse_schema({"type": "map", "values": "long"}),
    )


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
    "int": (read_longs, {"kind": "int"}),
    "long": (read_longs, {"kind": "long"}),
    "float": (read_floats, {"code": "f", "size": 4}),
    "double": (read_floats, {"code": "d", "size": 8}),
    "boolean": (read_booleans, {}),
}
"""By type of the items: reader and its settings."""

WRITERS: Final[dict[str, tuple[Callable[..., bytes], dict[str, Any]]]] = {
    "int": (write_longs, {"kind": "int"}),
    "long": (write_longs, {"kind": "long"}),
    "float": (write_floats, {"code": "f"}),
    "double": (write_floats, {"code": "d"}),
}
"""By type of the items: writer and its settings."""
