"""The in-memory broker: the test double of the SDK's tests and of a service's tests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import frozen

from sdk.abstractions import OnDelivery
from sdk.checks import check_record
from sdk.clock import Clock, SystemClock
from sdk.consuming.retry_topics import due_at
from sdk.errors import (
    BrokerError,
    ConfigurationError,
    DeliveryError,
    MessageTooLargeError,
    QueueFullError,
    SdkError,
)
from sdk.events import E
from sdk.records import ConsumerRecord, DeliveryReport, ProducerRecord
from sdk.testing.admin import InMemoryAdmin
from sdk.testing.clock import VirtualClock
from sdk.testing.consumer import InMemoryConsumer
from sdk.testing.faults import Faults, Operation
from sdk.testing.groups import Group
from sdk.testing.log import Log, OpenTransaction
from sdk.testing.producer import InMemoryProducer
from sdk.testing.topics import Topic
from sdk.topics import TopicDefinition

if TYPE_CHECKING:
    from sdk.embedded.registry.service import RegistryService
    from sdk.messaging import Messaging
    from sdk.testing.transactions import InMemoryTransactionalProducer


class InMemoryBroker:
    """Topics, groups and offsets in this process, with faults on demand.

    Records are acknowledged at once, inside `produce`, unless `hold` was called; keys are
    partitioned as by Java's client. Nothing is ever deleted. Transactions are isolated as on Kafka:
    records of open and aborted ones are hidden, and records after an open one wait.

    Args:
        partitions: Partition count of topics whose definition gives none.
        auto_create: Create a topic when it is first written to; False makes it an error.
        queue_limit: Size of a producer's queue, records.
        max_message_bytes: Largest record value.
        clock: Sets the timestamps of records; by default the system's.

    Attributes:
        changed: Notified after every change; consumers wait on it.
        faults: The faults that tests cause.
        clock: Sets the timestamps of records.
    """

    def __init__(
        self,
        *,
        partitions: int = 4,
        auto_create: bool = True,
        queue_limit: int = 100_000,
        max_message_bytes: int = 1_000_000,
        clock: Clock | None = None,
    ) -> None:
        self.changed = threading.Condition()
        self.faults = Faults(self)
        self.clock = clock or SystemClock()
        if isinstance(self.clock, VirtualClock):
            self.clock.on_advance(self._wake)
        self._partitions = partitions
        self._auto_create = auto_create
        self._queue_limit = queue_limit
        self._max_message_bytes = max_message_bytes
        self._topics: dict[str, Topic] = {}
        self._written: list[ConsumerRecord] = []
        self._groups: dict[str, Group] = {}
        self._held: deque[_Held] | None = None
        self._transactional: dict[str, InMemoryTransactionalProducer] = {}
        self._listeners: list[Callable[[], None]] = []
        self._messaging: Messaging | None = None

    # Clients

    def producer(self) -> InMemoryProducer:
        """Return a new producing client."""
        return InMemoryProducer(self)

    def transactional_producer(self, transactional_id: str) -> InMemoryTransactionalProducer:
        """Return a new producing client with this transactional id."""
        from sdk.testing.transactions import InMemoryTransactionalProducer

        return InMemoryTransactionalProducer(self, transactional_id)

    def consumer(
        self,
        group_id: str,
        *,
        auto_offset_reset: str = "earliest",
        read_committed: bool | None = None,
    ) -> InMemoryConsumer:
        """Return a new consuming client, a member of ``group_id`` once it subscribes."""
        return InMemoryConsumer(
            self, self.group(group_id), auto_offset_reset, read_committed is not False
        )

    def admin(self) -> InMemoryAdmin:
        """Return a new client that creates and describes topics."""
        return InMemoryAdmin(self)

    @cached_property
    def registry(self) -> RegistryService:
        """The schema registry that every connection to this broker uses."""
        from sdk.embedded.registry.service import RegistryService

        return RegistryService()

    # Inspection by tests

    def records(self, topic: str, *, uncommitted: bool = False) -> list[ConsumerRecord]:
        """Return everything in a topic, in the order in which it was acknowledged.

        Args:
            topic: Topic name.
            uncommitted: Records of open and aborted transactions as well.
        """
        with self.changed:
            known = self._topics.get(topic)
            written = [] if known is None else known.written
            return [each for each in written if uncommitted or self._is_committed(each)]

    def events(
        self, event_class: type[E], topic: str | None = None, *, uncommitted: bool = False
    ) -> list[E]:
        """Return the published events of a class, decoded, in the order of their acknowledgement.

        Events of other versions are read as ``event_class``; tombstones are left out, and so are
        open and aborted transactions.

        Args:
            event_class: A generated class.
            topic: Topic name; by default every topic that the class is read from.
            uncommitted: As for `records`.

        Raises:
            ConfigurationError: The broker is not connected (`sdk.testing.connect`).
            DeserializationError: A record in the topic is not an event.
        """
        messaging = self._messaging
        if messaging is None:
            raise ConfigurationError(
                "the broker is not connected, so it cannot decode events",
                remedy="pass it to sdk.testing.connect",
            )
        topics = [each.name for each in messaging.topics.readable(event_class)]
        opened = [
            messaging.serializer.open(record)
            for name in (topics if topic is None else [topic])
            for record in self.records(name, uncommitted=uncommitted)
            if record.value is not None
        ]
        wanted = event_class.__event__.full_name
        return [each.read(event_class) for each in opened if each.full_name == wanted]

    def committed(self, group_id: str) -> dict[tuple[str, int], int]:
        """Return the offsets that a group has committed, by (topic, partition)."""
        with self.changed:
            return dict(self.group(group_id).committed)

    def idle(self, group_id: str | None = None) -> bool:
        """Whether a group has members, and has committed everything in their topics.

        Args:
            group_id: The group; by default all that have members.
        """
        with self.changed:
            groups = self._active(group_id)
            return bool(groups) and not any(True for _ in self._uncommitted(groups))

    def next_due(self) -> float | None:
        """Return the seconds until a record of a retry topic is due; None if none waits."""
        with self.changed:
            moments = [due_at(record) for record in self._uncommitted(self._active(None))]
        now = self.clock.time()
        return min((due - now for due in moments if due is not None and due > now), default=None)

    def state(self) -> object:
        """Return a value that changes with every record and every commit."""
        with self.changed:
            ends = [log.end_offset for topic in self._topics.values() for log in topic.partitions]
            return ends, [dict(each.committed) for each in self._groups.values()]

    # Control by tests

    def hold(self) -> None:
        """Acknowledge nothing until `release`."""
        with self.changed:
            if self._held is None:
                self._held = deque()

    def release(self, count: int | None = None) -> None:
        """Acknowledge ``count`` held records in order; by default all, and stop holding."""
        with self.changed:
            held = self._held or deque()
            ready = [held.popleft() for _ in range(len(held) if count is None else count)]
            if count is None:
                self._held = None
        for each in ready:
            self._append(each)
        self._after_deliveries()

    def fail(self, operation: Operation, *errors: SdkError) -> None:
        """Make the next calls of an operation raise these errors, one each.

        Args:
            operation: ``deliver``, ``poll``, ``commit``, ``describe``, ``create``; of transactions
                ``init_transactions``, ``send_offsets``, ``commit_transaction`` and
                ``abort_transaction``, where a `TransactionAbortedError` also makes the transaction
                one that can only be aborted, and a `FencedError` fences its producer.
            *errors: The errors, in order.
        """
        self.faults.plan(operation, *errors)

    # For the clients

    def group(self, group_id: str) -> Group:
        """Return a consumer group; a new one if it does not exist."""
        with self.changed:
            return self._groups.setdefault(group_id, Group(group_id))

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; 0 if there is no such topic."""
        with self.changed:
            known = self._topics.get(topic)
            return 0 if known is None else len(known.partitions)

    def partition_counts(self, wanted: Callable[[str], bool]) -> dict[str, int]:
        """Return the partition counts of the topics whose names match."""
        with self.changed:
            return {
                topic: len(kept.partitions) for topic, kept in self._topics.items() if wanted(topic)
            }

    def log(self, topic: str, partition: int) -> Log:
        """Return the log of one partition, which grows; hold `changed` while reading it."""
        return self._topics[topic].partitions[partition]

    def define(self, definition: TopicDefinition) -> None:
        """Create a topic; an existing one is not changed.

        Raises:
            ConfigurationError: Kafka would refuse the name.
        """
        with self.changed:
            if definition.name not in self._topics:
                self._topics[definition.name] = Topic(definition, self._partitions)
            self.changed.notify_all()

    def definition(self, topic: str) -> TopicDefinition | None:
        """Return the definition of a topic, or None if there is no such topic."""
        with self.changed:
            known = self._topics.get(topic)
            return None if known is None else known.definition

    def everything(self) -> list[ConsumerRecord]:
        """Return the committed records of all topics, in the order of their acknowledgement."""
        with self.changed:
            return [each for each in self._written if self._is_committed(each)]

    def connect(self, messaging: Messaging) -> None:
        """Decode events as this connection does."""
        self._messaging = messaging

    def take_over(self, producer: InMemoryTransactionalProducer) -> None:
        """Give a transactional id to a client; an older one is fenced."""
        with self.changed:
            older = self._transactional.get(producer.transactional_id)
            self._transactional[producer.transactional_id] = producer
            if older is not None and older is not producer:
                older.fence()

    def transactional_producers(self) -> list[InMemoryTransactionalProducer]:
        """Return the clients that have a transactional id now."""
        return list(self._transactional.values())

    def accept(
        self,
        record: ProducerRecord,
        on_delivery: OnDelivery,
        transaction: OpenTransaction | None = None,
    ) -> None:
        """Accept a record of a producer; acknowledge it at once, or hold it."""
        check_record(record)
        size = len(record.value or b"") + len(record.key or b"")
        if size > self._max_message_bytes:
            raise MessageTooLargeError(
                f"the record has {size} bytes, and {self._max_message_bytes} are allowed",
                topic=record.topic,
            )
        record = self._stamped(record)
        with self.changed:
            if self._held is not None:
                if len(self._held) >= self._queue_limit:
                    raise QueueFullError("the local queue is full", topic=record.topic)
                self._held.append(_Held(record, on_delivery, transaction))
                return
        self._append(_Held(record, on_delivery, transaction))
        self._after_deliveries()

    def store(
        self, record: ProducerRecord, transaction: OpenTransaction | None = None
    ) -> ConsumerRecord:
        """Append a record to its partition, without faults.

        Raises:
            BrokerError: The topic or the partition does not exist.
        """
        record = self._stamped(record)
        with self.changed:
            if record.topic not in self._topics:
                if not self._auto_create:
                    raise BrokerError("no such topic", topic=record.topic)
                self.define(TopicDefinition(name=record.topic))
            written = self._topics[record.topic].append(record, transaction)
            self._written.append(written)
            self.changed.notify_all()
            return written

    def held(self) -> int:
        """Return how many records wait for `release`."""
        with self.changed:
            return len(self._held or ())

    def abandon(self, transaction: OpenTransaction | None = None) -> int:
        """Fail all held records, or those of a transaction; return their number."""
        with self.changed:
            waiting = list(self._held or ())
            failed = [each for each in waiting if transaction in (None, each.transaction)]
            if self._held is not None:
                self._held = deque(each for each in waiting if each not in failed)
        why = "the producer was closed" if transaction is None else "the transaction was aborted"
        for each in failed:
            each.on_delivery(None, DeliveryError(why, topic=each.record.topic))
        self._after_deliveries()
        return len(failed)

    def listen(self, call: Callable[[], None]) -> None:
        """Register a callback to run after records were acknowledged or have failed."""
        self._listeners.append(call)

    def _active(self, group_id: str | None) -> list[Group]:
        groups = self._groups.values() if group_id is None else [self.group(group_id)]
        return [group for group in groups if group.members()]

    def _uncommitted(self, groups: Iterable[Group]) -> Iterator[ConsumerRecord]:
        for group in groups:
            for name, topic in self._topics.items():
                for partition, log in enumerate(topic.partitions if group.covers(name) else ()):
                    yield from log.records(group.committed.get((name, partition), 0))

    def _is_committed(self, record: ConsumerRecord) -> bool:
        return self.log(record.topic, record.partition).is_committed(record.offset)

    def _wake(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def _stamped(self, record: ProducerRecord) -> ProducerRecord:
        if record.timestamp is not None:
            return record
        return record._replace(timestamp=int(self.clock.time() * 1000))

    def _after_deliveries(self) -> None:
        for call in self._listeners:
            call()

    def _append(self, held: _Held) -> None:
        try:
            self.faults.raise_planned("deliver")
            written = self.store(held.record, held.transaction)
        except SdkError as error:
            if held.transaction is not None:
                held.transaction.failure = error
            held.on_delivery(None, error)
            return
        report = DeliveryReport(written.topic, written.partition, written.offset, written.timestamp)
        held.on_delivery(report, None)


@frozen(eq=False)
class _Held:
    record: ProducerRecord
    on_delivery: OnDelivery
    transaction: OpenTransaction | None
