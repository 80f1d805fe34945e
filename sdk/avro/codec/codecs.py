"""Bytes ↔ events: finds or makes the codec of a class, and keeps it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeVar

from sdk.avro.codec import interpreter
from sdk.avro.codec.binding import Binding, bind
from sdk.avro.codec.limits import DEFAULT_LIMITS, Limits
from sdk.avro.codec.lowering import decode_plan, encode_plan
from sdk.avro.codec.plan import Plan
from sdk.avro.resolution.resolving import resolve
from sdk.avro.schema import NamedSchema, Schema, parse_schema
from sdk.avro.schema.canonical import normalized_hash
from sdk.errors import IncompatibleSchemaError

SchemaSource = str | Mapping[str, Any] | list[Any] | Schema
"""JSON text, what it would load as, or a parsed schema."""

Reference = str | Mapping[str, Any] | NamedSchema

_E = TypeVar("_E", covariant=True)
_T = TypeVar("_T")
_E_contra = TypeVar("_E_contra", contravariant=True)


class Encoder(Protocol[_E_contra]):
    """Writes events of one class."""

    def __call__(self, event: _E_contra, prefix: bytes = b"", /) -> bytes:
        """Return the prefix and the body.

        Raises:
            SerializationError: The event does not fit its schema; ``path`` names the field.
        """


class Decoder(Protocol[_E]):
    """Reads events of one class that one schema has written."""

    def __call__(self, data: bytes, start: int = 0, /) -> _E:
        """Return the event whose body starts at ``start`` and ends with ``data``.

        Raises:
            DeserializationError: The bytes cannot be read; ``path`` names the field and
                ``byte_offset`` where its value starts in ``data``.
        """


class _Cache:
    """Keeps what was made last; each thing is made once, whatever the threads do.

    Args:
        size: How many to keep. When there are more, those that were made first go.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: dict[Hashable, Any] = {}
        self._lock = threading.RLock()

    def get(self, key: Hashable) -> Any:
        return self._kept.get(key)

    def get_or_make(self, key: Hashable, make: Callable[[], _T]) -> _T:
        kept: _T | None = self._kept.get(key)
        if kept is not None:
            return kept
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                kept = make()
                while len(self._kept) >= self._size:
                    del self._kept[next(iter(self._kept))]
                self._kept[key] = kept
            return kept


_CACHE_SIZE: Final = 1000
_bindings: Final = _Cache(_CACHE_SIZE)
_encoders: Final = _Cache(_CACHE_SIZE)
_decoders: Final = _Cache(_CACHE_SIZE)
_by_text: Final = _Cache(_CACHE_SIZE)


def encode(event: Any) -> bytes:
    """Write an event.

    Args:
        event: An instance of a generated class.

    Returns:
        The bare body, in Avro's binary encoding.

    Raises:
        SerializationError: The event does not fit its schema; ``path`` names the field.
        SchemaError: The object is no event, or its class does not fit its schema.
    """
    cls = event.__class__
    encoder = _encoders.get(cls) or encoder_for(cls)
    body: bytes = encoder(event)
    return body


def decode(cls: type[_T], data: bytes, writer_schema: SchemaSource | None = None) -> _T:
    """Read an event.

    Args:
        cls: The generated class that is asked for.
        data: The bare body.
        writer_schema: The schema that the body was written with; by default that of the class.

    Returns:
        An instance of the class.

    Raises:
        DeserializationError: The bytes cannot be read; ``path`` names the field and
            ``byte_offset`` where its value starts.
        IncompatibleSchemaError: The class can never read what this schema wrote.
        InvalidSchemaError: The writer's schema is not valid Avro.
        SchemaError: The class does not fit its own schema.
    """
    key = (cls, writer_schema if isinstance(writer_schema, str) else None)
    decoder: Decoder[_T] | None = None
    if writer_schema is None or isinstance(writer_schema, str):
        decoder = _by_text.get(key)
    if decoder is None:
        decoder = decoder_for(cls, writer_schema)
        if writer_schema is None or isinstance(writer_schema, str):
            kept = decoder
            _by_text.get_or_make(key, lambda: kept)
    return decoder(data)


def encoder_for(cls: type[_T], *, limits: Limits = DEFAULT_LIMITS) -> Encoder[_T]:
    """Return the function that writes events of a class; it is made at first use and kept.

    Args:
        cls: A generated class.
        limits: What one event may cost.

    Raises:
        SchemaError: The class does not fit its schema.
        InvalidSchemaError: Its schema is not valid Avro.
    """
    from sdk.avro.codec.compiled import compile_encoder

    def make() -> Encoder[_T]:
        bound = binding(cls)
        return compile_encoder(encode_plan(bound.schema, bound.types), limits)

    key: Any = cls if limits is DEFAULT_LIMITS else (cls, limits)
    return _encoders.get_or_make(key, make)


def decoder_for(
    cls: type[_T],
    writer_schema: SchemaSource | None = None,
    *,
    references: Iterable[Reference] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> Decoder[_T]:
    """Return the function that reads what a schema wrote as a class; it is made once and kept.

    Args:
        cls: The generated class that is asked for.
        writer_schema: By default the schema of the class.
        references: Schemas whose types the writer's schema names, in dependency order.
        limits: What one payload may cost.

    Raises:
        IncompatibleSchemaError: The class can never read what this schema wrote.
        InvalidSchemaError: The writer's schema is not valid Avro.
        SchemaError: The class does not fit its own schema.
    """
    from sdk.avro.codec.compiled import compile_decoder

    bound = binding(cls)
    writer = bound.schema if writer_schema is None else _parsed(writer_schema, references)
    key = (cls, normalized_hash(writer), normalized_hash(bound.schema), limits)

    def make() -> Decoder[_T]:
        return compile_decoder(_plan_between(writer, bound), limits)

    return _decoders.get_or_make(key, make)


def binding(cls: type[Any]) -> Binding:
    """Return a class's contract, parsed once.

    Raises:
        SchemaError: The class has none, or does not fit it.
    """
    return _bindings.get_or_make((cls,), lambda: bind(cls))


def _plan_between(writer: Schema, bound: Binding) -> Plan:
    try:
        resolution = resolve(writer, bound.schema)
    except IncompatibleSchemaError as error:
        error.event = bound.schema.name
        raise
    return decode_plan(resolution, bound.schema, bound.types)


def _parsed(source: SchemaSource, references: Iterable[Reference]) -> Schema:
    if isinstance(source, str | list | Mapping):
        return parse_schema(source, references=tuple(references))
    return source


# --- values without classes ---------------------------------------------------------------------


def encode_value(schema: Schema, value: Any, prefix: bytes = b"") -> bytes:
    """Write a value that is made of dicts, lists, symbols and plain Python values.

    Records are dicts with exactly the fields, enums their symbols, logical types their Python
    values or what is on the wire. A value of a union may be a pair of branch name and value, or a
    record with the key ``-type``, where its class does not tell the branch: what fastavro returns
    with ``return_record_name`` can be written as it is.

    Args:
        schema: A parsed schema.
        value: What to write.
        prefix: Bytes to put before it.

    Raises:
        SerializationError: The value does not fit the schema; ``path`` names the place.
    """
    key = ("write", normalized_hash(schema))
    plan = _decoders.get_or_make(key, lambda: encode_plan(schema))
    return interpreter.write(plan, value, prefix)


def decode_value(
    data: bytes, writer: Schema, reader: Schema | None = None, *, limits: Limits = DEFAULT_LIMITS
) -> Any:
    """Read a value as dicts, lists, symbols and plain Python values.

    Args:
        data: The bare body.
        writer: The schema that it was written with, parsed.
        reader: The schema that is asked for; by default the writer's.
        limits: What the payload may cost.

    Raises:
        DeserializationError: The bytes cannot be read.
        IncompatibleSchemaError: The one schema can never read what the other wrote.
    """
    asked = writer if reader is None else reader
    key = ("read", normalized_hash(writer), normalized_hash(asked))
    plan = _decoders.get_or_make(key, lambda: decode_plan(resolve(writer, asked), asked))
    return interpreter.read(plan, data, 0, limits)
