"""The encoder: event → `ProducerRecord`, without a client and without sending."""

from __future__ import annotations

import logging
from binascii import hexlify
from collections.abc import Callable, Iterable
from datetime import datetime
from struct import Struct
from typing import Any, Final
from uuid import UUID

from attrs import frozen

from sdk.abstractions import (
    Interceptor,
    KeySerializer,
    MessageSerializer,
    StandardHeaders,
    TopicResolver,
    Tracing,
)
from sdk.checks import HeaderInput, check_record, header_pairs, milliseconds
from sdk.correlation import correlate, handled
from sdk.errors import SerializationError
from sdk.events import Event
from sdk.records import Header, ProducerRecord
from sdk.serialization.framing import VALUE_SCHEMA_ID

logger = logging.getLogger(__name__)

FROM_EVENT: Final[Any] = type("FromEvent", (), {"__repr__": lambda self: "FROM_EVENT"})()
"""Default of ``key``: the value of the event's key field. None means a record without a key."""


_uuid_parts = Struct("8s4s4s4s12s").unpack
_new_tuple: Callable[[type[ProducerRecord], tuple[Any, ...]], ProducerRecord] = tuple.__new__


class Encoder:
    """Creates records of events: routed, keyed, serialized, with standard headers.

    It can be used by all threads, also without sending: by an outbox, a test or a tool.

    Args:
        serializer: Events → record values.
        keys: Keys → record keys.
        topics: Event classes → topics.
        standard_headers: The headers that every record of an event class carries, or None.
        interceptors: Called in turn with each record; each returns the record to send. An exception
            reaches the caller, and nothing is sent.
        tracing: Traces the records that publishers encode and send at once.
        correlate: The last interceptor, called only while a record is being handled.
    """

    def __init__(
        self,
        serializer: MessageSerializer,
        keys: KeySerializer,
        topics: TopicResolver,
        standard_headers: StandardHeaders | None = None,
        interceptors: Iterable[Interceptor] = (),
        tracing: Tracing | None = None,
        correlate: Interceptor = correlate,
    ) -> None:
        self.tracing = tracing
        self._serializer = serializer
        self._keys = keys
        self._topics = topics
        self._standard_headers = standard_headers
        self._encode, self._encode_key = serializer.encode, keys.encode
        self._interceptors = tuple(interceptors)
        self._correlate = correlate
        self._routes: dict[type[Any], _Route] = {}
        self._without_key: set[type[Any]] = set()

    def record(
        self,
        event: Event,
        key: object = FROM_EVENT,
        headers: HeaderInput = (),
        topic: str | None = None,
        partition: int | None = None,
        timestamp: int | datetime | None = None,
    ) -> ProducerRecord:
        """Return the record of an event, as `Producer.produce` with these arguments would send it.

        Producers pass them by position, which costs a third less.

        Raises:
            SerializationError: The event or its key does not fit its schema, or no client could
                send the record.
            RoutingError: The event has no topic.
            RegistryError: The schema id is unavailable.
        """
        event_class = type(event)
        route = self._routes.get(event_class) or self._route(event_class)
        # Settings and serializers are valid; only the arguments of the caller are checked.
        plain = not headers and topic is None and partition is None and timestamp is None
        if topic is None:
            topic = route.topic
        if key is FROM_EVENT:
            key_field = route.key_field
            if key_field is None:
                key = None
                if event_class not in self._without_key:
                    self._warn_of_no_key(event_class)
            else:
                key = getattr(event, key_field)
        if type(key) is UUID:  # once, for key and headers alike, in half the time of `str(key)`
            key = b"-".join(_uuid_parts(hexlify(key.int.to_bytes(16)))).decode()
        make = self._standard_headers
        made = [] if make is None else make(event_class, key)
        if not plain:
            made = _joined(made, headers)
            timestamp = milliseconds(timestamp)
            check_record(ProducerRecord(topic, None, None, tuple(made), partition, timestamp))
        value = self._encode(event, topic, made)
        record_key = None if key is None else self._encode_key(key, event_class, topic)
        # As ProducerRecord(…) does, without the Python function that a named tuple calls.
        record = _new_tuple(
            ProducerRecord, (topic, value, record_key, tuple(made), partition, timestamp)
        )
        if self._interceptors or handled.get() is not None:
            return self._intercepted(record)
        return record

    def tombstone(
        self,
        event_class: type[Event],
        key: object,
        headers: HeaderInput = (),
        topic: str | None = None,
        partition: int | None = None,
        timestamp: int | datetime | None = None,
    ) -> ProducerRecord:
        """Return the record of a tombstone, as `Producer.produce_tombstone` would send it.

        Raises:
            SerializationError: The key is None, or no client could send the record.
            SdkError: As in `record`.
        """
        if key is None:
            raise SerializationError(
                "a tombstone needs a key: compacted topics refuse records without one",
                event=getattr(getattr(event_class, "__event__", None), "full_name", None),
                remedy="pass the key, or send(ProducerRecord(topic, None)) if that is intended",
            )
        route = self._routes.get(event_class) or self._route(event_class)
        topic = route.topic if topic is None else topic
        make = self._standard_headers
        made = tuple(_joined([] if make is None else make(event_class, key), headers))
        record = ProducerRecord(topic, None, None, made, partition, milliseconds(timestamp))
        check_record(record)
        record = record._replace(key=self._encode_key(key, event_class, topic))
        return self._intercepted(record)

    def topic_of(self, event_class: type[Any], topic: str | None = None) -> str:
        """Return the topic for a record of this class; ``topic`` takes precedence.

        Raises:
            SerializationError: It is not a generated event class.
            RoutingError: The event has no topic.
        """
        route = self._routes.get(event_class) or self._route(event_class)
        return route.topic if topic is None else topic

    def ready(self, event: Event | None, key: object, topic: str) -> bool:
        """Whether the record of an event or a tombstone can be created without a request."""
        if event is None:
            return self._keys.ready(key, topic)
        if key is FROM_EVENT:
            key_field = event.__event__.key_field
            key = None if key_field is None else getattr(event, key_field)
        return self._serializer.ready(type(event), topic) and self._keys.ready(key, topic)

    def _intercepted(self, record: ProducerRecord) -> ProducerRecord:
        sent = record
        for intercept in self._interceptors:
            sent = intercept(sent)
        if handled.get() is not None:
            sent = self._correlate(sent)
        if sent is not record:
            check_record(sent)
        return sent

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

    def _warn_of_no_key(self, event_class: type[Any]) -> None:
        self._without_key.add(event_class)
        logger.warning(
            "events of %s have no key, so their order is not kept; name a key field in the event's"
            " event.toml, pass key=..., or pass key=None if that is intended",
            event_class.__event__.full_name,
        )


@frozen
class _Route:
    topic: str
    key_field: str | None


def _joined(standard: list[Header], headers: HeaderInput) -> list[Header]:
    """Return the standard headers, with the caller's replacements, and further ones.

    A schema id, which the caller has copied from another record, would have readers take this value
    for that one's: the serializer names the schema.
    """
    own = [header for header in header_pairs(headers) if header[0] != VALUE_SCHEMA_ID]
    names = [name for name, _ in own]
    return [header for header in standard if header[0] not in names] + own
