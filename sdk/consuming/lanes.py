"""Lanes: sequences of records that must be handled in order; lanes run concurrently.

A lane holds the records of one key, or of one partition, in order. It exists while it has records;
one worker at a time takes it and gives it back. The intake adds records in batches, and a worker
takes a lane with all its records, so that locks and wake-ups are not needed for each record.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from sdk.clock import Clock
from sdk.consuming.partition import Lane, Partition
from sdk.records import ConsumerRecord

_RUN = 500
"""Most records that a worker handles before it gives the lane back."""


class Lanes:
    """All lanes of a consumer; thread-safe.

    Args:
        ordering: ``key``, ``partition`` or ``none``: the order that is kept. Records without a key
            are kept in the order of their partition.
        clock: Determines when a parked lane is due.

    Attributes:
        in_work: The lanes of workers.
        more_workers: Called if there is work and no idle worker.
    """

    def __init__(self, ordering: str, clock: Clock) -> None:
        self._add = {"key": _by_key, "partition": _by_partition, "none": _by_record}[ordering]
        self._clock = clock
        self._lock = threading.Lock()
        self._ready_changed = threading.Condition(self._lock)
        self._given_back = threading.Condition(self._lock)
        self._ready: deque[Lane] = deque()
        self._parked: list[tuple[float, int, Lane]] = []
        self._turn = itertools.count()
        self._idle = 0
        self._woken = False
        self._timer: float | None = None
        self._closed = False
        self._watching = 0
        self.in_work: set[Lane] = set()
        self.more_workers: Callable[[], None] | None = None

    def add(self, batches: Iterable[tuple[Partition, Sequence[ConsumerRecord]]]) -> None:
        """Append records to their lanes and ensure that a worker handles them."""
        with self._lock:
            for partition, records in batches:
                for lane in self._add(partition, records):
                    if not lane.parked:
                        self._ready.append(lane)
                    elif lane.wanted and len(lane.records) >= lane.wanted:
                        self._unpark(lane)
            wake = self._wake()
        if wake is not None:
            wake()

    def take(self) -> Lane | None:
        """Wait for a lane and return it; its records are in ``lane.run``. None if closed."""
        with self._lock:
            while not self._closed:
                lane = self._next()
                if lane is not None:
                    break
                self._wait_for_lane()
            else:
                return None
            lane.run, lane.records = lane.records[:_RUN], lane.records[_RUN:]
            lane.partition.active += 1
            self.in_work.add(lane)
            if self._parked and self._timer is None and self._idle:
                self._ready_changed.notify()  # another worker must watch the time now
            wake = self._wake()
        if wake is not None:
            wake()
        return lane

    def give_back(
        self,
        lane: Lane,
        rest: Sequence[ConsumerRecord] = (),
        *,
        due: float | None = None,
        wanted: int = 0,
    ) -> None:
        """Return a lane after work.

        Args:
            lane: The lane that `take` returned.
            rest: Records that are not done; they precede those added since.
            due: When to continue, by the clock's monotonic time; None is at once, and infinity is
                when `recheck` is called.
            wanted: Number of records at which the lane continues earlier; 0 is never.
        """
        partition = lane.partition
        with self._lock:
            lane.current = None
            lane.run = []
            self.in_work.discard(lane)
            partition.active -= 1
            if rest:
                lane.records[:0] = rest
            if partition.dropped or not lane.records:
                if partition.lanes.get(lane.key) is lane:
                    del partition.lanes[lane.key]
            elif due is not None and not (wanted and len(lane.records) >= wanted):
                lane.parked = True
                lane.wanted = wanted
                heapq.heappush(self._parked, (due, next(self._turn), lane))
                if self._timer is None or due < self._timer:
                    self._ready_changed.notify_all()
            else:
                self._ready.append(lane)
                if self._idle:  # a task of an event loop does not take the next lane itself
                    self._wake()
            if self._watching:
                self._given_back.notify_all()

    def halt(self, partitions: Iterable[Partition], *, even_paused: bool = False) -> None:
        """Handle only the records of partitions that close gaps below records that are done.

        Takes no lock, so that a signal handler may call it.

        Args:
            partitions: The partitions; no more records of paused ones are handled.
            even_paused: Close the gaps of paused ones as well.
        """
        in_work = list(self.in_work)
        for partition in partitions:
            if partition.dropped or (partition.paused and not even_paused):
                continue
            current = [
                record.offset
                for lane in in_work
                if lane.partition is partition and (record := lane.current) is not None
            ]
            partition.until = max([partition.watermark.reached, *current])
            partition.halted = True

    def release(self, partition: Partition) -> None:
        """Resume a halted partition, unless it is paused."""
        with self._lock:
            partition.halted = partition.dropped or partition.paused or self._closed
            partition.until = -1
        self.reconsider((partition,))

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget the queued records of partitions; running handlers finish."""
        with self._lock:
            for partition in partitions:
                partition.dropped = partition.halted = True
                partition.until = -1
                partition.lanes.clear()
                partition.set_aside.clear()
            self._parked = [entry for entry in self._parked if not entry[2].partition.dropped]
            heapq.heapify(self._parked)

    def pause(self, partition: Partition) -> None:
        """Pause a partition until `resume`; its queued records stay."""
        with self._lock:
            partition.paused = partition.halted = True
            partition.until = -1

    def resume(self, partition: Partition) -> None:
        """Resume a partition."""
        partition.paused = False
        self.release(partition)

    def recheck(self) -> None:
        """Resume the lanes that are parked without a time."""
        with self._lock:
            for entry in [entry for entry in self._parked if entry[0] == math.inf]:
                self._unpark(entry[2])
            wake = self._wake()
        if wake is not None:
            wake()

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until a condition holds, which is checked whenever a lane is given back.

        Args:
            condition: Called under the lock of the lanes.
            timeout: Seconds.

        Returns:
            Whether it holds.
        """
        with self._lock:
            self._watching += 1
            try:
                # Real time, because handlers take real time.
                return self._given_back.wait_for(condition, timeout)
            finally:
                self._watching -= 1

    def drained(self, partitions: Collection[Partition], timeout: float) -> bool:
        """Wait until the remaining records of halted partitions are done; return whether they are.

        Lanes that are parked are not waited for.
        """
        self.reconsider(partitions)
        return self.wait_until(lambda: not any(map(self._has_work, partitions)), timeout)

    def reconsider(self, partitions: Iterable[Partition]) -> None:
        """Offer lanes again that were set aside: after another `halt` they may close gaps."""
        with self._lock:
            for partition in partitions:
                self._ready.extend(partition.set_aside)
                partition.set_aside.clear()
            wake = self._wake()
        if wake is not None:
            wake()

    def close(self) -> None:
        """Stop; running handlers finish."""
        with self._lock:
            self._closed = True
            self._ready.clear()
            self._parked.clear()
            self._ready_changed.notify_all()

    def _next(self) -> Lane | None:
        if self._parked:
            now = self._clock.monotonic()
            while self._parked and self._parked[0][0] <= now:
                lane = heapq.heappop(self._parked)[2]
                lane.parked = False
                self._ready.append(lane)
        while self._ready:
            lane = self._ready.popleft()
            partition = lane.partition
            if partition.dropped:
                continue
            if not partition.halted or lane.records[0].offset <= partition.until:
                return lane
            partition.set_aside.append(lane)
        return None

    def _has_work(self, partition: Partition) -> bool:
        if partition.active or self._closed:
            return partition.active > 0
        return any(
            not lane.parked and lane.records and lane.records[0].offset <= partition.until
            for lane in partition.lanes.values()
        )

    def _wait_for_lane(self) -> None:
        # One idle worker watches the time, so that not all wake up for one parked lane.
        due = self._parked[0][0] if self._parked and self._parked[0][0] < math.inf else None
        timing = due is not None and (self._timer is None or due < self._timer)
        if timing:
            self._timer = due
        self._idle += 1
        try:
            left = due - self._clock.monotonic() if due is not None and timing else None
            self._clock.wait(self._ready_changed, left)
        finally:
            self._idle -= 1
            self._woken = False
            if timing:
                self._timer = None

    def _wake(self) -> Callable[[], None] | None:
        """Wake a worker if there is work, or return a function that starts another one.

        Each worker that wakes up wakes the next, as long as there is work.
        """
        if not self._ready or self._woken:
            return None
        if self._idle:
            self._woken = True
            self._ready_changed.notify()
            return None
        return self.more_workers

    def _unpark(self, lane: Lane) -> None:
        self._parked = [entry for entry in self._parked if entry[2] is not lane]
        heapq.heapify(self._parked)
        lane.parked = False
        self._ready.append(lane)


def _by_partition(partition: Partition, records: Sequence[ConsumerRecord]) -> list[Lane]:
    lane = partition.lanes.get(None)
    if lane is not None:
        lane.records += records
        return [lane] if lane.parked else []
    if not records:  # all of them were retries of other groups
        return []
    lane = partition.lanes[None] = Lane(partition, None)
    lane.records += records
    return [lane]


def _by_key(partition: Partition, records: Sequence[ConsumerRecord]) -> list[Lane]:
    lanes = partition.lanes
    new: list[Lane] = []
    for record in records:
        key = record.key
        lane = lanes.get(key)
        if lane is None:
            lane = lanes[key] = Lane(partition, key)
            new.append(lane)
        lane.records.append(record)
    return new


def _by_record(partition: Partition, records: Sequence[ConsumerRecord]) -> list[Lane]:
    new: list[Lane] = []
    for record in records:
        lane = partition.lanes[record.offset] = Lane(partition, record.offset)
        lane.records.append(record)
        new.append(lane)
    return new
