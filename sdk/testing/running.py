"""Running a consumer until it is idle."""

from __future__ import annotations

import threading
import time

from sdk.consuming.consumer import Consumer
from sdk.testing.broker import InMemoryBroker
from sdk.testing.clock import VirtualClock

_CHECK_SECONDS = 0.005
_IDLE_CHECKS = 4
"""After this many checks without a change, every thread is waiting for the clock."""
_BUSY_CHECKS = 40
"""While a handler runs, which takes real time: it may wait for the clock, but seldom does."""
_STEP_SECONDS = 1.0
"""Seconds to advance if no wait is registered, such as for the next commit."""


def run_until_idle(
    consumer: Consumer,
    broker: InMemoryBroker,
    group_id: str | None = None,
    timeout: float = 10.0,
) -> None:
    """Run a consumer until its group has handled everything in its topics.

    On a virtual clock, delays take no time: it is advanced to the next due time whenever nothing
    else happens. On the system's clock, delays pass as in production.

    Args:
        consumer: The consumer, with its handlers.
        broker: Its broker.
        group_id: The consumer's group; by default every group that has members must be done.
        timeout: Seconds of real time after which the consumer is stopped in any case.

    Raises:
        SdkError: As `Consumer.run`.
        TimeoutError: The group was not done in time.
    """
    ended = threading.Event()
    idle = threading.Event()

    def watch() -> None:
        deadline = time.monotonic() + timeout
        state, unchanged = broker.state(), 0
        while not ended.wait(_CHECK_SECONDS) and time.monotonic() < deadline:
            if broker.idle(group_id):
                idle.set()
                break
            before, state = state, broker.state()
            unchanged = unchanged + 1 if state == before else 0
            busy = unchanged >= _IDLE_CHECKS and consumer.health().lanes_busy > 0
            if unchanged >= (_BUSY_CHECKS if busy else _IDLE_CHECKS):
                _advance(broker)
                unchanged = 0
        consumer.stop()

    watcher = threading.Thread(target=watch, name="sdk-until-idle", daemon=True)
    watcher.start()
    try:
        consumer.run()
    finally:
        ended.set()
        watcher.join()
    if not idle.is_set():
        whose = "the consumers have" if group_id is None else f"group {group_id} has"
        raise TimeoutError(f"{whose} not handled everything within {timeout:g} s")


def _advance(broker: InMemoryBroker) -> None:
    """Advance a virtual clock to the next due time."""
    clock = broker.clock
    if isinstance(clock, VirtualClock):
        due = [each for each in (clock.next_due(), broker.next_due()) if each is not None]
        clock.advance(min(due, default=_STEP_SECONDS))
