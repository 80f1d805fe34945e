"""Retry topics: names, headers, and reading of foreign headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.consuming.headers import (
    ATTEMPTS,
    BACKOFF_TIMESTAMP,
    ORIGINAL_TIMESTAMP,
    big_integer,
    int32,
    read_integer,
)
from sdk.consuming.retry_topics import RetryTopics, attempt_of, due_at, original_timestamp
from sdk.errors import ConfigurationError
from sdk.records import Header
from sdk.settings import ConsumerOptions, DeadLetterOptions, RetryTopicsOptions
from sdk.topics import TopicDefinition
from tests.unit.consuming.records import record


def test_names_are_springs() -> None:
    """Delays stand in the names; equal ones share a topic; one delay alone needs no number."""
    assert RetryTopics([1000, 10000]).names("orders") == ("orders-retry-1000", "orders-retry-10000")
    assert RetryTopics([1000, 4000, 4000]).names("orders") == (
        "orders-retry-1000",
        "orders-retry-4000",
    )
    assert RetryTopics([500, 500, 500]).names("orders") == ("orders-retry",)
    assert RetryTopics().names("orders") == ()
    assert RetryTopics().dead_letter("orders") == "orders-dlt"


def test_names_carry_the_group_on_request() -> None:
    """Groups that read one topic then have separate retries and dead letters."""
    options = ConsumerOptions(
        retry_topics=RetryTopicsOptions(delays_ms=(1000, 2000), per_group=True),
        dead_letter=DeadLetterOptions(per_group=True),
    )
    topics = RetryTopics.configured(options, "billing")
    assert topics.names("orders")[0] == "orders-billing-retry-1000"
    assert topics.dead_letter("orders-billing-retry-2000") == "orders-billing-dlt"


@pytest.mark.parametrize("group", ["with space", "x" * 250])
def test_a_group_that_no_topic_name_can_hold_is_refused(group: str) -> None:
    """Kafka takes any text for a group, but not for a topic."""
    with pytest.raises(ConfigurationError, match="topic name"):
        RetryTopics([1000], retry_group=group).names("orders")


def test_the_source_of_a_retry_topic_is_known_by_its_name() -> None:
    """A topic that only looks like a retry topic of other delays is a source itself."""
    topics = RetryTopics([1000, 2000])
    assert topics.source("orders-retry-1000") == "orders"
    assert topics.source("orders") == "orders"
    assert topics.source("orders-retry-9") == "orders-retry-9"
    assert topics.is_retry("orders-retry-2000")
    assert not topics.is_retry("orders-retry")


def test_each_attempt_has_its_stage() -> None:
    """The attempts header says which delay comes next, also where stages share a topic."""
    topics = RetryTopics([1000, 4000, 4000])
    stages = []
    at = record()
    while following := topics.next(at):
        stages.append(following)
        at = record(topic=following[0], headers=((ATTEMPTS, int32(attempt_of(at) + 1)),))
    assert stages == [
        ("orders-retry-1000", 1.0),
        ("orders-retry-4000", 4.0),
        ("orders-retry-4000", 4.0),
    ]


def test_definitions_follow_their_source() -> None:
    """Retry and dead-letter topics have the source's partitions, so that records keep theirs."""
    options = ConsumerOptions(
        retry_topics=RetryTopicsOptions(delays_ms=(1000, 2000), retention_ms=86_400_000)
    )
    source = TopicDefinition(name="orders", partitions=6, replication=3, config={"a": "b"})
    made = RetryTopics.configured(options, "billing").definitions([source], options)
    assert [(topic.name, topic.partitions, topic.replication) for topic in made] == [
        ("orders-retry-1000", 6, 3),
        ("orders-retry-2000", 6, 3),
        ("orders-dlt", 6, 3),
    ]
    assert made[0].config == {"retention.ms": "86400000"}
    assert made[2].config == {"retention.ms": "-1"}


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x00\x80"),
        (-1, b"\xff"),
        (-128, b"\x80"),
        (-129, b"\xff\x7f"),
        (1_700_000_000_000, bytes.fromhex("018bcfe56800")),
        (2**63 - 1, b"\x7f" + b"\xff" * 7),
    ],
)
def test_big_integers_are_javas(number: int, data: bytes) -> None:
    """As few bytes as two's complement allows, as BigInteger.toByteArray returns them."""
    assert big_integer(number) == data
    assert read_integer(data) == number


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_come_back(number: int) -> None:
    """Every 64-bit number survives, in the fewest bytes that can hold it."""
    data = big_integer(number)
    assert read_integer(data) == number
    assert len(data) == 1 or int.from_bytes(data[1:], "big", signed=True) != number


def header(name: str) -> st.SearchStrategy[Header]:
    """Return headers with any value, null among them."""
    return st.tuples(st.just(name), st.none() | st.binary(max_size=20))


@given(st.lists(header(ATTEMPTS) | header(BACKOFF_TIMESTAMP) | header(ORIGINAL_TIMESTAMP)))
def test_hostile_headers_are_read_without_harm(headers: list[Header]) -> None:
    """Whatever the headers hold, an attempt is at least 1 and times are numbers or unknown."""
    hostile = record(headers=tuple(headers))
    assert attempt_of(hostile) >= 1
    assert due_at(hostile) is None or isinstance(due_at(hostile), float)
    original = original_timestamp(hostile)
    assert original is None or original >= 0
    RetryTopics([1000]).next(hostile)


@pytest.mark.parametrize(
    ("data", "attempt"),
    [(b"\x03", 3), (int32(3), 3), (b"\xff", 255), (b"\x00\x03", 1), (int32(-4), 1), (None, 1)],
)
def test_attempts_are_read_as_spring_reads_them(data: bytes | None, attempt: int) -> None:
    """Attempts have one byte or four; anything else counts as the first attempt."""
    assert attempt_of(record(headers=((ATTEMPTS, data),))) == attempt


def test_the_last_header_counts() -> None:
    """Where a name is repeated, the last value holds, as in Java's lastHeader."""
    twice = record(headers=((ATTEMPTS, int32(2)), (ATTEMPTS, int32(5))))
    assert attempt_of(twice) == 5


def test_due_is_in_seconds() -> None:
    """The header is in milliseconds; records without it are due at once."""
    assert due_at(record(headers=((BACKOFF_TIMESTAMP, big_integer(1500)),))) == 1.5
    assert due_at(record()) is None


@pytest.mark.parametrize("delays", [(), (0,), (2000, 1000), (10**12,)])
def test_delays_that_make_no_sense_are_refused(delays: tuple[int, ...]) -> None:
    """An empty list, no delay at all, one shorter than the last, and one of years."""
    with pytest.raises(ConfigurationError):
        RetryTopicsOptions(delays_ms=delays)


def test_retention_outlasts_the_delay() -> None:
    """A record must not be deleted before it is due."""
    with pytest.raises(ConfigurationError, match="longer"):
        RetryTopicsOptions(delays_ms=(1000,), retention_ms=1000)
