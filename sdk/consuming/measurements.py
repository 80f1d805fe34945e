"""Measurements: reports records to meters, in batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence

from sdk.clock import Clock
from sdk.consuming.dispatch import Task
from sdk.happenings import RecordsHandled, RecordsReceived
from sdk.observers import Observers
from sdk.records import ConsumerRecord

TOGETHER_SECONDS = 0.005
"""Records that were handled within this time are measured as if at the same time."""

QUICK_SECONDS = 0.0001
"""Handler times below this are reported as their mean: histograms do not distinguish them."""

_REPORT_SECONDS = 0.02


class Measurements:
    """Collects received and handled records, and reports them to meters; thread-safe.

    Args:
        group: Consumer group.
        observers: The meters among them are notified.
        clock: Measures the age of records.
    """

    def __init__(self, group: str, observers: Observers, clock: Clock) -> None:
        self._group = group
        self._observers = observers
        self._clock = clock
        self._handled: deque[tuple[str, str, Sequence[float], Sequence[float]]] = deque()
        self._interval = _REPORT_SECONDS
        self._next = 0.0

    def received(self, runs: Iterable[tuple[str, int]]) -> None:
        """Report received records, as pairs of topic and count."""
        counts: dict[str, int] = {}
        for topic, count in runs:
            counts[topic] = counts.get(topic, 0) + count
        for topic, count in counts.items():
            self._observers.notify(RecordsReceived(self._group, topic, count))

    def handled(
        self,
        task: Task,
        records: Sequence[ConsumerRecord],
        seconds: Sequence[float],
        ago: float = 0.0,
    ) -> None:
        """Add records of one topic whose handler returned.

        Args:
            task: Their task.
            records: One or more.
            seconds: How long the handler took for each.
            ago: Seconds since the last of them was handled.
        """
        now = self._clock.time() - ago
        ages = [now - at / 1000 for each in records if (at := each.timestamp) is not None]
        self._handled.append((records[0].topic, task.event, seconds, ages))
        if time.perf_counter() >= self._next:
            self.report()

    def report(self) -> None:
        """Report handled records; also called between polls, since no more may follow."""
        self._next = time.perf_counter() + self._interval
        gathered: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
        while self._handled:
            try:
                topic, event, seconds, ages = self._handled.popleft()
            except IndexError:  # another thread was faster
                break
            all_seconds, all_ages = gathered.setdefault((topic, event), ([], []))
            all_seconds += seconds
            all_ages += ages
        for (topic, event), times in gathered.items():
            self._observers.notify(RecordsHandled(self._group, topic, event, *times))

    def close(self) -> None:
        """Report everything; a handler that returns later is reported at once."""
        self._interval = 0.0
        self.report()


class MeasuredRun:
    """Consecutive records of one task that are handled within `TOGETHER_SECONDS`.

    The loop over the run reads and writes the attributes itself: a call for each record would cost
    more than the rest of the metrics.

    Args:
        measurements: Receives them.
        run: Records of one topic.

    Attributes:
        task: How the records are handled; None if there are none yet.
        deadline: Latest end, by `time.perf_counter`.
        seconds: How long the handler took for each of them that was not quick.
        quick_seconds: How long it took for all others, each below `QUICK_SECONDS`.
    """

    __slots__ = ("_first", "_measurements", "_run", "deadline", "quick_seconds", "seconds", "task")

    def __init__(self, measurements: Measurements, run: Sequence[ConsumerRecord]) -> None:
        self._measurements = measurements
        self._run = run
        self._first = 0
        self.task: Task | None = None
        self.deadline = 0.0
        self.seconds: list[float] = []
        self.quick_seconds = 0.0

    def start(self, task: Task, position: int, seconds: float) -> None:
        """Start again with a record whose handler has just returned.

        Args:
            task: How it was handled.
            position: Its position in the run.
            seconds: How long its handler took.
        """
        self.end(position, ago=seconds)
        self.task, self._first, self.seconds, self.quick_seconds = task, position, [seconds], 0.0
        if seconds < TOGETHER_SECONDS:
            self.deadline = time.perf_counter() + TOGETHER_SECONDS
        else:
            self.end(position + 1)

    def end(self, position: int, ago: float = 0.0) -> None:
        """Report the records.

        Args:
            position: That of the record after them, in the run.
            ago: Seconds since the last of them was handled.
        """
        if self.task is None:
            return
        records = self._run[self._first : position]
        quick = len(records) - len(self.seconds)
        if quick > 0:
            self.seconds += [self.quick_seconds / quick] * quick
        self._measurements.handled(self.task, records, self.seconds, ago)
        self.task = None
