"""Where a record names its writer schema: Confluent's prefix of the value, or a header."""

from __future__ import annotations

import io
import struct
from typing import Final

from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import SerializationError as ConfluentSerializationError

from sdk.errors import DeserializationError, SdkError
from sdk.records import ConsumerRecord
from sdk.registry.lookup import AVRO

VALUE_SCHEMA_ID: Final = "__value_schema_id"
"""Header that carries the schema's GUID, and then wins over a prefix of the value."""

_ID_PREFIX, _GUID_PREFIX = 5, 17


def locate(record: ConsumerRecord) -> tuple[bytes, int]:
    """Return the bytes that name the schema, and where the body starts; a header wins."""
    for name, value in record.headers:
        if name == VALUE_SCHEMA_ID:
            if value is not None:
                return value, 0
            break
    data = record.value
    if data is None:
        raise poison("a tombstone carries no event", record)
    magic = data[:1]
    if magic == b"\x00" and len(data) >= _ID_PREFIX:
        return data[:_ID_PREFIX], _ID_PREFIX
    if magic == b"\x01" and len(data) >= _GUID_PREFIX:
        return data[:_GUID_PREFIX], _GUID_PREFIX
    raise poison(
        f"the value does not start with a schema id: {data[:8].hex(' ') or 'it is empty'}",
        record,
        remedy="it was not written by a schema registry's serializer",
    )


def schema_id_of(prefix: bytes, record: ConsumerRecord) -> int | str:
    """Return the id, or the GUID as text, that framing bytes hold."""
    schema_id = SchemaId(AVRO)
    try:
        rest = schema_id.from_bytes(io.BytesIO(prefix)).read(1)
    except (ConfluentSerializationError, ValueError, struct.error) as error:
        raise poison(f"no schema id: {prefix[:20].hex(' ')}", record) from error
    if rest:
        raise poison(f"no schema id alone: {prefix[:20].hex(' ')}", record)
    return int(schema_id.id) if schema_id.id is not None else str(schema_id.guid)


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
    """Tell an error where its record stood."""
    error.topic, error.partition, error.offset = record.topic, record.partition, record.offset
    error.schema_id = schema_id
