"""The JSON format: the platform's first, readable by people and by every tool."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from attrs import define

from sdk.abstractions import E
from sdk.cloud_events import EVENT_VERSION, TYPE
from sdk.errors import DeserializationError, SerializationError
from sdk.events import Event, EventInfo
from sdk.records import ConsumerRecord, Header
from sdk.serialization.json_scalars import MismatchError
from sdk.serialization.json_values import Convert, json_form

_DEEP = "arrays, maps and records are nested too deeply"


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


_parse = json.JSONDecoder(parse_constant=_refuse_constant).decode
_print = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@define(eq=False)
class JsonIncoming:
    """A record whose value is a JSON object."""

    full_name: str
    _record: ConsumerRecord
    _reader: Callable[[type[Any], bool], Convert]
    schema_id: None = None

    def read(self, event_class: type[E]) -> E:
        """Return the event as an instance of ``event_class``.

        Raises:
            DeserializationError: The value is not JSON, or does not fit ``event_class``.
        """
        record = self._record
        contract: EventInfo = event_class.__event__
        same_version = record.header(EVENT_VERSION) == str(contract.version).encode()
        read = self._reader(event_class, same_version)
        if record.value is None:
            raise _poison(record, "a tombstone carries no event", contract)
        try:
            event: E = read(_parse(record.value.decode()))
        except MismatchError as error:
            raise _poison(record, error.reason, contract, error.path) from error
        except RecursionError as error:
            raise _poison(record, _DEEP, contract) from error
        except ValueError as error:
            raise _poison(record, f"not JSON: {error}", contract) from error
        return event


class JsonMessageSerializer:
    """Writes and reads record values as JSON objects.

    The event and its version are told by the CloudEvents headers; where the producer sends none,
    these two are added. What another version wrote is read as the class that is asked for: unknown
    fields are ignored, and missing ones take their defaults.
    """

    content_type: Final = "application/json"

    def __init__(self) -> None:
        self._writers: dict[type[Any], Convert] = {}
        self._readers: dict[tuple[type[Any], bool], Convert] = {}

    def encode(self, event: Event, topic: str, headers: list[Header]) -> bytes:
        """Return the record value of an event; add the headers that say what it is if missing.

        Raises:
            SerializationError: The event does not fit its schema; ``path`` is the field's.
        """
        event_class = type(event)
        write = self._writers.get(event_class)
        if write is None:
            write = self._writers[event_class] = _writer(event_class)
        contract: EventInfo = event_class.__event__
        try:
            text = _print(write(event))
        except MismatchError as error:
            raise SerializationError(
                error.reason, event=contract.full_name, topic=topic, path=error.path or None
            ) from error
        except RecursionError as error:
            raise SerializationError(_DEEP, event=contract.full_name, topic=topic) from error
        names = {name for name, _ in headers}
        if TYPE not in names:
            headers.append((TYPE, contract.full_name.encode()))
        if EVENT_VERSION not in names:
            headers.append((EVENT_VERSION, str(contract.version).encode()))
        return text.encode()

    def open(self, record: ConsumerRecord) -> JsonIncoming:
        """Read the event's full name from the ``ce_type`` header.

        Raises:
            DeserializationError: There is no such header, or it is not text.
        """
        value = record.header(TYPE)
        try:
            name = "" if value is None else value.decode()
        except UnicodeDecodeError:
            name = ""
        if not name:
            raise _poison(record, f"no {TYPE} header tells which event this is")
        return JsonIncoming(name, record, self._reader)

    def ready(self, event_class: type[Event], topic: str) -> bool:
        """Whether `encode` will make no request: always."""
        return True

    def warm_up(self, routes: Iterable[tuple[type[Event], str]]) -> None:
        """Prepare the conversions of all (event class, topic) pairs."""
        for event_class, _ in routes:
            self._writers.setdefault(event_class, _writer(event_class))

    def _reader(self, event_class: type[Any], strict: bool) -> Convert:
        read = self._readers.get((event_class, strict))
        if read is None:
            read = json_form(event_class, strict=strict).read
            self._readers[event_class, strict] = read
        return read


def _writer(event_class: type[Any]) -> Convert:
    if not isinstance(getattr(event_class, "__event__", None), EventInfo):
        raise SerializationError(f"{event_class.__qualname__} is no generated event class")
    return json_form(event_class, strict=True).write


def _poison(
    record: ConsumerRecord, message: str, contract: EventInfo | None = None, path: str = ""
) -> DeserializationError:
    return DeserializationError(
        message,
        event=None if contract is None else contract.full_name,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        path=path or None,
    )
