"""The producer: event → record → `Delivery`."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from attrs import field, frozen

from sdk.abstractions import (
    BrokerProducer,
    KeySerializer,
    MessageSerializer,
    OnDelivery,
    StandardHeaders,
    TopicResolver,
)
from sdk.delivery import Delivery, DeliveryOffice, describe
from sdk.errors import ClosedError, QueueFullError, SdkError, SerializationError, UndeliveredError
from sdk.observers import Observers
from sdk.records import DeliveryReport, Header, ProducerRecord

logger = logging.getLogger(__name__)

FROM_EVENT: Final[Any] = type("FromEvent", (), {"__repr__": lambda self: "FROM_EVENT"})()
"""Default of ``key``: the value of the event's key field. None means a record without a key."""

HeaderInput = Mapping[str, str | bytes | None] | Iterable[tuple[str, str | bytes | None]]
"""Headers as callers give them: a mapping, or pairs in order, where names may repeat."""

_QUEUE_RETRY = 0.005
"""Seconds between two looks at a full queue, which thousands of records leave meanwhile."""


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
        queue_full_timeout: How long a full queue is waited for, seconds.
        close_timeout: How long closing waits for acknowledgements, seconds.
    """

    broker: BrokerProducer
    serializer: MessageSerializer
    keys: KeySerializer
    topics: TopicResolver
    standard_headers: StandardHeaders | None = None
    observers: Observers = field(factory=Observers)
    queue_full_timeout: float = 10.0
    close_timeout: float = 30.0


class Producer:
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
        self._close_timeout = parts.close_timeout
        self._queue_full_timeout = parts.queue_full_timeout
        self._office = DeliveryOffice(parts.broker.trouble)
        parts.broker.after_deliveries(self._office.ring)
        self._backlog = _Backlog(parts.broker, self._office.ring)
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
            timestamp = _check_place(topic, partition, timestamp)
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
        value = self._serializer.serialize(event, topic, message_headers)
        record_key = None if key is None else self._keys.serialize(key, event_class, topic)
        record = ProducerRecord(
            topic, value, record_key, tuple(message_headers), partition, timestamp
        )
        return self._send(event_class, event, record)

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
        _check_place(topic, partition, None)
        topic = topic or route.topic
        record = ProducerRecord(
            topic=topic,
            value=None,
            key=self._keys.serialize(key, event_class, topic),
            headers=tuple(self._headers(event_class, key, headers)),
            partition=partition,
        )
        return self._send(event_class, None, record)

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close_after(exc)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._close_after, exc)

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
        own = _own_headers(headers)
        names = {name for name, _ in own}
        return [header for header in standard if header[0] not in names] + own

    def _send(self, event_class: type[Any], event: Any, record: ProducerRecord) -> Delivery:
        observers = self._observers
        if observers is not None:
            record = observers.on_produce(event_class, record)
        delivery = Delivery(event, record, self._office)
        settle: OnDelivery = delivery
        if observers is not None:
            settle = partial(_settle_observed, observers, delivery)
        if self._backlog.waiting and _event_loop_runs():
            self._backlog.add(record, settle, self._queue_full_timeout)
            return delivery
        try:
            self._broker.produce(record, settle)
        except QueueFullError:
            self._wait_for_room(record, settle)
        return delivery

    def _wait_for_room(self, record: ProducerRecord, settle: OnDelivery) -> None:
        if _event_loop_runs():
            self._backlog.add(record, settle, self._queue_full_timeout)
            return
        deadline = time.monotonic() + self._queue_full_timeout
        while True:
            time.sleep(_QUEUE_RETRY)
            try:
                self._broker.produce(record, settle)
                break
            except QueueFullError as error:
                if self._unusable is not None:
                    raise ClosedError(self._unusable) from error
                if time.monotonic() > deadline:
                    raise _stayed_full(record, self._queue_full_timeout) from error

    def _close_after(self, error: BaseException | None) -> None:
        try:
            self.close()
        except UndeliveredError as undelivered:
            # What ended the block is the news; the undelivered events are in the log already.
            if error is None:
                raise
            error.add_note(str(undelivered))

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


@frozen
class _Waiting:
    record: ProducerRecord
    settle: OnDelivery
    deadline: float
    timeout: float


class _Backlog:
    """Records that met a full queue in a thread whose event loop must not be blocked.

    They are queued in order as room appears, by timers of the loop, or by whoever closes.
    """

    def __init__(self, broker: BrokerProducer, ring: Callable[[], None]) -> None:
        self._broker = broker
        self._ring = ring
        self._lock = threading.Lock()
        self._timers: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self.waiting: deque[_Waiting] = deque()

    def add(self, record: ProducerRecord, settle: OnDelivery, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        with self._lock:
            self.waiting.append(_Waiting(record, settle, deadline, timeout))
        loop = asyncio.get_running_loop()
        if loop not in self._timers:
            self._timers.add(loop)
            loop.call_later(_QUEUE_RETRY, self._retry, loop)

    def drain_until(self, deadline: float) -> int:
        """Queue what waits, blocking this thread until ``deadline``; return what is left."""
        while not self._drain() and time.monotonic() < deadline:
            time.sleep(_QUEUE_RETRY)
        return len(self.waiting)

    def give_up(self) -> None:
        """Fail whatever still waits."""
        while self.waiting:
            waiting = self.waiting.popleft()
            waiting.settle(None, _stayed_full(waiting.record, waiting.timeout))
        self._ring()

    def _retry(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._drain():
            self._timers.discard(loop)
        else:
            loop.call_later(_QUEUE_RETRY, self._retry, loop)

    def _drain(self) -> bool:
        with self._lock:
            while self.waiting:
                first = self.waiting[0]
                try:
                    self._broker.produce(first.record, first.settle)
                except QueueFullError:
                    if time.monotonic() < first.deadline:
                        return False
                    first.settle(None, _stayed_full(first.record, first.timeout))
                    self._ring()
                except SdkError as error:
                    first.settle(None, error)
                    self._ring()
                self.waiting.popleft()
        return True


def _settle_observed(
    observers: Observers,
    delivery: Delivery,
    report: DeliveryReport | None,
    error: SdkError | None,
) -> None:
    delivery(report, error)
    if error is None:
        observers.notify("on_delivery", delivery.record, report)
    else:
        observers.notify("on_delivery_error", delivery.record, error)


def _stayed_full(record: ProducerRecord, timeout: float) -> QueueFullError:
    return QueueFullError(
        f"the local queue stayed full for {timeout:g} s",
        topic=record.topic,
        remedy="produce more slowly, or raise producer.queue_full_timeout_ms",
    )


def _forked(producer: weakref.ref[Producer]) -> None:
    # The client's threads do not exist in a forked child: nothing of it may be touched there, and
    # the interpreter must not wait for acknowledgements when the child ends.
    abandoned = producer()
    if abandoned is not None:
        abandoned._abandon()


def _event_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _own_headers(headers: HeaderInput) -> list[Header]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        own = [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]
    except (TypeError, ValueError) as error:
        told = (
            "a header's value is not valid Unicode"
            if isinstance(error, UnicodeEncodeError)
            else "headers must be a mapping, or pairs of a name and a value"
        )
        raise SerializationError(told, remedy="values are str, bytes or None") from error
    for name, value in own:
        if not isinstance(name, str):
            raise SerializationError(f"a header's name is {_kind(name)}, not a str")
        if value is not None and not isinstance(value, bytes):
            raise SerializationError(
                f"header {name!r} has a value of type {_kind(value)}",
                remedy="pass a str, bytes or None",
            )
    return own


def _check_place(topic: object, partition: object, timestamp: int | datetime | None) -> int | None:
    """Refuse what the client would take for something else; return the timestamp as a number."""
    if topic is not None and (not isinstance(topic, str) or not topic):
        raise SerializationError(f"a topic's name is a text, not {topic!r}")
    if partition is not None and not (isinstance(partition, int) and 0 <= partition < 2**31):
        raise SerializationError(f"a partition is a number from 0 on, not {partition!r}")
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise SerializationError(
                f"timestamp {timestamp.isoformat()} has no time zone",
                remedy="pass an aware datetime",
            )
        timestamp = round(timestamp.timestamp() * 1000)
    if timestamp is not None and not (isinstance(timestamp, int) and 0 < timestamp < 2**63):
        raise SerializationError(
            f"timestamp {timestamp!r} is not after 1970",
            remedy="pass milliseconds since the epoch, or an aware datetime",
        )
    return timestamp


def _kind(value: object) -> str:
    return type(value).__qualname__
