"""Offsets: the watermark of each partition, and committing it."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from attrs import define, field

from sdk.abstractions import BrokerConsumer
from sdk.clock import Clock
from sdk.errors import AuthenticationError, AuthorizationError, BrokerError, FencedError, SdkError
from sdk.happenings import CommitFailed, OffsetsCommitted
from sdk.observers import Observers
from sdk.records import ConsumerRecord, TopicPartition

logger = logging.getLogger(__name__)

Place = tuple[str, int]
"""(topic, partition)"""

_IDLE_SECONDS = 0.1
"""Shortest time between two commits of a consumer that has nothing left to do."""

_GAPS = 1_000
"""Gaps between offsets that are kept before those of finished records are dropped."""

_ANSWER_SECONDS = 60.0
"""The next commit is sent after this time even if the last one was not answered."""


class Watermark:
    """The progress of one assignment of a partition: up to the first unfinished record.

    One thread adds records in order, others finish them in any order. The watermark of a lost
    partition is forgotten, so that a record that is finished late changes no committed offset.

    Attributes:
        first: Offset of the first record that was added; None before that.
        done: Called with the offset of each record that is done, once. It is a dictionary's own
            method, because it is called once a record.
    """

    __slots__ = ("_before", "_largest", "_next", "_pending", "done", "first")

    def __init__(self) -> None:
        self._pending: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self.first: int | None = None
        self._next: int | None = None
        self._largest = 0
        self.done: Callable[[int], int] = self._pending.pop

    def add(self, records: Sequence[ConsumerRecord]) -> None:
        """Add records that follow the ones added before."""
        sizes = {record.offset: len(record.value or b"") for record in records}
        self._largest = max(self._largest, *sizes.values())
        self._pending.update(sizes)
        last, self._next = self._next, records[-1].offset + 1
        if self.first is None:
            self.first = records[0].offset
        if self._next - len(records) != (self.first if last is None else last):
            self._note_gaps(last, sizes)

    def _note_gaps(self, last: int | None, offsets: Iterable[int]) -> None:
        """Add gaps between offsets, from compaction and transaction markers."""
        for offset in offsets:
            if last not in (None, offset):
                self._before[offset] = (last or 0) - 1
            last = offset + 1
        if len(self._before) > _GAPS:
            start = self.offset or 0
            self._before = {each: known for each, known in self._before.items() if each >= start}

    @property
    def offset(self) -> int | None:
        """The next offset to be read: the first that is not done; None before any was added."""
        while True:
            try:
                # A dictionary keeps the order in which offsets were added.
                return next(iter(self._pending), self._next)
            except RuntimeError:
                continue  # another thread has just finished a record

    @property
    def committable(self) -> int | None:
        """`offset`, or None while nothing is done."""
        offset = self.offset
        return None if offset == self.first else offset

    @property
    def reached(self) -> int:
        """The highest offset that is done; one before the first that was added if none is."""
        offset = -1 if self._next is None else self._next - 1
        while offset in self._pending:
            offset = self._before.get(offset, offset - 1)
        return offset

    @property
    def count(self) -> int:
        """How many records are not done."""
        return len(self._pending)

    def size(self, limit: int) -> int:
        """Return the size of the values of those records, bytes.

        Args:
            limit: Below it, an estimate that is never too small is returned.
        """
        most = len(self._pending) * self._largest
        return most if most < limit else sum(self._pending.copy().values())


class Assigned(Protocol):
    """A partition that is assigned."""

    @property
    def watermark(self) -> Watermark:
        """The watermark of the partition."""


class Commits(Protocol):
    """Commits watermarks; called by the thread of the intake."""

    @property
    def poll_seconds(self) -> float:
        """How long a poll may wait before the next `tick`."""

    def room(self) -> int:
        """Return how many more records may be read now."""

    def add(self, count: int) -> None:
        """Count records that are about to be handled."""

    def tick(self) -> None:
        """Commit if a commit is due.

        Raises:
            SdkError: Kafka refuses us, or another instance has taken over.
        """

    def flush(self, places: Iterable[Place], timeout: float) -> None:
        """Commit partitions for the last time: they are revoked, or read from another position.

        Args:
            places: The partitions; none of their records is handled any more.
            timeout: Seconds.
        """

    def lost(self) -> None:
        """Handle the loss of partitions to another member."""

    def forget(self, places: Iterable[Place]) -> None:
        """Forget partitions that were revoked, or are read from another position."""

    def answered(self, offsets: Sequence[TopicPartition], error: SdkError | None) -> None:
        """Process the answer to a commit that was sent in the background."""

    def close(self) -> None:
        """Release resources, after the last `flush`."""


@define(eq=False, repr=False)
class Committer:
    """Commits watermarks in the background, and waits only when partitions are revoked.

    Args:
        broker: The client.
        partitions: The assigned partitions.
        group: Consumer group.
        clock: Determines when the next commit is due.
        observers: Notified of commits.
        interval: Seconds between two commits of a consumer that is busy.
    """

    _broker: BrokerConsumer
    _partitions: Mapping[Place, Assigned]
    _group: str = field(kw_only=True)
    _clock: Clock = field(kw_only=True)
    _observers: Observers = field(kw_only=True)
    _interval: float = field(kw_only=True)
    _sent: dict[Place, int] = field(factory=dict, init=False)
    _unanswered: int = field(default=0, init=False)
    _last: float = field(default=-math.inf, init=False)
    _failing: bool = field(default=False, init=False)
    _refusal: SdkError | None = field(default=None, init=False)

    @property
    def poll_seconds(self) -> float:
        """How long a poll may wait before the next `tick`."""
        return _IDLE_SECONDS

    def room(self) -> int:
        """Return how many more records may be read now."""
        return sys.maxsize

    def add(self, count: int) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Commit in the background if a commit is due, earlier if the consumer is idle.

        Raises:
            AuthenticationError: An earlier commit was refused.
            AuthorizationError: An earlier commit was refused.
            FencedError: Another instance has taken over.
        """
        if self._refusal is not None:
            raise self._refusal
        passed = self._clock.monotonic() - self._last
        idle = not any(each.watermark.count for each in self._partitions.values())
        if passed < (_IDLE_SECONDS if idle else self._interval):
            return
        # Behind a pending join answers may take long; commits must not queue up there.
        if self._unanswered and passed < _ANSWER_SECONDS:
            return
        offsets = to_commit(self._partitions, self._sent)
        if not offsets:
            return
        self._last = self._clock.monotonic()
        try:
            self._broker.commit(offsets)
        except BrokerError as error:
            self._failed(offsets, error)
            return
        self._unanswered = len(offsets)
        self._sent.update(by_place(offsets))

    def flush(self, places: Iterable[Place], timeout: float) -> None:
        """Commit, and wait for the answer: the last commit of these partitions.

        Args:
            places: The partitions.
            timeout: Seconds.
        """
        given_up = list(places)
        # A commit under way may still be refused, so its offsets are sent again.
        if self._unanswered:
            self.forget(given_up)
        offsets = to_commit({each: self._partitions[each] for each in given_up}, self._sent)
        started = self._clock.monotonic()
        try:
            if offsets:
                self._broker.commit_sync(offsets, timeout)
                self._succeeded(offsets, started)
        except (BrokerError, FencedError) as error:
            logger.warning(
                "the last commit of %s failed, so that its last records are handled again: %s",
                ", ".join(f"{each.topic} [{each.partition}]" for each in offsets),
                error,
            )
            self._notify_failed(offsets, error, started)
        self.forget(given_up)

    def lost(self) -> None:
        """Do nothing: lost partitions are not committed."""

    def forget(self, places: Iterable[Place]) -> None:
        """Forget partitions that were revoked, or are read from another position."""
        for place in places:
            self._sent.pop(place, None)

    def answered(self, offsets: Sequence[TopicPartition], error: SdkError | None) -> None:
        """Process the answer to a commit that was sent in the background."""
        self._unanswered = max(0, self._unanswered - len(offsets))
        if error is None:
            self._succeeded(offsets, self._last)
        else:
            self._failed(offsets, error)

    def close(self) -> None:
        """Do nothing."""

    def _succeeded(self, offsets: Sequence[TopicPartition], started: float) -> None:
        self._failing = False
        seconds = self._clock.monotonic() - started
        self._observers.notify(OffsetsCommitted(self._group, tuple(offsets), seconds))

    def _notify_failed(
        self, offsets: Sequence[TopicPartition], error: SdkError, started: float
    ) -> None:
        seconds = self._clock.monotonic() - started
        self._observers.notify(CommitFailed(self._group, tuple(offsets), error, seconds))

    def _failed(self, offsets: Sequence[TopicPartition], error: SdkError) -> None:
        for place, offset in by_place(offsets).items():
            if self._sent.get(place) == offset:
                del self._sent[place]
        if isinstance(error, AuthenticationError | AuthorizationError | FencedError):
            self._refusal = error
        else:
            # A rebalance or an outage: the next commit includes these offsets.
            level = logging.DEBUG if self._failing else logging.WARNING
            logger.log(level, "a commit failed and will be repeated: %s", error)
        self._failing = True
        self._notify_failed(offsets, error, self._last)


def by_place(offsets: Iterable[TopicPartition]) -> dict[Place, int]:
    """Return offsets by partition; a missing one is 0."""
    return {(each.topic, each.partition): each.offset or 0 for each in offsets}


def to_commit(
    partitions: Mapping[Place, Assigned], known: Mapping[Place, int]
) -> list[TopicPartition]:
    """Return the next offset of each partition that is to be committed.

    Args:
        partitions: Which partitions.
        known: Offsets that were committed, or sent, before.
    """
    return [
        TopicPartition(topic=place[0], partition=place[1], offset=offset)
        for place, each in partitions.items()
        if (offset := each.watermark.committable) is not None and known.get(place) != offset
    ]


def as_partitions(places: Iterable[Place]) -> list[TopicPartition]:
    """Return partitions as the clients represent them, without offsets."""
    return [TopicPartition(topic=topic, partition=number) for topic, number in places]
