"""`VirtualClock`: time that passes when a test says so."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from sdk.errors import ConfigurationError
from sdk.testing import VirtualClock

PATIENCE = 60.0


class Sleeper:
    """A thread that waits on a condition once."""

    def __init__(self, clock: VirtualClock, timeout: float | None) -> None:
        self.condition = threading.Condition()
        self.notified: bool | None = None
        self._waits = threading.Event()
        self._thread = threading.Thread(target=self._sleep, args=(clock, timeout), daemon=True)
        self._thread.start()
        assert self._waits.wait(PATIENCE)

    def _sleep(self, clock: VirtualClock, timeout: float | None) -> None:
        with self.condition:
            self._waits.set()
            self.notified = clock.wait(self.condition, timeout)

    def notify(self) -> None:
        """Notify the condition, once the thread waits on it."""
        with self.condition:
            self.condition.notify_all()

    def result(self) -> bool | None:
        """Return what `wait` returned."""
        self._thread.join(PATIENCE)
        return self.notified

    @property
    def asleep(self) -> bool:
        """Whether it still waits, for those who know that nothing will happen."""
        with self.condition:  # it holds the lock whenever it does not wait
            return self.notified is None


def test_time_stands_still_until_it_is_advanced() -> None:
    """Both readings move by what `advance` is given, and by nothing else."""
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert (clock.monotonic(), clock.time()) == (0.0, 1_767_225_600.0)
    clock.advance(0.25)
    clock.advance(60)
    assert (clock.monotonic(), clock.time()) == (60.25, 1_767_225_660.25)


def test_wait_ends_when_its_time_has_come_and_not_before() -> None:
    """A timed wait outlasts an advance that is too short, and ends with the one that suffices."""
    clock = VirtualClock()
    sleeper = Sleeper(clock, 10)
    assert sleeper.asleep
    assert clock.next_due() == 10
    clock.advance(9.5)
    assert sleeper.asleep
    assert clock.next_due() == 0.5
    clock.advance(0.5)
    assert sleeper.result() is False
    assert clock.next_due() is None


def test_notification_ends_a_wait_early() -> None:
    """A notified wait says so, and is no longer among what is due."""
    clock = VirtualClock()
    sleeper = Sleeper(clock, 10)
    assert sleeper.asleep
    sleeper.notify()
    assert sleeper.result() is True
    assert clock.next_due() is None


def test_wait_without_limit_is_not_ended_by_time() -> None:
    """Only a notification ends a wait without a limit."""
    clock = VirtualClock()
    sleeper = Sleeper(clock, None)
    clock.advance(1e9)
    assert sleeper.asleep
    sleeper.notify()
    assert sleeper.result() is True


def test_wait_for_no_time_does_not_wait() -> None:
    """A limit of zero or less has passed already."""
    condition = threading.Condition()
    with condition:
        assert VirtualClock().wait(condition, 0) is False
        assert VirtualClock().wait(condition, -1) is False


def test_listeners_hear_of_each_advance() -> None:
    """A callback runs after the time has changed."""
    clock = VirtualClock()
    seen: list[float] = []
    clock.on_advance(lambda: seen.append(clock.monotonic()))
    clock.advance(1)
    clock.advance(2)
    assert seen == [1, 3]


def test_time_cannot_go_back() -> None:
    """A negative advance and a naive start are refused."""
    with pytest.raises(ConfigurationError, match="cannot go back by 1 s"):
        VirtualClock().advance(-1)
    with pytest.raises(ConfigurationError, match="aware"):
        VirtualClock(datetime(2026, 1, 1))
