"""The producer: event → record → `Delivery`."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from asyncio import _get_running_loop  # what `get_running_loop` raises on costs more
from collections.abc import Callable
from contextvars import copy_context
from datetime import datetime
from functools import partial
from typing import Any

from sdk.abstractions import BrokerProducer, OnDelivery
from sdk.checks import HeaderInput, check_record
from sdk.closing import ClosingDeliveries
from sdk.errors import ClosedError, QueueFullError, SdkError, UndeliveredError
from sdk.events import Event
from sdk.happenings import DeliveryFailed, QueueWaited, RecordDelivered, RecordQueued
from sdk.observers import Observers
from sdk.publishing.delivery import Delivery, DeliveryTracker, describe
from sdk.publishing.encoder import FROM_EVENT, Encoder
from sdk.publishing.overflow import QUEUE_RETRY, Overflow, stayed_full
from sdk.records import DeliveryReport, ProducerRecord

logger = logging.getLogger(__name__)

_Kind = type[Any] | tuple[type[Any], type[Any], str | None]
"""(event class, type of the given key, given topic), or the class alone where nothing is given."""


class Producer(ClosingDeliveries):
    """Publishes events; one instance serves all threads and event loops of a process.

    Closing it, by `close` or as a context manager, waits for what is still under way.

    Args:
        broker: The long-lived client; the producer takes ownership and closes it.
        encoder: Makes records of events.
        observers: Called with what happens.
        queue_full_timeout: How long a record waits for room in a full queue, seconds.
        close_timeout: How long closing waits for acknowledgements, seconds.

    Attributes:
        record: `Encoder.record`: (event, and what `produce` takes) → its record; sends nothing.
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
        self.record = encoder.record
        self._broker = broker
        self._encoder = encoder
        self._observers = observers or None
        self._close_timeout = close_timeout
        self._queue_full_timeout = queue_full_timeout
        self._tracker = DeliveryTracker(broker.connection_error)
        broker.after_deliveries(self._tracker.wake)
        self._overflow = Overflow(broker, self._tracker.wake, queue_full_timeout, self._observers)
        self._ready: set[_Kind] = set()
        self._unusable: str | None = None
        self._closing = threading.Lock()
        atexit.register(self._close_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_forked, weakref.ref(self)))

    def produce(
        self,
        event: Event,
        *,
        key: object = FROM_EVENT,
        headers: HeaderInput = (),
        topic: str | None = None,
        partition: int | None = None,
        timestamp: int | datetime | None = None,
    ) -> Delivery:
        """Queue an event and return at once.

        A full queue is waited for, up to the setting ``producer.queue_full_timeout_ms``: here, or
        in the `await` of the delivery where an event loop runs in this thread. There, an event
        whose schema id has to be looked up is also serialized in the background, and what is
        wrong with it is raised by the `await`.

        Args:
            event: Instance of a generated event class.
            key: str, int, UUID or bytes; None for none. By default the event's key field.
            headers: Further headers; order and repeats are kept, and None is a null value. One
                with the name of a standard header replaces it.
            topic: Destination, instead of the one that settings route the event to.
            partition: Partition, instead of the one that the key chooses.
            timestamp: Milliseconds since the epoch or an aware datetime; None means now.

        Returns:
            The delivery, to be waited on or awaited.

        Raises:
            SerializationError: The event or its key does not fit its schema, or no client could
                send the record; nothing was sent.
            RoutingError: The event has no topic.
            RegistryError: The schema id is unavailable.
            QueueFullError: The queue stayed full.
            MessageTooLargeError: The record is larger than the client sends.
            ClosedError: The producer was closed, or belongs to the parent process.
        """
        if self._unusable is not None:
            raise ClosedError(self._unusable, remedy="open a connection of its own")
        if _get_running_loop() is not None:
            plain = key is FROM_EVENT and topic is None
            kind = type(event) if plain else (type(event), type(key), topic)
            if kind not in self._ready and not self._becomes_ready(kind, event, key, topic):
                return self._encode_later(
                    event,
                    self._encoder.topic_of(type(event), topic),
                    partial(
                        self.record,
                        event,
                        key=key,
                        headers=headers,
                        topic=topic,
                        partition=partition,
                        timestamp=timestamp,
                    ),
                )
        record = self.record(
            event, key=key, headers=headers, topic=topic, partition=partition, timestamp=timestamp
        )
        return self._send(event, record)

    def produce_tombstone(
        self,
        event_class: type[Event],
        key: object,
        *,
        headers: HeaderInput = (),
        topic: str | None = None,
        partition: int | None = None,
        timestamp: int | datetime | None = None,
    ) -> Delivery:
        """Queue a null value for ``key``: compaction removes what the topic has under it.

        Args:
            event_class: Class whose topic is meant.
            key: As in `produce`, but not None.
            headers: As in `produce`.
            topic: As in `produce`.
            partition: As in `produce`.
            timestamp: As in `produce`.

        Returns:
            The delivery, to be waited on or awaited.

        Raises:
            SerializationError: The key is None, or of no supported type.
            SdkError: As in `produce`.
        """
        if self._unusable is not None:
            raise ClosedError(self._unusable, remedy="open a connection of its own")
        encode = partial(
            self._encoder.tombstone,
            event_class,
            key,
            headers=headers,
            topic=topic,
            partition=partition,
            timestamp=timestamp,
        )
        if _get_running_loop() is not None:
            topic = self._encoder.topic_of(event_class, topic)
            if not self._encoder.ready(None, key, topic):
                return self._encode_later(None, topic, encode)
        return self._send(None, encode())

    def send(self, record: ProducerRecord) -> Delivery:
        """Queue a record as it stands: no serializer, standard header or interceptor touches it.

        Args:
            record: Such as one made by `record`, stored meanwhile, or forwarded from a consumer.

        Returns:
            The delivery, to be waited on or awaited.

        Raises:
            SerializationError: No client could send the record; nothing was sent.
            QueueFullError: As in `produce`.
            MessageTooLargeError: As in `produce`.
            ClosedError: As in `produce`.
        """
        if self._unusable is not None:
            raise ClosedError(self._unusable, remedy="open a connection of its own")
        check_record(record)
        return self._send(None, record)

    def flush(self, timeout: float | None = None) -> int:
        """Wait until everything queued so far was acknowledged or has failed.

        Args:
            timeout: Seconds; the setting ``producer.close_timeout_ms`` by default.

        Returns:
            The number of records still under way.

        Raises:
            ClosedError: As in `produce`.
        """
        if self._unusable is not None:
            raise ClosedError(self._unusable, remedy="open a connection of its own")
        deadline = time.monotonic() + (self._close_timeout if timeout is None else timeout)
        left = self._overflow.wait_until_empty(deadline)
        return left + self._broker.flush(max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float | None = None) -> None:
        """Wait for what is under way, then release the client; again does nothing.

        Args:
            timeout: Seconds; the setting ``producer.close_timeout_ms`` by default.

        Raises:
            UndeliveredError: Records failed, now or earlier, and nobody has seen their errors;
                each has been logged, and this error lists them.
        """
        with self._closing:
            if self._unusable is not None:
                return
            self._unusable = "the producer is closed"
        atexit.unregister(self._close_at_exit)
        deadline = time.monotonic() + (self._close_timeout if timeout is None else timeout)
        try:
            self._overflow.wait_until_empty(deadline)
        finally:
            self._overflow.give_up(
                ClosedError("the producer was closed before the record was sent")
            )
            self._broker.close(max(0.0, deadline - time.monotonic()))
        failures = self._tracker.take_failures()
        if failures:
            raise UndeliveredError(
                f"{len(failures)} record(s) were not delivered, the first of them "
                f"{describe(failures[0])}: {failures[0].error}",
                failures=failures,
            )

    def _send(self, event: Any, record: ProducerRecord) -> Delivery:
        delivery = Delivery(event, record, self._tracker)
        settle: OnDelivery = delivery
        if self._observers is not None:
            self._observers.notify(RecordQueued(record))
            settle = partial(_settle_observed, self._observers, delivery, time.monotonic())
        if self._overflow.waiting and record.topic in self._overflow.waiting:
            # Nothing overtakes what already waits to be sent to this topic.
            self._overflow.add(delivery, settle)
            return delivery
        try:
            self._broker.produce(record, settle)
        except QueueFullError:
            if _get_running_loop() is not None:
                self._overflow.add(delivery, settle)
            else:
                self._wait_for_room(record, settle)
        return delivery

    def _wait_for_room(self, record: ProducerRecord, settle: OnDelivery) -> None:
        started = time.monotonic()
        while True:
            time.sleep(QUEUE_RETRY)
            try:
                self._broker.produce(record, settle)
                break
            except QueueFullError as error:
                if self._unusable is not None:
                    raise ClosedError(self._unusable) from error
                if time.monotonic() - started >= self._queue_full_timeout:
                    raise stayed_full(record, self._queue_full_timeout) from error
        if self._observers is not None:
            self._observers.notify(QueueWaited(record.topic, time.monotonic() - started))

    def _becomes_ready(self, kind: _Kind, event: Event, key: object, topic: str | None) -> bool:
        """Whether an event can be serialized without a request; if so, its kind is remembered."""
        ready = self._encoder.ready(event, key, self._encoder.topic_of(type(event), topic))
        if ready:
            self._ready.add(kind)
        return ready

    def _encode_later(
        self, event: Any, topic: str, encode: Callable[[], ProducerRecord]
    ) -> Delivery:
        """Make a record in the background, in this context, and send it then."""
        delivery = Delivery(event, ProducerRecord(topic, None), self._tracker)
        encode = partial(copy_context().run, encode)
        settle: OnDelivery = delivery
        if self._observers is not None:
            encode = partial(_encode_observed, self._observers, encode)
            settle = partial(_settle_observed, self._observers, delivery, time.monotonic())
        self._overflow.add(delivery, settle, encode)
        return delivery

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except UndeliveredError as undelivered:
            logger.error("at exit: %s", undelivered)

    def _abandon(self) -> None:
        if self._unusable is None:
            self._unusable = "the producer belongs to the parent process"
        atexit.unregister(self._close_at_exit)


def _encode_observed(observers: Observers, encode: Callable[[], ProducerRecord]) -> ProducerRecord:
    record = encode()
    observers.notify(RecordQueued(record))
    return record


def _settle_observed(
    observers: Observers,
    delivery: Delivery,
    started: float,
    report: DeliveryReport | None,
    error: SdkError | None,
) -> None:
    delivery(report, error)
    if report is not None:
        seconds = time.monotonic() - started
        observers.notify(RecordDelivered(delivery.record, report, seconds))
    elif error is not None:
        observers.notify(DeliveryFailed(delivery.record, error))


def _forked(producer: weakref.ref[Producer]) -> None:
    # The client's threads do not exist in a forked child: nothing of it may be touched there, and
    # the interpreter must not wait for acknowledgements when the child ends.
    abandoned = producer()
    if abandoned is not None:
        abandoned._abandon()
