"""Spring for Apache Kafka's headers of retried and dead-lettered records: names and encodings.

Retry topics carry ``retry_topic-*``, ``kafka_original-*`` and ``kafka_exception-*``; dead-letter
topics ``kafka_dlt-original-*`` and ``kafka_dlt-exception-*``. Only the consumer group has the same
name in both. Partitions and attempts are four bytes, offsets and timestamps eight, all big-endian;
the timestamps of ``retry_topic-*`` have the format of Java's ``BigInteger.toByteArray``: the
shortest two's complement.
"""

from __future__ import annotations

from typing import Final

from attrs import astuple, frozen

from sdk.records import Header

ATTEMPTS: Final = "retry_topic-attempts"
ORIGINAL_TIMESTAMP: Final = "retry_topic-original-timestamp"
BACKOFF_TIMESTAMP: Final = "retry_topic-backoff-timestamp"

ATTEMPT_SPANS: Final = "sdk_attempt-spans"
"""Trace contexts of the first and the last attempt at a forwarded record, as in ``traceparent``."""

REPLAY_COUNT: Final = "sdk_replay-count"
"""How often the record has been replayed from a dead-letter topic, in decimal digits."""


@frozen(kw_only=True)
class HeaderNames:
    """The header names of retry topics, or of dead-letter topics.

    Attributes:
        topic: Topic in which the record failed first (UTF-8).
        partition: Its partition (int32).
        offset: Its offset (int64).
        timestamp: Its timestamp, milliseconds since the epoch (int64).
        timestamp_type: ``CreateTime``, ``LogAppendTime`` or ``NoTimestampType``.
        group: Consumer group whose handler failed (UTF-8); Spring has one name for both.
        exception: Qualified name of the exception's class.
        cause: Qualified name of the class of the exception's cause.
        message: The exception's message.
        stack_trace: The exception's stack trace.
    """

    topic: str
    partition: str
    offset: str
    timestamp: str
    timestamp_type: str
    group: str = "kafka_dlt-original-consumer-group"
    exception: str
    cause: str
    message: str
    stack_trace: str

    @classmethod
    def prefixed(cls, prefix: str) -> HeaderNames:
        """Return the names that start with a prefix."""
        return cls(
            topic=f"{prefix}original-topic",
            partition=f"{prefix}original-partition",
            offset=f"{prefix}original-offset",
            timestamp=f"{prefix}original-timestamp",
            timestamp_type=f"{prefix}original-timestamp-type",
            exception=f"{prefix}exception-fqcn",
            cause=f"{prefix}exception-cause-fqcn",
            message=f"{prefix}exception-message",
            stack_trace=f"{prefix}exception-stacktrace",
        )


RETRY_NAMES: Final = HeaderNames.prefixed("kafka_")
DEAD_LETTER_NAMES: Final = HeaderNames.prefixed("kafka_dlt-")

FAILURE_HEADERS: Final = frozenset(
    {
        *(ATTEMPTS, ORIGINAL_TIMESTAMP, BACKOFF_TIMESTAMP, ATTEMPT_SPANS),
        *astuple(RETRY_NAMES),
        *astuple(DEAD_LETTER_NAMES),
        # Spring's headers of keys that could not be read.
        *(
            f"{prefix}key-exception-{part}"
            for prefix in ("kafka_", "kafka_dlt-")
            for part in ("fqcn", "message", "stacktrace")
        ),
    }
)
"""Every header that a retry or a dead letter adds to those of the original record."""


def last_header(headers: tuple[Header, ...], name: str) -> bytes | None:
    """Return the value of the last header called ``name``, or None."""
    for known, value in reversed(headers):
        if known == name:
            return value
    return None


def big_integer(number: int) -> bytes:
    """Return the bytes of Java's ``BigInteger.toByteArray``.

    Args:
        number: Any integer.

    Returns:
        Big-endian two's complement in as few bytes as hold it, the sign bit included.
    """
    bits = (number if number >= 0 else ~number).bit_length()
    return number.to_bytes(bits // 8 + 1, "big", signed=True)


def read_integer(data: bytes | None) -> int | None:
    """Return the number in one to eight big-endian bytes of two's complement; None for others."""
    if data is None or not 1 <= len(data) <= 8:
        return None
    return int.from_bytes(data, "big", signed=True)


def read_decimal(data: bytes | None, digits: int) -> int | None:
    """Return the number in up to ``digits`` ASCII digits; None for others."""
    return int(data) if data and data.isdigit() and len(data) <= digits else None


def int32(number: int) -> bytes:
    """Return four big-endian bytes."""
    return number.to_bytes(4, "big", signed=True)


def int64(number: int) -> bytes:
    """Return eight big-endian bytes."""
    return number.to_bytes(8, "big", signed=True)
