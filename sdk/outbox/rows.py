"""Records as rows of the outbox, and back, byte for byte."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from sdk.cloud_events import ID, SOURCE
from sdk.errors import SerializationError
from sdk.records import Header, ProducerRecord

_SEPARATORS: Final = (",", ":")


def row_of(record: ProducerRecord, event_name: str | None) -> dict[str, Any]:
    """Return the columns of a record; the id is that of its CloudEvents header, if present.

    Args:
        record: The record.
        event_name: Full name of the event; None for a tombstone.
    """
    key, headers = record.key, dict(record.headers)  # the last one of repeated headers
    return {
        "id": event_id(headers.get(ID)) or uuid4(),
        "aggregatetype": record.topic,
        "aggregateid": _as_text(key),
        "type": event_name,
        "source": _as_text(headers.get(SOURCE)),
        "payload": record.value,
        "key": key,
        "headers": headers_to_text(record.headers),
        "partition": record.partition,
        "timestamp": record.timestamp,
    }


RECORD_COLUMNS: Final = ("aggregatetype", "payload", "key", "headers", "partition", "timestamp")
"""The columns of a row for `record_of`, in order."""


def record_of(row: Sequence[Any]) -> ProducerRecord:
    """Return the record that a row holds.

    Raises:
        SerializationError: The row was not written by an `Outbox`.
    """
    topic, payload, key, headers, partition, timestamp = row
    return ProducerRecord(topic, payload, key, headers_from_text(headers), partition, timestamp)


def event_id(value: bytes | None) -> UUID | None:
    """Return the CloudEvents id of a header, if there is one and it is a UUID."""
    try:
        return None if value is None else UUID(value.decode())
    except ValueError:
        return None


def _as_text(value: bytes | None) -> str | None:
    # PostgreSQL's text cannot hold NUL.
    return (
        None
        if value is None
        else value.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    )


def headers_to_text(headers: tuple[Header, ...]) -> str:
    """Return headers as JSON pairs; a value that is not text is ``{"base64": …}``."""
    return json.dumps(
        [[name, _value_to_json(value)] for name, value in headers], separators=_SEPARATORS
    )


def headers_from_text(text: str) -> tuple[Header, ...]:
    """Return the headers in the text of `headers_to_text`.

    Raises:
        SerializationError: They were written by another program.
    """
    try:
        return tuple(
            [
                (name, value.encode() if value.__class__ is str else _value_from_json(value))
                for name, value in json.loads(text)
            ]
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SerializationError(
            f"the column headers is not a JSON list of name and value: {error}",
            remedy='such as [["ce_id", "1"]]',
        ) from error


def _value_to_json(value: bytes | None) -> str | dict[str, str] | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _value_from_json(value: dict[str, str] | None) -> bytes | None:
    return None if value is None else base64.b64decode(value["base64"])
