"""Dead letters: the headers with the origin of a record and its failure.

They are those of Spring for Apache Kafka; `sdk.consuming.headers` names them. The first origin and
the last exception are kept, however often a record fails. Malformed headers are accepted, and those
of Spring Cloud Stream and SmallRye are read too.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import Final

from attrs import frozen

from sdk.consuming.headers import (
    DEAD_LETTER_NAMES,
    FAILURE_HEADERS,
    REPLAY_COUNT,
    RETRY_NAMES,
    HeaderNames,
    int32,
    int64,
    last_header,
    read_decimal,
    read_integer,
)
from sdk.consuming.retry_topics import original_timestamp
from sdk.errors import HandlerError, message_of
from sdk.records import ConsumerRecord, Header
from sdk.redaction import hide_credentials

MESSAGE_BYTES: Final = 2048
"""Longest exception message in the headers, bytes."""

_FRAMES: Final = 60

_DIGITS: Final = 19
"""Most digits of a number in a header, such as an offset."""


@frozen
class Origin:
    """The position at which a record first failed.

    Attributes:
        topic: Source topic.
        partition: Its partition.
        offset: Its offset.
    """

    topic: str
    partition: int
    offset: int


@frozen(kw_only=True)
class Reason:
    """The contents of a dead letter's headers; None for absent ones.

    Attributes:
        topic: Topic in which the record failed first.
        partition: Its partition.
        offset: Its offset.
        timestamp: Its timestamp, milliseconds since the epoch.
        group: Consumer group whose handler failed.
        exception: Qualified name of the exception's class.
        cause: Qualified name of the class of its cause.
        message: The exception's message.
        stack_trace: The exception's stack trace.
        replays: How often the record has been replayed.
    """

    topic: str | None
    partition: int | None
    offset: int | None
    timestamp: int | None
    group: str | None
    exception: str | None
    cause: str | None
    message: str | None
    stack_trace: str | None
    replays: int


def origin_headers(
    record: ConsumerRecord, group: str, names: HeaderNames, *, first: bool = False
) -> list[Header]:
    """Return the headers with the origin of a record.

    Args:
        record: From its source topic or from a retry topic, whose headers name the origin.
        group: Consumer group.
        names: The names of the headers; an origin that the record has already is kept.
        first: Whether it fails here first, so that an origin in its headers is another record's.
    """
    timestamp = original_timestamp(record)
    fresh = (
        ("topic", record.topic.encode()),
        ("partition", int32(record.partition)),
        ("offset", int64(record.offset)),
        ("timestamp", int64(-1 if timestamp is None else timestamp)),
        ("timestamp_type", _timestamp_type(record, timestamp)),
    )
    headers: list[Header] = []
    for attribute, value in fresh:
        known = (last_header(record.headers, getattr(n, attribute)) for n in _ORIGINS)
        kept = value if first else next((data for data in known if data is not None), value)
        headers.append((getattr(names, attribute), kept))
    # Never another group's, which would make this one skip its own retries.
    return [*headers, (names.group, group.encode())]


_ORIGINS = (DEAD_LETTER_NAMES, RETRY_NAMES)


def _timestamp_type(record: ConsumerRecord, timestamp: int | None) -> bytes:
    if timestamp is None:
        return b"NoTimestampType"
    return b"LogAppendTime" if record.appended else b"CreateTime"


def exception_headers(
    error: BaseException,
    names: HeaderNames,
    *,
    secrets: Iterable[str] = (),
    stack_trace_bytes: int = 8192,
) -> list[Header]:
    """Return the headers with the failure of a record.

    Args:
        error: The exception; for a `HandlerError`, that of the handler.
        names: The names of the headers.
        secrets: Texts that must not be sent.
        stack_trace_bytes: Longest stack trace, bytes; 0 sends none.
    """
    if isinstance(error, HandlerError) and error.__cause__ is not None:
        error = error.__cause__
    headers: list[Header] = [(names.exception, qualified_name(error).encode())]
    if error.__cause__ is not None:
        headers.append((names.cause, qualified_name(error.__cause__).encode()))
    message = hide_credentials(message_of(error), secrets)
    headers.append((names.message, capped(message, MESSAGE_BYTES)))
    if stack_trace_bytes:
        lines = traceback.format_exception(type(error), error, error.__traceback__, limit=-_FRAMES)
        trace = hide_credentials("".join(lines), secrets)
        headers.append((names.stack_trace, capped(trace, stack_trace_bytes)))
    return headers


def qualified_name(error: BaseException) -> str:
    """Return the dotted name of an exception's class; that of a builtin has no module."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def capped(text: str, limit: int) -> bytes:
    """Return a text as UTF-8 of at most ``limit`` bytes, shortened in the middle.

    The beginning shows the entry point and the end the error; most of the space is for the end.
    """
    data = text.encode("utf-8", errors="backslashreplace")
    if len(data) <= limit:
        return data
    mark = f"\n... {len(data) - limit} bytes or more left out ...\n".encode()
    room = limit - len(mark)
    if room <= 0:
        return _whole(data[:limit])
    head = room // 3
    return _whole(data[:head]) + mark + _whole(data[len(data) - (room - head) :])


def _whole(data: bytes) -> bytes:
    """Return UTF-8 without characters that were cut."""
    return data.decode("utf-8", errors="ignore").encode()


def original_headers(headers: Iterable[Header]) -> list[Header]:
    """Return the headers of the original record, in order, with duplicates."""
    return [header for header in headers if header[0] not in FAILURE_HEADERS]


def origin_of(record: ConsumerRecord) -> Origin | None:
    """Return the original position of a retried or dead-lettered record, or None if unknown."""
    reason = reason_of(record)
    if reason.topic is None or reason.partition is None or reason.offset is None:
        return None
    return Origin(reason.topic, reason.partition, reason.offset)


def reason_of(record: ConsumerRecord) -> Reason:
    """Return the contents of a dead letter's headers, of any producer."""
    headers = dict(record.headers)
    return Reason(
        topic=_text(headers, "topic"),
        partition=_number(headers, "partition"),
        offset=_number(headers, "offset"),
        timestamp=_number(headers, "timestamp"),
        group=_text(headers, "group"),
        exception=_text(headers, "exception"),
        cause=_text(headers, "cause"),
        message=_text(headers, "message"),
        stack_trace=_text(headers, "stack_trace"),
        replays=replays_of(record),
    )


def replays_of(record: ConsumerRecord) -> int:
    """Return how often a record has been replayed; 0 if the header is invalid."""
    return read_decimal(record.header(REPLAY_COUNT), 9) or 0


_KEY = "kafka_dlt-key-exception-"
_ELSEWHERE = {
    "topic": ("x-original-topic", "dead-letter-topic"),
    "partition": ("x-original-partition", "dead-letter-partition"),
    "offset": ("x-original-offset", "dead-letter-offset"),
    "timestamp": ("x-original-timestamp",),
    "exception": (
        f"{_KEY}fqcn",
        "x-exception-fqcn",
        "dead-letter-exception-class-name",
    ),
    "cause": ("dead-letter-cause-class-name",),
    "message": (f"{_KEY}message", "x-exception-message", "dead-letter-reason"),
    "stack_trace": (f"{_KEY}stacktrace", "x-exception-stacktrace"),
}
"""The names of other frameworks."""


def _found(headers: dict[str, bytes | None], attribute: str) -> tuple[bytes | None, bool]:
    """Return a value, and whether its header is Spring's, in which numbers are binary."""
    for names in _ORIGINS:
        if (data := headers.get(getattr(names, attribute))) is not None:
            return data, True
    known = (headers.get(name) for name in _ELSEWHERE.get(attribute, ()))
    return next((data for data in known if data is not None), None), False


def _text(headers: dict[str, bytes | None], attribute: str) -> str | None:
    data, _ = _found(headers, attribute)
    return None if data is None else data.decode(errors="replace")


def _number(headers: dict[str, bytes | None], attribute: str) -> int | None:
    data, binary = _found(headers, attribute)
    number = None if binary else read_decimal(data, _DIGITS)
    if number is None:
        number = read_integer(data)
    return None if number is None or number < 0 else number
