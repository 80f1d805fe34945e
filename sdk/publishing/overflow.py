"""Records of an event loop that cannot be sent yet, because that would block the loop.

Two things take time: room in a full queue, and looking up the schema id of an event that is
published for the first time. A thread simply waits; for an event loop, the overflow does it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from attrs import define

from sdk.abstractions import OnDelivery
from sdk.errors import QueueFullError, SdkError, SerializationError, class_and_message
from sdk.happenings import QueueWaited
from sdk.observers import Observers
from sdk.publishing.delivery import Delivery
from sdk.records import ProducerRecord

QUEUE_RETRY = 0.005
"""Seconds between two attempts at a full queue, which thousands of records leave meanwhile."""


@define(eq=False)
class _Waiting:
    delivery: Delivery
    settle: OnDelivery
    encode: Callable[[], ProducerRecord] | None
    since: float


class Overflow:
    """Deliveries that wait in order by topic; one thread per topic sends them.

    While a topic has some, all that is published to it goes behind them, so that the order within
    a key is kept. Topics do not wait for each other.

    Args:
        enqueue: `BrokerProducer.produce` of the client.
        wake: Wakes the event loops after deliveries have failed here.
        timeout: How long a record waits for room in a full queue, seconds.
        observers: Notified of how long records have waited.

    Attributes:
        waiting: Topic → its deliveries, in order; a topic without any is absent.
    """

    def __init__(
        self,
        enqueue: Callable[[ProducerRecord, OnDelivery], None],
        wake: Callable[[], None],
        timeout: float,
        observers: Observers | None = None,
    ) -> None:
        self._enqueue = enqueue
        self._wake = wake
        self._timeout = timeout
        self._observers = observers
        # Reentrant: sending a record may take acknowledgements, and their observers may produce.
        self._changed = threading.Condition(threading.RLock())
        self.waiting: dict[str, deque[_Waiting]] = {}

    def add(
        self,
        delivery: Delivery,
        settle: OnDelivery,
        encode: Callable[[], ProducerRecord] | None = None,
    ) -> None:
        """Take a delivery: it will be sent, or fail.

        Args:
            delivery: What `Producer.produce` returns.
            settle: What the client calls with the outcome.
            encode: Makes the record, if that takes time; None if the delivery has it.
        """
        topic = delivery.record.topic
        with self._changed:
            queue = self.waiting.get(topic)
            if queue is None:
                queue = deque()
                threading.Thread(
                    target=self._serve,
                    args=(topic, queue),
                    name=f"sdk-overflow {topic}",
                    daemon=True,
                ).start()  # raises an error where there are too many threads
                self.waiting[topic] = queue
            queue.append(_Waiting(delivery, settle, encode, time.monotonic()))

    def count(self) -> int:
        """Return the number of waiting deliveries."""
        return sum(map(len, list(self.waiting.values())))

    def wait_until_empty(self, deadline: float) -> int:
        """Wait, until ``deadline`` in terms of `time.monotonic`; return how many are left."""
        with self._changed:
            left = max(0.0, deadline - time.monotonic())
            self._changed.wait_for(lambda: not self.waiting, left)
            return self.count()

    def give_up(self, error: SdkError) -> None:
        """Fail all waiting deliveries."""
        with self._changed:
            left = [waiting for queue in self.waiting.values() for waiting in queue]
            for queue in self.waiting.values():
                queue.clear()
            self.waiting.clear()
        for waiting in left:
            waiting.settle(None, error)
        self._wake()

    def _serve(self, topic: str, queue: deque[_Waiting]) -> None:
        """Send the deliveries of one topic in order, until there are none."""
        looked_up = 0.0  # when the last lookup ended, before which none of them could be sent
        while True:
            with self._changed:
                if not queue:
                    if self.waiting.get(topic) is queue:
                        del self.waiting[topic]
                    self._changed.notify_all()
                    return
                first = queue[0]
            began = time.monotonic()
            error = self._encode(first)
            if time.monotonic() - began > QUEUE_RETRY:
                looked_up = time.monotonic()
            if error is None:
                error = self._send(first, queue, max(first.since, looked_up))
            if error is not None:
                self._drop(first, queue, error)

    def _encode(self, waiting: _Waiting) -> SdkError | None:
        if waiting.encode is None:
            return None
        try:
            waiting.delivery.record = waiting.encode()
        except Exception as error:  # noqa: BLE001 - raised by the delivery
            return error if isinstance(error, SdkError) else _unexpected(error, waiting)
        waiting.encode = None
        return None

    def _send(self, first: _Waiting, queue: deque[_Waiting], since: float) -> SdkError | None:
        """Send the first delivery, which has waited for room since then, or return an error."""
        waited, topic = False, first.delivery.record.topic
        while True:
            with self._changed:
                if not queue or queue[0] is not first:
                    return None  # given up meanwhile
                try:
                    self._enqueue(first.delivery.record, first.settle)
                    queue.popleft()
                    break
                except QueueFullError:
                    if time.monotonic() - since >= self._timeout:
                        tell_wait(self._observers, topic, since, gave_up=True)
                        return stayed_full(first.delivery.record, self._timeout)
                except SdkError as error:
                    return error
            waited = True
            time.sleep(QUEUE_RETRY)
        if waited:
            tell_wait(self._observers, topic, since)
        return None

    def _drop(self, first: _Waiting, queue: deque[_Waiting], error: SdkError) -> None:
        with self._changed:
            if not queue or queue[0] is not first:
                return
            queue.popleft()
        first.settle(None, error)
        self._wake()


def tell_wait(
    observers: Observers | None, topic: str, since: float, *, gave_up: bool = False
) -> None:
    """Notify observers of a record that has waited for room since a `time.monotonic`."""
    if observers is not None:
        observers.notify(QueueWaited(topic, time.monotonic() - since, gave_up))


def stayed_full(record: ProducerRecord, timeout: float) -> QueueFullError:
    """Return the error of a record for which the queue was full for ``timeout`` seconds."""
    return QueueFullError(
        f"the local queue stayed full for {timeout:g} s",
        topic=record.topic,
        remedy="produce more slowly, or raise producer.queue_full_timeout_ms",
    )


def _unexpected(error: Exception, waiting: _Waiting) -> SdkError:
    failure = SerializationError(
        f"the record cannot be made: {class_and_message(error)}",
        topic=waiting.delivery.record.topic,
    )
    failure.__cause__ = error
    return failure
