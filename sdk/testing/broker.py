"""A broker in memory: the one test double of our own tests and of a service's tests."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from attrs import define, evolve, field

from sdk.abstractions import OnDelivery
from sdk.errors import (
    BrokerError,
    ClosedError,
    DeliveryError,
    MessageTooLargeError,
    QueueFullError,
    SdkError,
)
from sdk.records import ConsumerRecord, DeliveryReport, ProducerRecord
from sdk.testing.consumer import InMemoryConsumer
from sdk.testing.groups import Group
from sdk.testing.murmur2 import partition_of
from sdk.topics import TopicDefinition


class InMemoryBroker:
    """Topics, groups and offsets in this process, with faults on demand.

    Records are acknowledged at once, inside `produce`, unless `hold` was called; keys go to the
    partitions that Java's client chooses. Nothing is ever deleted.

    Args:
        partitions: Partition count of topics that do not say theirs.
        auto_create: Create a topic when it is first written to; False makes it an error.
        queue_limit: How many records a producer holds before it is full.
        max_message_bytes: Largest record value.
    """

    def __init__(
        self,
        *,
        partitions: int = 4,
        auto_create: bool = True,
        queue_limit: int = 100_000,
        max_message_bytes: int = 1_000_000,
    ) -> None:
        self.changed = threading.Condition()
        self._partitions = partitions
        self._auto_create = auto_create
        self._queue_limit = queue_limit
        self._max_message_bytes = max_message_bytes
        self._topics: dict[str, _Topic] = {}
        self._groups: dict[str, Group] = {}
        self._faults: dict[str, deque[SdkError]] = {}
        self._held: deque[tuple[ProducerRecord, OnDelivery]] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._turn = itertools.count()

    def producer(self) -> InMemoryProducer:
        """Return a new producing client."""
        return InMemoryProducer(self)

    def consumer(self, group_id: str, *, auto_offset_reset: str = "earliest") -> InMemoryConsumer:
        """Return a new consuming client, a member of ``group_id`` once it subscribes."""
        return InMemoryConsumer(self, self.group(group_id), auto_offset_reset)

    def admin(self) -> InMemoryAdmin:
        """Return a new client that creates and describes topics."""
        return InMemoryAdmin(self)

    def records(self, topic: str) -> list[ConsumerRecord]:
        """Return everything in a topic, in the order in which it was acknowledged."""
        with self.changed:
            known = self._topics.get(topic)
            return [] if known is None else list(known.written)

    def committed(self, group_id: str) -> dict[tuple[str, int], int]:
        """Return the offsets that a group has committed, by (topic, partition)."""
        with self.changed:
            return dict(self.group(group_id).committed)

    def idle(self, group_id: str) -> bool:
        """Whether a group has members, and has committed everything in their topics."""
        with self.changed:
            group = self.group(group_id)
            ends = {
                (topic, partition): len(log)
                for topic, kept in self._topics.items()
                if group.covers(topic)
                for partition, log in enumerate(kept.partitions)
            }
            done = all(group.committed.get(place, 0) >= end for place, end in ends.items() if end)
            return bool(group.members()) and done

    def hold(self) -> None:
        """Acknowledge nothing until `release`."""
        with self.changed:
            if self._held is None:
                self._held = deque()

    def release(self, count: int | None = None) -> None:
        """Acknowledge ``count`` held records in order; all, and no longer hold, by default."""
        with self.changed:
            held = self._held or deque()
            ready = [held.popleft() for _ in range(len(held) if count is None else count)]
            if count is None:
                self._held = None
        for record, on_delivery in ready:
            self._append(record, on_delivery)
        self._after_deliveries()

    def fail(self, operation: str, *errors: SdkError) -> None:
        """Answer the next calls of an operation with these errors, one each.

        Args:
            operation: ``deliver``, ``poll``, ``commit``, ``describe`` or ``create``.
            *errors: What the calls end in, in order.
        """
        with self.changed:
            self._faults.setdefault(operation, deque()).extend(errors)

    def fault(self, operation: str) -> SdkError | None:
        """Take the next error that `fail` has planned for an operation, if any."""
        with self.changed:
            faults = self._faults.get(operation)
            return faults.popleft() if faults else None

    def group(self, group_id: str) -> Group:
        """Return a consumer group, new if need be."""
        with self.changed:
            return self._groups.setdefault(group_id, Group(group_id))

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; 0 if there is no such topic."""
        with self.changed:
            known = self._topics.get(topic)
            return 0 if known is None else len(known.partitions)

    def partition_counts(self, wanted: Callable[[str], bool]) -> dict[str, int]:
        """Return the partition counts of those topics whose names are wanted."""
        with self.changed:
            return {
                topic: len(kept.partitions) for topic, kept in self._topics.items() if wanted(topic)
            }

    def log(self, topic: str, partition: int) -> list[ConsumerRecord]:
        """Return the log of one partition, which grows; hold `changed` while reading it."""
        return self._topics[topic].partitions[partition]

    def define(self, definition: TopicDefinition) -> None:
        """Create a topic; one that exists already is left as it is."""
        with self.changed:
            if definition.name not in self._topics:
                partitions = definition.partitions or self._partitions
                self._topics[definition.name] = _Topic(
                    evolve(
                        definition, partitions=partitions, replication=definition.replication or 1
                    ),
                    [[] for _ in range(partitions)],
                )
            self.changed.notify_all()

    def definition(self, topic: str) -> TopicDefinition | None:
        """Return a topic as it stands, or None if there is no such topic."""
        with self.changed:
            known = self._topics.get(topic)
            return None if known is None else known.definition

    def accept(self, record: ProducerRecord, on_delivery: OnDelivery) -> None:
        """Take a record from a producer; acknowledge it at once unless acknowledging is held."""
        size = len(record.value or b"") + len(record.key or b"")
        if size > self._max_message_bytes:
            raise MessageTooLargeError(
                f"the record has {size} bytes, and {self._max_message_bytes} are allowed",
                topic=record.topic,
            )
        if record.timestamp is None:
            record = record._replace(timestamp=time.time_ns() // 1_000_000)
        with self.changed:
            if self._held is not None:
                if len(self._held) >= self._queue_limit:
                    raise QueueFullError("the local queue is full", topic=record.topic)
                self._held.append((record, on_delivery))
                return
        self._append(record, on_delivery)
        self._after_deliveries()

    def held(self) -> int:
        """Return how many records wait for `release`."""
        with self.changed:
            return len(self._held or ())

    def abandon(self) -> int:
        """Fail every record that waits for `release`; return how many there were."""
        with self.changed:
            abandoned = list(self._held or ())
            if self._held is not None:
                self._held.clear()
        for record, on_delivery in abandoned:
            on_delivery(None, DeliveryError("the producer was closed", topic=record.topic))
        self._after_deliveries()
        return len(abandoned)

    def listen(self, call: Callable[[], None]) -> None:
        """Have ``call`` called after records were acknowledged or have failed."""
        self._listeners.append(call)

    def _after_deliveries(self) -> None:
        for call in self._listeners:
            call()

    def _append(self, record: ProducerRecord, on_delivery: OnDelivery) -> None:
        error = self.fault("deliver")
        if error is None:
            try:
                written = self._write(record)
            except BrokerError as refused:
                error = refused
        if error is not None:
            on_delivery(None, error)
            return
        on_delivery(
            DeliveryReport(
                topic=written.topic,
                partition=written.partition,
                offset=written.offset,
                timestamp=written.timestamp,
            ),
            None,
        )

    def _write(self, record: ProducerRecord) -> ConsumerRecord:
        with self.changed:
            if record.topic not in self._topics:
                if not self._auto_create:
                    raise BrokerError("no such topic", topic=record.topic)
                self.define(TopicDefinition(name=record.topic))
            topic = self._topics[record.topic]
            partition = self._place(record, len(topic.partitions))
            log = topic.partitions[partition]
            written = ConsumerRecord(
                topic=record.topic,
                partition=partition,
                offset=len(log),
                value=record.value,
                key=record.key,
                headers=record.headers,
                timestamp=record.timestamp,
            )
            log.append(written)
            topic.written.append(written)
            self.changed.notify_all()
            return written

    def _place(self, record: ProducerRecord, partitions: int) -> int:
        if record.partition is not None:
            if not 0 <= record.partition < partitions:
                raise BrokerError(
                    "no such partition", topic=record.topic, partition=record.partition
                )
            return record.partition
        if record.key is None:
            return next(self._turn) % partitions
        return partition_of(record.key, partitions)


class InMemoryProducer:
    """A `BrokerProducer` of an `InMemoryBroker`."""

    def __init__(self, broker: InMemoryBroker) -> None:
        self._broker = broker
        self._closed = False

    def produce(self, record: ProducerRecord, on_delivery: OnDelivery) -> None:
        """Queue a record and return at once."""
        if self._closed:
            raise ClosedError("the producing client is closed")
        self._broker.accept(record, on_delivery)

    def after_deliveries(self, call: Callable[[], None]) -> None:
        """Have ``call`` called whenever one or more ``on_delivery`` in a row have been called."""
        self._broker.listen(call)

    def flush(self, timeout: float) -> int:
        """Wait until the queue is empty, ``timeout`` seconds at most; return what is left."""
        deadline = time.monotonic() + timeout
        while (left := self._broker.held()) and time.monotonic() < deadline:
            time.sleep(0.001)
        return left

    def close(self, timeout: float) -> int:
        """Flush, then release the client; return the number of records not delivered."""
        self.flush(timeout)
        self._closed = True
        return self._broker.abandon()

    def trouble(self) -> SdkError | None:
        """Return what keeps the client from delivering anything now: nothing ever does."""
        return None


class InMemoryAdmin:
    """A `BrokerAdmin` of an `InMemoryBroker`."""

    def __init__(self, broker: InMemoryBroker) -> None:
        self._broker = broker

    def describe(self, topics: Sequence[str]) -> dict[str, TopicDefinition]:
        """Return those of ``topics`` that exist, as the broker has them."""
        self._raise_fault("describe")
        found = {topic: self._broker.definition(topic) for topic in topics}
        return {topic: known for topic, known in found.items() if known is not None}

    def create(self, topics: Sequence[TopicDefinition]) -> None:
        """Create topics; one that exists already is left as it is."""
        self._raise_fault("create")
        for definition in topics:
            self._broker.define(definition)

    def close(self) -> None:
        """Release the client."""

    def _raise_fault(self, operation: str) -> None:
        error = self._broker.fault(operation)
        if error is not None:
            raise error


@define
class _Topic:
    definition: TopicDefinition
    partitions: list[list[ConsumerRecord]]
    written: list[ConsumerRecord] = field(factory=list)
