"""Forwards failed records, with unchanged bytes, to retry and dead-letter topics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from attrs import define, field

from sdk.consuming.dead_letters import exception_headers, origin_headers, original_headers
from sdk.consuming.headers import (
    ATTEMPTS,
    BACKOFF_TIMESTAMP,
    DEAD_LETTER_NAMES,
    ORIGINAL_TIMESTAMP,
    RETRY_NAMES,
    HeaderNames,
    big_integer,
    int32,
)
from sdk.consuming.outcome import DeadLetter, Retry
from sdk.consuming.retry_topics import RetryTopics, attempt_of, original_timestamp
from sdk.errors import MessageTooLargeError, SerializationError
from sdk.records import ConsumerRecord, Header, ProducerRecord

if TYPE_CHECKING:
    from sdk.publishing.delivery import Delivery


Send = Callable[[ProducerRecord], "Delivery"]
"""Queues a record and returns at once, as `Producer.send`."""


@define(eq=False, repr=False)
class Forwarder:
    """Forwards the failed records of one consumer group.

    A record is done once the broker has acknowledged its copy: wait for the delivery.

    Args:
        send: Sends a record, unchanged.
        topics: Names of the retry and dead-letter topics.
        group: Consumer group.
        now: Seconds since the epoch.
        partitions: Topic → its partition count, or None where it is unknown. A record keeps its
            partition; if the topic has fewer, its key decides.
        secrets: Texts that no header may contain.
        stack_trace_bytes: Longest stack trace in the headers, bytes; 0 sends none.
        trace: Returns the headers with the failed attempts at a record.
    """

    _send: Send
    _topics: RetryTopics
    _group: str
    _now: Callable[[], float] = field(default=time.time, kw_only=True)
    _partitions: Callable[[str], int | None] = field(default=lambda _: None, kw_only=True)
    _secrets: tuple[str, ...] = field(default=(), kw_only=True)
    _stack_trace_bytes: int = field(default=8192, kw_only=True)
    _trace: Callable[[ConsumerRecord], list[Header]] = field(default=lambda _: [], kw_only=True)

    def retry(self, record: ConsumerRecord, outcome: Retry) -> Delivery:
        """Forward a record to the retry topic ``outcome.topic``, due after ``outcome.delay``.

        Key, value, headers and partition are not changed. The timestamp is new, as in Spring, so
        that retention counts from now; `original_timestamp` reads the old one.

        Raises:
            SdkError: As `Producer.send`; the record is not done.
        """
        assert outcome.topic is not None
        due = self._now() + outcome.delay
        first = original_timestamp(record)
        attempt = self._topics.attempt(record) + (outcome.error is not None)
        fails_first = not self._topics.is_retry(record.topic)
        marks: list[Header] = [
            *origin_headers(record, self._group, RETRY_NAMES, first=fails_first),
            (ORIGINAL_TIMESTAMP, big_integer(-1 if first is None else first)),
            (ATTEMPTS, int32(min(attempt, 2**31 - 1))),
            (BACKOFF_TIMESTAMP, big_integer(math.ceil(due * 1000))),  # never due early
        ]
        return self._forward(record, outcome.topic, outcome.error, RETRY_NAMES, marks)

    def dead_letter(self, record: ConsumerRecord, outcome: DeadLetter) -> Delivery:
        """Forward a record to the dead-letter topic of its source.

        Key, value, headers, timestamp and partition are not changed.

        Raises:
            SdkError: As `Producer.send`; the record is not done.
        """
        marks = origin_headers(record, self._group, DEAD_LETTER_NAMES)
        if outcome.error is None:
            marks.append((DEAD_LETTER_NAMES.message, outcome.reason.encode()))
        if record.header(ATTEMPTS) is not None:
            marks.append((ATTEMPTS, int32(attempt_of(record))))
        topic = self._topics.dead_letter(record.topic)
        timestamp = original_timestamp(record)
        return self._forward(record, topic, outcome.error, DEAD_LETTER_NAMES, marks, timestamp)

    def _forward(
        self,
        record: ConsumerRecord,
        topic: str,
        error: BaseException | None,
        names: HeaderNames,
        marks: list[Header],
        timestamp: int | None = None,
    ) -> Delivery:
        if timestamp is not None and timestamp < 1:
            timestamp = None  # no client can send it; a header keeps it
        count = self._partitions(topic)
        partition = record.partition if count is None or record.partition < count else None

        def forwarded(stack_trace_bytes: int) -> ProducerRecord:
            headers = [*original_headers(record.headers), *self._trace(record)]
            if error is not None:
                headers += exception_headers(
                    error, names, secrets=self._secrets, stack_trace_bytes=stack_trace_bytes
                )
            return ProducerRecord(
                topic, record.value, record.key, (*headers, *marks), partition, timestamp
            )

        try:
            return self._send(forwarded(self._stack_trace_bytes))
        except MessageTooLargeError:
            # A record of the maximum size has no room for a stack trace.
            return self._send(forwarded(0))
        except SerializationError:
            # Others can send header names that our client cannot.
            sent = forwarded(self._stack_trace_bytes)
            return self._send(sent._replace(headers=_sendable(sent.headers)))


def _sendable(headers: Iterable[Header]) -> tuple[Header, ...]:
    """Return headers with names that any client can send, control characters escaped."""
    return tuple(
        (name.encode("unicode_escape").decode() if not name.isprintable() else name, value)
        for name, value in headers
    )
