"""The arguments of observers: one frozen class for each kind of happening.

An observer is any callable that takes a `Happening` and picks those that it knows:

    def count(happening: Happening) -> None:
        match happening:
            case RecordDelivered(record, report, seconds):
                delivered.labels(record.topic).observe(seconds)
            case DeliveryFailed(record, error):
                failed.labels(record.topic, type(error).__name__).inc()

Releases may add classes, and attributes with defaults at the end of a class, so an observer should
ignore unknown classes. All durations are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from sdk.errors import SdkError
from sdk.records import ConsumerRecord, DeliveryReport, ProducerRecord, TopicPartition


@frozen
class Happening:
    """Base of all happenings."""


@frozen
class RecordQueued(Happening):
    """A record is about to be queued; `RecordDelivered` or `DeliveryFailed` follows.

    Neither follows if `Producer.produce` itself raises an error.

    Attributes:
        record: The record.
    """

    record: ProducerRecord


@frozen
class RecordDelivered(Happening):
    """The broker has acknowledged a record.

    Attributes:
        record: The record.
        report: Its position.
        seconds: From `Producer.send` to the acknowledgement.
    """

    record: ProducerRecord
    report: DeliveryReport
    seconds: float


@frozen
class DeliveryFailed(Happening):
    """A record failed for good.

    Attributes:
        record: The record.
        error: Why it failed.
    """

    record: ProducerRecord
    error: SdkError


@frozen
class QueueWaited(Happening):
    """A record waited for room in a full local queue.

    Attributes:
        topic: Topic of the record.
        seconds: How long it waited, successfully or not.
        gave_up: Whether it found no room.
    """

    topic: str
    seconds: float
    gave_up: bool = False


@frozen
class RecordsDelivered(Happening):
    """The records of one topic in a batch of acknowledgements; meters alone are called with it.

    Attributes:
        topic: Their topic.
        size: Bytes of their values.
        seconds: From `Producer.send` to the acknowledgement, of each.
    """

    topic: str
    size: int
    seconds: Sequence[float]


@frozen
class TransactionCommitted(Happening):
    """The records of a transaction, and the offsets sent to it, have become visible.

    Attributes:
        transactional_id: Of the producer.
        records: How many records were published in it.
        seconds: From its beginning.
    """

    transactional_id: str
    records: int
    seconds: float


@frozen
class TransactionAborted(Happening):
    """A transaction was aborted.

    Attributes:
        transactional_id: Of the producer.
        records: How many records were published in it.
        seconds: From its beginning.
        error: Why.
    """

    transactional_id: str
    records: int
    seconds: float
    error: BaseException


@frozen
class RecordReceived(Happening):
    """A record arrived from the broker and is about to be opened.

    Attributes:
        record: The record.
    """

    record: ConsumerRecord


@frozen
class RecordsReceived(Happening):
    """Records of one topic arrived together; meters alone are called with it.

    Attributes:
        group: Consumer group.
        topic: Their topic.
        count: How many records.
    """

    group: str
    topic: str
    count: int


@frozen
class RecordsHandled(Happening):
    """Handlers have returned for records of one event; meters alone are called with it.

    Attributes:
        group: Consumer group.
        topic: Their topic.
        event: Full name of the event.
        seconds: Time in the handler, of each record; in a batch, each one's share. Consecutive
            records below 0.1 ms have their mean.
        ages: From the timestamp of each record that has one until it was handled, seconds;
            negative if the clock of its publisher is ahead.
    """

    group: str
    topic: str
    event: str
    seconds: Sequence[float]
    ages: Sequence[float]


@frozen
class RecordHandled(Happening):
    """A handler returned.

    Attributes:
        record: The record.
        event: Full name of the event; None if the record does not name it.
        group: Consumer group.
        seconds: From opening the record until the handler returned.
        attempt: Which attempt at this record it was, from 1.
    """

    record: ConsumerRecord
    event: str | None
    group: str
    seconds: float
    attempt: int = 1


@frozen
class RecordFailed(Happening):
    """A record could not be opened, or its handler raised.

    Attributes:
        record: The record.
        event: Full name of the event; None if the record does not name it.
        group: Consumer group.
        error: What was raised.
        failure: Class of the failure, such as ``poison``.
        attempt: Which attempt at this record it was, from 1.
    """

    record: ConsumerRecord
    event: str | None
    group: str
    error: BaseException
    failure: str
    attempt: int = 1


@frozen
class RecordSkipped(Happening):
    """A record counts as done without having been handled.

    Attributes:
        record: The record.
        event: Full name of the event; None if the record does not name it.
        group: Consumer group.
        reason: Why, such as ``no handler``.
    """

    record: ConsumerRecord
    event: str | None
    group: str
    reason: str


@frozen
class RecordRetried(Happening):
    """A record will be handled again.

    Attributes:
        record: The record.
        group: Consumer group.
        topic: Retry topic that it was forwarded to; None if it is retried in place.
        delay: Seconds until it is due.
        attempt: The attempt that failed, from 1.
    """

    record: ConsumerRecord
    group: str
    topic: str | None
    delay: float
    attempt: int


@frozen
class RecordDeadLettered(Happening):
    """A record was forwarded to a dead-letter topic, and the forward was acknowledged.

    Attributes:
        record: The record.
        group: Consumer group.
        topic: Dead-letter topic.
        reason: Why, in one line.
    """

    record: ConsumerRecord
    group: str
    topic: str
    reason: str


@frozen
class PartitionsAssigned(Happening):
    """Partitions were assigned to this member.

    Attributes:
        group: Consumer group.
        partitions: Those that were added.
    """

    group: str
    partitions: tuple[TopicPartition, ...]


@frozen
class PartitionsRevoked(Happening):
    """Partitions were revoked from this member, which could still commit.

    Attributes:
        group: Consumer group.
        partitions: Those that were taken.
    """

    group: str
    partitions: tuple[TopicPartition, ...]


@frozen
class PartitionsLost(Happening):
    """Partitions were lost to another member; nothing of them was committed.

    Attributes:
        group: Consumer group.
        partitions: Those that were lost.
    """

    group: str
    partitions: tuple[TopicPartition, ...]


@frozen
class OffsetsCommitted(Happening):
    """The broker has acknowledged a commit.

    Attributes:
        group: Consumer group.
        offsets: Partitions with the next offset to be read.
        seconds: How long the answer took.
    """

    group: str
    offsets: tuple[TopicPartition, ...]
    seconds: float = 0.0


@frozen
class CommitFailed(Happening):
    """A commit was not acknowledged.

    Attributes:
        group: Consumer group.
        offsets: Partitions with the offsets that were to be committed.
        error: Why.
        seconds: How long the answer took.
    """

    group: str
    offsets: tuple[TopicPartition, ...]
    error: SdkError
    seconds: float = 0.0


@frozen
class PartitionsPaused(Happening):
    """Partitions were paused.

    Attributes:
        group: Consumer group.
        partitions: The paused partitions.
        reason: Why, in one line.
    """

    group: str
    partitions: tuple[TopicPartition, ...]
    reason: str


@frozen
class PartitionsResumed(Happening):
    """Partitions were resumed.

    Attributes:
        group: Consumer group.
        partitions: The resumed partitions.
    """

    group: str
    partitions: tuple[TopicPartition, ...]


@frozen
class CircuitOpened(Happening):
    """A handler reported that a dependency is down.

    Attributes:
        dependency: Its name.
        retry_after: Seconds until one record tries again.
    """

    dependency: str
    retry_after: float


@frozen
class CircuitClosed(Happening):
    """A dependency that was down is available again.

    Attributes:
        dependency: Its name.
    """

    dependency: str


@frozen
class LagMeasured(Happening):
    """The distance of a group from the end of a partition.

    Attributes:
        group: Consumer group.
        partition: The partition, with the next offset to be read.
        lag: Records between that offset and the end.
    """

    group: str
    partition: TopicPartition
    lag: int


@frozen
class StatisticsReported(Happening):
    """librdkafka has reported its statistics, every ``metrics.statistics_interval_ms``.

    Attributes:
        client: ``producer``, or the consumer group.
        statistics: The JSON document that STATISTICS.md of librdkafka describes.
    """

    client: str
    statistics: Mapping[str, Any]


@frozen
class ConsumerStopped(Happening):
    """A consumer has stopped.

    Attributes:
        group: Consumer group.
        error: What stopped it; None after an ordinary stop.
    """

    group: str
    error: BaseException | None


@frozen
class RegistryRequested(Happening):
    """A request to the schema registry has ended.

    Attributes:
        operation: Such as ``lookup`` or ``register``.
        subject: The subject, if any.
        seconds: How long the request took.
        error: Why it failed, or None.
    """

    operation: str
    subject: str | None
    seconds: float
    error: SdkError | None


@frozen
class SchemaResolved(Happening):
    """The registry's id of a schema that events are written with has become known.

    Attributes:
        full_name: Full name of the event.
        subject: Registry subject.
        schema_id: Number or GUID.
    """

    full_name: str
    subject: str
    schema_id: int | str


@frozen
class OutboxRelayed(Happening):
    """A relay has published rows of an outbox.

    Attributes:
        outbox: Name of the outbox.
        count: How many rows the broker has acknowledged.
    """

    outbox: str
    count: int


@frozen
class OutboxMeasured(Happening):
    """A relay has measured the pending rows of an outbox.

    Attributes:
        outbox: Name of the outbox.
        rows: How many rows wait.
        oldest: Seconds since the oldest of them was added.
        failed: How many rows can never be sent.
    """

    outbox: str
    rows: int
    oldest: float
    failed: int
