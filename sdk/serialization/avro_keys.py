"""Message keys as Avro primitives, their schemas registered under ``<topic>-key``."""

from __future__ import annotations

from confluent_kafka.schema_registry.serde import SchemaId

from sdk.errors import SerializationError
from sdk.events import Event, EventInfo
from sdk.registry.lookup import AVRO, SchemaRegistry
from sdk.serialization.keys import key_text, plain_key


class AvroKeySerializer:
    """Writes str and UUID keys as Avro ``string`` and int keys as ``long``; bytes stay unchanged.

    Args:
        registry: Finds and registers the schemas.
    """

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._prefixes: dict[tuple[str, str], bytes] = {}

    def encode(self, key: object, event_class: type[Event], topic: str) -> bytes | None:
        """Return the record key, in the wire format of record values.

        Raises:
            SerializationError: The key is of no supported type or out of range.
            RegistryError: The id of the key's schema is unavailable.
        """
        text = key_text(key, topic)
        if text is None or isinstance(text, bytes):
            return text
        kind = "long" if isinstance(key, int) else "string"
        prefix = self._prefixes.get((topic, kind))
        if prefix is None:
            prefix = self._prefixes[topic, kind] = self._prefix(topic, kind)
        if kind == "string":
            try:
                data = text.encode()
            except UnicodeEncodeError as error:
                raise SerializationError("the key is not valid Unicode", topic=topic) from error
            return prefix + avro_long(len(data)) + data
        number = int(text)
        if not -(1 << 63) <= number < 1 << 63:
            raise SerializationError(f"key {number} does not fit a long", topic=topic)
        return prefix + avro_long(number)

    def decode(self, data: bytes | None, topic: str) -> object:
        """Return a record key as it was written; text or bytes where it is not Avro."""
        return plain_key(data)

    def ready(self, key: object, topic: str) -> bool:
        """Whether `encode` will write this key without a request to the registry."""
        if key is None or isinstance(key, bytes):
            return True
        return (topic, "long" if isinstance(key, int) else "string") in self._prefixes

    def _prefix(self, topic: str, kind: str) -> bytes:
        contract = EventInfo(full_name=kind, version=1, schema=f'"{kind}"', fingerprint="")
        version = self._registry.registered(f"{topic}-key", contract)
        return SchemaId(AVRO, version.schema_id).id_to_bytes()


def avro_long(number: int) -> bytes:
    """Return a long as zigzag varint (Avro 1.12 specification, "Binary Encoding")."""
    rest = number << 1 ^ number >> 63
    data = bytearray()
    while rest > 0x7F:
        data.append(rest & 0x7F | 0x80)
        rest >>= 7
    data.append(rest)
    return bytes(data)
