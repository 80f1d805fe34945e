"""Records that met a full queue where nobody may be made to wait."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

from attrs import frozen

from sdk.abstractions import BrokerProducer, OnDelivery
from sdk.errors import QueueFullError, SdkError
from sdk.records import ProducerRecord

QUEUE_RETRY = 0.005
"""Seconds between two looks at a full queue, which thousands of records leave meanwhile."""


@frozen
class _Waiting:
    record: ProducerRecord
    settle: OnDelivery
    deadline: float
    timeout: float


class Backlog:
    """Records that met a full queue in a thread whose event loop must not be blocked.

    They are queued in order as room appears, by timers of the loop, or by whoever closes.
    """

    def __init__(self, broker: BrokerProducer, ring: Callable[[], None]) -> None:
        self._broker = broker
        self._ring = ring
        # Reentrant: queueing a record may take acknowledgements, and whoever hears of one may
        # produce again.
        self._lock = threading.RLock()
        self._timers: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self.waiting: deque[_Waiting] = deque()

    def add(self, record: ProducerRecord, settle: OnDelivery, timeout: float) -> None:
        """Have a record queued when there is room, or failed after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self.waiting.append(_Waiting(record, settle, deadline, timeout))
        loop = asyncio.get_running_loop()
        if loop not in self._timers:
            self._timers.add(loop)
            loop.call_later(QUEUE_RETRY, self._retry, loop)

    def drain_until(self, deadline: float) -> int:
        """Queue what waits, blocking this thread until ``deadline``; return what is left."""
        while not self._drain() and time.monotonic() < deadline:
            time.sleep(QUEUE_RETRY)
        return len(self.waiting)

    def give_up(self) -> None:
        """Fail whatever still waits."""
        while self.waiting:
            waiting = self.waiting.popleft()
            waiting.settle(None, stayed_full(waiting.record, waiting.timeout))
        self._ring()

    def _retry(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._drain():
            self._timers.discard(loop)
        else:
            loop.call_later(QUEUE_RETRY, self._retry, loop)

    def _drain(self) -> bool:
        with self._lock:
            while self.waiting:
                first = self.waiting[0]
                try:
                    self._broker.produce(first.record, first.settle)
                except QueueFullError:
                    if time.monotonic() < first.deadline:
                        return False
                    first.settle(None, stayed_full(first.record, first.timeout))
                    self._ring()
                except SdkError as error:
                    first.settle(None, error)
                    self._ring()
                self.waiting.popleft()
        return True


def stayed_full(record: ProducerRecord, timeout: float) -> QueueFullError:
    """Return the error of a record that found no room within ``timeout`` seconds."""
    return QueueFullError(
        f"the local queue stayed full for {timeout:g} s",
        topic=record.topic,
        remedy="produce more slowly, or raise producer.queue_full_timeout_ms",
    )


def event_loop_runs() -> bool:
    """Whether an event loop runs in this thread, which then must not be blocked."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
