"""Context: the position and the metadata of an event, for handlers that take it."""

from __future__ import annotations

from sdk.abstractions import KeySerializer
from sdk.cloud_events import EVENT_VERSION, ID, SOURCE, TYPE
from sdk.consuming.headers import read_decimal
from sdk.consuming.retry_topics import original_timestamp
from sdk.correlation import TRACE_PARENT
from sdk.records import ConsumerRecord, Header


class Context:
    """The position and the metadata of an event, for handlers with a second parameter.

    Attributes:
        record: The record, as received from Kafka.
        attempt: Number of this attempt, from 1, including those in retry topics.
        schema_id: Registry id (a number) or GUID (text) of the writer schema; None where the
            format has none.
    """

    __slots__ = ("_keys", "attempt", "record", "schema_id")

    def __init__(
        self,
        record: ConsumerRecord,
        keys: KeySerializer | None = None,
        *,
        attempt: int = 1,
        schema_id: int | str | None = None,
    ) -> None:
        self.record = record
        self.attempt = attempt
        self.schema_id = schema_id
        self._keys = keys

    @property
    def topic(self) -> str:
        """Topic name."""
        return self.record.topic

    @property
    def partition(self) -> int:
        """Partition number."""
        return self.record.partition

    @property
    def offset(self) -> int:
        """Offset within the partition."""
        return self.record.offset

    @property
    def key(self) -> object:
        """The key as it was written: text if it is valid UTF-8, else bytes; None if absent.

        Raises:
            DeserializationError: The key names a schema that it does not fit.
            RegistryError: The key's schema is unavailable.
        """
        record = self.record
        if self._keys is None:
            return record.key
        return self._keys.decode(record.key, record.topic, record.headers)

    @property
    def headers(self) -> tuple[Header, ...]:
        """All headers, in order, with duplicates."""
        return self.record.headers

    @property
    def timestamp(self) -> int | None:
        """Milliseconds since the epoch, or None; in a retry topic that of the original record."""
        return original_timestamp(self.record)

    @property
    def writer_version(self) -> int | None:
        """The SDK's version number of the writer schema, if the publisher sends it."""
        return read_decimal(self.record.header(EVENT_VERSION), 9)

    @property
    def event_id(self) -> str | None:
        """CloudEvents ``id``."""
        return self._text(ID)

    @property
    def event_type(self) -> str | None:
        """CloudEvents ``type``: the full name of the event."""
        return self._text(TYPE)

    @property
    def source(self) -> str | None:
        """CloudEvents ``source``: the service that published the event."""
        return self._text(SOURCE)

    @property
    def trace_parent(self) -> str | None:
        """``traceparent`` (W3C Trace Context) of the publisher."""
        return self._text(TRACE_PARENT)

    def header(self, name: str) -> bytes | None:
        """Return the value of the last header called ``name``, or None."""
        return self.record.header(name)

    def _text(self, name: str) -> str | None:
        value = self.record.header(name)
        return None if value is None else value.decode("utf-8", "replace")

    def __repr__(self) -> str:
        record = self.record
        return f"Context({record.topic} [{record.partition}] offset {record.offset})"
