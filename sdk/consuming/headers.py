"""Spring for Apache Kafka's headers of retried and dead-lettered records: names and encodings.

Retry topics carry ``retry_topic-*``, ``kafka_original-*`` and ``kafka_exception-*``; dead-letter
topics ``kafka_dlt-original-*`` and ``kafka_dlt-exception-*``. The consumer group alone has the same
name in both. Partitions and attempts are four
bytes, offsets and timestamps eight, all big-endian; the timestamps of ``retry_topic-*`` are what
Java's ``BigInteger.toByteArray`` returns: as few bytes as two's complement allows.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from sdk.records import Header

ATTEMPTS: Final = "retry_topic-attempts"
ORIGINAL_TIMESTAMP: Final = "retry_topic-original-timestamp"
BACKOFF_TIMESTAMP: Final = "retry_topic-backoff-timestamp"
RETRY_HEADERS: Final = frozenset({ATTEMPTS, ORIGINAL_TIMESTAMP, BACKOFF_TIMESTAMP})

ATTEMPT_SPANS: Final = "sdk_attempt-spans"
"""Trace contexts of the first and the last attempt at a forwarded record, as in ``traceparent``."""

REPLAY_COUNT: Final = "sdk_replay-count"
"""How often the record has been replayed from a dead-letter topic, in decimal digits."""


@frozen
class HeaderNames:
    """The names that one kind of topic uses.

    Args:
        prefix: What all of them start with.
    """

    prefix: str

    @property
    def topic(self) -> str:
        """Topic in which the record failed first (UTF-8)."""
        return f"{self.prefix}original-topic"

    @property
    def partition(self) -> str:
        """Its partition (int32)."""
        return f"{self.prefix}original-partition"

    @property
    def offset(self) -> str:
        """Its offset (int64)."""
        return f"{self.prefix}original-offset"

    @property
    def timestamp(self) -> str:
        """Its timestamp, milliseconds since the epoch (int64)."""
        return f"{self.prefix}original-timestamp"

    @property
    def timestamp_type(self) -> str:
        """``CreateTime``, ``LogAppendTime`` or ``NoTimestampType``."""
        return f"{self.prefix}original-timestamp-type"

    @property
    def group(self) -> str:
        """Consumer group whose handler failed (UTF-8); Spring has one name for both."""
        return "kafka_dlt-original-consumer-group"

    @property
    def exception(self) -> str:
        """Qualified name of the exception's class."""
        return f"{self.prefix}exception-fqcn"

    @property
    def cause(self) -> str:
        """Qualified name of the class of the exception's cause."""
        return f"{self.prefix}exception-cause-fqcn"

    @property
    def message(self) -> str:
        """The exception's message."""
        return f"{self.prefix}exception-message"

    @property
    def stack_trace(self) -> str:
        """The exception's stack trace."""
        return f"{self.prefix}exception-stacktrace"

    @property
    def originals(self) -> frozenset[str]:
        """The names of headers with the origin."""
        return frozenset(
            {
                self.topic,
                self.partition,
                self.offset,
                self.timestamp,
                self.timestamp_type,
                self.group,
            }
        )

    @property
    def exceptions(self) -> frozenset[str]:
        """The names of headers with the failure, those of failed keys included."""
        value = {self.exception, self.cause, self.message, self.stack_trace}
        key = {f"{self.prefix}key-exception-{part}" for part in ("fqcn", "message", "stacktrace")}
        return frozenset(value | key)


RETRY_NAMES: Final = HeaderNames("kafka_")
DEAD_LETTER_NAMES: Final = HeaderNames("kafka_dlt-")

FAILURE_HEADERS: Final = (
    RETRY_HEADERS
    | {ATTEMPT_SPANS}
    | RETRY_NAMES.originals
    | RETRY_NAMES.exceptions
    | DEAD_LETTER_NAMES.originals
    | DEAD_LETTER_NAMES.exceptions
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


def int32(number: int) -> bytes:
    """Return four big-endian bytes."""
    return number.to_bytes(4, "big", signed=True)


def int64(number: int) -> bytes:
    """Return eight big-endian bytes."""
    return number.to_bytes(8, "big", signed=True)
