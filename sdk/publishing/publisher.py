"""The common part of a producer and a transaction: event → record → `Delivery`."""

from __future__ import annotations

import time
from asyncio import _get_running_loop  # `get_running_loop` costs more if there is none
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final

from sdk.abstractions import OnDelivery, Tracing
from sdk.checks import HeaderInput, check_record
from sdk.errors import ClosedError, QueueFullError, SdkError
from sdk.events import Event
from sdk.happenings import RecordQueued
from sdk.observers import Observers
from sdk.publishing.delivery import Delivery, DeliveryTracker
from sdk.publishing.encoder import FROM_EVENT, Encoder
from sdk.publishing.overflow import QUEUE_RETRY, Overflow, stayed_full, tell_wait
from sdk.records import DeliveryReport, ProducerRecord

_Kind = type[Any] | tuple[type[Any], type[Any], str | None]
"""(event class, type of the given key, given topic), or the class alone where nothing is given."""

JOINED: Final[ContextVar[Publisher | None]] = ContextVar("sdk.publishing.joined", default=None)
"""The transaction that receives everything this context publishes by the same connection."""


class Publisher:
    """Publishes events; can be used by all threads and event loops of a process.

    Args:
        encoder: Makes records of events.
        enqueue: `BrokerProducer.produce` of the client.
        tracker: The shared state of the deliveries.
        observers: Notified of happenings.
        queue_full_timeout: How long a record waits for room in a full queue, seconds.

    Attributes:
        record: `Encoder.record`: (event, arguments of `produce`) → its record; sends nothing.
    """

    _remedy: ClassVar[str] = "open another connection"

    def __init__(
        self,
        encoder: Encoder,
        enqueue: Callable[[ProducerRecord, OnDelivery], None],
        tracker: DeliveryTracker,
        observers: Observers | None,
        queue_full_timeout: float,
    ) -> None:
        self._tracing = encoder.tracing
        self._encode = self.record = encoder.record
        if self._tracing is not None:
            self.record = partial(_record_to_store, self._tracing, encoder.record)
        self._encoder = encoder
        self._enqueue = enqueue
        self._tracker = tracker
        self._observers = observers or None
        self._queue_full_timeout = queue_full_timeout
        self._overflow = Overflow(enqueue, tracker.wake, queue_full_timeout, self._observers)
        self._ready: set[_Kind] = set()
        self._unusable: str | None = None

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
        """Queue an event and return immediately.

        If the queue is full, it waits for up to the setting ``producer.queue_full_timeout_ms``:
        here, or in the `await` of the delivery if an event loop runs in this thread. In an event
        loop, an event whose schema id must be looked up is also serialized in the background, and
        its errors are raised by the `await`.

        Args:
            event: Instance of a generated event class.
            key: str, int, UUID or bytes; None for none. By default the event's key field.
            headers: Further headers; order and repeats are kept, and None is a null value. One
                with the name of a standard header replaces it; ``__value_schema_id`` is left out.
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
            raise self._refused()
        if _get_running_loop() is not None:
            plain = key is FROM_EVENT and topic is None
            kind = type(event) if plain else (type(event), type(key), topic)
            if kind not in self._ready and not self._becomes_ready(kind, event, key, topic):
                return self._encode_later(
                    event,
                    self._encoder.topic_of(type(event), topic),
                    partial(self._encode, event, key, headers, topic, partition, timestamp),
                )
        record = self._encode(event, key, headers, topic, partition, timestamp)
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
        """Queue a null value for ``key``, which deletes the key in a compacted topic.

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
            raise self._refused()
        encode = partial(
            self._encoder.tombstone, event_class, key, headers, topic, partition, timestamp
        )
        if _get_running_loop() is not None:
            topic = self._encoder.topic_of(event_class, topic)
            if not self._encoder.ready(None, key, topic):
                return self._encode_later(None, topic, encode)
        return self._send(None, encode())

    def send(self, record: ProducerRecord) -> Delivery:
        """Queue a raw record, without serializer, standard headers and interceptors.

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
            raise self._refused()
        check_record(record)
        return self._send(None, record, raw=True)

    def _refused(self) -> ClosedError:
        return ClosedError(self._unusable or "", remedy=self._remedy)

    def _send(self, event: Any, record: ProducerRecord, *, raw: bool = False) -> Delivery:
        joined = JOINED.get()
        if joined is not None and joined is not self and joined._encoder is self._encoder:
            return joined._send(event, record, raw=raw)
        if self._tracing is None:
            return self._queue(event, record)
        record, end = self._tracing.send(record, raw=raw)
        try:
            return self._queue(event, record, end)
        except SdkError as error:
            end(None, error)
            raise

    def _queue(self, event: Any, record: ProducerRecord, end: OnDelivery | None = None) -> Delivery:
        delivery = Delivery(event, record, self._tracker)
        if self._observers is not None and self._observers.each:
            self._observers.notify(RecordQueued(record))
        settle: OnDelivery = delivery if end is None else _Traced(delivery, end)
        if self._overflow.waiting and record.topic in self._overflow.waiting:
            # Nothing overtakes records that already wait to be sent to this topic.
            self._overflow.add(delivery, settle)
            return delivery
        try:
            self._enqueue(record, settle)
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
                self._enqueue(record, settle)
                break
            except QueueFullError as error:
                if self._unusable is not None:
                    raise self._refused() from error
                if time.monotonic() - started >= self._queue_full_timeout:
                    tell_wait(self._observers, record.topic, started, gave_up=True)
                    raise stayed_full(record, self._queue_full_timeout) from error
        tell_wait(self._observers, record.topic, started)

    def _becomes_ready(self, kind: _Kind, event: Event, key: object, topic: str | None) -> bool:
        """Whether an event can be serialized without a request; a positive answer is cached."""
        ready = self._encoder.ready(event, key, self._encoder.topic_of(type(event), topic))
        if ready:
            self._ready.add(kind)
        return ready

    def _encode_later(
        self, event: Any, topic: str, encode: Callable[[], ProducerRecord]
    ) -> Delivery:
        """Create a record in the background with this context, then send it."""
        joined = JOINED.get()
        if joined is not None and joined is not self and joined._encoder is self._encoder:
            return joined._encode_later(event, topic, encode)
        record = ProducerRecord(topic, None)
        delivery = Delivery(event, record, self._tracker)
        settle: OnDelivery = delivery
        if self._tracing is not None:
            settle = traced = _Traced(delivery)
            encode = partial(traced.begin, self._tracing, encode)
        encode = partial(copy_context().run, encode)
        if self._observers is not None:
            encode = partial(_encode_observed, self._observers, encode)
        self._overflow.add(delivery, settle, encode)
        return delivery


class _Traced:
    """Ends the span of a delivery, then settles it."""

    __slots__ = ("_delivery", "_end")

    def __init__(self, delivery: Delivery, end: OnDelivery | None = None) -> None:
        self._delivery = delivery
        self._end = end

    def begin(self, tracing: Tracing, encode: Callable[[], ProducerRecord]) -> ProducerRecord:
        record, self._end = tracing.send(encode(), raw=False)
        return record

    def __call__(self, report: DeliveryReport | None, error: SdkError | None) -> None:
        self._delivery(report, error)
        if self._end is not None:
            self._end(report, error)


def _record_to_store(
    tracing: Tracing, make: Callable[..., ProducerRecord], *event: Any, **options: Any
) -> ProducerRecord:
    return tracing.inject(make(*event, **options))


def _encode_observed(observers: Observers, encode: Callable[[], ProducerRecord]) -> ProducerRecord:
    record = encode()
    if observers.each:
        observers.notify(RecordQueued(record))
    return record
