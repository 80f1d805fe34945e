"""Time as the SDK sees it, so that a test can let it pass as it likes."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time, and waits."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for deadlines and delays."""

    def time(self) -> float:
        """Return seconds since the epoch."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on a condition whose lock is held by the caller.

        Args:
            condition: Left as `threading.Condition.wait` leaves it: locked again.
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
        return condition.wait(timeout)
