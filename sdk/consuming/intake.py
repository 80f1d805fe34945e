"""The intake: polls, fills the lanes, commits, and handles rebalances; it never runs a handler."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from sdk.abstractions import BrokerConsumer
from sdk.clock import Clock
from sdk.consuming.circuit import Circuits
from sdk.consuming.key_order import Rebuilding
from sdk.consuming.lanes import Lanes
from sdk.consuming.measurements import Measurements
from sdk.consuming.offsets import Commits, Place, as_partitions
from sdk.consuming.partition import Partition
from sdk.consuming.retry_topics import RetryTopics, due_at
from sdk.consuming.watch import Watch, describe
from sdk.errors import SdkError
from sdk.happenings import (
    Happening,
    PartitionsAssigned,
    PartitionsLost,
    PartitionsPaused,
    PartitionsResumed,
    PartitionsRevoked,
    RecordReceived,
    RecordSkipped,
)
from sdk.observers import Observers
from sdk.records import ConsumerRecord, TopicPartition
from sdk.settings import ConsumerOptions
from sdk.topics import NEVER_BY_PATTERN

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_ROOM_SECONDS = 0.2
_ASK_SECONDS = 10.0


class Intake:
    """One membership in a consumer group; a `ConsumerListener` of its client.

    Args:
        broker: The client.
        lanes: Where records go.
        commits: Commits what is done.
        partitions: What is assigned; the intake fills it.
        circuits: What the consumer waits for.
        retry_topics: Which topics hold records that are not due yet.
        rebuilding: Reads retry topics through where the order of keys is kept across them.
        options: How much is taken on, and for how long.
        group: Consumer group.
        clock: Tells when things are due.
        observers: Who learns of rebalances, pauses and lag.
        measurements: Reports records to meters; None without meters.

    Attributes:
        partitions: What is assigned.
        joined: Whether the group has answered.
        watch: Knows which records are overdue, and the lag.
        circuits: What the consumer waits for.
        paused: Why the client delivers nothing of some partitions.
        stopping: Set to leave the group.
    """

    def __init__(
        self,
        broker: BrokerConsumer,
        lanes: Lanes,
        commits: Commits,
        partitions: dict[Place, Partition],
        *,
        circuits: Circuits,
        retry_topics: RetryTopics,
        rebuilding: Rebuilding | None,
        options: ConsumerOptions,
        group: str,
        clock: Clock,
        observers: Observers,
        measurements: Measurements | None,
    ) -> None:
        self._broker = broker
        self._lanes = lanes
        self._measurements = measurements
        self._commits = commits
        self.circuits = circuits
        self._retry_topics = retry_topics
        self._rebuilding = rebuilding
        self._options = options
        self._drain_seconds = options.drain_timeout_ms / 1000
        self._group = group
        self._clock = clock
        self._observers = observers
        self._topics: set[str] = set()
        self._pattern: str | None = None
        self._requests: deque[Callable[[], None]] = deque()
        self._not_due: dict[Place, float] = {}
        self.paused: dict[Place, str] = {}
        self._wanted_paused: set[Place] = set()
        self._full = False
        self.partitions = partitions
        self.joined = False
        self.stopping = False
        self.watch = Watch(
            broker,
            lanes,
            group=group,
            clock=clock,
            observers=observers,
            limit=options.handler_limit_ms / 1000,
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
            while self._requests:
                self._requests.popleft()()
            self.watch.tick(self.partitions)
            if self._measurements is not None:
                self._measurements.report()
            self._commits.tick()
            room = self._room()
            if self._rebuilding is not None:
                self._rebuilding.tick(self.partitions.keys())
            self._pause_and_resume()
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
        self._give_up(self.partitions)
        self._lanes.close()
        try:
            self._commits.close()
        finally:
            self._broker.close()

    def request(self, call: Callable[[], None]) -> None:
        """Register a function to run between two polls; from any thread."""
        self._requests.append(call)

    def pause(self, places: Iterable[Place], *, paused: bool) -> None:
        """Pause or resume partitions; called through `request`."""
        for place in places:
            (self._wanted_paused.add if paused else self._wanted_paused.discard)(place)
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
            targets = self._broker.offsets_for_time(targets, milliseconds, _ASK_SECONDS)
        self._finish(known)
        for target in targets:
            place = (target.topic, target.partition)
            old = self.partitions[place]
            self._lanes.drop([old])
            self._not_due.pop(place, None)
            self.partitions[place] = self._partition(place)
            self._broker.seek(target)

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
        if place in self._wanted_paused:
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
        if not self._lanes.drained(given_up.values(), self._drain_seconds):
            for lane in list(self._lanes.in_work):
                record = lane.current
                if record is not None and lane.partition in given_up.values():
                    logger.warning(
                        "%s was revoked while its handler was running for longer than"
                        " drain_timeout_ms; it will be handled again",
                        describe(record),
                        extra=record.place,
                    )
        self._commits.flush(given_up, self._drain_seconds)

    def _forget(self, places: Iterable[Place]) -> list[Partition]:
        gone = {
            place: self.partitions.pop(place) for place in list(places) if place in self.partitions
        }
        self._lanes.drop(gone.values())
        self._commits.forget(gone)
        for place in gone:
            self._not_due.pop(place, None)
            self.paused.pop(place, None)
            self.watch.lag.pop(place, None)
        if self._rebuilding is not None:
            self._rebuilding.forget(gone.keys())
        if self.circuits.released(as_partitions(gone)):
            self._lanes.recheck()
        return list(gone.values())

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
            if partition is None or place in self._not_due or not self._is_read(first.topic):
                continue  # it was revoked within the poll, or is read again from an earlier record
            if self._rebuilding is not None and self._rebuilding.holds_back(run):
                continue
            if self._retry_topics.is_retry(first.topic):
                run = self._due(run)
                if not run:
                    continue
            partition.watermark.take(run)
            if self._retry_topics.is_retry(first.topic):
                run = self._own(partition, run)
            batches.append((partition, run))
            if self._observers.each:
                for record in run:
                    self._observers.notify(RecordReceived(record))
        if batches:
            if self._measurements is not None:
                self._measurements.received([(run[0].topic, len(run)) for _, run in batches])
            self._commits.add(sum(len(run) for _, run in batches))
            self._lanes.add(batches)

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
                place = (record.topic, record.partition)
                self._not_due[place] = self._clock.monotonic() + due - now
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
            self._full = True
        elif self._over(1.0):
            # Most often room comes at once, while a pause throws away what was fetched.
            self._full = not self._lanes.wait_until(
                lambda: self.stopping or not self._over(0.5), _ROOM_SECONDS
            )
        elif self._full and not self._over(0.5):
            self._full = False
        return min(self._options.max_poll_records, max(1, room))

    def _pause_and_resume(self) -> None:
        """Make the client deliver only the wanted partitions."""
        held = self._rebuilding.paused(self.partitions) if self._rebuilding is not None else set()
        if not (self._full or self._not_due or self._wanted_paused or self.paused or held):
            return
        now = self._clock.monotonic()
        for place in [place for place, due in self._not_due.items() if due <= now]:
            del self._not_due[place]
        wanted = {
            place: reason
            for reason, places in (
                ("key order is being rebuilt", held),
                ("retry not due", self._not_due),
                ("paused by the application", self._wanted_paused),
                ("in-flight limit reached", self.partitions if self._full else ()),
            )
            for place in places
            if place in self.partitions
        }
        paused, resumed = wanted.keys() - self.paused.keys(), self.paused.keys() - wanted.keys()
        if paused:
            self._broker.pause(as_partitions(paused))
            for reason in {wanted[place] for place in paused}:
                concerned = [place for place in paused if wanted[place] == reason]
                self._notify(PartitionsPaused, as_partitions(concerned), reason)
        if resumed:
            self._broker.resume(as_partitions(resumed))
            self._notify(PartitionsResumed, as_partitions(resumed))
        self.paused = wanted

    def _notify(
        self, happening: Callable[..., Happening], partitions: Sequence[TopicPartition], *more: str
    ) -> None:
        if self._observers:
            self._observers.notify(happening(self._group, tuple(partitions), *more))


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
