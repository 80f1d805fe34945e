"""Reads each record in the format named by its header, independent of the format written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from sdk.abstractions import Incoming, MessageSerializer
from sdk.cloud_events import CONTENT_TYPE
from sdk.records import ConsumerRecord


class ContentTypeSerializer:
    """Writes in one format, and reads every record in the format that its header names.

    This lets a platform change its format topic by topic, or within a topic. A record that
    names no format, or none that is known here, is read in the format that is written.

    Args:
        own: The format that is written.
        others: Media type, in lower case → factory of its serializer, called when first needed.
    """

    def __init__(
        self, own: MessageSerializer, others: Mapping[str, Callable[[], MessageSerializer]]
    ) -> None:
        self._own = own
        # Bound directly, because writing needs no choice.
        self.encode, self.ready, self.warm_up = own.encode, own.ready, own.warm_up
        self._others = {
            media_type.encode(): make
            for media_type, make in others.items()
            if media_type != own.content_type
        }
        self._made = {own.content_type.encode(): own}
        self._lock = threading.Lock()

    @property
    def content_type(self) -> str:
        """Media type of the written format."""
        return self._own.content_type

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
