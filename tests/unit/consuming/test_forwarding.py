"""Forwarding: original bytes, Spring's headers, and nothing secret."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from sdk.consuming.dead_letters import (
    MESSAGE_BYTES,
    Origin,
    capped,
    origin_of,
    original_headers,
    reason_of,
)
from sdk.consuming.forwarding import Forwarder
from sdk.consuming.headers import FAILURE_HEADERS
from sdk.consuming.outcome import DeadLetter, Retry
from sdk.consuming.retry_topics import RetryTopics, attempt_of, due_at, original_timestamp
from sdk.errors import DeserializationError, MessageTooLargeError, SerializationError
from sdk.records import ConsumerRecord, Header, ProducerRecord
from tests.unit.consuming.records import Outbox, consumed, handler_error, record, values

TOPICS = RetryTopics([1000, 60_000])
NOW = 1_750_000_000.0004


class BadOrder(ValueError):
    """An order that the business does not accept."""


def forwarder(outbox: Outbox, **options: object) -> Forwarder:
    """Return a forwarder of the group ``billing`` at a fixed time."""
    return Forwarder(outbox.send, TOPICS, "billing", now=lambda: NOW, **options)  # type: ignore[arg-type]


def retried(
    at: ConsumerRecord, topic: str = "orders-retry-1000", delay: float = 1.0
) -> ProducerRecord:
    """Forward a record whose handler failed to a retry topic."""
    outbox = Outbox()
    forwarder(outbox).retry(at, Retry(delay, topic, handler_error(BadOrder("no lines"))))
    return outbox.sent[0]


def dead_lettered(
    at: ConsumerRecord, error: BaseException | None, **options: object
) -> ProducerRecord:
    """Forward a record that failed for good."""
    outbox = Outbox()
    forwarder(outbox, **options).dead_letter(at, DeadLetter("handler", error))
    return outbox.sent[0]


def test_a_retry_keeps_the_bytes_and_carries_springs_headers() -> None:
    """Key, value, headers and partition stay; attempts, times, origin and exception are added."""
    sent = retried(record())
    assert sent[:3] == ("orders-retry-1000", record().value, record().key)
    assert sent.partition == 2
    assert sent.headers[:3] == record().headers
    assert [name for name, _ in sent.headers[3:]] == [
        "kafka_exception-fqcn",
        "kafka_exception-message",
        "kafka_exception-stacktrace",
        "kafka_original-topic",
        "kafka_original-partition",
        "kafka_original-offset",
        "kafka_original-timestamp",
        "kafka_original-timestamp-type",
        "kafka_dlt-original-consumer-group",
        "retry_topic-original-timestamp",
        "retry_topic-attempts",
        "retry_topic-backoff-timestamp",
    ]
    assert values(sent.headers, "retry_topic-attempts") == [b"\x00\x00\x00\x02"]
    assert values(sent.headers, "retry_topic-original-timestamp") == [bytes.fromhex("018bcfe56800")]


def test_a_retry_is_never_due_early() -> None:
    """The due time is rounded up to the next millisecond."""
    due = due_at(consumed(retried(record())))
    assert due is not None
    assert NOW + 1.0 <= due < NOW + 1.0011


def test_an_old_event_is_not_old_in_its_retry_topic() -> None:
    """Retention counts from the forward, and the original timestamp is in a header."""
    sent = retried(record())
    assert sent.timestamp is None
    assert original_timestamp(consumed(sent)) == record().timestamp


def test_a_dead_letter_has_exactly_springs_headers() -> None:
    """Names, order and bytes as Spring's DeadLetterPublishingRecoverer writes them."""
    error = handler_error(BadOrder("no lines"))
    sent = dead_lettered(record(), error)
    assert sent[:3] == ("orders-dlt", record().value, record().key)
    assert (sent.partition, sent.timestamp) == (2, record().timestamp)
    assert sent.headers[:3] == record().headers
    added = dict(sent.headers[3:])
    trace = added.pop("kafka_dlt-exception-stacktrace")
    assert trace is not None
    assert b"BadOrder: no lines" in trace
    assert b"HandlerError" not in trace
    assert added == {
        "kafka_dlt-exception-fqcn": b"tests.unit.consuming.test_forwarding.BadOrder",
        "kafka_dlt-exception-message": b"no lines",
        "kafka_dlt-original-topic": b"orders",
        "kafka_dlt-original-partition": struct.pack(">i", 2),
        "kafka_dlt-original-offset": struct.pack(">q", 7),
        "kafka_dlt-original-timestamp": struct.pack(">q", 1_700_000_000_000),
        "kafka_dlt-original-timestamp-type": b"CreateTime",
        "kafka_dlt-original-consumer-group": b"billing",
    }


def test_the_brokers_own_time_differs_from_the_producers() -> None:
    """The type of the timestamp is what Java's TimestampType calls it."""
    sent = dead_lettered(record(appended=True), None)
    assert values(sent.headers, "kafka_dlt-original-timestamp-type") == [b"LogAppendTime"]


def test_the_cause_is_named() -> None:
    """The cause of the handler's exception has its own header."""
    error = BadOrder("no lines")
    error.__cause__ = KeyError("lines")
    sent = dead_lettered(record(), handler_error(error))
    assert values(sent.headers, "kafka_dlt-exception-cause-fqcn") == [b"KeyError"]


def test_poison_is_forwarded_unchanged() -> None:
    """An unreadable value, a missing key and a missing timestamp are kept."""
    at = record(value=b"\xff\x00", key=None, timestamp=None, headers=())
    sent = dead_lettered(at, DeserializationError("no schema id"))
    assert (sent.value, sent.key, sent.timestamp) == (b"\xff\x00", None, None)
    assert values(sent.headers, "kafka_dlt-original-timestamp") == [b"\xff" * 8]
    assert values(sent.headers, "kafka_dlt-original-timestamp-type") == [b"NoTimestampType"]
    assert values(sent.headers, "kafka_dlt-exception-fqcn") == [b"sdk.errors.DeserializationError"]


def test_through_retries_the_first_origin_and_the_last_exception_are_kept() -> None:
    """However often a record is forwarded, no header is repeated, and the origin is the first."""
    first = consumed(retried(record()), offset=40)
    second = consumed(retried(first, "orders-retry-60000", 60.0), offset=50)
    assert attempt_of(second) == 3
    last = dead_lettered(second, handler_error(KeyError("at last")))
    names = [name for name, _ in last.headers[3:]]
    assert len(names) == len(set(names))
    assert not [name for name in names if name.startswith(("kafka_original", "kafka_exception"))]
    assert (last.topic, last.partition, last.timestamp) == ("orders-dlt", 2, record().timestamp)
    reason = reason_of(consumed(last))
    assert (reason.topic, reason.partition, reason.offset) == ("orders", 2, 7)
    assert (reason.exception, reason.group) == ("KeyError", "billing")
    assert origin_of(consumed(last)) == Origin("orders", 2, 7)


def test_a_record_that_follows_another_keeps_its_attempt() -> None:
    """Queueing behind an earlier record of the key is not an attempt, and adds no exception."""
    outbox = Outbox()
    forwarder(outbox).retry(record(), Retry(0.0, "orders-retry-1000"))
    assert attempt_of(consumed(outbox.sent[0])) == 1
    assert not [name for name, _ in outbox.sent[0].headers if "exception" in name]


def test_a_dead_letter_without_an_exception_says_why() -> None:
    """An event without a handler has no exception, but a reason."""
    sent = dead_lettered(record(), None)
    assert values(sent.headers, "kafka_dlt-exception-message") == [b"handler"]


def test_a_partition_that_the_topic_lacks_is_left_to_the_key() -> None:
    """A dead-letter topic with fewer partitions than its source takes the record all the same."""
    assert dead_lettered(record(), None, partitions=lambda topic: 2).partition is None
    assert dead_lettered(record(), None, partitions=lambda topic: 3).partition == 2


def test_a_record_too_large_for_a_stack_trace_goes_without() -> None:
    """The stack trace is left out rather than the dead letter."""
    outbox = Outbox(errors=[MessageTooLargeError("x")])
    forwarder(outbox).dead_letter(record(), DeadLetter("handler", handler_error(BadOrder("x"))))
    names = [name for name, _ in outbox.sent[0].headers]
    assert "kafka_dlt-exception-fqcn" in names
    assert "kafka_dlt-exception-stacktrace" not in names


def test_what_only_other_clients_can_send_is_forwarded() -> None:
    """A header name with a NUL is escaped, and a time before 1970 stands in its header alone."""
    outbox = Outbox(errors=[SerializationError("x")])
    at = record(timestamp=0, headers=(("a\0b", b"1"), ("é", b"2")))
    forwarder(outbox).dead_letter(at, DeadLetter("handler", None))
    assert [name for name, _ in outbox.sent[0].headers[:2]] == ["a\\x00b", "é"]
    assert outbox.sent[0].timestamp is None
    assert values(outbox.sent[0].headers, "kafka_dlt-original-timestamp") == [b"\0" * 8]


def test_secrets_do_not_reach_a_header() -> None:
    """Known secrets, userinfo of URLs, tokens and what is called a password are hidden."""
    text = (
        "hunter2 at https://user:pw@host/x, Authorization: Bearer abcdefghijkl, "
        "password='letmein', api_key=k123, AWS_SECRET: xyz"
    )
    sent = dead_lettered(record(), handler_error(BadOrder(text)), secrets=["hunter2"])
    told = b"".join(value or b"" for _, value in sent.headers[3:])
    for secret in (b"hunter2", b"user:pw", b"abcdefghijkl", b"letmein", b"k123", b"xyz"):
        assert secret not in told
    assert b"https://host/x" in told


def test_long_messages_and_traces_are_capped() -> None:
    """The beginning and the end of both are kept."""
    text = "start " + "x" * 100_000 + " end"
    sent = dead_lettered(record(), handler_error(BadOrder(text)), stack_trace_bytes=4096)
    message, trace = (
        values(sent.headers, f"kafka_dlt-exception-{part}")[0] for part in ("message", "stacktrace")
    )
    assert message is not None
    assert trace is not None
    assert len(message) <= MESSAGE_BYTES
    assert len(trace) <= 4096
    assert message.startswith(b"start")
    assert trace.rstrip().endswith(b" end")


def test_an_exception_that_cannot_be_shown_is_forwarded() -> None:
    """A defect in an exception's own __str__ does not lose the record."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    error = handler_error(BadOrder("x"))
    error.__cause__ = Mute()
    sent = dead_lettered(record(), error)
    assert b"cannot be shown" in (values(sent.headers, "kafka_dlt-exception-message")[0] or b"")


@given(st.text(), st.integers(0, 300))
def test_a_capped_text_is_utf8_within_its_limit(text: str, limit: int) -> None:
    """Characters are never cut, and short texts stay whole."""
    data = capped(text, limit)
    assert len(data) <= limit or data == text.encode()
    data.decode()
    if len(text.encode("utf-8", "backslashreplace")) <= limit:
        assert data.decode() == text.encode("utf-8", "backslashreplace").decode()


names = st.sampled_from(sorted(FAILURE_HEADERS)) | st.text(max_size=5)
any_headers = st.lists(st.tuples(names, st.none() | st.binary(max_size=12)), max_size=8)


@given(any_headers)
def test_hostile_headers_are_forwarded_without_harm(headers: list[Header]) -> None:
    """Forged or broken headers of ours never raise; foreign ones keep their order and repeats."""
    for topic in ("orders", "orders-retry-1000"):
        at = record(topic=topic, headers=tuple(headers))
        for sent in (retried(at), dead_lettered(at, BadOrder("x"))):
            assert original_headers(sent.headers) == original_headers(at.headers)
            assert sent.value == at.value
            reason_of(consumed(sent))


def test_letters_of_other_frameworks_are_read() -> None:
    """Spring Cloud Stream's and SmallRye's headers say the same under other names."""
    stream = record(
        headers=(
            ("x-original-topic", b"orders"),
            ("x-original-partition", struct.pack(">i", 3)),
            ("x-original-offset", struct.pack(">q", 9)),
            ("x-exception-fqcn", b"java.lang.IllegalStateException"),
        )
    )
    assert origin_of(stream) == Origin("orders", 3, 9)
    assert reason_of(stream).exception == "java.lang.IllegalStateException"
    smallrye = record(
        headers=(
            ("dead-letter-topic", b"orders"),
            ("dead-letter-partition", b"3"),
            ("dead-letter-offset", b"9"),
            ("dead-letter-reason", b"no lines"),
        )
    )
    assert origin_of(smallrye) == Origin("orders", 3, 9)
    assert reason_of(smallrye).message == "no lines"


def test_numbers_in_headers_may_be_of_any_length() -> None:
    """A number that Python refuses to parse counts as absent."""
    at = record(headers=(("x-original-offset", b"9" * 5000), ("x-original-partition", b"3")))
    assert (reason_of(at).offset, reason_of(at).partition) == (None, 3)
