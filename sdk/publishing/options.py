"""What callers of `produce` may pass beside the event, checked before the client sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sdk.errors import SerializationError
from sdk.records import Header

HeaderInput = Mapping[str, str | bytes | None] | Iterable[tuple[str, str | bytes | None]]
"""Headers as callers give them: a mapping, or pairs in order, where names may repeat."""


def own_headers(headers: HeaderInput) -> list[Header]:
    """Return headers as pairs, text as UTF-8.

    Raises:
        SerializationError: A name is no text, or a value is neither text, bytes nor None.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        own = [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]
    except (TypeError, ValueError) as error:
        told = (
            "a header's value is not valid Unicode"
            if isinstance(error, UnicodeEncodeError)
            else "headers must be a mapping, or pairs of a name and a value"
        )
        raise SerializationError(told, remedy="values are str, bytes or None") from error
    for name, value in own:
        if not isinstance(name, str):
            raise SerializationError(f"a header's name is {_kind(name)}, not a str")
        if value is not None and not isinstance(value, bytes):
            raise SerializationError(
                f"header {name!r} has a value of type {_kind(value)}",
                remedy="pass a str, bytes or None",
            )
    return own


def check_place(topic: object, partition: object, timestamp: int | datetime | None) -> int | None:
    """Refuse what the client would take for something else; return the timestamp as a number."""
    if topic is not None and (not isinstance(topic, str) or not topic):
        raise SerializationError(f"a topic's name is a text, not {topic!r}")
    if partition is not None and not (isinstance(partition, int) and 0 <= partition < 2**31):
        raise SerializationError(f"a partition is a number from 0 on, not {partition!r}")
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise SerializationError(
                f"timestamp {timestamp.isoformat()} has no time zone",
                remedy="pass an aware datetime",
            )
        timestamp = round(timestamp.timestamp() * 1000)
    if timestamp is not None and not (isinstance(timestamp, int) and 0 < timestamp < 2**63):
        raise SerializationError(
            f"timestamp {timestamp!r} is not after 1970",
            remedy="pass milliseconds since the epoch, or an aware datetime",
        )
    return timestamp


def _kind(value: object) -> str:
    return type(value).__qualname__
