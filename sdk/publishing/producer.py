"""The producer: event → record → `Delivery`."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from attrs import field, frozen

from sdk.abstractions import (
    BrokerProducer,
    Interceptor,
    KeySerializer,
    MessageSerializer,
    OnDelivery,
    StandardHeaders,
    TopicResolver,
)
from sdk.closing import ClosingDeliveries
from sdk.errors import ClosedError, QueueFullError, SdkError, SerializationError, UndeliveredError
from sdk.happenings import DeliveryFailed, RecordDelivered
from sdk.observers import Observers
from sdk.publishing.delivery import Delivery, DeliveryOffice, describe
from sdk.publishing.options import HeaderInput, check_place, own_headers
from sdk.publishing.overflow import QUEUE_RETRY, Backlog, event_loop_runs, stayed_full
from sdk.records import DeliveryReport, Header, ProducerRecord

logger = logging.getLogger(__name__)

FROM_EVENT: Final[Any] = type("FromEvent", (), {"__repr__": lambda self: "FROM_EVENT"})()
"""Default of ``key``: the value of the event's key field. None means a record without a key."""


@frozen(kw_only=True)
class ProducerParts:
    """What a producer is made of.

    Attributes:
        broker: The long-lived client.
        serializer: Events → record values.
        keys: Keys → record keys.
        topics: Event classes → topics.
        standard_headers: The headers that every record of an event class carries, or None.
        observers: Who sees what happens.
        interceptors: Called in turn with each record that was made of an event.
        queue_full_timeout: How long a full queue is waited for, seconds.
        close_timeout: How long closing waits for acknowledgements, seconds.
    """

    broker: BrokerProducer
    serializer: MessageSerializer
    keys: KeySerializer
    topics: TopicResolver
    standard_headers: StandardHeaders | None = None
    observers: Observers = field(factory=Observers)
    interceptors: tuple[Interceptor, ...] = ()
    queue_full_timeout: float = 10.0
    close_timeout: float = 30.0


class Producer(ClosingDeliveries):
    """Publishes events; one instance serves all threads and event loops of a process.

    Closing it, by `close` or as a context manager, waits for what is still under way.

    Args:
        parts: The collaborators.
    """

    def __init__(self, parts: ProducerParts) -> None:
        self._broker = parts.broker
        self._serializer = parts.serializer
        self._keys = parts.keys
        self._topics = parts.topics
        self._standard_headers = parts.standard_headers
        self._observers = parts.observers or None
        self._interceptors = parts.interceptors
        self._close_timeout = parts.close_timeout
        self._queue_full_timeout = parts.queue_full_timeout
        self._office = DeliveryOffice(parts.broker.trouble)
        parts.broker.after_deliveries(self._office.ring)
        self._backlog = Backlog(parts.broker, self._office.ring)
        self._routes: dict[type[Any], _Route] = {}
        self._unusable: str | None = None
        self._closing = threading.Lock()
        atexit.register(self._close_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_forked, weakref.ref(self)))

    def produce(
        self,
        event: Any,
        *,
        key: object = FROM_EVENT,
        headers: HeaderInput = (),
        topic: str | None = None,
        partition: int | None = None,
        timestamp: int | datetime | None = None,
    ) -> Delivery:
        """Queue an event and return at once.

        A full queue is waited for, up to the setting ``producer.queue_full_timeout_ms``: here, or
        in the `await` of the delivery where an event loop runs in this thread.

        Args:
            event: Instance of a generated event class.
            key: str, int, UUID or bytes; None for none. By default the event's key field.
            headers: Further headers; order and repeats are kept, and None is a null value. One
                with the name of a standard header replaces it.
            topic: Destination, instead of the one that settings route the event to.
            partition: Partition, instead of the one that the key chooses.
            timestamp: Milliseconds since the epoch or an aware datetime; now by default.

        Returns:
            The delivery, to be waited on or awaited.

        Raises:
            SerializationError: The event or its key does not fit its schema; nothing was sent.
            RoutingError: The event has no topic.
            RegistryError: The schema's id could not be had.
            QueueFullError: The queue stayed full.
            MessageTooLargeError: The record is larger than the client sends.
            ClosedError: The producer was closed, or belongs to the parent process.
        """
        if self._unusable is not None:
            raise ClosedError(self._unusable, remedy="open a connection of its own")
        event_class = type(event)
        route = self._routes.get(event_class) or self._route(event_class)
        if topic is not None or partition is not None or timestamp is not None:
            timestamp = check_place(topic, partition, timestamp)
        if topic is None:
            topic = route.topic
        if key is FROM_EVENT:
            key = None if route.key_field is None else getattr(event, route.key_field)
        if type(key) is UUID:
            key = str(key)  # once, for key and headers alike
        if headers:
            message_headers = self._headers(event_class, key, headers)
        else:
            standard = self._standard_headers
            message_headers = [] if standard is None else standard(event_class, key)
        value = self._serializer.encode(event, topic, message_headers)
        record_key = None if key is None else self._keys.encode(key, event_class, topic)
        record = ProducerRecord(
            topic, value, record_key, tuple(message_headers), partition, timestamp
        )
        return self._send(event, record)

    def produce_tombstone(
        self,
        event_class: type[Any],
        key: object,
        *,
        headers: HeaderInput = (),
        topic: str | None = None,
        partition: int | None = None,
    ) -> Delivery:
        """Queue a null value for ``key``: compaction removes what the topic has under it.

        Args:
            event_class: Class whose topic is meant.
            key: As in `produce`.
            headers: As in `produce`.
            topic: As in `produce`.
            partition: As in `produce`.

        Returns:
            The delivery, to be waited on or awaited.

        Raises:
            SerializationError: The key is None, or of no supported type.
            SdkError: As in `produce`.
        """
        if self._unusable is not None:
            raise ClosedError(self._unusable, remedy="open a connection of its own")
        if key is None:
            raise SerializationError(
                "a tombstone needs a key", event=event_class.__event__.full_name
            )
        route = self._routes.get(event_class) or self._route(event_class)
        check_place(topic, partition, None)
        topic = topic or route.topic
        record = ProducerRecord(
            topic=topic,
            value=None,
            key=self._keys.encode(key, event_class, topic),
            headers=tuple(self._headers(event_class, key, headers)),
            partition=partition,
        )
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
        left = self._backlog.drain_until(deadline)
        return left + self._broker.flush(max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float | None = None) -> None:
        """Wait for what is under way, then release the client; again does nothing.

        Args:
            timeout: Seconds; the setting ``producer.close_timeout_ms`` by default.

        Raises:
            UndeliveredError: Records failed, now or earlier, and nobody looked at their
                deliveries; each has been logged, and the error lists them.
        """
        with self._closing:
            if self._unusable is not None:
                return
            self._unusable = "the producer is closed"
        atexit.unregister(self._close_at_exit)
        deadline = time.monotonic() + (self._close_timeout if timeout is None else timeout)
        self._backlog.drain_until(deadline)
        self._backlog.give_up()
        self._broker.close(max(0.0, deadline - time.monotonic()))
        failures = self._office.take_failures()
        if failures:
            raise UndeliveredError(
                f"{len(failures)} record(s) were not delivered, the first of them "
                f"{describe(failures[0])}: {failures[0].error}",
                failures=failures,
            )

    def _route(self, event_class: type[Any]) -> _Route:
        info = getattr(event_class, "__event__", None)
        if info is None:
            raise SerializationError(
                f"{getattr(event_class, '__qualname__', type(event_class).__qualname__)} "
                "is not a generated event class",
                remedy="produce an instance of a class from the contracts package",
            )
        route = _Route(self._topics.resolve(event_class).name, info.key_field)
        return self._routes.setdefault(event_class, route)

    def _headers(self, event_class: type[Any], key: object, headers: HeaderInput) -> list[Header]:
        make = self._standard_headers
        standard = [] if make is None else make(event_class, key)
        if not headers:
            return standard
        own = own_headers(headers)
        names = {name for name, _ in own}
        return [header for header in standard if header[0] not in names] + own

    def _send(self, event: Any, record: ProducerRecord) -> Delivery:
        observers = self._observers
        for intercept in self._interceptors:
            record = intercept(record)
        delivery = Delivery(event, record, self._office)
        settle: OnDelivery = delivery
        if observers is not None:
            settle = partial(_settle_observed, observers, delivery, time.monotonic())
        if self._backlog.waiting and event_loop_runs():
            self._backlog.add(record, settle, self._queue_full_timeout)
            return delivery
        try:
            self._broker.produce(record, settle)
        except QueueFullError:
            self._wait_for_room(record, settle)
        return delivery

    def _wait_for_room(self, record: ProducerRecord, settle: OnDelivery) -> None:
        if event_loop_runs():
            self._backlog.add(record, settle, self._queue_full_timeout)
            return
        deadline = time.monotonic() + self._queue_full_timeout
        while True:
            time.sleep(QUEUE_RETRY)
            try:
                self._broker.produce(record, settle)
                break
            except QueueFullError as error:
                if self._unusable is not None:
                    raise ClosedError(self._unusable) from error
                if time.monotonic() > deadline:
                    raise stayed_full(record, self._queue_full_timeout) from error

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except UndeliveredError as undelivered:
            logger.error("at exit: %s", undelivered)

    def _abandon(self) -> None:
        if self._unusable is None:
            self._unusable = "the producer belongs to the parent process"
        atexit.unregister(self._close_at_exit)


class ProducerFactory:
    """The place where the producer of a process is made, once, and where it is closed.

    Args:
        make_parts: Builds the collaborators, the client among them, when the producer is first
            asked for.
    """

    def __init__(self, make_parts: Callable[[], ProducerParts]) -> None:
        self._make_parts = make_parts
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._closed = False

    def get(self) -> Producer:
        """Return the long-lived producer; all callers share it.

        Raises:
            ConfigurationError: The client refuses a setting.
            ClosedError: The factory was closed.
        """
        producer = self._producer
        if producer is not None:
            return producer
        with self._lock:
            if self._closed:
                raise ClosedError("the producer is closed", remedy="open a new connection")
            if self._producer is None:
                self._producer = Producer(self._make_parts())
            return self._producer

    def close(self, timeout: float | None = None) -> None:
        """Close the producer, if it was ever made.

        Args:
            timeout: As in `Producer.close`.

        Raises:
            UndeliveredError: As in `Producer.close`.
        """
        with self._lock:
            self._closed = True
        if self._producer is not None:
            self._producer.close(timeout)


@frozen
class _Route:
    topic: str
    key_field: str | None


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
