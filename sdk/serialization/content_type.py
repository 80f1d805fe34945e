"""Reading what the record itself says it is, beside what this service writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sdk.abstractions import MessageSerializer
from sdk.cloud_events import CONTENT_TYPE
from sdk.records import ConsumerRecord, Header


class ContentTypeSerializer:
    """Writes in one format, and reads every record in the format that its header names.

    So a platform moves from one format to another topic by topic, or within a topic. A record that
    names no format, or none that is known here, is read in the format that is written.

    Args:
        own: The format that is written.
        others: Media type, in lower case → factory of its serializer, called when first needed.
    """

    def __init__(
        self, own: MessageSerializer, others: Mapping[str, Callable[[], MessageSerializer]]
    ) -> None:
        self._own = own
        self._others = {
            media_type.encode(): make
            for media_type, make in others.items()
            if media_type != own.content_type
        }
        self._made: dict[bytes, MessageSerializer] = {}
        self._lock = threading.Lock()

    @property
    def content_type(self) -> str:
        """Media type of what is written."""
        return self._own.content_type

    def serialize(self, event: Any, topic: str, headers: list[Header]) -> bytes:
        """Return the record value of an event; may append headers of the format's own.

        Raises:
            SerializationError: The event does not fit its schema.
            RegistryError: The schema's id could not be had.
        """
        return self._own.serialize(event, topic, headers)

    def warm_up(self, routes: Iterable[tuple[type[Any], str]]) -> None:
        """Resolve all that serializing these (event class, topic) pairs will need.

        Raises:
            RegistryError: A schema is not registered, or the registry is out of reach.
        """
        self._own.warm_up(routes)

    def identify(self, record: ConsumerRecord) -> str:
        """Return the Avro full name of the event that ``record`` carries.

        Raises:
            DeserializationError: The record does not tell.
            RegistryError: The writer schema could not be had.
        """
        return self._reader(record).identify(record)

    def deserialize(self, record: ConsumerRecord, event_class: type[Any]) -> Any:
        """Return the event that ``record`` carries as an instance of ``event_class``.

        Raises:
            DeserializationError: These bytes can never be read as ``event_class``.
            RegistryError: The writer schema could not be had.
        """
        return self._reader(record).deserialize(record, event_class)

    def _reader(self, record: ConsumerRecord) -> MessageSerializer:
        for name, value in reversed(record.headers):
            if name == CONTENT_TYPE and value is not None:
                return self._made.get(value) or self._make(value)
        return self._own

    def _make(self, value: bytes) -> MessageSerializer:
        media_type = value.partition(b";")[0].strip().lower()
        if media_type not in self._others:
            return self._own
        with self._lock:
            if media_type not in self._made:
                self._made[media_type] = self._others[media_type]()
            return self._made[media_type]
