"""Message keys as Avro, with schemas registered under ``<topic>-key``."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from sdk.avro.codec.wire import long_bytes
from sdk.avro.contracts import contract_schema
from sdk.avro.schema.model import RecordSchema
from sdk.errors import DeserializationError, SerializationError
from sdk.events import Event, EventInfo
from sdk.records import Header
from sdk.serialization.framing import ID_LENGTH, KEY_SCHEMA_ID, frame_id, unframe
from sdk.serialization.keys import key_text
from sdk.serialization.registry import FetchedSchema, SchemaRegistry

_LONG: Final = range(-(1 << 63), 1 << 63)
_KINDS: Final = {"string": "string", "int": "long", "long": "long"}
"""Type of a key field → type of its keys."""


class AvroKeySerializer:
    """Writes str and UUID keys as Avro ``string``, int keys as ``long``, and bytes unchanged."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._prefixes: dict[tuple[str, str], bytes] = {}
        self._readers: dict[bytes, Callable[[bytes], object]] = {}

    def encode(self, key: object, event_class: type[Event], topic: str) -> bytes | None:
        """Return the record key, in the wire format of record values."""
        text = key_text(key, topic)
        if text is None or isinstance(text, bytes):
            return text
        kind = "long" if isinstance(key, int) else "string"
        prefix = self._prefixes.get((topic, kind)) or self._resolve(topic, kind)
        if kind == "string":
            try:
                data = text.encode()
            except UnicodeEncodeError as error:
                raise SerializationError("the key is not valid Unicode", topic=topic) from error
            return prefix + long_bytes(len(data)) + data
        number = int(text)
        if number not in _LONG:
            raise SerializationError(f"key {number} does not fit a long", topic=topic)
        return prefix + long_bytes(number)

    def decode(self, data: bytes | None, topic: str, headers: Iterable[Header] = ()) -> object:
        """Return a record key as the value that its schema describes."""
        if data is None:
            return None
        prefix, body = data[:ID_LENGTH], data[ID_LENGTH:]
        for name, value in headers:
            if name == KEY_SCHEMA_ID and value is not None:
                prefix, body = value, data
        read = self._readers.get(prefix)
        if read is None:
            schema_id = unframe(prefix)
            if schema_id is None:
                raise DeserializationError("the key does not name a schema", topic=topic)
            read = self._readers[prefix] = _reader(self._registry.fetch(schema_id))
        try:
            return read(body)
        except Exception as error:  # damaged bytes can make the parser raise anything
            raise DeserializationError("the key does not fit its schema", topic=topic) from error

    def ready(self, key: object, topic: str) -> bool:
        """Whether `encode` will write this key without a request to the registry."""
        if key is None or isinstance(key, bytes):
            return True
        return (topic, "long" if isinstance(key, int) else "string") in self._prefixes

    def warm_up(self, routes: Iterable[tuple[type[Event], str]]) -> None:
        """Resolve the ids that the key fields of all (event class, topic) pairs will need."""
        for event_class, topic in routes:
            kind = _key_kind(event_class.__event__)
            if kind is not None:
                self._resolve(topic, kind)

    def _resolve(self, topic: str, kind: str) -> bytes:
        contract = EventInfo(full_name=kind, version=1, schema=f'"{kind}"', fingerprint="")
        subject = f"{topic}-key"
        self._registry.register([(subject, contract)])
        prefix = frame_id(self._registry.registered(subject, contract).schema_id)
        self._prefixes[topic, kind] = prefix
        return prefix


def _key_kind(contract: EventInfo) -> str | None:
    """Return the type of the keys that an event's key field gives, or None if it has none."""
    schema = contract_schema(contract)
    if contract.key_field is None or not isinstance(schema, RecordSchema):
        return None
    for each in schema.fields:
        if contract.key_field in {each.name, f"{each.name}_"}:
            return _KINDS.get(each.schema.type)
    return None


def _reader(fetched: FetchedSchema) -> Callable[[bytes], object]:
    """Return a function that reads keys written with a schema as plain values."""
    import fastavro  # most services never read such a key

    named: dict[str, Any] = {}
    try:
        for text in fetched.references:
            fastavro.parse_schema(json.loads(text), named_schemas=named)
        schema = fastavro.parse_schema(json.loads(fetched.text), named_schemas=named)
    except Exception as error:  # a schema of another format, or not valid
        raise DeserializationError("the key's schema is not valid Avro") from error

    def read(body: bytes) -> object:
        stream = io.BytesIO(body)
        value: object = fastavro.schemaless_reader(stream, schema, None)
        if stream.read(1):
            raise ValueError("bytes are left over")
        return value

    return read
