"""Records as rows of the outbox, and back, byte for byte."""

from __future__ import annotations

import base64
import json
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import RowMapping

from sdk.cloud_events import ID
from sdk.records import Header, ProducerRecord

_SEPARATORS: Final = (",", ":")


def row_of(record: ProducerRecord, event_name: str | None) -> dict[str, Any]:
    """Return the columns of a record; the id is that of its CloudEvents header, if it has one.

    Args:
        record: What is to be sent.
        event_name: Full name of the event; None for a tombstone.
    """
    key = record.key
    return {
        "id": event_id(record.headers) or uuid4(),
        "aggregatetype": record.topic,
        # PostgreSQL's text cannot hold NUL.
        "aggregateid": key.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        if key is not None
        else None,
        "type": event_name,
        "payload": record.value,
        "key": key,
        "headers": headers_to_text(record.headers),
        "partition": record.partition,
        "timestamp": record.timestamp,
    }


def record_of(row: RowMapping) -> ProducerRecord:
    """Return the record that a row holds."""
    return ProducerRecord(
        row["aggregatetype"],
        row["payload"],
        row["key"],
        headers_from_text(row["headers"]),
        row["partition"],
        row["timestamp"],
    )


def event_id(headers: tuple[Header, ...]) -> UUID | None:
    """Return the CloudEvents id, if there is one and it is a UUID."""
    value = dict(headers).get(ID)  # of repeated headers the last counts
    try:
        return None if value is None else UUID(value.decode())
    except ValueError:
        return None


def headers_to_text(headers: tuple[Header, ...]) -> str:
    """Return headers as JSON pairs; a value that is not text is ``{"base64": …}``."""
    return json.dumps(
        [[name, _value_to_json(value)] for name, value in headers], separators=_SEPARATORS
    )


def headers_from_text(text: str) -> tuple[Header, ...]:
    """Return the headers that `headers_to_text` has written."""
    return tuple([(name, _value_from_json(value)) for name, value in json.loads(text)])


def _value_to_json(value: bytes | None) -> str | dict[str, str] | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _value_from_json(value: str | dict[str, str] | None) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])
