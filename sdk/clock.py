"""The source of time of the SDK, which tests replace with a clock that they control."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Returns the time, and waits."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for deadlines and delays."""

    def time(self) -> float:
        """Return seconds since the epoch."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on a condition whose lock is held by the caller.

        Args:
            condition: Locked again afterwards, as after `threading.Condition.wait`.
            timeout: Seconds; None waits until the condition is notified.

        Returns:
            Whether it was notified; False once the time has passed.
        """


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on a condition, ``timeout`` seconds at most."""
        return condition.wait(None if timeout is None else min(timeout, threading.TIMEOUT_MAX))
