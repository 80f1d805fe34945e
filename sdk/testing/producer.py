"""The producing client of the in-memory broker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sdk.abstractions import OnDelivery
from sdk.errors import ClosedError, SdkError
from sdk.records import ProducerRecord
from sdk.testing.faults import outage

if TYPE_CHECKING:
    from sdk.testing.broker import InMemoryBroker

_CHECK_SECONDS = 0.001


class InMemoryProducer:
    """A `BrokerProducer` of an `InMemoryBroker`."""

    def __init__(self, broker: InMemoryBroker) -> None:
        self._broker = broker
        self._closed = False

    def produce(self, record: ProducerRecord, on_delivery: OnDelivery) -> None:
        """Queue a record and return at once."""
        if self._closed:
            raise ClosedError("the producing client is closed")
        self._broker.accept(record, on_delivery)

    def after_deliveries(self, call: Callable[[], None]) -> None:
        """Register a callback to run after each batch of delivery callbacks."""
        self._broker.listen(call)

    def queued(self) -> int:
        """Return how many records are not acknowledged yet."""
        return self._broker.held()

    def flush(self, timeout: float) -> int:
        """Wait until the queue is empty, ``timeout`` seconds at most; return what is left."""
        deadline = time.monotonic() + timeout
        while (left := self._broker.held()) and time.monotonic() < deadline:
            time.sleep(_CHECK_SECONDS)
        return left

    def close(self, timeout: float) -> int:
        """Flush, then release the client; return the number of records not delivered."""
        self.flush(timeout)
        self._closed = True
        return self._broker.abandon()

    def connection_error(self) -> SdkError | None:
        """Return why the broker cannot be reached now, or None."""
        return outage() if self._broker.faults.down else None
