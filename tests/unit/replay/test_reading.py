"""Reading topics: to their ends, whatever takes the time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from sdk.abstractions import BrokerConsumer
from sdk.errors import BrokerUnavailableError
from sdk.records import ConsumerRecord, ProducerRecord, TopicPartition
from sdk.replay.reading import TopicReader
from sdk.testing import InMemoryBroker


def test_slow_use_of_the_records_does_not_end_the_topic() -> None:
    """Who takes longer over the records than a topic may be quiet gets the rest all the same."""
    broker = InMemoryBroker(partitions=1)
    producer = broker.producer()
    for _ in range(600):
        producer.produce(ProducerRecord("letters", b"v"), lambda report, error: None)
    count = 0
    for _ in TopicReader(connect=broker.consumer, quiet=0.05).read("letters"):
        count += 1
        if count == 500:  # as many as one poll returns
            time.sleep(0.2)
    assert count == 600


@pytest.mark.parametrize("lost", [True, False])
def test_partitions_that_are_assigned_again_give_no_record_twice(lost: bool) -> None:
    """A reader whose session has expired reads on; a dead letter would be replayed twice."""
    broker, groups = InMemoryBroker(partitions=1), list[str]()
    producer = broker.producer()
    for _ in range(600):
        producer.produce(ProducerRecord("letters", b"v"), lambda report, error: None)

    def connect(group: str) -> BrokerConsumer:
        groups.append(group)
        return broker.consumer(group)

    offsets = list[int]()
    for record in TopicReader(connect=connect).read("letters"):
        offsets.append(record.offset)
        if len(offsets) == 10:
            (broker.faults.lose_partitions if lost else broker.faults.rebalance)(groups[0])
    assert offsets == list(range(600))


class Silent:
    """A consumer whose broker sends no record until it has been asked for ends again.

    Args:
        consumer: Of the broker in memory.
        answer: Called instead of the broker, the second time.
    """

    def __init__(self, consumer: BrokerConsumer, answer: Any) -> None:
        self._consumer = consumer
        self._answers = [lambda: None, answer]

    def poll(self, timeout: float, max_records: int) -> list[ConsumerRecord]:
        """Return no record while the broker is silent."""
        time.sleep(0.01)
        return self._consumer.poll(timeout, 0 if self._answers else max_records)

    def end_offsets(self, places: Sequence[TopicPartition], timeout: float) -> Any:
        """Ask for ends."""
        if self._answers:
            self._answers.pop(0)()
        return self._consumer.end_offsets(places, timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


def test_a_broker_that_was_silent_for_a_while_does_not_end_the_topic() -> None:
    """Records follow when the broker answers again, so reading goes on."""
    broker = InMemoryBroker(partitions=1)
    broker.producer().produce(ProducerRecord("letters", b"v"), lambda report, error: None)

    def connect(group: str) -> Any:
        return Silent(broker.consumer(group), lambda: time.sleep(0.2))

    assert len(list(TopicReader(connect=connect, quiet=0.1).read("letters"))) == 1


def test_a_broker_that_does_not_answer_is_an_error() -> None:
    """A part of a topic is not taken for the whole."""
    broker = InMemoryBroker(partitions=1)
    broker.producer().produce(ProducerRecord("letters", b"v"), lambda report, error: None)

    def fail() -> None:
        raise BrokerUnavailableError("no answer")

    def connect(group: str) -> Any:
        return Silent(broker.consumer(group), fail)

    with pytest.raises(BrokerUnavailableError):
        list(TopicReader(connect=connect, quiet=0.1).read("letters"))
