"""Functions that generated code calls for less common values, and its lookup tables."""

from __future__ import annotations

from typing import Any, Final

from sdk.avro.codec import wire
from sdk.avro.codec.wire import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    UNZIGZAG,
    long_bytes,
)


class BailError(Exception):
    """The fast path gives up; the interpreter determines what is wrong, if anything."""


# --- reading ------------------------------------------------------------------------------------


def read_long(data: bytes, position: int) -> tuple[int, int]:
    """Like `sdk.avro.codec.wire.read_long`, with the common lengths unrolled."""
    a = data[position]
    if a < 128:
        return UNZIGZAG[a], position + 1
    b = data[position + 1]
    if 0 < b < 128:
        a += (b << 7) - 128
        return (~(a >> 1) if a & 1 else a >> 1), position + 2
    if b > 127:
        c = data[position + 2]
        if 0 < c < 128:
            a += (b << 7) + (c << 14) - 0x4080
            return (~(a >> 1) if a & 1 else a >> 1), position + 3
        if c > 127:
            e = data[position + 3]
            if 0 < e < 128:
                a += (b << 7) + (c << 14) + (e << 21) - 0x204080
                return (~(a >> 1) if a & 1 else a >> 1), position + 4
            if e > 127:
                f = data[position + 4]
                if 0 < f < 128:
                    a += (b << 7) + (c << 14) + (e << 21) + (f << 28) - 0x10204080
                    return (~(a >> 1) if a & 1 else a >> 1), position + 5
    return wire.read_long(data, position)


def read_int(data: bytes, position: int) -> tuple[int, int]:
    """Like `sdk.avro.codec.wire.read_int`."""
    number, position = read_long(data, position)
    if not INT_MIN <= number <= INT_MAX:
        raise BailError
    return number, position


def span(data: bytes, position: int) -> tuple[int, int]:
    """Read a length; return where the bytes start and where they end."""
    size = data[position]
    if not size & 129:
        position += 1
        return position, position + (size >> 1)
    size, start = read_long(data, position)
    if size < 0:
        raise BailError
    return start, start + size


def read_text(data: bytes, position: int) -> tuple[str, int]:
    """Read a string."""
    start, end = span(data, position)
    return data[start:end].decode(), end


def block_count(data: bytes, position: int, least: int) -> tuple[int, int]:
    """Read the head of a block that is not the last; return the count and where the items start."""
    count, position = read_long(data, position)
    if count < 0:
        count = -count
        size, position = read_long(data, position)
        if not 0 <= size <= len(data) - position:
            raise BailError
    if count * least > len(data) - position:
        raise BailError
    return count, position


def skip_block(data: bytes, position: int, least: int) -> tuple[int, int]:
    """Like `block_count`, but jump over a block with a size and return a count of 0."""
    count, start = read_long(data, position)
    if count < 0:
        size, start = read_long(data, start)
        if not 0 <= size <= len(data) - start:
            raise BailError
        return 0, start + size
    return block_count(data, position, least)


def charge(spent: list[int], count: int, allowed: int) -> None:
    """Count items that take no bytes."""
    spent[0] += count
    if spent[0] > allowed:
        raise BailError


_MISFIT: Final = -(1 << 80)
"""So negative that a sum with it is negative too."""


def _pairs(highs: range) -> list[int]:
    """Return, by little-endian pair of bytes, the 14 bits of a varint that they carry.

    Args:
        highs: Values of the second byte that fit; the first must have more to follow.
    """
    table = []
    for high in range(256):
        row = range((high & 127) << 7, ((high & 127) << 7) + 128)
        table += [_MISFIT] * 128
        table += row if high in highs else [_MISFIT] * 128
    return table


CONTINUED: Final = _pairs(range(128, 256))
"""Two bytes of a varint that continues."""

LAST: Final = _pairs(range(1, 128))
"""The two last bytes of a varint."""

FIRST: Final = [_MISFIT] * (1 << 16)
"""The two first bytes of the varint of a number that is not negative; zigzag undone."""
for _high in range(128):
    _row = (_high << 8) + 0x8080
    FIRST[_row : _row + 128 : 2] = range(_high << 6, (_high << 6) + 64)


# --- writing ------------------------------------------------------------------------------------

# Built from single bytes, which is faster: every service builds these tables at start.
_LAST_BYTES: Final = [bytes((n,)) for n in range(128)]
_MORE_BYTES: Final = [bytes((n,)) for n in range(128, 256)]

SMALL: Final = _LAST_BYTES + [low + high for high in _LAST_BYTES[1:] for low in _MORE_BYTES]
"""Varints of at most two bytes."""

NUMBERS: Final = dict(zip(range(8192), SMALL[::2], strict=True)) | dict(
    zip(range(-1, -8193, -1), SMALL[1::2], strict=True)
)
"""Zigzag varints of at most two bytes, by number."""

LENGTHS: Final = SMALL[: 1 << 13 : 2]
"""Zigzag varints of lengths below 4096."""

PAIRS: Final = [low + high for high in _MORE_BYTES for low in _MORE_BYTES]
"""Fourteen bits of a varint that continues."""


def length(size: int) -> bytes:
    """Return the zigzag varint of any length."""
    return LENGTHS[size] if size < 4096 else long_bytes(size)


def large_int(value: int) -> bytes:
    """Return the zigzag varint of an ``int`` of more than 28 bits."""
    if not INT_MIN <= value <= INT_MAX:
        raise BailError
    return large(value + value if value >= 0 else ~(value + value))


def large_long(value: int) -> bytes:
    """Return the zigzag varint of a ``long`` of more than 28 bits."""
    if not LONG_MIN <= value <= LONG_MAX:
        raise BailError
    return large(value + value if value >= 0 else ~(value + value))


def int_bytes(value: int) -> bytes:
    """Return an ``int`` of any size."""
    if value.__class__ is not int:
        raise BailError
    number = value + value if value >= 0 else ~(value + value)
    return SMALL[number] if number < 16384 else large_int(value)


def long_bytes_of(value: int) -> bytes:
    """Return a ``long`` of any size."""
    if value.__class__ is not int:
        raise BailError
    number = value + value if value >= 0 else ~(value + value)
    if number < 16384:
        return SMALL[number]
    if number < 268435456:
        return PAIRS[number & 16383] + SMALL[number >> 14]
    return large_long(value)


def large(zigzag: int) -> bytes:
    """Return the varint of a number that is already zigzagged, of any size."""
    pieces = []
    while zigzag > 16383:
        pieces.append(PAIRS[zigzag & 16383])
        zigzag >>= 14
    pieces.append(SMALL[zigzag])
    return b"".join(pieces)


def refuse(*_: Any) -> bytes:
    """Give up inside an expression."""
    raise BailError
