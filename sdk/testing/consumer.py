"""Consuming clients of the in-memory broker."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from sdk.abstractions import ConsumerListener
from sdk.consuming.offsets import Place
from sdk.errors import (
    BrokerError,
    BrokerUnavailableError,
    ClosedError,
    ConfigurationError,
    SdkError,
)
from sdk.records import BEGINNING, END, ConsumerRecord, TopicPartition
from sdk.testing.groups import Group, Subscription

if TYPE_CHECKING:
    from sdk.testing.broker import InMemoryBroker


@frozen
class Membership:
    """A consumer's membership in its group, as known at the time of the call.

    Attributes:
        group: The group.
        member: The consumer.
        generation: The group's generation when the consumer last polled.
    """

    group: Group
    member: InMemoryConsumer
    generation: int

    def holds(self, place: Place) -> bool:
        """Whether a partition is still the member's, by the group's present generation."""
        current = self.generation == self.group.generation
        return current and self.group.owner(place) is self.member


class InMemoryConsumer:
    """A `BrokerConsumer` of an `InMemoryBroker`."""

    def __init__(
        self,
        broker: InMemoryBroker,
        group: Group,
        auto_offset_reset: str,
        read_committed: bool = True,
    ) -> None:
        if auto_offset_reset not in {"earliest", "latest"}:
            raise ConfigurationError(f"no such offset reset: {auto_offset_reset!r}")
        self._broker = broker
        self._group = group
        self._reset = auto_offset_reset
        self._read_committed = read_committed
        self._generation = group.generation
        self._positions: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._listener: ConsumerListener | None = None
        self._from_beginning: Collection[str] = ()
        self._answers: deque[tuple[Sequence[TopicPartition], SdkError | None]] = deque()

    def subscribe(
        self,
        topics: Sequence[str],
        listener: ConsumerListener,
        *,
        pattern: str | None = None,
        from_beginning: Collection[str] = (),
    ) -> None:
        """Join the group for these topics, and for those whose names match a pattern."""
        matches = None if pattern is None else re.compile(pattern)
        with self._broker.changed:
            self._listener = listener
            self._from_beginning = from_beginning
            self._group.join(self, Subscription(frozenset(topics), matches))
            self._broker.changed.notify_all()

    def poll(self, timeout: float, max_records: int) -> list[ConsumerRecord]:
        """Return up to ``max_records`` records, waiting ``timeout`` seconds for the first."""
        # A virtual clock only shortens a wait: the polling thread has other work too.
        clock = self._broker.clock
        deadline, due = time.monotonic() + timeout, clock.monotonic() + timeout
        while True:
            self._broker.faults.raise_planned("poll")
            if not self._broker.faults.down:
                self._answer()
                self._rebalance()
            with self._broker.changed:
                records = [] if self._broker.faults.down else self._take(max_records)
                left = min(deadline - time.monotonic(), due - clock.monotonic())
                if records or left <= 0:
                    return records
                self._broker.changed.wait(min(left, 0.05))

    def commit(self, offsets: Sequence[TopicPartition]) -> None:
        """Send the next offsets to be read; the next `poll` brings the answer."""
        try:
            self._commit(offsets)
        except SdkError as error:
            self._answers.append((tuple(offsets), error))
        else:
            self._answers.append((tuple(offsets), None))

    def commit_sync(self, offsets: Sequence[TopicPartition], timeout: float) -> None:
        """Commit the next offsets to be read, and wait for the answer, which comes at once."""
        self._commit(offsets)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Pause these partitions until `resume`."""
        self._paused.update(self._assigned("pause", partitions))

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Resume these partitions."""
        self._paused.difference_update(self._assigned("resume", partitions))

    def seek(self, partition: TopicPartition) -> None:
        """Continue reading at ``partition.offset``, which may be `BEGINNING` or `END`."""
        (place,) = self._assigned("seek", [partition])
        offset = partition.offset or 0
        if offset in {BEGINNING, END}:
            offset = 0 if offset == BEGINNING else self._end(place)
        self._positions[place] = offset

    def committed(
        self, partitions: Sequence[TopicPartition], timeout: float
    ) -> list[TopicPartition]:
        """Return partitions with the offsets that the group has committed; None without one."""
        with self._broker.changed:
            for place in _places(partitions):
                if place in self._group.pending:
                    raise BrokerUnavailableError(
                        "an offset belongs to a transaction that has not ended", topic=place[0]
                    )
            return [
                _partition(place, self._group.committed.get(place)) for place in _places(partitions)
            ]

    def end_offsets(
        self, partitions: Sequence[TopicPartition], timeout: float
    ) -> list[TopicPartition]:
        """Return partitions with their ends."""
        with self._broker.changed:
            return [_partition(place, self._end(place)) for place in _places(partitions)]

    def offsets_for_time(
        self, partitions: Sequence[TopicPartition], timestamp: int, timeout: float
    ) -> list[TopicPartition]:
        """Return the first offset of each partition whose record is not older than a time."""
        with self._broker.changed:
            return [
                _partition(
                    place,
                    next(
                        (
                            record.offset
                            for record in self._broker.log(*place).records()
                            if (record.timestamp or 0) >= timestamp
                        ),
                        END,
                    ),
                )
                for place in _places(partitions)
            ]

    def group_metadata(self) -> Membership:
        """Return this client's group metadata, for `TransactionalProducer.send_offsets`."""
        return Membership(self._group, self, self._generation)

    def close(self) -> None:
        """Leave the group and release the client."""
        self._revoke(self._group.owned(self))
        self.crash()

    def crash(self) -> None:
        """Disappear without leaving the group, as a killed process does."""
        with self._broker.changed:
            self._group.leave(self)
            self._listener = None
            self._broker.changed.notify_all()

    def _rebalance(self) -> None:
        listener = self._listener
        if listener is None:
            raise ClosedError("the consuming client is not subscribed")
        with self._broker.changed:
            lost = [place for place in self._positions if self._group.owner(place) is not self]
            for place in lost:
                self._forget(place)
        if lost:
            listener.on_lost([_partition(place) for place in lost])
        with self._broker.changed:
            self._group.balance(self._broker.partition_counts(self._group.covers))
            excess = self._group.excess(self)
        self._revoke(excess)
        with self._broker.changed:
            self._generation = self._group.generation
            gained = self._group.acquire(self)
            for place in gained:
                self._positions[place] = self._start(place)
        if gained:
            listener.on_assigned([_partition(place, self._positions[place]) for place in gained])

    def _revoke(self, places: list[Place]) -> None:
        if not places or self._listener is None:
            return
        self._listener.on_revoked([_partition(place) for place in places])
        with self._broker.changed:
            for place in places:
                self._forget(place)
                self._group.release(place)
            self._broker.changed.notify_all()

    def _forget(self, place: Place) -> None:
        self._positions.pop(place, None)
        self._paused.discard(place)

    def _start(self, place: Place) -> int:
        committed = self._group.committed.get(place)
        if committed is not None:
            return committed
        earliest = self._reset == "earliest" or place[0] in self._from_beginning
        return 0 if earliest else self._end(place)

    def _end(self, place: Place) -> int:
        log = self._broker.log(*place)
        return log.stable_end() if self._read_committed else log.end_offset

    def _take(self, limit: int) -> list[ConsumerRecord]:
        records: list[ConsumerRecord] = []
        for place, position in self._positions.items():
            if place not in self._paused and len(records) < limit:
                found, self._positions[place] = self._broker.log(*place).read(
                    position, limit - len(records), committed=self._read_committed
                )
                records.extend(found)
        return records

    def _commit(self, offsets: Sequence[TopicPartition]) -> None:
        self._broker.faults.raise_planned("commit")
        with self._broker.changed:
            for each in offsets:
                if self._group.owner((each.topic, each.partition)) is not self:
                    raise BrokerError(
                        "the partition belongs to another member of the group",
                        topic=each.topic,
                        partition=each.partition,
                    )
            for each in offsets:
                self._group.committed[each.topic, each.partition] = each.offset or 0

    def _answer(self) -> None:
        while self._answers and self._listener is not None:
            self._listener.on_committed(*self._answers.popleft())

    def _assigned(self, doing: str, partitions: Iterable[TopicPartition]) -> list[Place]:
        places = _places(partitions)
        for topic, partition in places:
            if (topic, partition) not in self._positions:
                raise BrokerError(
                    f"cannot {doing} a partition that is not assigned to this client",
                    topic=topic,
                    partition=partition,
                )
        return places


def _places(partitions: Iterable[TopicPartition]) -> list[Place]:
    return [(each.topic, each.partition) for each in partitions]


def _partition(place: Place, offset: int | None = None) -> TopicPartition:
    return TopicPartition(topic=place[0], partition=place[1], offset=offset)
