"""The intake: polls, fills the lanes, commits, and handles rebalances; it never runs a handler."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import pairwise

from attrs import define, field

from sdk.abstractions import BrokerConsumer
from sdk.clock import Clock
from sdk.consuming.circuit import Circuits
from sdk.consuming.key_order import Rebuilding
from sdk.consuming.lanes import Lanes
from sdk.consuming.measurements import Measurements
from sdk.consuming.offsets import Commits, Place, as_partitions
from sdk.consuming.partition import Partition
from sdk.consuming.pauses import Pauses
from sdk.consuming.retry_topics import RetryTopics, due_at
from sdk.consuming.watch import Watch, describe
from sdk.errors import BrokerUnavailableError, SdkError
from sdk.happenings import (
    Happening,
    PartitionsAssigned,
    PartitionsLost,
    PartitionsRevoked,
    RecordReceived,
    RecordSkipped,
)
from sdk.observers import Observers
from sdk.records import ConsumerRecord, TopicPartition
from sdk.settings import ConsumerOptions
from sdk.topics import NEVER_BY_PATTERN, is_retry_topic_name

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_ROOM_SECONDS = 0.2
_ASK_SECONDS = 10.0


@define(eq=False, repr=False, kw_only=True)
class Intake:
    """One membership in a consumer group; a `ConsumerListener` of its client.

    Args:
        broker: The client.
        lanes: Receives the records.
        commits: Commits the offsets of records that are done.
        partitions: The assigned partitions; the intake fills it.
        circuits: The dependencies that are down.
        retry_topics: Identifies retry topics.
        rebuilding: Reads retry topics first, if the order of keys is kept across them.
        options: The limits of records in flight, and time-outs.
        group: Consumer group.
        clock: The source of time for retries.
        observers: Notified of rebalances, pauses and lag.
        measurements: Reports records to meters; None without meters.

    Attributes:
        partitions: The assigned partitions.
        joined: Whether the group has answered.
        watch: Measures running handlers and the lag.
        circuits: The dependencies that are down.
        pauses: Which partitions are paused, and why.
        stopping: Set to leave the group.
    """

    _broker: BrokerConsumer
    _lanes: Lanes
    _commits: Commits
    partitions: dict[Place, Partition]
    circuits: Circuits
    _retry_topics: RetryTopics
    _rebuilding: Rebuilding | None
    _options: ConsumerOptions
    _group: str
    _clock: Clock
    _observers: Observers
    _measurements: Measurements | None
    joined: bool = field(default=False, init=False)
    stopping: bool = field(default=False, init=False)
    watch: Watch = field(init=False)
    pauses: Pauses = field(init=False)
    _topics: set[str] = field(factory=set, init=False)
    _pattern: str | None = field(default=None, init=False)
    _requests: deque[Callable[[], None]] = field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        self.watch = Watch(
            self._broker,
            self._lanes,
            group=self._group,
            clock=self._clock,
            observers=self._observers,
            limit=self._options.handler_limit_ms / 1000,
        )
        self.pauses = Pauses(
            broker=self._broker, group=self._group, clock=self._clock, observers=self._observers
        )

    def run(self, topics: Sequence[str], pattern: str | None) -> None:
        """Take records until `stopping` is set.

        Raises:
            BrokerError: Kafka refuses us.
            FencedError: Another instance has taken over.
        """
        self._topics, self._pattern = set(topics), pattern
        self._subscribe()
        while not self.stopping:
            for _ in range(len(self._requests)):  # one may be repeated after the next poll
                self._requests.popleft()()
            self.watch.tick(self.partitions)
            if self._measurements is not None:
                self._measurements.report()
            self._commits.tick()
            room = self._room()
            rebuilt: set[Place] = set()
            if self._rebuilding is not None:
                self._rebuilding.tick(self.partitions.keys())
                rebuilt = self._rebuilding.paused(self.partitions)
            self.pauses.apply(self.partitions, rebuilt)
            records = self._broker.poll(min(_POLL_SECONDS, self._commits.poll_seconds), room)
            if records:
                self._enqueue(records)

    def _subscribe(self) -> None:
        retries = [topic for topic in self._topics if self._retry_topics.is_retry(topic)]
        self._broker.subscribe(
            sorted(self._topics), self, pattern=self._pattern, from_beginning=retries
        )

    def leave(self) -> None:
        """Wait for running handlers, commit, and leave the group."""
        with ExitStack() as stack:
            stack.callback(self._broker.close)
            stack.callback(self._commits.close)
            stack.callback(self._lanes.close)
            self._give_up(self.partitions)

    def request(self, call: Callable[[], None]) -> None:
        """Register a function to run between two polls; from any thread."""
        self._requests.append(call)

    def pause(self, places: Iterable[Place], *, paused: bool) -> None:
        """Pause or resume partitions; called through `request`."""
        for place in places:
            (self.pauses.requested.add if paused else self.pauses.requested.discard)(place)
            partition = self.partitions.get(place)
            if partition is not None:
                (self._lanes.pause if paused else self._lanes.resume)(partition)

    def seek(self, to: int | datetime, places: Iterable[Place]) -> None:
        """Read partitions from another position; called through `request`.

        Args:
            to: Offset, `BEGINNING` or `END`, or the time of the first record to be read.
            places: Which partitions.
        """
        known = [place for place in places if place in self.partitions]
        targets = [
            TopicPartition(
                topic=topic, partition=number, offset=0 if isinstance(to, datetime) else to
            )
            for topic, number in known
        ]
        if isinstance(to, datetime):
            milliseconds = int(to.timestamp() * 1000)
            try:
                targets = self._broker.offsets_for_time(targets, milliseconds, _ASK_SECONDS)
            except BrokerUnavailableError as error:
                logger.warning("the seek to %s will be repeated: %s", to, error)
                self.request(lambda: self.seek(to, known))
                return
        self._finish(known)
        for target in targets:
            place = (target.topic, target.partition)
            old = self.partitions[place]
            self._lanes.drop([old])
            self.pauses.end_delay(place)
            self.watch.lag.pop(place, None)  # unknown until a record is read there
            self.partitions[place] = self._partition(place)
            self._broker.seek(target)
        self._commits.forget(known)
        self._release_circuits(known)

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Add assigned partitions."""
        self.joined = True
        for place in _places(partitions):
            self.partitions[place] = self._partition(place)
        self._follow({each.topic for each in partitions})
        if self._rebuilding is not None:
            self._rebuilding.begin(_places(partitions))
        if partitions:
            logger.info("group %s: assigned %s", self._group, _names(partitions))
            self._notify(PartitionsAssigned, partitions)

    def _follow(self, topics: Collection[str]) -> None:
        """Subscribe to the retry topics of topics that match the pattern."""
        sources = {self._retry_topics.source(topic) for topic in topics if self._is_read(topic)}
        missing = {name for each in sources for name in self._retry_topics.names(each)}
        if missing - self._topics:
            self._topics |= missing
            self.request(self._subscribe)

    def _is_read(self, topic: str) -> bool:
        """Whether a topic is to be read: a pattern may also match dead-letter topics."""
        return topic in self._topics or not topic.endswith(NEVER_BY_PATTERN)

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Revoke partitions: finish and commit running handlers, drop the other records."""
        self._give_up(_places(partitions))
        if partitions:
            logger.info("group %s: revoked %s", self._group, _names(partitions))
            self._notify(PartitionsRevoked, partitions)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop lost partitions."""
        self._commits.lost()
        lost = self._forget(_places(partitions))
        logger.error(
            "group %s: lost %s, because the brokers got no heartbeat from this member within the"
            " session timeout: their %d uncommitted records will be handled again by another"
            " member; nothing more of them is handled or committed here."
            " Remedy: check whether the process or the network was stalled",
            self._group,
            _names(partitions),
            sum(partition.watermark.count for partition in lost),
        )
        self._notify(PartitionsLost, partitions)

    def on_committed(self, offsets: Sequence[TopicPartition], error: SdkError | None) -> None:
        """Forward the answer."""
        self._commits.answered(offsets, error)

    def _partition(self, place: Place) -> Partition:
        partition = Partition(*place)
        if place in self.pauses.requested:
            self._lanes.pause(partition)
        return partition

    def _give_up(self, places: Iterable[Place]) -> None:
        given_up = [place for place in places if place in self.partitions]
        self._finish(given_up)
        self._forget(given_up)

    def _finish(self, places: Iterable[Place]) -> None:
        """Wait for the running handlers of partitions, and commit."""
        given_up = {place: self.partitions[place] for place in places}
        self._lanes.halt(given_up.values())
        if not self._lanes.drained(given_up.values(), self._options.drain_timeout_ms / 1000):
            for lane in list(self._lanes.in_work):
                record = lane.current
                if record is not None and lane.partition in given_up.values():
                    logger.warning(
                        "%s was revoked while its handler was running for longer than"
                        " drain_timeout_ms; it will be handled again",
                        describe(record),
                        extra=record.place,
                    )
        self._commits.flush(given_up, self._options.drain_timeout_ms / 1000)

    def _forget(self, places: Iterable[Place]) -> list[Partition]:
        gone = {
            place: self.partitions.pop(place) for place in list(places) if place in self.partitions
        }
        self._lanes.drop(gone.values())
        self._commits.forget(gone)
        for place in gone:
            self.pauses.forget(place)
            self.watch.lag.pop(place, None)
        if self._rebuilding is not None:
            self._rebuilding.forget(gone.keys())
        self._release_circuits(gone)
        return list(gone.values())

    def _release_circuits(self, places: Iterable[Place]) -> None:
        """Let others try a dependency, because the queued records of partitions were dropped."""
        if self.circuits.released(as_partitions(places)):
            self._lanes.recheck()

    def _enqueue(self, records: Sequence[ConsumerRecord]) -> None:
        batches: list[tuple[Partition, Sequence[ConsumerRecord]]] = []
        no_room = not self._commits.room()
        for run in _runs(records):
            first = run[0]
            place = (first.topic, first.partition)
            partition = self.partitions.get(place)
            if no_room and partition is not None:  # it was assigned within the poll
                self._read_again(first)
                continue
            if partition is None or self.pauses.is_delayed(place) or not self._is_read(first.topic):
                continue  # it was revoked within the poll, or is read again from an earlier record
            if self._rebuilding is not None and self._rebuilding.holds_back(run):
                continue
            if self._retry_topics.is_retry(first.topic):
                run = self._due(run)
                if not run:
                    continue
            partition.watermark.add(run)
            if self._may_be_others(first.topic):
                run = self._own(partition, run)
                if not run:
                    continue
            batches.append((partition, run))
            if self._observers.each:
                for record in run:
                    self._observers.notify(RecordReceived(record))
        if batches:
            if self._measurements is not None:
                self._measurements.received([(run[0].topic, len(run)) for _, run in batches])
            self._commits.add(sum(len(run) for _, run in batches))
            self._lanes.add(batches)

    def _may_be_others(self, topic: str) -> bool:
        """Whether a topic has retries of other groups: theirs match a pattern, too."""
        if self._retry_topics.is_retry(topic):
            return True
        by_pattern = self._pattern is not None and topic not in self._topics
        return by_pattern and is_retry_topic_name(topic)

    def _own(self, partition: Partition, run: Sequence[ConsumerRecord]) -> Sequence[ConsumerRecord]:
        """Return the retries of this group; those of other groups count as done."""
        own, is_others = [], self._retry_topics.is_others
        for record in run:
            if not is_others(record):
                own.append(record)
                continue
            partition.watermark.done(record.offset)
            if self._observers:
                reason = "a retry of another group"
                self._observers.notify(RecordSkipped(record, None, self._group, reason))
        return own

    def _due(self, run: Sequence[ConsumerRecord]) -> Sequence[ConsumerRecord]:
        """Return the first records of a retry topic that are due; the others are read again."""
        now = self._clock.time()
        for index, record in enumerate(run):
            due = due_at(record)
            if due is not None and due > now:
                self.pauses.delay((record.topic, record.partition), due - now)
                self._read_again(record)
                return run[:index]
        return run

    def _read_again(self, record: ConsumerRecord) -> None:
        topic, number, offset = record.topic, record.partition, record.offset
        self._broker.seek(TopicPartition(topic=topic, partition=number, offset=offset))

    def _over(self, share: float) -> bool:
        """Whether more than a share of the limit is in flight."""
        watermarks = [partition.watermark for partition in self.partitions.values()]
        if sum(each.count for each in watermarks) >= self._options.max_in_flight * share:
            return True
        most = int(self._options.max_in_flight_bytes * share)
        return sum(each.size(most // len(watermarks)) for each in watermarks) >= most

    def _room(self) -> int:
        """Return how many records may be read now; waits a moment if there is no room."""
        room = self._commits.room()
        if not room:
            self.pauses.full = True
        elif self._over(1.0):
            # There is usually room at once, while a pause discards fetched records.
            self.pauses.full = not self._lanes.wait_until(
                lambda: self.stopping or not self._over(0.5), _ROOM_SECONDS
            )
        elif self.pauses.full and not self._over(0.5):
            self.pauses.full = False
        return min(self._options.max_poll_records, max(1, room))

    def _notify(
        self, happening: Callable[..., Happening], partitions: Sequence[TopicPartition]
    ) -> None:
        self._observers.notify(happening(self._group, tuple(partitions)))


def _runs(records: Sequence[ConsumerRecord]) -> Iterable[Sequence[ConsumerRecord]]:
    """Split records by consecutive partitions."""
    start = 0
    for index, (one, other) in enumerate(pairwise(records), 1):
        if one.partition != other.partition or one.topic != other.topic:
            yield records[start:index]
            start = index
    yield records[start:]


def _places(partitions: Iterable[TopicPartition]) -> list[Place]:
    return [(each.topic, each.partition) for each in partitions]


def _names(partitions: Iterable[TopicPartition]) -> str:
    return ", ".join(f"{each.topic} [{each.partition}]" for each in partitions)
