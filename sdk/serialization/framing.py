"""Confluent's wire format, in which a record names its writer schema.

The body is preceded by ``0x00`` and the schema id (int32, big-endian), or ``0x01`` and the schema's
GUID (16 bytes). Instead, the header ``__value_schema_id`` may hold the same bytes and takes
precedence; the value is then the bare body.
"""

from __future__ import annotations

import struct
from typing import Final
from uuid import UUID

from sdk.errors import DeserializationError, SdkError
from sdk.records import ConsumerRecord

VALUE_SCHEMA_ID: Final = "__value_schema_id"
"""Header with the schema's GUID, which takes precedence over a prefix of the value."""

KEY_SCHEMA_ID: Final = "__key_schema_id"
"""The same for record keys."""

ID_LENGTH: Final = 5
_GUID_LENGTH: Final = 17
_ID: Final = struct.Struct(">bi")


def frame_id(schema_id: int) -> bytes:
    """Return the bytes that name a schema by id."""
    return _ID.pack(0, schema_id)


def frame_guid(guid: str) -> bytes:
    """Return the bytes that name a schema by GUID."""
    return b"\x01" + UUID(guid).bytes


def unframe(prefix: bytes) -> int | str | None:
    """Return the id, or the GUID as text, that framing bytes hold; None if they hold neither.

    Ids are positive; 2³¹ or more would be read as a negative number, so they cannot exist.
    """
    if len(prefix) == ID_LENGTH and prefix[0] == 0:
        schema_id: int = _ID.unpack(prefix)[1]
        return schema_id if schema_id >= 0 else None
    if len(prefix) == _GUID_LENGTH and prefix[0] == 1:
        return str(UUID(bytes=prefix[1:]))
    return None


def locate(record: ConsumerRecord) -> tuple[bytes, int]:
    """Return the bytes that name the schema and the start of the body; a header comes first."""
    data = record.value
    if data is None:
        raise poison("a tombstone carries no event", record)
    for name, value in record.headers:
        if name == VALUE_SCHEMA_ID:
            if value is not None:
                return value, 0
            break
    magic = data[:1]
    if magic == b"\x00" and len(data) >= ID_LENGTH:
        return data[:ID_LENGTH], ID_LENGTH
    if magic == b"\x01" and len(data) >= _GUID_LENGTH:
        return data[:_GUID_LENGTH], _GUID_LENGTH
    raise poison(
        f"the value does not start with a schema id: {data[:8].hex(' ') or 'it is empty'}",
        record,
        remedy="it was not written by a schema registry's serializer",
    )


def poison(
    message: str,
    record: ConsumerRecord,
    schema_id: int | str | None = None,
    remedy: str | None = None,
) -> DeserializationError:
    """Return the error for a record that can never be read."""
    error = DeserializationError(message, remedy=remedy)
    place(error, record, schema_id)
    return error


def place(error: SdkError, record: ConsumerRecord, schema_id: int | str | None) -> None:
    """Add the position of the record to an error."""
    error.topic, error.partition, error.offset = record.topic, record.partition, record.offset
    error.schema_id = schema_id
