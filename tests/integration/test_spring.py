"""Retries and dead letters beside Spring for Apache Kafka's own code: the same, to the byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdk.consuming.dead_letters import Origin, origin_of, reason_of
from sdk.consuming.forwarding import Forwarder
from sdk.consuming.outcome import DeadLetter, Retry
from sdk.consuming.retry_topics import RetryTopics, attempt_of, due_at, original_timestamp
from sdk.records import ConsumerRecord, Header, ProducerRecord
from tests.servers.peer import JavaPeer
from tests.unit.consuming.records import Outbox, consumed, record

DELAYS = (1000, 5000, 5000)
NOW = 1_750_000_000.0
TOPICS = RetryTopics(DELAYS)
BY_EXAMPLES = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

headers = st.lists(
    st.tuples(st.text("abc_é", min_size=1, max_size=5), st.none() | st.binary(max_size=6)),
    max_size=4,
)
records = st.builds(
    record,
    topic=st.just("orders"),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.integers(1, 2**62),
    key=st.none() | st.binary(max_size=8),
    value=st.none() | st.binary(max_size=8),
    headers=headers.map(tuple),
)


def springs(peer: JavaPeer, operation: str, at: ConsumerRecord) -> ProducerRecord:
    """Return what Spring sends for a record that failed."""
    answer = peer.ask(
        operation,
        source="orders",
        delays=list(DELAYS),
        group="billing",
        message="no lines",
        record={
            "topic": at.topic,
            "partition": at.partition,
            "offset": at.offset,
            "timestamp": at.timestamp,
            "key": _hex(at.key),
            "value": _hex(at.value),
            "headers": [[name, _hex(value)] for name, value in at.headers],
        },
    )
    return ProducerRecord(
        answer["topic"],
        _bytes(answer["value"]),
        _bytes(answer["key"]),
        tuple((name, _bytes(value)) for name, value in answer["headers"]),
        answer["partition"],
    )


def ours(at: ConsumerRecord, outcome: Retry | DeadLetter) -> ProducerRecord:
    """Return what we send for a record that failed."""
    outbox = Outbox()
    forwarder = Forwarder(outbox.send, TOPICS, "billing", now=lambda: NOW)
    if isinstance(outcome, Retry):
        forwarder.retry(at, outcome)
    else:
        forwarder.dead_letter(at, outcome)
    return outbox.sent[0]


def next_stage(at: ConsumerRecord) -> Retry:
    """Return the retry that the record's attempts ask for."""
    following = TOPICS.next(at)
    assert following is not None
    return Retry(following[1], following[0], raised())


def raised() -> Exception:
    """Return an exception with a cause, as Spring's listeners raise one."""
    error = RuntimeError("failed")
    error.__cause__ = ValueError("no lines")
    return error


def comparable(sent: ProducerRecord) -> tuple[Any, ...]:
    """Return a record without what differs: the exception's texts and the time that is due."""
    varying = ("fqcn", "message", "stacktrace", "backoff-timestamp")
    return (
        sent.topic,
        sent.key,
        sent.value,
        sent.partition,
        [(name, None if name.endswith(varying) else value) for name, value in sent.headers],
    )


@BY_EXAMPLES
@given(at=records)
def test_dead_letters_equal_springs(java_spring: JavaPeer, at: ConsumerRecord) -> None:
    """Topic, partition, key, value, and the names, order and bytes of all headers."""
    assert comparable(ours(at, DeadLetter("handler", raised()))) == comparable(
        springs(java_spring, "dead_letter", at)
    )


@BY_EXAMPLES
@given(at=records)
def test_retries_equal_springs(java_spring: JavaPeer, at: ConsumerRecord) -> None:
    """Attempts and timestamps too, in Java's encoding."""
    assert comparable(ours(at, next_stage(at))) == comparable(springs(java_spring, "retry", at))


def test_the_two_take_turns_through_the_whole_chain(java_spring: JavaPeer) -> None:
    """Each forwards what the other has forwarded; the stages and attempts go on."""
    at = record(headers=())
    for turn, topic in enumerate(("orders-retry-1000", "orders-retry-5000", "orders-retry-5000")):
        sent = springs(java_spring, "retry", at) if turn % 2 else ours(at, next_stage(at))
        assert sent.topic == topic
        at = consumed(sent, offset=100 + turn)
        assert attempt_of(at) == turn + 2
        assert original_timestamp(at) == record().timestamp
        assert due_at(at) is not None
        assert origin_of(at) == Origin("orders", 2, 7)
    assert springs(java_spring, "retry", at).topic == TOPICS.dead_letter("orders")
    assert TOPICS.next(at) is None


def test_springs_dead_letters_say_why(java_spring: JavaPeer) -> None:
    """Both those of the plain recoverer and those at the end of its retry topics."""
    last = record(topic="orders-retry-5000", headers=_exhausted())
    for sent in (
        springs(java_spring, "dead_letter", record()),
        springs(java_spring, "retry", last),
    ):
        reason = reason_of(consumed(sent))
        assert sent.topic == "orders-dlt"
        assert (reason.topic, reason.partition, reason.offset) == ("orders", 2, 7)
        assert reason.group == "billing"
        assert reason.cause == "java.lang.IllegalStateException"
        assert reason.message == "failed; no lines"
        assert "IllegalStateException: no lines" in (reason.stack_trace or "")


@pytest.mark.parametrize(
    "delays", [[1000], [1000, 2000], [500, 500], [1000, 2000, 2000], [1, 2, 3, 3, 3]]
)
def test_names_equal_springs(java_spring: JavaPeer, delays: list[int]) -> None:
    """The topics of a chain have the names that Spring gives them."""
    theirs = java_spring.ask("names", source="orders", delays=delays)["names"]
    topics = RetryTopics(delays)
    assert ["orders", *topics.names("orders"), topics.dead_letter("orders")] == theirs


def _exhausted() -> tuple[Header, ...]:
    at = record(headers=())
    for _ in DELAYS:
        at = consumed(ours(at, next_stage(at)))
    return at.headers


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)
