"""Timing handlers for meters: what takes no time by itself is told together."""

from __future__ import annotations

import time

from sdk.consuming.dispatch import Task
from sdk.consuming.settlement import Settlement
from sdk.records import ConsumerRecord

_BRIEF_SECONDS = 0.001
_TOGETHER_SECONDS = 0.05


class RunTimer:
    """Times the records of a run whose handlers returned.

    Args:
        settlement: Tells the meters.
    """

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement
        self._task: Task | None = None
        self._records: list[ConsumerRecord] = []
        self._seconds = 0.0

    def __call__(self, record: ConsumerRecord, task: Task, started: float) -> None:
        """Take note of a record; one whose handler took longer is told by itself.

        Args:
            record: The record.
            task: How it was handled.
            started: When, by `time.perf_counter`.
        """
        seconds = time.perf_counter() - started
        if seconds >= _BRIEF_SECONDS:
            self.tell(ago=seconds)
            self._settlement.measure(task, (record,), seconds)
            return
        if task is not self._task or self._seconds >= _TOGETHER_SECONDS:
            self.tell(ago=seconds)
            self._task = task
        self._records.append(record)
        self._seconds += seconds

    def tell(self, ago: float = 0.0) -> None:
        """Tell what was gathered; the last of it was handled so many seconds ago."""
        if self._records and self._task is not None:
            self._settlement.measure(self._task, self._records, self._seconds, ago)
            self._records, self._seconds = [], 0.0
