"""Happenings → metrics, for every output."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from sdk import happenings as on
from sdk.avro.codec.executors import executor
from sdk.observability.health import State
from sdk.observability.metrics import definitions as m
from sdk.observability.metrics.definitions import Metric

OTHER = "other"
"""Replaces label values beyond the limit."""

_MOST_VALUES = 200

Sample = tuple[Metric, tuple[str, ...], float]
"""A gauge, the values of its labels, and its value."""


class Instruments(Protocol):
    """The outputs of measurements."""

    def add(self, metric: Metric, labels: tuple[str, ...], amount: float = 1) -> None:
        """Add to a counter."""

    def observe(self, metric: Metric, labels: tuple[str, ...], values: Sequence[float]) -> None:
        """Add values, one or more, to a histogram."""


class Recorder:
    """A `Meter` without an output; gauges are computed when they are read.

    Args:
        instruments: Receive counts and times.
    """

    def __init__(self, instruments: Instruments) -> None:
        self._to = instruments
        self._values: dict[str, set[str]] = {}
        self._requests: Counter[str] = Counter()
        self._states: list[weakref.WeakMethod[Callable[[], State]]] = []
        self._outboxes: dict[str, on.OutboxMeasured] = {}
        self._statistics: dict[str, Any] = {}
        self._handlers: dict[type[on.Happening], Callable[[Any], None]] = {
            on.RecordsDelivered: self._delivered,
            on.DeliveryFailed: self._delivery_failed,
            on.QueueWaited: self._queue_waited,
            on.TransactionCommitted: self._transaction,
            on.TransactionAborted: self._transaction,
            on.RecordsReceived: self._received,
            on.RecordsHandled: self._handled,
            on.RecordFailed: self._failed,
            on.RecordSkipped: self._skipped,
            on.RecordRetried: self._retried,
            on.RecordDeadLettered: self._dead_lettered,
            on.PartitionsAssigned: lambda what: self._rebalanced(what, "assigned"),
            on.PartitionsRevoked: lambda what: self._rebalanced(what, "revoked"),
            on.PartitionsLost: lambda what: self._rebalanced(what, "lost"),
            on.CommitFailed: self._commit_failed,
            on.ConsumerStopped: self._stopped,
            on.RegistryRequested: self._registry,
            on.OutboxRelayed: self._relayed,
            on.OutboxMeasured: self._outbox,
            on.StatisticsReported: self._reported,
        }

    def __call__(self, happening: on.Happening) -> None:
        """Measure a happening; unknown classes are ignored."""
        handler = self._handlers.get(type(happening))
        if handler is not None:
            handler(happening)

    def watch(self, state: Callable[[], State]) -> None:
        """Also read gauges from the state of a connection, as long as it exists."""
        self._states.append(weakref.WeakMethod(state))

    # --- publishing ---

    def _delivered(self, what: on.RecordsDelivered) -> None:
        labels, count = (what.topic,), len(what.seconds)
        self._to.add(m.SENT, labels, count)
        self._to.add(m.SENT_BYTES, labels, what.size)
        self._to.observe(m.SEND_SECONDS, labels, what.seconds)
        self._known("write", count)

    def _delivery_failed(self, what: on.DeliveryFailed) -> None:
        self._to.add(m.SEND_FAILED, (what.record.topic, _kind(what.error)))

    def _queue_waited(self, what: on.QueueWaited) -> None:
        self._to.observe(m.QUEUE_SECONDS, (what.topic,), (what.seconds,))
        if what.gave_up:
            self._to.add(m.SEND_FAILED, (what.topic, "QueueFullError"))

    def _transaction(self, what: on.TransactionCommitted | on.TransactionAborted) -> None:
        outcome = _kind(what.error) if isinstance(what, on.TransactionAborted) else "committed"
        self._to.observe(m.TRANSACTION_SECONDS, (self._few("outcome", outcome),), (what.seconds,))

    # --- consuming ---

    def _received(self, what: on.RecordsReceived) -> None:
        self._to.add(m.RECEIVED, (what.group, what.topic), what.count)
        self._known("read", what.count)

    def _handled(self, what: on.RecordsHandled) -> None:
        labels = (what.group, what.topic, what.event)
        self._to.add(m.HANDLED, labels, len(what.seconds))
        self._to.observe(m.HANDLER_SECONDS, labels, what.seconds)
        ages = what.ages
        if ages:
            if min(ages) < 0:
                ages = [max(0.0, age) for age in ages]
            self._to.observe(m.END_TO_END_SECONDS, labels, ages)

    def _failed(self, what: on.RecordFailed) -> None:
        event = self._few("event", what.event)
        labels = (what.group, what.record.topic, event, what.failure, _kind(what.error))
        self._to.add(m.FAILED, labels)

    def _skipped(self, what: on.RecordSkipped) -> None:
        event, reason = self._few("event", what.event), self._few("reason", what.reason)
        self._to.add(m.SKIPPED, (what.group, what.record.topic, event, reason))

    def _retried(self, what: on.RecordRetried) -> None:
        self._to.add(m.RETRIED, (what.group, what.record.topic, what.topic or ""))

    def _dead_lettered(self, what: on.RecordDeadLettered) -> None:
        reason = self._few("reason", what.reason)
        self._to.add(m.DEAD_LETTERED, (what.group, what.record.topic, reason))

    def _stopped(self, what: on.ConsumerStopped) -> None:
        if what.error is not None:
            self._to.add(m.STOPPED, (what.group, _kind(what.error)))

    def _rebalanced(self, what: Any, change: str) -> None:
        self._to.add(m.REBALANCES, (what.group, change))

    def _commit_failed(self, what: on.CommitFailed) -> None:
        self._to.add(m.COMMIT_FAILED, (what.group, _kind(what.error)))

    # --- registry, outbox, client ---

    def _registry(self, what: on.RegistryRequested) -> None:
        self._requests["read" if what.operation == "schema" else "write"] += what.operation in (
            "schema",
            "lookup",
        )
        self._to.observe(m.REGISTRY_SECONDS, (what.operation,), (what.seconds,))
        if what.error is not None:
            self._to.add(m.REGISTRY_FAILED, (what.operation, _kind(what.error)))

    def _known(self, use: str, count: int) -> None:
        requests = min(self._requests[use], count)
        self._requests[use] -= requests
        self._to.add(m.CACHE_HITS, (use,), count - requests)

    def _relayed(self, what: on.OutboxRelayed) -> None:
        self._to.add(m.OUTBOX_RELAYED, (what.outbox,), what.count)

    def _outbox(self, what: on.OutboxMeasured) -> None:
        self._outboxes[what.outbox] = what

    def _reported(self, what: on.StatisticsReported) -> None:
        self._statistics[what.client] = what.statistics

    # --- gauges ---

    def gauges(self) -> dict[Metric, dict[tuple[str, ...], float]]:
        """Return the values of all gauges by their labels; those of several connections add up."""
        found: dict[Metric, dict[tuple[str, ...], float]] = {}
        for metric, labels, value in self._samples():
            values = found.setdefault(metric, {})
            values[labels] = values.get(labels, 0.0) + value
        return found

    def _samples(self) -> Iterator[Sample]:
        yield m.EXECUTOR, (executor().name,), 1
        for name, outbox in list(self._outboxes.items()):
            yield m.OUTBOX_WAITING, (name,), outbox.rows
            yield m.OUTBOX_OLDEST, (name,), outbox.oldest
            yield m.OUTBOX_FAILED, (name,), outbox.failed
        for client, statistics in list(self._statistics.items()):
            yield from _of_client(client, statistics)
        for reference in list(self._states):
            state = reference()
            if state is None:
                self._states.remove(reference)
            else:
                yield from _of_connection(state())

    # --- labels ---

    def _few(self, label: str, value: str | None) -> str:
        """Return a label's value; the number of values from foreign records is limited."""
        if value is None:
            return ""
        known = self._values.setdefault(label, set())
        if value not in known:
            if len(known) >= _MOST_VALUES:
                return OTHER
            known.add(value)
        return value


def _of_connection(state: State) -> Iterator[Sample]:
    if state.queued is not None:
        yield m.QUEUED, (), state.queued
    for each in state.consumers:
        group = (each.group,)
        yield m.RUNNING, group, each.running and each.joined
        yield m.LANES, group, each.lanes_busy
        yield m.IN_WORK, group, each.in_work_seconds
        for dependency in each.circuits:
            yield m.CIRCUIT_OPEN, (each.group, dependency), 1
        for at in each.partitions:
            topic = (each.group, at.topic)
            place = (*topic, str(at.partition))
            yield m.PARTITIONS, topic, 1
            yield m.IN_FLIGHT, place, at.in_flight
            yield m.OLDEST, place, at.oldest_seconds
            if at.offset is not None:
                yield m.POSITION, place, at.offset
            if at.lag is not None:
                yield m.LAG, place, at.lag
            if at.paused is not None:
                yield m.PAUSED, (*topic, at.paused), 1


def _of_client(client: str, statistics: Any) -> Iterator[Sample]:
    for broker in statistics.get("brokers", {}).values():
        if broker["nodeid"] >= 0:  # the others stand for addresses of which no broker is known yet
            labels = (client, broker["nodename"])
            yield m.KAFKA_UP, labels, broker["state"] == "UP"
            yield m.ROUND_TRIP, labels, broker["rtt"]["p99"] / 1e6
            yield m.THROTTLED, labels, broker["throttle"]["avg"] / 1e3
    if statistics.get("type") == "producer":
        for topic in statistics.get("topics", {}).values():
            yield m.BATCH_BYTES, (topic["topic"],), topic["batchsize"]["avg"]
            yield m.BATCH_RECORDS, (topic["topic"],), topic["batchcnt"]["avg"]


def _kind(error: BaseException) -> str:
    return type(error).__name__
