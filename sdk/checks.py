"""Checks records before any client gets them; this is the only place that does.

Some values make librdkafka's Python client abort the process (a header name with a lone surrogate),
and it silently changes others (a name is cut at a NUL, a timestamp of 0 becomes the present).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sdk.errors import SerializationError
from sdk.records import Header, ProducerRecord
from sdk.settings.checking import TOPIC_NAME_RULE, is_topic_name

HeaderInput = Mapping[str, str | bytes | None] | Iterable[tuple[str, str | bytes | None]]
"""Headers as callers pass them: a mapping, or ordered pairs, in which names may repeat."""


def check_record(record: ProducerRecord) -> None:
    """Reject a record that no client can send unchanged.

    Raises:
        SerializationError: A part is of a wrong type, out of range or not valid Unicode.
    """
    if not isinstance(record, ProducerRecord):
        raise SerializationError(
            f"expected a ProducerRecord, not {_kind(record)}",
            remedy="pass a sdk.ProducerRecord, or call produce with an event",
        )
    topic, value, key, headers, partition, timestamp = record
    if not isinstance(topic, str) or not is_topic_name(topic):
        raise SerializationError(f"{topic!r} is not a topic name", remedy=TOPIC_NAME_RULE)
    for part, content in (("value", value), ("key", key)):
        if content is not None and not isinstance(content, bytes):
            raise SerializationError(
                f"the record's {part} is of type {_kind(content)}",
                topic=topic,
                remedy="pass bytes or None",
            )
    if not isinstance(headers, tuple | list):
        raise SerializationError(
            f"the record's headers are of type {_kind(headers)}",
            topic=topic,
            remedy="pass a tuple of pairs",
        )
    for header in headers:
        if type(header) is tuple and len(header) == 2:
            name, content = header
            plain = type(name) is str and name.isascii() and "\0" not in name
            if plain and (content is None or type(content) is bytes):
                continue  # nearly every header, so the rest need not be fast
        _check_header(header, topic)
    if partition is not None and not _within(partition, 0, 2**31):
        raise SerializationError(
            f"partition {partition!r} is not a number from 0 to 2**31 - 1", topic=topic
        )
    if timestamp is not None and not _within(timestamp, 1, 2**63):
        raise SerializationError(
            f"timestamp {timestamp!r} is not after 1970",
            topic=topic,
            remedy="pass milliseconds since the epoch, or None for now",
        )


def header_pairs(headers: HeaderInput) -> list[Header]:
    """Return headers as pairs, text values as UTF-8; `check_record` checks the rest.

    Raises:
        SerializationError: They are not pairs, or a text value is not valid Unicode.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        return [
            (name, value.encode() if isinstance(value, str) else value) for name, value in pairs
        ]
    except UnicodeEncodeError as error:
        raise SerializationError("the value of a header is not valid Unicode") from error
    except (TypeError, ValueError) as error:
        raise SerializationError(
            "headers must be a mapping, or pairs of a name and a value",
            remedy="pass values of type str, bytes or None",
        ) from error


def milliseconds(timestamp: int | datetime | None) -> int | None:
    """Return a timestamp as milliseconds since the epoch.

    Raises:
        SerializationError: A datetime has no time zone.
    """
    if not isinstance(timestamp, datetime):
        return timestamp
    if timestamp.tzinfo is None:
        raise SerializationError(
            f"timestamp {timestamp.isoformat()} has no time zone", remedy="pass an aware datetime"
        )
    return round(timestamp.timestamp() * 1000)


def _check_header(header: Any, topic: str) -> None:
    if not isinstance(header, tuple) or len(header) != 2:
        raise SerializationError(f"a header is {_kind(header)}, not a pair", topic=topic)
    name, value = header
    if not isinstance(name, str):
        raise SerializationError(f"the name of a header is {_kind(name)}, not str", topic=topic)
    if "\0" in name or not _is_unicode(name):
        raise SerializationError(
            f"header name {name!r} cannot be sent",
            topic=topic,
            remedy="use valid Unicode without NUL characters",
        )
    if value is not None and not isinstance(value, bytes):
        raise SerializationError(
            f"header {name!r} has a value of type {_kind(value)}",
            topic=topic,
            remedy="pass str, bytes or None to produce, bytes or None in a ProducerRecord",
        )


def _is_unicode(text: str) -> bool:
    """Whether text holds no lone surrogates, which UTF-8 cannot express."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _within(number: object, first: int, end: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and first <= number < end


def _kind(value: object) -> str:
    return type(value).__qualname__
