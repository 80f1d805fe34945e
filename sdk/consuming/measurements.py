"""Measurements: what meters are told of records, by the batch."""

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
"""Records that were handled within so long may be noted as if at the same time."""

_TELL_SECONDS = 0.02


class Measurements:
    """Gathers what was received and handled, and tells meters now and then; thread-safe.

    Args:
        group: Consumer group.
        observers: The meters among them are told.
        clock: Tells how old records are.
    """

    def __init__(self, group: str, observers: Observers, clock: Clock) -> None:
        self._group = group
        self._observers = observers
        self._clock = clock
        self._handled: deque[tuple[Task, Sequence[ConsumerRecord], Sequence[float], float]]
        self._handled = deque()
        self._interval = _TELL_SECONDS
        self._next = 0.0

    def received(self, runs: Iterable[tuple[str, int]]) -> None:
        """Tell of records that came from the broker: topics, and how many at a time."""
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
        """Note records of one topic whose handler returned.

        Args:
            task: How they were handled.
            records: One or more.
            seconds: That each was in the handler.
            ago: Since when the last of them is handled, seconds.
        """
        self._handled.append((task, records, seconds, self._clock.time() - ago))
        if time.perf_counter() >= self._next:
            self.tell()

    def tell(self) -> None:
        """Tell of what was handled; called now and then, since there may be nothing more."""
        self._next = time.perf_counter() + self._interval
        gathered: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
        while self._handled:
            try:
                task, records, seconds, at = self._handled.popleft()
            except IndexError:  # another thread was faster
                break
            taken, ages = gathered.setdefault((records[0].topic, task.event), ([], []))
            taken += seconds
            ages += [at - stamp / 1000 for each in records if (stamp := each.timestamp) is not None]
        for (topic, event), (taken, ages) in gathered.items():
            self._observers.notify(RecordsHandled(self._group, topic, event, taken, ages))

    def close(self) -> None:
        """Tell of everything, and from now on, of a handler that is overdue, at once."""
        self._interval = 0.0
        self.tell()


class Stretch:
    """Records of a run that follow each other, are handled in one way, and take little time.

    The loop over the run looks at ``late`` and ``task``, and appends to ``seconds``, itself: a call
    for each record would cost more than all else that meters cost.

    Args:
        measurements: Told of it.
        run: Records of one topic.

    Attributes:
        task: How its records are handled.
        seconds: That each of them was in its handler.
        late: When it ends at the latest, by `time.perf_counter`; 0 ends it at once.
    """

    __slots__ = ("_first", "_measurements", "_run", "late", "seconds", "task")

    def __init__(self, measurements: Measurements, run: Sequence[ConsumerRecord]) -> None:
        self._measurements = measurements
        self._run = run
        self._first = 0
        self.task: Task | None = None
        self.seconds: list[float] = []
        self.late = 0.0

    def begin(self, task: Task, position: int, seconds: float) -> None:
        """Begin anew with a record whose handler has just returned.

        Args:
            task: How it was handled.
            position: In the run.
            seconds: That it was in its handler.
        """
        self.end(ago=seconds)
        self.task, self._first, self.seconds = task, position, [seconds]
        if seconds < TOGETHER_SECONDS:
            self.late = time.perf_counter() + TOGETHER_SECONDS
        else:
            self.late = 0.0
            self.end()

    def end(self, ago: float = 0.0) -> None:
        """Tell of the stretch, whose last record was handled so many seconds ago."""
        if self.task is not None and self.seconds:
            records = self._run[self._first : self._first + len(self.seconds)]
            self._measurements.handled(self.task, records, self.seconds, ago)
            self.seconds = []
