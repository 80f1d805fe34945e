"""The effects of `broker.faults` on clients of the in-memory broker."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import define, field

from sdk.errors import BrokerUnavailableError, ConfigurationError, SdkError
from sdk.records import ProducerRecord, TopicPartition
from sdk.testing import InMemoryBroker, VirtualClock
from sdk.topics import TopicDefinition


@define
class Listener:
    """Notes what a consuming client is called with."""

    calls: list[tuple[str, int]] = field(factory=list)
    commits: list[SdkError | None] = field(factory=list)

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Note a gain."""
        self.calls.append(("assigned", len(partitions)))

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Note a loss that was announced."""
        self.calls.append(("revoked", len(partitions)))

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Note a loss that was not."""
        self.calls.append(("lost", len(partitions)))

    def on_committed(self, offsets: Sequence[TopicPartition], error: SdkError | None) -> None:
        """Note an answer."""
        self.commits.append(error)


@pytest.fixture
def broker() -> InMemoryBroker:
    """A broker with one topic of two partitions."""
    broker = InMemoryBroker(clock=VirtualClock(1_800_000_000))
    broker.define(TopicDefinition(name="t", partitions=2))
    return broker


def test_records_wait_while_the_broker_is_down(broker: InMemoryBroker) -> None:
    """Nothing is acknowledged, requests are refused, and everything arrives when it is back."""
    outcomes: list[object] = []
    producer, admin = broker.producer(), broker.admin()
    broker.faults.broker_down()
    producer.produce(ProducerRecord("t", b"v"), lambda report, error: outcomes.append(report))
    assert outcomes == []
    assert isinstance(producer.connection_error(), BrokerUnavailableError)
    for refused in (lambda: admin.describe(["t"]), lambda: admin.create([])):
        with pytest.raises(BrokerUnavailableError):
            refused()
    broker.faults.broker_up()
    assert len(outcomes) == len(broker.records("t")) == 1
    assert producer.connection_error() is None
    assert list(admin.describe(["t"])) == ["t"]


def test_nothing_is_delivered_while_the_broker_is_down(broker: InMemoryBroker) -> None:
    """A poll is empty, a commit is refused, and the group goes on as it was."""
    listener = Listener()
    consumer = broker.consumer("g")
    consumer.subscribe(["t"], listener)
    broker.store(ProducerRecord("t", b"1", partition=0))
    assert [record.value for record in consumer.poll(0, 10)] == [b"1"]
    broker.store(ProducerRecord("t", b"2", partition=0))
    broker.faults.broker_down()
    assert consumer.poll(0, 10) == []
    consumer.commit([TopicPartition(topic="t", partition=0, offset=1)])
    broker.faults.broker_up()
    assert [record.value for record in consumer.poll(0, 10)] == [b"2"]
    assert [type(error) for error in listener.commits] == [BrokerUnavailableError]
    assert broker.committed("g") == {}
    assert listener.calls == [("assigned", 2)]


def test_rebalance_takes_and_gives_back(broker: InMemoryBroker) -> None:
    """Every member gives up what it has and gets its share again; reading goes on at the commit."""
    listener = Listener()
    consumer = broker.consumer("g")
    consumer.subscribe(["t"], listener)
    broker.store(ProducerRecord("t", b"1", partition=0))
    consumer.poll(0, 10)
    broker.faults.rebalance("g")
    assert [record.value for record in consumer.poll(0, 10)] == [b"1"]
    assert listener.calls == [("assigned", 2), ("revoked", 2), ("assigned", 2)]
    consumer.poll(0, 10)
    assert len(listener.calls) == 3


def test_partitions_can_be_lost(broker: InMemoryBroker) -> None:
    """A member that is expelled is told afterwards, and joins again."""
    listener = Listener()
    consumer = broker.consumer("g")
    consumer.subscribe(["t"], listener)
    consumer.poll(0, 10)
    broker.faults.lose_partitions("g")
    consumer.poll(0, 10)
    assert listener.calls == [("assigned", 2), ("lost", 2), ("assigned", 2)]


def test_duplicate_is_the_same_record_again(broker: InMemoryBroker) -> None:
    """Value, key, headers, timestamp and partition are those of the original."""
    headers = (("h", b"1"),)
    first = broker.store(ProducerRecord("t", b"v", b"k", headers, None, 1_000))
    broker.store(ProducerRecord("t", b"other", b"k"))
    again = broker.faults.duplicate("t", 0)
    assert again == first._replace(offset=2)
    assert broker.faults.duplicate("t") == again._replace(offset=3)
    with pytest.raises(ConfigurationError, match="no record 9"):
        broker.faults.duplicate("t", 9)


def test_poison_is_stored_unchanged(broker: InMemoryBroker) -> None:
    """Bytes of the caller's choice, or some that no schema can read, get into the topic."""
    assert broker.faults.poison("t", b"\xff", key=b"k").value == b"\xff"
    assert (broker.faults.poison("t").value or b"")[:5] == b"\x00\xff\xff\xff\xff"


def test_records_carry_the_time_of_the_clock(broker: InMemoryBroker) -> None:
    """A record without a timestamp gets the clock's, also where it waits to be acknowledged."""
    broker.hold()
    broker.producer().produce(ProducerRecord("t", b"v"), lambda report, error: None)
    assert isinstance(broker.clock, VirtualClock)
    broker.clock.advance(60)
    broker.release()
    broker.store(ProducerRecord("t", b"v"))
    assert [record.timestamp for record in broker.records("t")] == [
        1_800_000_000_000,
        1_800_000_060_000,
    ]
