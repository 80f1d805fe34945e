"""Keeps the order of keys across retry topics: later records of a key wait.

With ``[consumer.retry_topics] ordered = true`` a record is handled only if no earlier record with
its key and source partition is in a retry topic; otherwise it follows the earliest one into its
retry topic. Records are compared by their offset in the source partition, which the headers keep,
so the order does not depend on when they were forwarded.

The retry topics are the state: when partitions are assigned, `Rebuilding` reads their retry topics
from the committed offsets to their ends and seeks back, before any record of those partitions is
handled. For this, a source partition and the same partition of its retry topics must have one
owner, which takes equal partition counts and the assignor ``range`` (set by ``ordered = true``).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Sequence

from attrs import define

from sdk.abstractions import BrokerConsumer
from sdk.clock import Clock
from sdk.consuming.dead_letters import Origin, origin_of
from sdk.consuming.offsets import Place
from sdk.consuming.outcome import DONE, Done, Retry
from sdk.consuming.retry_topics import RetryTopics
from sdk.errors import BrokerUnavailableError, ConfigurationError
from sdk.records import ConsumerRecord, TopicPartition

logger = logging.getLogger(__name__)

_ASK_SECONDS = 10.0
_QUIET_SECONDS = 10.0

_Key = tuple[str, int, bytes]
"""(source topic, partition, record key)"""


class KeyOrder:
    """The records of one consumer that are in retry topics, by key; thread-safe.

    Args:
        topics: The retry topics.
    """

    def __init__(self, topics: RetryTopics) -> None:
        self._topics = topics
        self._lock = threading.Lock()
        self._waiting: dict[_Key, dict[int, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def behind(self, record: ConsumerRecord) -> Retry | Done | None:
        """Return the outcome for a record that may not be handled yet.

        Returns:
            The retry topic that it must follow into; `DONE` for a record of a source topic that
            is in a retry topic already, because it was forwarded before a restart and read again;
            or None if it may be handled.
        """
        if not self._waiting:
            return None
        key, offset = self._place(record)
        with self._lock:
            waiting = self._waiting.get(key) if key is not None else None
            if not waiting:
                return None
            if offset in waiting and not self._topics.is_retry(record.topic):
                return DONE
            first = min(waiting)
            return Retry(0.0, waiting[first]) if first < offset else None

    def in_retry(self, record: ConsumerRecord, topic: str) -> None:
        """Record that a record is in a retry topic: its forwarded copy was acknowledged."""
        key, offset = self._place(record)
        if key is not None:
            with self._lock:
                self._waiting.setdefault(key, {})[offset] = topic

    def done(self, record: ConsumerRecord) -> None:
        """Record that a record was handled, skipped or dead-lettered."""
        if not self._waiting:
            return
        key, offset = self._place(record)
        with self._lock:
            waiting = self._waiting.get(key) if key is not None else None
            if waiting is not None:
                waiting.pop(offset, None)
                if not waiting and key is not None:
                    del self._waiting[key]

    def forget(self, places: Iterable[Place]) -> None:
        """Forget partitions that are no longer assigned."""
        revoked = {(self._topics.source(topic), number) for topic, number in places}
        with self._lock:
            for key in [key for key in self._waiting if key[:2] in revoked]:
                del self._waiting[key]

    def _place(self, record: ConsumerRecord) -> tuple[_Key | None, int]:
        """Return the key within its source partition, None without a key, and the offset there."""
        if record.key is None:
            return None, record.offset
        origin = Origin(record.topic, record.partition, record.offset)
        if self._topics.is_retry(record.topic):
            origin = origin_of(record) or origin
        return (origin.topic, origin.partition, record.key), origin.offset


@define
class _Reading:
    """A partition of a retry topic that is being read to its end.

    Attributes:
        start: The offset at which the group continues; None until it is known.
        end: The end of the partition when it was assigned.
        last_read: When its last record was read.
    """

    start: int | None
    end: int
    last_read: float


class Rebuilding:
    """Finds the records in the retry topics of partitions that were just assigned.

    Args:
        order: Receives them.
        topics: The retry topics.
        broker: The client of the group.
        clock: Measures for how long a partition has been silent.
    """

    def __init__(
        self, order: KeyOrder, topics: RetryTopics, broker: BrokerConsumer, clock: Clock
    ) -> None:
        self._order = order
        self._topics = topics
        self._broker = broker
        self._clock = clock
        self._fresh: set[Place] = set()
        self._reading: dict[Place, _Reading] = {}

    def begin(self, places: Iterable[Place]) -> None:
        """Add assigned partitions."""
        self._fresh.update(places)

    def forget(self, places: Collection[Place]) -> None:
        """Remove revoked partitions."""
        self._fresh.difference_update(places)
        for place in places:
            self._reading.pop(place, None)
        self._order.forget(places)

    def tick(self, owned: Collection[Place]) -> None:
        """Start reading assigned partitions, and finish those that were read to their ends.

        Args:
            owned: All partitions that are assigned.

        Raises:
            ConfigurationError: A partition and those of its retry topics have several owners.
            BrokerError: Kafka refuses us.
        """
        now = self._clock.monotonic()
        if self._fresh:
            for place in self._fresh:
                self._require_together(place, owned)
            try:
                self._start(now)
            except BrokerUnavailableError as error:
                logger.warning("reading the retry topics will be repeated: %s", error)
        for place, reading in list(self._reading.items()):
            if now - reading.last_read > _QUIET_SECONDS:
                logger.warning("%s [%d] ends before the offset %d", *place, reading.end)
                self._finish(place, reading)

    def _start(self, now: float) -> None:
        retries = [
            TopicPartition(topic=topic, partition=number)
            for topic, number in self._fresh
            if self._topics.is_retry(topic)
        ]
        starts = self._broker.committed(retries, _ASK_SECONDS) if retries else []
        ends = self._broker.end_offsets(retries, _ASK_SECONDS) if retries else []
        for start, end in zip(starts, ends, strict=True):
            if (start.offset or 0) < (end.offset or 0):
                place = (end.topic, end.partition)
                self._reading[place] = _Reading(start.offset, end.offset or 0, now)
        self._fresh.clear()

    def paused(self, owned: Iterable[Place]) -> set[Place]:
        """Return the partitions that must not be read until their retry topics were read."""
        if not (self._fresh or self._reading):
            return set()
        return {place for place in owned if place not in self._reading and self._held(place)}

    def holds_back(self, run: Sequence[ConsumerRecord]) -> bool:
        """Return whether records of a partition must not be handled now; they are read again."""
        if not (self._fresh or self._reading):
            return False
        place = (run[0].topic, run[0].partition)
        reading = self._reading.get(place)
        if reading is None:
            if self._held(place):
                self._seek(place, run[0].offset)
                return True
            return False
        reading.last_read = self._clock.monotonic()
        if reading.start is None:
            reading.start = run[0].offset
        for record in run:
            if record.offset < reading.end and not self._topics.is_others(record):
                self._order.in_retry(record, record.topic)
        if run[-1].offset + 1 >= reading.end:
            self._finish(place, reading)
        return True

    def _finish(self, place: Place, reading: _Reading) -> None:
        del self._reading[place]
        if reading.start is not None:
            self._seek(place, reading.start)

    def _held(self, place: Place) -> bool:
        mine = self._group(place)
        return any(self._group(other) == mine for other in (*self._fresh, *self._reading))

    def _group(self, place: Place) -> Place:
        return self._topics.source(place[0]), place[1]

    def _seek(self, place: Place, offset: int) -> None:
        self._broker.seek(TopicPartition(topic=place[0], partition=place[1], offset=offset))

    def _require_together(self, place: Place, owned: Collection[Place]) -> None:
        source, number = self._group(place)
        missing = [
            topic for topic in (source, *self._topics.names(source)) if (topic, number) not in owned
        ]
        if missing:
            raise ConfigurationError(
                f"ordered retries need the same partition of {missing[0]} on this member",
                topic=place[0],
                partition=number,
                remedy="give the retry topics the partition count of their source topic, and all"
                " members of the group the same topics and the assignor range",
            )
