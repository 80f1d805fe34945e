"""A clock that a test advances."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

from sdk.errors import ConfigurationError


class VirtualClock:
    """A `sdk.clock.Clock` that stands still until `advance` is called.

    Delays of retries, retry topics, circuits and commits take no real time in a test:

        clock.advance(60)            # everything due within the next minute happens now

    `sdk.testing.run_until_idle` and `sdk.testing.given` advance it whenever nothing else is
    left to do.

    Args:
        start: Start time, epoch seconds or an aware datetime; by default the present.

    Raises:
        ConfigurationError: The datetime is naive.
    """

    def __init__(self, start: float | datetime | None = None) -> None:
        if isinstance(start, datetime):
            if start.tzinfo is None:
                raise ConfigurationError("the clock needs an aware time", remedy="add a time zone")
            start = start.timestamp()
        self._start = time.time() if start is None else start
        self._passed = 0.0
        self._lock = threading.Lock()
        self._waiting: dict[object, tuple[float, threading.Condition]] = {}
        self._listeners: list[Callable[[], None]] = []

    def monotonic(self) -> float:
        """Return the seconds that have passed on this clock."""
        return self._passed

    def time(self) -> float:
        """Return seconds since the epoch."""
        return self._start + self._passed

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on a condition until it is notified or the clock has advanced by ``timeout``.

        Args:
            condition: Its lock is held by the caller.
            timeout: Seconds; None waits for a notification, however far the clock advances.

        Returns:
            Whether it was notified in time.
        """
        if timeout is None:
            return condition.wait()
        token, due = object(), self._passed + timeout
        if timeout <= 0:
            return False
        with self._lock:
            self._waiting[token] = (due, condition)
        try:
            condition.wait()
        finally:
            with self._lock:
                del self._waiting[token]
        return self._passed < due

    def advance(self, seconds: float) -> None:
        """Advance the time and wake waiting threads.

        Args:
            seconds: Not negative.

        Raises:
            ConfigurationError: The number is negative.
        """
        if seconds < 0:
            raise ConfigurationError(f"time cannot go back by {-seconds:g} s")
        with self._lock:
            self._passed += seconds
            due = {
                id(condition): condition
                for moment, condition in self._waiting.values()
                if moment <= self._passed
            }
        for condition in due.values():
            with condition:
                condition.notify_all()
        for call in list(self._listeners):
            call()

    def next_due(self) -> float | None:
        """Return the seconds until the first timed `wait` ends; None if there is none."""
        with self._lock:
            moments = [moment for moment, _ in self._waiting.values()]
        return max(0.0, min(moments) - self._passed) if moments else None

    def on_advance(self, call: Callable[[], None]) -> None:
        """Register a callback to run after each `advance`."""
        self._listeners.append(call)
