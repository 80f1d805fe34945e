"""Watches a running consumer: slow handlers, and the lag."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from attrs import define, field

from sdk.abstractions import BrokerConsumer
from sdk.clock import Clock
from sdk.consuming.lanes import Lanes
from sdk.consuming.offsets import Place, as_partitions
from sdk.consuming.partition import Lane, Partition
from sdk.errors import BrokerError
from sdk.happenings import LagMeasured
from sdk.observers import Observers
from sdk.records import ConsumerRecord, TopicPartition

logger = logging.getLogger(__name__)

_SECONDS = 1.0


@define(eq=False, repr=False)
class Watch:
    """Measures running handlers and the lag once a second.

    Args:
        broker: The client.
        lanes: The lanes of the consumer.
        group: Consumer group.
        clock: Determines when to measure again.
        observers: Notified of the lag.
        limit: Longest time, seconds, that a record may be in its handler.

    Attributes:
        overdue: Descriptions of the records that have been in their handlers for longer.
        lag: Records between the position and the end of each partition, at the last measurement.
    """

    _broker: BrokerConsumer
    _lanes: Lanes
    _group: str = field(kw_only=True)
    _clock: Clock = field(kw_only=True)
    _observers: Observers = field(kw_only=True)
    _limit: float = field(kw_only=True)
    _seen: dict[Lane, tuple[ConsumerRecord, float]] = field(factory=dict, init=False)
    _next: float = field(default=0.0, init=False)
    overdue: tuple[str, ...] = field(default=(), init=False)
    lag: dict[Place, int] = field(factory=dict, init=False)

    def tick(self, partitions: Mapping[Place, Partition]) -> None:
        """Measure if the time has come.

        Args:
            partitions: The assigned partitions.
        """
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + _SECONDS
            self._find_overdue(now)
            self._measure_lag(partitions)

    @property
    def busy(self) -> int:
        """The number of lanes with a running handler."""
        return len(self._lanes.in_work)

    def longest(self) -> tuple[str | None, float]:
        """Return a description of the longest running handler's record, and its time."""
        known = [
            (since, record)
            for lane, (record, since) in self._seen.items()
            if lane.current is record
        ]
        if not known:
            return None, 0.0
        since, record = min(known, key=lambda each: each[0])
        return describe(record), self._clock.monotonic() - since

    def _find_overdue(self, now: float) -> None:
        seen: dict[Lane, tuple[ConsumerRecord, float]] = {}
        overdue: list[str] = []
        for lane in list(self._lanes.in_work):
            record = lane.current
            if record is None:
                continue
            known = self._seen.get(lane)
            since = known[1] if known is not None and known[0] is record else now
            seen[lane] = (record, since)
            if now - since >= self._limit:
                text = describe(record)
                overdue.append(text)
                if text not in self.overdue:
                    logger.error(
                        "%s has been handled for %.0f s: the consumer is not ready until its"
                        " handler returns. Remedy: give the handler's calls timeouts",
                        text,
                        now - since,
                        extra=record.place,
                    )
        self._seen = seen
        self.overdue = tuple(overdue)

    def _measure_lag(self, partitions: Mapping[Place, Partition]) -> None:
        try:
            ends = self._broker.end_offsets(as_partitions(partitions), 0)
        except BrokerError:
            return
        for end in ends:
            place = (end.topic, end.partition)
            offset = partitions[place].watermark.offset
            if offset is None or end.offset is None:
                continue
            self.lag[place] = max(0, end.offset - offset)
            if self._observers:
                at = TopicPartition(topic=end.topic, partition=end.partition, offset=offset)
                self._observers.notify(LagMeasured(self._group, at, self.lag[place]))


def describe(record: ConsumerRecord) -> str:
    """Return a description of a record."""
    return f"the record of {record.topic} [{record.partition}] at offset {record.offset}"
