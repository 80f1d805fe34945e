"""The JSON format, readable by people and by every tool."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from attrs import define

from sdk.avro import from_json, to_json
from sdk.cloud_events import EVENT_VERSION, TYPE
from sdk.errors import SdkError, SerializationError
from sdk.events import E, Event, EventInfo
from sdk.records import ConsumerRecord, Header
from sdk.serialization.framing import place, poison


@define(eq=False)
class JsonIncoming:
    """A record whose value is a JSON object."""

    full_name: str
    _record: ConsumerRecord
    schema_id: None = None

    def read(self, event_class: type[E]) -> E:
        """Return the event as an instance of ``event_class``."""
        record = self._record
        contract: EventInfo = event_class.__event__
        same_version = record.header(EVENT_VERSION) == str(contract.version).encode()
        if record.value is None:
            tombstone = poison("a tombstone carries no event", record)
            tombstone.event = contract.full_name
            raise tombstone
        try:
            return from_json(event_class, record.value, ignore_unknown=not same_version)
        except SdkError as error:
            place(error, record, None)
            raise


class JsonMessageSerializer:
    """Writes and reads record values as JSON objects.

    The CloudEvents headers name the event and its version; if the producer sends none,
    these two are added. Another version is read as the requested class: unknown
    fields are ignored, and missing ones take their defaults.
    """

    content_type: Final = "application/json"

    def encode(self, event: Event, topic: str, headers: list[Header]) -> bytes:
        """Return the record value of an event; add the headers that identify it if missing."""
        contract = _contract(type(event))
        try:
            text = to_json(event)
        except SdkError as error:
            error.topic = topic
            raise
        names = {name for name, _ in headers}
        if TYPE not in names:
            headers.append((TYPE, contract.full_name.encode()))
        if EVENT_VERSION not in names:
            headers.append((EVENT_VERSION, str(contract.version).encode()))
        return text.encode()

    def open(self, record: ConsumerRecord) -> JsonIncoming:
        """Read the event's full name from the ``ce_type`` header."""
        value = record.header(TYPE)
        try:
            name = "" if value is None else value.decode()
        except UnicodeDecodeError:
            name = ""
        if not name:
            raise poison(f"there is no {TYPE} header", record)
        return JsonIncoming(name, record)

    def ready(self, event_class: type[Event], topic: str) -> bool:
        """Whether `encode` will make no request: always."""
        return True

    def warm_up(self, routes: Iterable[tuple[type[Event], str]]) -> None:
        """Reject classes that are not events; nothing else needs preparation."""
        for event_class, _ in routes:
            _contract(event_class)


def _contract(event_class: type[Any]) -> EventInfo:
    contract: object = getattr(event_class, "__event__", None)
    if not isinstance(contract, EventInfo):
        raise SerializationError(f"{event_class.__qualname__} is not a generated event class")
    return contract
