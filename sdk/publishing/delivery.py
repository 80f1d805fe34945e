"""Delivery: what `produce` hands back, to be waited on by a thread or awaited by an event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from sdk.errors import DeliveryTimeoutError, SdkError
from sdk.records import DeliveryReport, ProducerRecord

logger = logging.getLogger(__name__)

_FAILURES_KEPT = 10_000

_Waiter = tuple[Callable[[Any], None], Any]
"""How somebody who waits is woken: a function, and what it is called with."""


class Delivery:
    """A record on its way to Kafka; `result` waits for the acknowledgement, and so does `await`.

    Giving up waiting, by a time-out or by cancelling the task, does not call the record back.

    Attributes:
        event: The event, or None for a tombstone.
        record: What is sent.
    """

    __slots__ = ("_office", "_outcome", "_waiters", "event", "record")

    def __init__(self, event: Any, record: ProducerRecord, office: DeliveryOffice) -> None:
        self.event = event
        self.record = record
        self._office = office
        self._outcome: DeliveryReport | SdkError | None = None
        self._waiters: list[_Waiter] | None = None

    @property
    def topic(self) -> str:
        """Topic that the record goes to."""
        return self.record.topic

    @property
    def partition(self) -> int | None:
        """Partition in which the record stands; None until acknowledged."""
        outcome = self._outcome
        return outcome.partition if isinstance(outcome, DeliveryReport) else None

    @property
    def offset(self) -> int | None:
        """Offset at which the record stands; None until acknowledged."""
        outcome = self._outcome
        return outcome.offset if isinstance(outcome, DeliveryReport) else None

    @property
    def timestamp(self) -> int | None:
        """Timestamp in milliseconds since the epoch; None until acknowledged."""
        outcome = self._outcome
        return outcome.timestamp if isinstance(outcome, DeliveryReport) else None

    @property
    def error(self) -> SdkError | None:
        """Why the record failed for good, or None."""
        return self._outcome if isinstance(self._outcome, SdkError) else None

    def done(self) -> bool:
        """Whether the record was acknowledged or has failed for good."""
        return self._outcome is not None

    def result(self, timeout: float | None = None) -> DeliveryReport:
        """Wait for the acknowledgement, blocking this thread.

        Args:
            timeout: Seconds; None waits until the record is acknowledged or has failed, which
                the client's delivery time-out bounds.

        Returns:
            Where the record stands.

        Raises:
            DeliveryTimeoutError: No answer within ``timeout``; the record is still on its way.
            SdkError: The record failed for good, for the reason that the class tells.
        """
        if self._outcome is None:
            gate = threading.Lock()
            gate.acquire()
            self._add((_open, gate))
            patience = -1 if timeout is None else timeout
            if self._outcome is None and not gate.acquire(timeout=patience):
                raise self._office.overdue(self.record, patience)
        return self._settled()

    def __await__(self) -> Generator[Any, None, DeliveryReport]:
        if self._outcome is None:
            loop = asyncio.get_running_loop()
            alarm = self._office.alarms.get(loop) or self._office.alarm(loop)
            future = loop.create_future()
            self._add((alarm.set, future))
            if self._outcome is None:
                yield from future
        return self._settled()

    def __call__(self, report: DeliveryReport | None, error: SdkError | None) -> None:
        """Take the outcome, once, from the client's own thread, and wake whoever waits.

        A delivery is itself the `OnDelivery` of its record: of the objects that live as long as a
        record is under way, the garbage collector sees one less.
        """
        # The outcome is set before the waiters are read, and a waiter is added before the outcome
        # is read again: one of the two sides always sees the other, without a lock.
        self._outcome = report if error is None else error
        waiters = self._waiters
        if error is not None:
            self._office.failed(self, watched=waiters is not None)
        if waiters is not None:
            for wake, whom in waiters:
                wake(whom)

    def __repr__(self) -> str:
        state = "under way" if self._outcome is None else self._outcome
        return f"<Delivery to {self.record.topic}: {state}>"

    def _add(self, waiter: _Waiter) -> None:
        with self._office.lock:
            if self._waiters is None:
                self._waiters = [waiter]
            else:
                self._waiters.append(waiter)

    def _settled(self) -> DeliveryReport:
        outcome = self._outcome
        if type(outcome) is DeliveryReport:
            return outcome
        assert isinstance(outcome, SdkError)
        self._office.seen(self)
        raise outcome.with_traceback(None)


class DeliveryOffice:
    """What the deliveries of one producer share: failures nobody looked at, and loops to wake.

    Args:
        trouble: Tells what keeps the client from delivering anything just now, such as refused
            credentials; None when nothing is known.
    """

    def __init__(self, trouble: Callable[[], SdkError | None]) -> None:
        self.lock = threading.Lock()
        self._trouble = trouble
        self.alarms: dict[asyncio.AbstractEventLoop, _Alarm] = {}
        self._failures: dict[int, Delivery] = {}

    def alarm(self, loop: asyncio.AbstractEventLoop) -> _Alarm:
        """Return the alarm of an event loop, new if need be."""
        with self.lock:
            for known in [known for known in self.alarms if known.is_closed()]:
                del self.alarms[known]
            return self.alarms.setdefault(loop, _Alarm(loop))

    def ring(self) -> None:
        """Wake the event loops in which somebody waits for what was settled by now."""
        for alarm in tuple(self.alarms.values()):
            alarm.ring()

    def overdue(self, record: ProducerRecord, timeout: float) -> SdkError:
        """Return the error of a wait that ended before the record's fate was known."""
        trouble = self._trouble()
        if trouble is not None:
            return trouble
        return DeliveryTimeoutError(
            f"no acknowledgement within {timeout:g} s; the record is still on its way",
            topic=record.topic,
            remedy="wait longer, or look at the broker",
        )

    def failed(self, delivery: Delivery, *, watched: bool) -> None:
        """Keep a failed delivery until somebody looks at it, and log it if nobody waits."""
        with self.lock:
            self._failures[id(delivery)] = delivery
            if len(self._failures) > _FAILURES_KEPT:
                del self._failures[next(iter(self._failures))]
        if not watched:
            logger.error("not delivered: %s: %s", describe(delivery), delivery.error)

    def seen(self, delivery: Delivery) -> None:
        """Forget a failed delivery: its error has reached the caller."""
        with self.lock:
            self._failures.pop(id(delivery), None)

    def take_failures(self) -> tuple[Delivery, ...]:
        """Return the failed deliveries that nobody looked at, and forget them."""
        with self.lock:
            failures = tuple(self._failures.values())
            self._failures.clear()
        return failures


def describe(delivery: Delivery) -> str:
    """Return one line that tells which event a delivery carries; never its fields."""
    name = "tombstone" if delivery.event is None else type(delivery.event).__event__.full_name
    key = delivery.record.key
    return f"{name} with key {'none' if key is None else key.decode(errors='replace')!r}"


class _Alarm:
    """Wakes futures of one event loop from other threads, a batch of them by one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._due: deque[asyncio.Future[None]] = deque()
        self.set = self._due.append

    def ring(self) -> None:
        """Complete in the loop, soon, whatever is due; called from any thread."""
        if self._due and not self.loop.is_closed():
            try:
                self.loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # it was closed meanwhile, and nobody waits in it any more
                self._due.clear()

    def _wake(self) -> None:
        due = self._due
        while due:
            future = due.popleft()
            if not future.done():
                future.set_result(None)


def _open(gate: threading.Lock) -> None:
    if gate.locked():
        gate.release()
