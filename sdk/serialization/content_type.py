"""Reading what the record itself says it is, beside what this service writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from sdk.abstractions import Incoming, MessageSerializer
from sdk.cloud_events import CONTENT_TYPE
from sdk.events import Event
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

    def encode(self, event: Event, topic: str, headers: list[Header]) -> bytes:
        """Return the record value of an event; may append headers of the format's own."""
        return self._own.encode(event, topic, headers)

    def ready(self, event_class: type[Event], topic: str) -> bool:
        """Whether `encode` will write this event to this topic without a request to a server."""
        return self._own.ready(event_class, topic)

    def warm_up(self, routes: Iterable[tuple[type[Event], str]]) -> None:
        """Resolve everything that encoding these (event class, topic) pairs needs."""
        self._own.warm_up(routes)

    def open(self, record: ConsumerRecord) -> Incoming:
        """Find the writer of a record, in the format that the record names."""
        for name, value in reversed(record.headers):
            if name == CONTENT_TYPE and value is not None:
                return (self._made.get(value) or self._make(value)).open(record)
        return self._own.open(record)

    def _make(self, value: bytes) -> MessageSerializer:
        media_type = value.partition(b";")[0].strip().lower()
        if media_type not in self._others:
            return self._own
        with self._lock:
            if media_type not in self._made:
                self._made[media_type] = self._others[media_type]()
            return self._made[media_type]
