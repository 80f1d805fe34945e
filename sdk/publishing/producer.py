"""The producer: publishes with one long-lived client."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from contextlib import ExitStack
from functools import partial

from sdk.abstractions import BrokerProducer
from sdk.closing import ClosingDeliveries
from sdk.errors import ClosedError, SdkError, UndeliveredError
from sdk.observers import Observers
from sdk.publishing.delivery import DeliveryTracker, describe
from sdk.publishing.encoder import Encoder
from sdk.publishing.publisher import Publisher

logger = logging.getLogger(__name__)


class Producer(Publisher, ClosingDeliveries):
    """Publishes events; one instance serves all threads and event loops of a process.

    Closing it, with `close` or as a context manager, waits for outstanding deliveries.

    Args:
        broker: The long-lived client; the producer takes ownership and closes it.
        encoder: Makes records of events.
        observers: Notified of happenings.
        queue_full_timeout: How long a record waits for room in a full queue, seconds.
        close_timeout: How long closing waits for acknowledgements, seconds.
    """

    def __init__(
        self,
        broker: BrokerProducer,
        encoder: Encoder,
        *,
        observers: Observers | None = None,
        queue_full_timeout: float = 10.0,
        close_timeout: float = 30.0,
    ) -> None:
        self.observers = observers or Observers()
        tracker = DeliveryTracker(broker.connection_error, observers)
        super().__init__(encoder, broker.produce, tracker, observers, queue_full_timeout)
        self._broker = broker
        self._close_timeout = close_timeout
        broker.after_deliveries(tracker.wake)
        self._closing = threading.Lock()
        self._released = threading.Event()
        atexit.register(self._close_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_forked, weakref.ref(self)))

    def queued(self) -> int:
        """Return how many records are not acknowledged yet."""
        return self._overflow.count() + self._broker.queued()

    def connection_error(self) -> SdkError | None:
        """Return why the client cannot reach Kafka now, if known."""
        return self._broker.connection_error()

    def flush(self, timeout: float | None = None) -> int:
        """Wait until everything queued so far was acknowledged or has failed.

        Args:
            timeout: Seconds; the setting ``producer.close_timeout_ms`` by default.

        Returns:
            The number of unacknowledged records.

        Raises:
            ClosedError: As in `produce`.
        """
        if self._unusable is not None:
            raise self._refused()
        deadline = time.monotonic() + (self._close_timeout if timeout is None else timeout)
        left = self._overflow.wait_until_empty(deadline)
        return left + self._broker.flush(max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float | None = None) -> None:
        """Wait for outstanding deliveries, then release the client; a second call does nothing.

        Args:
            timeout: Seconds; the setting ``producer.close_timeout_ms`` by default.

        Raises:
            UndeliveredError: Deliveries have failed that were not waited for; each has been logged,
                and this error lists them.
        """
        with self._closing:
            if self._unusable is not None:
                return
            self._unusable = "the producer is closed"
        deadline = time.monotonic() + (self._close_timeout if timeout is None else timeout)
        with ExitStack() as stack:
            stack.callback(self._released.set)
            stack.callback(atexit.unregister, self._close_at_exit)
            stack.callback(lambda: self._broker.close(max(0.0, deadline - time.monotonic())))
            stack.callback(
                self._overflow.give_up,
                ClosedError("the producer was closed before the record was sent"),
            )
            self._overflow.wait_until_empty(deadline)
        failures = self._tracker.take_failures()
        if failures:
            raise UndeliveredError(
                f"{len(failures)} record(s) were not delivered, the first of them "
                f"{describe(failures[0])}: {failures[0].error}",
                failures=failures,
            )

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except UndeliveredError as undelivered:
            logger.error("at exit: %s", undelivered)
        self._released.wait(self._close_timeout)  # another thread may be closing it

    def _abandon(self) -> None:
        if self._unusable is None:
            self._unusable = "the producer belongs to the parent process"
        atexit.unregister(self._close_at_exit)


def _forked(producer: weakref.ref[Producer]) -> None:
    # The client's threads do not exist in a forked child: the client must not be used there, and
    # the interpreter must not wait for acknowledgements when the child ends.
    abandoned = producer()
    if abandoned is not None:
        abandoned._abandon()
