"""What each happening does to the metrics, whatever they are written to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from sdk import happenings as on
from sdk.observability.metrics import definitions as m
from sdk.observability.metrics.definitions import Metric
from sdk.records import ConsumerRecord, TopicPartition

OTHER = "other"
"""Stands for what would make one label value too many."""

_MOST_VALUES = 200


class Instruments(Protocol):
    """Where measurements go."""

    def add(self, metric: Metric, labels: tuple[str, ...], amount: float = 1) -> None:
        """Add to a counter or gauge."""

    def set(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge."""

    def observe(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Add a value to a histogram."""

    def forget(self, metric: Metric, labels: tuple[str, ...]) -> None:
        """Report a gauge no longer, because what it was about is somebody else's now."""


class Recorder:
    """An observer that measures.

    Args:
        instruments: Where measurements go.
        clock: Seconds since the epoch.
    """

    def __init__(self, instruments: Instruments, clock: Callable[[], float] = time.time) -> None:
        self._to = instruments
        self._clock = clock
        self._events: set[str] = set()
        self._pauses: dict[tuple[str, TopicPartition], str] = {}
        self._handlers: dict[type[on.Happening], Callable[[Any], None]] = {
            on.RecordQueued: self._queued,
            on.RecordDelivered: self._delivered,
            on.DeliveryFailed: self._delivery_failed,
            on.QueueWaited: self._queue_waited,
            on.RecordReceived: self._received,
            on.RecordHandled: self._handled,
            on.RecordFailed: self._failed,
            on.RecordSkipped: self._skipped,
            on.RecordRetried: self._retried,
            on.RecordDeadLettered: self._dead_lettered,
            on.PartitionsAssigned: self._assigned,
            on.PartitionsRevoked: self._revoked,
            on.PartitionsLost: self._lost,
            on.PartitionsPaused: self._paused,
            on.PartitionsResumed: self._resumed,
            on.CommitFailed: self._commit_failed,
            on.LagMeasured: self._lag,
            on.CircuitOpened: self._circuit_opened,
            on.CircuitClosed: self._circuit_closed,
            on.ConsumerStopped: self._stopped,
            on.RegistryRequested: self._registry,
            on.SchemaResolved: self._resolved,
            on.OutboxRelayed: self._relayed,
            on.OutboxMeasured: self._outbox,
        }

    def __call__(self, happening: on.Happening) -> None:
        """Measure a happening; those of classes that are not known are passed over."""
        handler = self._handlers.get(type(happening))
        if handler is not None:
            handler(happening)

    # --- publishing ---

    def _queued(self, what: on.RecordQueued) -> None:
        self._to.add(m.IN_FLIGHT, (what.record.topic,))

    def _delivered(self, what: on.RecordDelivered) -> None:
        labels = (what.record.topic,)
        self._to.add(m.IN_FLIGHT, labels, -1)
        self._to.add(m.SENT, labels)
        self._to.observe(m.SENT_BYTES, labels, len(what.record.value or b""))
        self._to.observe(m.SEND_SECONDS, labels, what.seconds)

    def _delivery_failed(self, what: on.DeliveryFailed) -> None:
        self._to.add(m.IN_FLIGHT, (what.record.topic,), -1)
        self._to.add(m.SEND_FAILED, (what.record.topic, _kind(what.error)))

    def _queue_waited(self, what: on.QueueWaited) -> None:
        self._to.observe(m.QUEUE_SECONDS, (what.topic,), what.seconds)

    # --- consuming ---

    def _received(self, what: on.RecordReceived) -> None:
        self._to.add(m.RECEIVED, (what.record.topic,))

    def _handled(self, what: on.RecordHandled) -> None:
        labels = (what.group, what.record.topic, self._event(what.event))
        self._to.add(m.HANDLED, labels)
        self._to.observe(m.HANDLER_SECONDS, labels, what.seconds)
        age = self._age(what.record)
        if age is not None:
            self._to.observe(m.END_TO_END_SECONDS, labels, age)

    def _failed(self, what: on.RecordFailed) -> None:
        event = self._event(what.event)
        labels = (what.group, what.record.topic, event, what.failure, _kind(what.error))
        self._to.add(m.FAILED, labels)

    def _skipped(self, what: on.RecordSkipped) -> None:
        labels = (what.group, what.record.topic, self._event(what.event), what.reason)
        self._to.add(m.SKIPPED, labels)

    def _retried(self, what: on.RecordRetried) -> None:
        self._to.add(m.RETRIED, (what.group, what.record.topic, what.topic or ""))

    def _dead_lettered(self, what: on.RecordDeadLettered) -> None:
        self._to.add(m.DEAD_LETTERED, (what.group, what.record.topic, what.reason))

    def _circuit_opened(self, what: on.CircuitOpened) -> None:
        self._to.set(m.CIRCUIT_OPEN, (what.dependency,), 1)

    def _circuit_closed(self, what: on.CircuitClosed) -> None:
        self._to.set(m.CIRCUIT_OPEN, (what.dependency,), 0)

    def _stopped(self, what: on.ConsumerStopped) -> None:
        if what.error is not None:
            self._to.add(m.STOPPED, (what.group, _kind(what.error)))

    # --- partitions ---

    def _assigned(self, what: on.PartitionsAssigned) -> None:
        self._to.add(m.REBALANCES, (what.group, "assigned"))
        self._count(what.group, what.partitions, 1)

    def _revoked(self, what: on.PartitionsRevoked) -> None:
        self._to.add(m.REBALANCES, (what.group, "revoked"))
        self._given_up(what.group, what.partitions)

    def _lost(self, what: on.PartitionsLost) -> None:
        self._to.add(m.REBALANCES, (what.group, "lost"))
        self._given_up(what.group, what.partitions)

    def _given_up(self, group: str, partitions: tuple[TopicPartition, ...]) -> None:
        self._count(group, partitions, -1)
        self._resume(group, partitions)
        for each in partitions:
            self._to.forget(m.LAG, (group, each.topic, str(each.partition)))

    def _count(self, group: str, partitions: tuple[TopicPartition, ...], by: int) -> None:
        for topic, count in Counter(each.topic for each in partitions).items():
            self._to.add(m.PARTITIONS, (group, topic), by * count)

    def _paused(self, what: on.PartitionsPaused) -> None:
        for each in what.partitions:
            place = (what.group, TopicPartition(topic=each.topic, partition=each.partition))
            if place not in self._pauses:
                self._pauses[place] = what.reason
                self._to.add(m.PAUSED, (what.group, what.reason))

    def _resumed(self, what: on.PartitionsResumed) -> None:
        self._resume(what.group, what.partitions)

    def _resume(self, group: str, partitions: tuple[TopicPartition, ...]) -> None:
        for each in partitions:
            place = (group, TopicPartition(topic=each.topic, partition=each.partition))
            reason = self._pauses.pop(place, None)
            if reason is not None:
                self._to.add(m.PAUSED, (group, reason), -1)

    def _commit_failed(self, what: on.CommitFailed) -> None:
        self._to.add(m.COMMIT_FAILED, (what.group, _kind(what.error)))

    def _lag(self, what: on.LagMeasured) -> None:
        place = what.partition
        self._to.set(m.LAG, (what.group, place.topic, str(place.partition)), what.lag)

    # --- registry and outbox ---

    def _registry(self, what: on.RegistryRequested) -> None:
        self._to.observe(m.REGISTRY_SECONDS, (what.operation,), what.seconds)
        if what.error is not None:
            self._to.add(m.REGISTRY_FAILED, (what.operation, _kind(what.error)))

    def _resolved(self, what: on.SchemaResolved) -> None:
        self._to.add(m.SCHEMAS, (what.subject,))

    def _relayed(self, what: on.OutboxRelayed) -> None:
        self._to.add(m.OUTBOX_RELAYED, (what.outbox,), what.count)

    def _outbox(self, what: on.OutboxMeasured) -> None:
        self._to.set(m.OUTBOX_WAITING, (what.outbox,), what.rows)
        self._to.set(m.OUTBOX_OLDEST, (what.outbox,), what.oldest)
        self._to.set(m.OUTBOX_FAILED, (what.outbox,), what.failed)

    # --- labels ---

    def _event(self, name: str | None) -> str:
        """Return an event's label; what strangers write must not make labels without end."""
        if name is None:
            return ""
        if name not in self._events:
            if len(self._events) >= _MOST_VALUES:
                return OTHER
            self._events.add(name)
        return name

    def _age(self, record: ConsumerRecord) -> float | None:
        if record.timestamp is None:
            return None
        return max(0.0, self._clock() - record.timestamp / 1000)


def _kind(error: BaseException) -> str:
    return type(error).__name__
