"""Delivery: the result of `produce`, to wait for in a thread or to await in an event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import Any

from sdk.errors import DeliveryTimeoutError, SdkError
from sdk.happenings import DeliveryFailed, RecordDelivered, RecordsDelivered
from sdk.observers import Observers
from sdk.records import DeliveryReport, ProducerRecord

logger = logging.getLogger(__name__)

_FAILURES_KEPT = 10_000

_Locks = tuple[threading.Lock, "_Locks | None"]
"""The wait of a thread, linked to those of earlier threads."""

_Futures = tuple["asyncio.Future[DeliveryReport]", "_Futures | None"]
"""The wait of a task, linked to those of earlier tasks."""


class Delivery:
    """A record on its way to Kafka; `result` waits for the acknowledgement, and so does `await`.

    A timeout or a cancelled task does not cancel the record. In a
    transaction, an acknowledged record is not yet committed; if the transaction is aborted, its
    deliveries raise that from then on.

    Attributes:
        event: The event; None for a tombstone and for a raw record.
        record: What is sent. Where an event loop runs and the event's schema id is still being
            looked up, only its topic is known.
    """

    __slots__ = ("_locks", "_outcome", "_started", "_tracker", "event", "record")

    def __init__(self, event: Any, record: ProducerRecord, tracker: DeliveryTracker) -> None:
        self.event = event
        self.record = record
        self._tracker = tracker
        self._outcome: DeliveryReport | SdkError | None = None
        self._locks: _Locks | None = None
        if tracker.observed:
            self._started = time.monotonic()

    @property
    def topic(self) -> str:
        """Topic that the record goes to."""
        return self.record.topic

    @property
    def partition(self) -> int | None:
        """Partition of the record; None until acknowledged."""
        outcome = self._final
        return outcome.partition if isinstance(outcome, DeliveryReport) else None

    @property
    def offset(self) -> int | None:
        """Offset of the record; None until acknowledged."""
        outcome = self._final
        return outcome.offset if isinstance(outcome, DeliveryReport) else None

    @property
    def timestamp(self) -> int | None:
        """Timestamp in milliseconds since the epoch; None until acknowledged."""
        outcome = self._final
        return outcome.timestamp if isinstance(outcome, DeliveryReport) else None

    @property
    def error(self) -> SdkError | None:
        """The error with which the delivery failed, or None."""
        outcome = self._final
        return outcome if isinstance(outcome, SdkError) else None

    def done(self) -> bool:
        """Whether the record was acknowledged or its delivery has failed."""
        return self._outcome is not None

    def result(self, timeout: float | None = None) -> DeliveryReport:
        """Wait for the acknowledgement, blocking this thread.

        Args:
            timeout: Seconds; None waits until the record is acknowledged or has failed, which
                the client's delivery time-out bounds.

        Returns:
            The position of the record.

        Raises:
            DeliveryTimeoutError: No answer within ``timeout``; the record is still on its way.
            SdkError: The record failed for good, for the reason that the class names.
        """
        if self._outcome is None:
            settled = threading.Lock()
            settled.acquire()
            with self._tracker.lock:
                self._locks = settled, self._locks
            patience = -1 if timeout is None else timeout
            if self._outcome is None and not settled.acquire(timeout=patience):
                raise self._tracker.overdue(self.record, patience)
        return self._settled()

    def __await__(self) -> Generator[Any, None, DeliveryReport]:
        # The iterator of a future instead of a generator's: one object less for each task to wait.
        loop = asyncio.get_running_loop()
        waker = self._tracker.wakers.get(loop) or self._tracker.waker(loop)
        future = loop.create_future()
        waker.waiting[self] = future, waker.waiting.get(self)
        if self._outcome is not None:
            waker.complete((self,))
        return future.__await__()

    def __call__(self, report: DeliveryReport | None, error: SdkError | None) -> None:
        """Set the outcome, once, in the thread that polls acknowledgements; wake waiters.

        A delivery is itself the `OnDelivery` of its record: of the objects that live as long as a
        record is under way, the garbage collector sees one less.
        """
        # The outcome is set before looking for waiters, and a waiter is added before it reads the
        # outcome again: one of the two sides always sees the other, without a lock.
        tracker = self._tracker
        self._outcome = report if error is None else tracker.overruled or error
        if tracker.observed or tracker.wakers:
            tracker.settled.append(self)
        locks = self._locks
        if error is not None:
            tracker.failed(self, watched=locks is not None or tracker.awaited(self))
            if tracker.observed:
                tracker.observers.notify(DeliveryFailed(self.record, error))
        while locks is not None:
            lock, locks = locks
            if lock.locked():
                lock.release()

    def __repr__(self) -> str:
        state = "under way" if self._outcome is None else self._final
        return f"<Delivery to {self.record.topic}: {state}>"

    @property
    def _final(self) -> DeliveryReport | SdkError | None:
        """The outcome so far; the failure of a transaction overrides acknowledgements."""
        outcome = self._outcome
        if isinstance(outcome, DeliveryReport):
            return self._tracker.overruled or outcome
        return outcome

    def _settled(self) -> DeliveryReport:
        """Return the outcome, or raise it."""
        outcome = self._outcome if self._tracker.overruled is None else self._final
        if type(outcome) is DeliveryReport:
            return outcome
        assert isinstance(outcome, SdkError)
        self._tracker.seen(self)
        raise outcome.with_traceback(None)


class DeliveryTracker:
    """The shared state of a producer's deliveries: unseen failures, and event loops to wake.

    Args:
        connection_error: Returns why the client cannot reach Kafka now, such as rejected
            credentials; None if unknown.
        observers: Notified of deliveries.

    Attributes:
        lock: Guards what all deliveries share, and the threads that wait for each.
        observed: Whether deliveries are timed, for the observers.
        wakers: Those of the event loops in which a delivery was awaited.
        settled: Deliveries not yet reported to wakers and observers; empty without them.
        connection_error: The argument.
        overruled: Why no acknowledgement counts: the transaction was aborted. None if it was not.
    """

    def __init__(
        self, connection_error: Callable[[], SdkError | None], observers: Observers | None = None
    ) -> None:
        self.observed = bool(observers)
        self.observers = observers or Observers()
        self.lock = threading.Lock()
        self.wakers: dict[asyncio.AbstractEventLoop, _Waker] = {}
        self.settled: list[Delivery] = []
        self.overruled: SdkError | None = None
        self.connection_error = connection_error
        self._failures: dict[int, Delivery] = {}

    def waker(self, loop: asyncio.AbstractEventLoop) -> _Waker:
        """Return the waker of an event loop, creating it if needed."""
        with self.lock:
            for closed in [known for known in self.wakers if known.is_closed()]:
                del self.wakers[closed]
            return self.wakers.setdefault(loop, _Waker(loop))

    def wake(self) -> None:
        """Wake the tasks that wait for settled deliveries, and notify observers of these."""
        if not self.settled:
            return
        with self.lock:
            settled = self.settled.copy()
            del self.settled[: len(settled)]
        for waker in tuple(self.wakers.values()):
            waker.wake(settled)
        if self.observed:
            self._observe(settled)

    def awaited(self, delivery: Delivery) -> bool:
        """Whether a task awaits a delivery."""
        return any(delivery in waker.waiting for waker in tuple(self.wakers.values()))

    def _observe(self, settled: list[Delivery]) -> None:
        """Notify observers of what was acknowledged: meters by topic, others of each record."""
        now = time.monotonic()
        topics: dict[str, tuple[list[int], list[float]]] = {}
        topic = None
        for delivery in settled:
            report, record = delivery._outcome, delivery.record
            if type(report) is not DeliveryReport:
                continue
            if record[0] != topic:
                topic = record[0]
                sizes, times = topics.setdefault(topic, ([], []))
            sizes.append(len(record[1] or b""))
            times.append(now - delivery._started)
            if self.observers.each:
                self.observers.notify(RecordDelivered(record, report, times[-1]))
        if self.observers.meters:
            for topic, (sizes, times) in topics.items():
                self.observers.notify(RecordsDelivered(topic, sum(sizes), times))

    def overdue(self, record: ProducerRecord, timeout: float) -> SdkError:
        """Return the error of a wait that timed out."""
        return self.connection_error() or DeliveryTimeoutError(
            f"no acknowledgement within {timeout:g} s; the record is still on its way",
            topic=record.topic,
            remedy="wait longer, or look at the broker",
        )

    def failed(self, delivery: Delivery, *, watched: bool) -> None:
        """Keep a failed delivery until its error is raised, and log it if it is not waited for."""
        with self.lock:
            self._failures[id(delivery)] = delivery
            if len(self._failures) > _FAILURES_KEPT:
                del self._failures[next(iter(self._failures))]
        if not watched:
            logger.error(
                "not delivered: %s: %s",
                describe(delivery),
                delivery.error,
                extra={"topic": delivery.topic},
            )

    def seen(self, delivery: Delivery) -> None:
        """Forget a failed delivery whose error has been raised."""
        with self.lock:
            self._failures.pop(id(delivery), None)

    def take_failures(self) -> tuple[Delivery, ...]:
        """Return and forget the failed deliveries whose errors were not raised."""
        with self.lock:
            failures = tuple(self._failures.values())
            self._failures.clear()
        return failures


def describe(delivery: Delivery) -> str:
    """Return one line with the event and key of a delivery; never the event's fields."""
    record = delivery.record
    if delivery.event is not None:
        name: str = type(delivery.event).__event__.full_name
    else:
        name = "tombstone" if record.value is None else "record"
    if record.key is None:  # it has none, or was not encoded
        return name
    return f"{name} with key {record.key.decode(errors='replace')!r}"


class _Waker:
    """Wakes tasks of an event loop from other threads, many with one call.

    Attributes:
        waiting: Deliveries that tasks wait for; changed only in the loop, and so without a lock.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.waiting: dict[Delivery, _Futures] = {}

    def wake(self, settled: list[Delivery]) -> None:
        """Schedule the completion of waits for these deliveries; called from any thread."""
        if self.waiting and not self._loop.is_closed():
            with suppress(RuntimeError):  # it was closed meanwhile, with all its waits
                self._loop.call_soon_threadsafe(self.complete, settled)

    def complete(self, settled: Iterable[Delivery]) -> None:
        """Complete the waits for these deliveries."""
        waiting = self.waiting
        for delivery in settled:
            futures = waiting.pop(delivery, None)
            while futures is not None:
                future, futures = futures
                if future.done():  # its task was cancelled
                    continue
                try:
                    future.set_result(delivery._settled())
                except SdkError as error:
                    future.set_exception(error)
