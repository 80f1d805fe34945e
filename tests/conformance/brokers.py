"""The brokers under test, each behind the same three seams."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from attrs import evolve, field, frozen

from sdk.abstractions import BrokerAdmin, BrokerConsumer, BrokerProducer, TransactionalProducer
from sdk.errors import SdkError
from sdk.kafka.admin import ConfluentAdmin
from sdk.kafka.consumer import ConfluentConsumer
from sdk.kafka.producer import ConfluentProducer
from sdk.kafka.transactions import ConfluentTransactionalProducer
from sdk.records import ConsumerRecord, DeliveryReport, ProducerRecord, TopicPartition
from sdk.settings import ConsumerOptions, KafkaOptions, ProducerOptions
from sdk.testing import InMemoryBroker
from sdk.topics import TopicDefinition
from tests.conformance.differences import DIFFERENCES

PATIENCE = 60.0


class BrokerUnderTest(Protocol):
    """Makes clients of one broker."""

    name: str

    def producer(self, **options: Any) -> BrokerProducer:
        """Return a producing client; options as in `ProducerOptions`."""

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        """Return a producing client with a transactional id."""

    def consumer(self, group_id: str, **options: Any) -> BrokerConsumer:
        """Return a consuming client; options as in `ConsumerOptions`."""

    def admin(self) -> BrokerAdmin:
        """Return a client that creates and describes topics."""


@frozen
class InMemory:
    """The broker of `sdk.testing`."""

    broker: InMemoryBroker
    name: str = "in-memory"

    def producer(self, **options: Any) -> BrokerProducer:
        """Return a producing client; compression and lingering mean nothing here."""
        return self.broker.producer()

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        """Return a producing client with a transactional id."""
        return self.broker.transactional_producer(transactional_id)

    def consumer(
        self, group_id: str, *, isolation_level: str = "read_committed", **options: Any
    ) -> BrokerConsumer:
        """Return a consuming client."""
        committed = isolation_level == "read_committed"
        return self.broker.consumer(group_id, read_committed=committed, **options)

    def admin(self) -> BrokerAdmin:
        """Return an admin client."""
        return self.broker.admin()


@frozen
class Librdkafka:
    """Any broker that librdkafka reaches: the embedded one, or real Kafka.

    Attributes:
        name: Key of the table of differences.
        kafka: Where it is.
        consumers: Options that its consumers need.
        make_admin: Makes its admin client.
        ignored_append_time: As for `ConfluentProducer`.
    """

    name: str
    kafka: KafkaOptions
    make_admin: Callable[[], BrokerAdmin]
    consumers: ConsumerOptions = field(factory=ConsumerOptions)
    ignored_append_time: int | None = None

    @classmethod
    def real(cls, bootstrap_servers: str) -> Librdkafka:
        """Return real Kafka at ``bootstrap_servers``."""
        kafka = KafkaOptions(bootstrap_servers=tuple(bootstrap_servers.split(",")))
        return cls("real", kafka, lambda: ConfluentAdmin(kafka))

    def producer(self, **options: Any) -> BrokerProducer:
        """Return a producing client."""
        return ConfluentProducer(
            self.kafka,
            ProducerOptions(**{"linger_ms": 0, **options}),
            ignored_append_time=self.ignored_append_time,
        )

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        """Return a producing client with a transactional id."""
        options = ProducerOptions(linger_ms=0)
        return ConfluentTransactionalProducer(self.kafka, options, None, transactional_id)

    def consumer(self, group_id: str, **options: Any) -> BrokerConsumer:
        """Return a consuming client."""
        return ConfluentConsumer(self.kafka, evolve(self.consumers, **options), group_id)

    def admin(self) -> BrokerAdmin:
        """Return an admin client."""
        return self.make_admin()


class Bench:
    """One broker under test, with the steps that most tests take.

    Args:
        broker: The broker under test.
    """

    def __init__(self, broker: BrokerUnderTest) -> None:
        self.broker = broker
        self._clients: list[Any] = []

    def differs(self, difference: str) -> bool:
        """Whether the table says that this broker differs from Kafka here."""
        return difference in DIFFERENCES[self.broker.name]

    def topic(self, partitions: int = 1, **config: str) -> str:
        """Create a topic that no other test uses."""
        name = f"conformance-{uuid.uuid4().hex[:12]}"
        admin = self.admin()
        admin.create([TopicDefinition(name=name, partitions=partitions, config=config)])
        deadline = time.monotonic() + PATIENCE
        while not admin.describe([name]):  # Kafka's brokers learn of it a moment later
            assert time.monotonic() < deadline, f"{name} is not there"
            time.sleep(0.01)
        return name

    def group(self) -> str:
        """Return the name of a group that no other test uses."""
        return f"group-{uuid.uuid4().hex[:12]}"

    def admin(self) -> BrokerAdmin:
        """Return an admin client, closed after the test."""
        return self._kept(self.broker.admin())

    def producer(self, **options: Any) -> BrokerProducer:
        """Return a producing client, closed after the test."""
        return self._kept(self.broker.producer(**options))

    def send(self, *records: ProducerRecord, **options: Any) -> list[DeliveryReport]:
        """Produce records with a separate client; return the reports, in the same order."""
        producer = self.broker.producer(**options)
        reports: dict[int, DeliveryReport | SdkError | None] = {}
        for number, record in enumerate(records):
            producer.produce(
                record, lambda report, error, at=number: reports.update({at: error or report})
            )
        assert producer.close(PATIENCE) == 0
        found = [reports[number] for number in range(len(records))]
        failed = [outcome for outcome in found if not isinstance(outcome, DeliveryReport)]
        assert not failed
        return [outcome for outcome in found if isinstance(outcome, DeliveryReport)]

    def member(
        self, group: str, *topics: str, pattern: str | None = None, **options: Any
    ) -> Member:
        """Return a consumer that has joined a group, closed after the test."""
        member = Member(group, self.broker.consumer(group, **options), topics, pattern)
        return self._kept(member)

    def transactional(self, transactional_id: str | None = None) -> Transactional:
        """Return a transactional producer, ready to begin; closed after the test."""
        name = transactional_id or f"conformance-{uuid.uuid4().hex[:12]}"
        client = self._kept(self.broker.transactional_producer(name))
        client.init_transactions(PATIENCE)
        return Transactional(client)

    def values(self, topic: str, count: int) -> list[bytes | None]:
        """Return the ``count`` values that a reader of committed records finds in a topic."""
        member = self.member(self.group(), topic)
        return [record.value for record in member.take(count) + member.idle(0.3)]

    def close(self) -> None:
        """Close every client that is still open."""
        for client in reversed(self._clients):
            if hasattr(client, "flush"):
                client.close(PATIENCE)
            else:
                client.close()

    def _kept(self, client: Any) -> Any:
        self._clients.append(client)
        return client


@frozen
class Transactional:
    """A transactional producer, with the steps that most tests take.

    Attributes:
        client: The producer.
    """

    client: TransactionalProducer

    def begin(self) -> None:
        """Open a transaction."""
        self.client.begin()

    def open(self, topic: str, *values: bytes) -> None:
        """Open a transaction and publish in it; return when all is acknowledged."""
        self.client.begin()
        failures: list[SdkError | None] = []
        for value in values:
            self.client.produce(
                ProducerRecord(topic, value), lambda report, error: failures.append(error)
            )
        assert self.client.flush(PATIENCE) == 0
        assert failures == [None] * len(values)

    def commit(self, topic: str, *values: bytes) -> None:
        """Publish in a transaction and commit it."""
        self.open(topic, *values)
        self.client.commit(PATIENCE)

    def abort(self, topic: str, *values: bytes) -> None:
        """Publish in a transaction and abort it."""
        self.open(topic, *values)
        self.client.abort(PATIENCE)


class Member:
    """A consumer with what has happened to it.

    Args:
        group: Consumer group.
        consumer: The client.
        topics: The subscribed topics.
        pattern: The subscribed pattern, if any.

    Attributes:
        assigned: Partitions that it has now.
        revoked: Partitions that it had to give up, in order.
        lost: Partitions that were taken from it, in order.
        answers: The outcome of each asynchronous commit of an offset, in order.
    """

    def __init__(
        self,
        group: str,
        consumer: BrokerConsumer,
        topics: Sequence[str],
        pattern: str | None = None,
    ) -> None:
        self.group = group
        self.consumer = consumer
        self.assigned: set[tuple[str, int]] = set()
        self.revoked: list[tuple[str, int]] = []
        self._closed = False
        self.lost: list[tuple[str, int]] = []
        self.answers: list[tuple[TopicPartition, SdkError | None]] = []
        consumer.subscribe(topics, self, pattern=pattern)

    def take(self, count: int, seconds: float = PATIENCE) -> list[ConsumerRecord]:
        """Poll until there are ``count`` records; fail when they do not come."""
        records: list[ConsumerRecord] = []
        deadline = time.monotonic() + seconds
        while len(records) < count:
            assert time.monotonic() < deadline, f"{len(records)} of {count} records came"
            records += self.consumer.poll(0.1, count - len(records))
        return records

    def idle(self, seconds: float) -> list[ConsumerRecord]:
        """Poll for a while; return what came."""
        records: list[ConsumerRecord] = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            records += self.consumer.poll(0.05, 100)
        return records

    def idle_until(self, condition: Callable[[], bool]) -> None:
        """Poll until a condition holds; fail when it does not."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            assert self.consumer.poll(0.05, 1) == []

    def commit(self, *records: ConsumerRecord) -> None:
        """Commit that these records, and all before them, are done."""
        self.consumer.commit_sync(after(*records), PATIENCE)

    def close(self) -> None:
        """Leave the group, once."""
        if not self._closed:
            self._closed = True
            self.consumer.close()

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Note what was given."""
        self.assigned |= set(_places(partitions))

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Note what is to be given up."""
        self.revoked += _places(partitions)
        self.assigned -= set(_places(partitions))

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Note what was taken."""
        self.lost += _places(partitions)
        self.assigned -= set(_places(partitions))

    def on_committed(self, offsets: Sequence[TopicPartition], error: SdkError | None) -> None:
        """Note the answer."""
        self.answers += [(offset, error) for offset in offsets]


def after(*records: ConsumerRecord) -> list[TopicPartition]:
    """Return the offsets to commit when these records, and all before them, are done."""
    return [
        TopicPartition(topic=record.topic, partition=record.partition, offset=record.offset + 1)
        for record in records
    ]


def _places(partitions: Sequence[TopicPartition]) -> list[tuple[str, int]]:
    return [(each.topic, each.partition) for each in partitions]
