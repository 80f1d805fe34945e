"""The value of Avro's logical type ``duration``."""

from __future__ import annotations

import struct
from typing import Any

from attrs import Attribute, field, frozen

from sdk.errors import SerializationError

_WIRE = struct.Struct("<3I")


def _unsigned(instance: Any, attribute: Attribute[int], value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0xFFFF_FFFF:
        raise SerializationError(
            f"a duration's {attribute.name} must be a whole number from 0 to 2**32 - 1, "
            f"not {value!r}",
            remedy="split the duration, or carry it in a field of another type",
            path=attribute.name,
        )


@frozen
class Duration:
    """An amount of time as Avro keeps it: three numbers that do not convert into each other.

    How long a month or a day is depends on the calendar, so there is no order and no arithmetic
    (Avro 1.12 specification, "Duration").

    Attributes:
        months: Calendar months, 0 to 2**32 - 1.
        days: Calendar days, 0 to 2**32 - 1.
        milliseconds: Milliseconds, 0 to 2**32 - 1.
    """

    months: int = field(default=0, validator=_unsigned)
    days: int = field(default=0, validator=_unsigned)
    milliseconds: int = field(default=0, validator=_unsigned)

    def __bytes__(self) -> bytes:
        """Return the twelve bytes of the wire: three little-endian unsigned numbers."""
        return _WIRE.pack(self.months, self.days, self.milliseconds)

    @classmethod
    def from_bytes(cls, data: bytes) -> Duration:
        """Return the duration in twelve bytes of the wire format.

        Raises:
            ValueError: There are more or fewer bytes.
        """
        if len(data) != _WIRE.size:
            raise ValueError(f"a duration has 12 bytes, not {len(data)}")
        return cls(*_WIRE.unpack(data))
