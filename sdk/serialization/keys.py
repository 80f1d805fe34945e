"""Message keys as text, so that every client and tool places and reads them alike."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sdk.errors import SerializationError
from sdk.events import Event

_LONGEST: Final = 8192
"""Bits of an integer key; the interpreter refuses to print much longer ones."""


def key_text(key: object, topic: str) -> str | bytes | None:
    """Return a key as the text that it travels as; bytes and None stay as they are.

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
        """Return the record key.

        Raises:
            SerializationError: The key is of no supported type, or holds lone surrogates.
        """
        text = key if type(key) is str else key_text(key, topic)
        try:
            return text.encode() if isinstance(text, str) else text
        except UnicodeEncodeError as error:
            raise SerializationError("the key is not valid Unicode", topic=topic) from error

    def decode(self, data: bytes | None, topic: str) -> str | bytes | None:
        """Return a record key as text, or as bytes where it is not valid UTF-8."""
        return plain_key(data)

    def ready(self, key: object, topic: str) -> bool:
        """Whether `encode` will make no request: always."""
        return True


def plain_key(data: bytes | None) -> str | bytes | None:
    """Return a key as text where it is valid UTF-8, else as it is."""
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return data
