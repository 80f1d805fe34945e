"""Message keys as text, which every client partitions and reads in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

from sdk.abstractions import KeySerializer
from sdk.cache import Cache
from sdk.errors import DeserializationError, SchemaNotFoundError, SerializationError
from sdk.events import Event
from sdk.records import Header
from sdk.serialization.framing import ID_LENGTH, KEY_SCHEMA_ID, unframe

_LONGEST: Final = 8192
"""Bits of an integer key; the interpreter refuses to print much longer ones."""


def key_text(key: object, topic: str) -> str | bytes | None:
    """Return a key as text; bytes and None are unchanged.

    Raises:
        SerializationError: The key is neither str, int of a sane size, UUID nor bytes.
    """
    if key is None or isinstance(key, bytes):
        return key
    if isinstance(key, str):
        return str(key)
    if isinstance(key, UUID):
        return str(key)
    if isinstance(key, int) and not isinstance(key, bool) and key.bit_length() <= _LONGEST:
        return str(key)
    raise SerializationError(
        f"a key of type {type(key).__qualname__} cannot be sent",
        topic=topic,
        remedy="pass a str, int, UUID or bytes",
    )


class TextKeySerializer:
    """Writes keys as UTF-8 text."""

    def encode(self, key: object, event_class: type[Event], topic: str) -> bytes | None:
        """Return the record key."""
        text = key if type(key) is str else key_text(key, topic)
        try:
            return text.encode() if isinstance(text, str) else text
        except UnicodeEncodeError as error:
            raise SerializationError("the key is not valid Unicode", topic=topic) from error

    def decode(
        self, data: bytes | None, topic: str, headers: Iterable[Header] = ()
    ) -> str | bytes | None:
        """Return a record key as text, or as bytes where it is not valid UTF-8."""
        try:
            return None if data is None else data.decode()
        except UnicodeDecodeError:
            return data

    def ready(self, key: object, topic: str) -> bool:
        """Whether `encode` will make no request: always."""
        return True

    def warm_up(self, routes: Iterable[tuple[type[Event], str]]) -> None:
        """Do nothing: text needs no schema."""


class MixedKeySerializer:
    """Writes keys in one format, and reads each in the format in which it was written.

    Args:
        own: The format that is written.
        avro: Creates the serializer of keys with a schema, for the first one.
    """

    def __init__(self, own: KeySerializer, avro: Callable[[], KeySerializer]) -> None:
        self.encode, self.ready, self.warm_up = own.encode, own.ready, own.warm_up
        self._make_avro = avro
        self._avro: Cache[None, KeySerializer] = Cache()
        self._text = TextKeySerializer()

    def decode(self, data: bytes | None, topic: str, headers: Iterable[Header] = ()) -> object:
        """Return a record key as its schema's value, else as text, else as bytes."""
        if data is not None and _names_schema(data, headers):
            try:
                return self._avro.get(None, self._make_avro).decode(data, topic, headers)
            except (DeserializationError, SchemaNotFoundError):
                pass  # eight bytes of a number may look like a schema id
        return self._text.decode(data, topic)


def _names_schema(data: bytes, headers: Iterable[Header]) -> bool:
    if any(name == KEY_SCHEMA_ID and value is not None for name, value in headers):
        return True
    return len(data) > ID_LENGTH and bool(unframe(data[:ID_LENGTH]))
